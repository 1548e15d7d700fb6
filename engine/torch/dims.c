/* torch/dims.c - sizes and strides: open ones, and single ones as numbers of guards.
 *
 * Single ones come from the words of its TensorImpl, if calibration found them and the tensor's key set is
 * one that mp_tensor_meta_new has met; else from the getters, whose tuples are dropped
 * before anything else runs.
 *
 * Ownership: nothing is kept.  Re-entrancy: as torch/tensor.c. */
#include "torch/tensor_state.h"

/* -- Open sizes -------------------------------------------------------------------- */

/* Dimensions by stride, the innermost first; of equal ones the last dimension. */
static void
dims_sort(const mp_tensor_meta *m, int32_t *order)
{
    const int64_t *strides = m->dims + m->ndim;
    for (int32_t i = 0; i < m->ndim; i++) {
        int32_t dim = m->ndim - 1 - i, at = i;
        while (at > 0 && strides[order[at - 1]] > strides[dim]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = dim;
    }
}

/* The dimension that `dim` lies around: order[0 ... n) are those further in. */
static int32_t
dims_inner(const mp_tensor_meta *m, const int32_t *order, int32_t n, int32_t dim)
{
    const int64_t *strides = m->dims + m->ndim;
    int64_t product;
    while (n-- > 0) {
        int32_t j = order[n];
        if (strides[j] > 0 && !__builtin_mul_overflow(m->dims[j], strides[j], &product)
            && product == strides[dim]) {
            return j;
        }
    }
    return -1;
}

/* How each stride follows, if these sizes are open and these strides free: links. */
static void
dims_link(const mp_tensor_meta *m, uint64_t sizes, uint64_t strides, int64_t *links)
{
    int32_t order[MP_TENSOR_LINKS];
    assert(m->ndim <= MP_TENSOR_LINKS);
    dims_sort(m, order);
    for (int32_t i = 0; i < m->ndim; i++) {
        int32_t dim = order[i], inner = dims_inner(m, order, i, dim);
        bool follows =
            inner >= 0 && ((sizes >> inner & 1) || links[inner] != MP_STRIDE_FIXED);
        links[dim] = strides >> dim & 1 ? MP_STRIDE_FREE
                     : follows          ? inner
                                        : MP_STRIDE_FIXED;
    }
}

void
mp_tensor_meta_open(mp_tensor_meta *m, uint64_t sizes, uint64_t small, uint64_t strides)
{
    int32_t n = m->ndim;
    if (n > MP_TENSOR_LINKS) {
        return;
    }
    uint64_t all = n == 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
    m->open = sizes & all;
    m->small = small & m->open;
    m->opened = ((sizes | strides) & all) != 0;
    dims_link(m, m->open, strides, m->dims + 2 * n);
}

static inline bool
dims_size_fits(const mp_tensor_meta *m, int32_t dim, int64_t size)
{
    if (!mp_tensor_meta_is_open(m, dim)) {
        return size == m->dims[dim];
    }
    return size >= 2 || (m->small >> dim & 1);
}

static inline bool
dims_follows(const mp_tensor_meta *m, int32_t dim, int64_t link, const int64_t *sizes,
             const int64_t *strides)
{
    int64_t product;
    if (link < 0) {
        return link == MP_STRIDE_FREE || strides[dim] == m->dims[m->ndim + dim];
    }
    return !__builtin_mul_overflow(sizes[link], strides[link], &product)
           && strides[dim] == product;
}

static inline bool
dims_stride_fits(const mp_tensor_meta *m, int32_t dim, const int64_t *sizes,
                 const int64_t *strides)
{
    return dims_follows(m, dim, mp_tensor_meta_link(m, dim), sizes, strides);
}

uint64_t
mp_tensor_strides_unfit(const mp_tensor_meta *m, uint64_t open, const int64_t *sizes,
                        const int64_t *strides)
{
    int64_t links[MP_TENSOR_LINKS];
    uint64_t unfit = 0, freed = 0;
    if (m->ndim > MP_TENSOR_LINKS) {
        return 0;
    }
    for (int32_t i = 0; i < m->ndim; i++) {
        freed |= (uint64_t)(mp_tensor_meta_link(m, i) == MP_STRIDE_FREE) << i;
    }
    dims_link(m, open | m->open, freed, links);
    for (int32_t i = 0; i < m->ndim; i++) {
        unfit |= (uint64_t)!dims_follows(m, i, links[i], sizes, strides) << i;
    }
    return unfit;
}

int32_t
mp_tensor_dims_unfit(const mp_tensor_meta *m, const int64_t *sizes,
                     const int64_t *strides)
{
    for (int32_t i = 0; i < m->ndim; i++) {
        if (!dims_size_fits(m, i, sizes[i])) {
            return i;
        }
    }
    for (int32_t i = 0; i < m->ndim; i++) {
        if (!dims_stride_fits(m, i, sizes, strides)) {
            return m->ndim + i;
        }
    }
    return -1;
}

bool
mp_tensor_dims_fit(const mp_tensor_meta *m, const int64_t *sizes,
                   const int64_t *strides)
{
    return mp_tensor_dims_unfit(m, sizes, strides) < 0;
}

/* Does the guard say that this stride is the extent of dimension `inner`?  Links may lead
 * through dimensions of size 1. */
static bool
dims_lies_around(const mp_tensor_meta *m, int32_t dim, int32_t inner)
{
    int32_t link = mp_tensor_meta_link(m, dim);
    while (link >= 0 && link != inner && m->dims[link] == 1) {
        link = mp_tensor_meta_link(m, link);
    }
    return link == inner;
}

bool
mp_tensor_meta_stays_contiguous(const mp_tensor_meta *m)
{
    int64_t extent = 1;
    int32_t inner = -1;
    bool varies = false;
    for (int32_t d = m->ndim - 1; d >= 0; d--) {
        int64_t size = m->dims[d], stride = m->dims[m->ndim + d];
        if (size == 1 && !mp_tensor_meta_is_open(m, d)) {
            continue;
        }
        if (size == 0 || stride != extent || (m->small >> d & 1)
            || mp_tensor_meta_link(m, d) == MP_STRIDE_FREE
            || (varies && !dims_lies_around(m, d, inner))
            || __builtin_mul_overflow(extent, size, &extent)) {
            return false;
        }
        inner = d;
        varies = varies || mp_tensor_meta_is_open(m, d);
    }
    return m->ndim <= MP_TENSOR_LINKS;
}

/* -- Single ones ------------------------------------------------------------------- */

static bool
dims_are_readable(const uint64_t *impl)
{
    if (mp_torch.path != TENSOR_SHIM || mp_torch.size_word < 0) {
        return false;
    }
    for (int i = 0; i < mp_torch.n_key_sets; i++) {
        if (mp_torch.key_sets[i] == impl[mp_torch.key_word]) {
            return true;
        }
    }
    return false;
}

/* An int that C code made: 1 / 0, no exception. */
static int
dims_take_steal(int64_t *out, PyObject *number)
{
    *out = number == NULL ? -1 : PyLong_AsLongLong(number);
    Py_XDECREF(number);
    return *out >= 0;
}

/* Item `dim` of what the getters answer. */
static PyObject *
dims_ask(PyObject *o, int64_t dim, bool strides)
{
    PyObject *tuple = strides ? PyObject_CallOneArg(mp_torch.stride, o)
                              : mp_torch.shape.get(o, mp_torch.shape.closure);
    PyObject *item = NULL;
    if (tuple != NULL && PyTuple_Check(tuple) && dim < PyTuple_GET_SIZE(tuple)) {
        item = Py_NewRef(PyTuple_GET_ITEM(tuple, dim));
    }
    Py_XDECREF(tuple);
    return item;
}

static int
dims_by_getters(PyObject *o, int64_t dim, bool strides, int64_t *out)
{
    PyObject *type, *value, *trace;
    int collecting = PyGC_Disable();
    PyErr_Fetch(&type, &value, &trace);
    int found = dims_take_steal(out, dims_ask(o, dim, strides));
    PyErr_Restore(type, value, trace);  // replaces what a getter set
    if (collecting) {
        PyGC_Enable();
    }
    return found;
}

static int
dims_get(PyObject *o, int64_t dim, bool strides, int64_t *out)
{
    if (dim < 0 || !mp_tensor_is(o)) {
        return 0;
    }
    const uint64_t *impl = mp_torch.path == TENSOR_SHIM ? mp_shim_impl(o) : NULL;
    if (impl == NULL || !dims_are_readable(impl)) {
        return dims_by_getters(o, dim, strides, out);
    }
    mp_dims dims = mp_shim_dims(impl);
    if (dim >= dims.n) {
        return 0;
    }
    *out = strides ? dims.strides[dim] : dims.sizes[dim];
    return 1;
}

int
mp_tensor_size(PyObject *o, int64_t dim, int64_t *out)
{
    return dims_get(o, dim, false, out);
}

int
mp_tensor_stride(PyObject *o, int64_t dim, int64_t *out)
{
    return dims_get(o, dim, true, out);
}

int
mp_tensor_offset(PyObject *o, int64_t *out)
{
    PyObject *type, *value, *trace;
    if (!mp_tensor_is(o)) {
        return 0;
    }
    PyErr_Fetch(&type, &value, &trace);
    int found = dims_take_steal(out, PyObject_CallOneArg(mp_torch.storage_offset, o));
    PyErr_Restore(type, value, trace);
    return found;
}
