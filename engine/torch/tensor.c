/* torch/tensor.c - tensor metadata at C speed, without linking to torch.
 *
 * Two ways lead to the same answers:
 *   shim     the AOTInductor C functions of the loaded libtorch_cpu, applied to the
 *            at::Tensor inside the PyObject, plus words of the TensorImpl (key set,
 *            autograd_meta) whose places differ between torch versions
 *   getters  the C functions behind the attributes of torch._C.TensorBase
 * torch/find.c chooses.  R: the shim is asked only about tensors of plain key sets;
 * for others it fails and writes its complaint to stderr.
 *
 * Ownership: a block of metadata owns its type, dtype and layout.  Re-entrancy: nothing
 * here runs Python code; the getters test for an active torch-function mode, which
 * torch/ambient.def refuses before a tensor is looked at.
 */
#include "compat/compat.h"

#include <string.h>

#include "torch/levels.h"
#include "torch/tensor_state.h"

mp_torch_info mp_torch;

/* -- What the getters say -------------------------------------------------------- */

static PyObject *
tensor_ask(const mp_getter *g, PyObject *o)
{
    if (mp_tensor_is(o)) {
        return g->get(o, g->closure);
    }
    int before = mp_calm_begin();  // (a subclass would be asked)
    PyObject *answer = g->get(o, g->closure);
    mp_calm_end(before);
    return answer;
}

/* 1 / 0 / -1 of a getter that answers with a bool. */
int
mp_getter_bool(const mp_getter *g, PyObject *o)
{
    PyObject *answer = tensor_ask(g, o);
    if (answer == NULL) {
        return -1;
    }
    int yes = answer == Py_True;
    Py_DECREF(answer);
    return yes;
}

/* The dispatch key set: an object with raw_repr() and a readable str(). */
static PyObject *
key_set_object(PyObject *o)
{
    return PyObject_CallOneArg(mp_torch.key_set_of, o);
}

/* The raw dispatch key set as torch._C._dispatch_keys tells it: 0 / -1. */
static int
tensor_key_set(PyObject *o, uint64_t *out)
{
    PyObject *keys = key_set_object(o);
    if (keys == NULL) {
        return -1;
    }
    PyObject *raw = PyObject_CallMethod(keys, "raw_repr", NULL);
    Py_DECREF(keys);
    if (raw == NULL) {
        return -1;
    }
    *out = PyLong_AsUnsignedLongLong(raw);
    Py_DECREF(raw);
    return *out == (uint64_t)-1 && PyErr_Occurred() ? -1 : 0;
}

/* c10::DeviceType, whose numbers the shim gives out and which are part of torch's file
 * formats.  A renamed private backend has no fixed name: the last number. */
static int32_t
device_number(const char *name)
{
    static const char *const names[] = {
        "cpu",  "cuda", "mkldnn", "opengl", "opencl", "ideep", "hip",
        "fpga", "maia", "xla",    "vulkan", "metal",  "xpu",   "mps",
        "meta", "hpu",  "ve",     "lazy",   "ipu",    "mtia",  "privateuseone",
    };
    int32_t last = (int32_t)(sizeof names / sizeof *names) - 1;
    for (int32_t i = 0; i < last; i++) {
        if (strcmp(names[i], name) == 0) {  // mp-ok: dispatch keys
            return i;
        }
    }
    return last;
}

/* Type and index of the device through the getters: -1 with an exception.  The index is
 * -1 if the device has none. */
static int
device_read(PyObject *o, int32_t *type, int32_t *index)
{
    PyObject *device = tensor_ask(&mp_torch.device, o);  // owned
    PyObject *name = NULL;                               // owned
    PyObject *number = NULL;                             // owned
    const char *text = NULL;                             // borrowed from name
    int rc = -1;

    if (device == NULL) {
        return -1;
    }
    name = PyObject_GetAttrString(device, "type");
    number = PyObject_GetAttrString(device, "index");
    if (name == NULL || number == NULL) {
        goto done;
    }
    text = PyUnicode_AsUTF8(name);
    if (text == NULL) {
        goto done;
    }
    *type = device_number(text);
    *index = number == Py_None ? -1 : (int32_t)PyLong_AsLong(number);
    rc = PyErr_Occurred() ? -1 : 0;

done:
    Py_XDECREF(number);
    Py_XDECREF(name);
    Py_DECREF(device);
    return rc;
}

/* Copy a tuple of n ints. */
static int
dims_read(PyObject *tuple, Py_ssize_t n, int64_t *out)
{
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != n) {
        PyErr_SetString(PyExc_TypeError, "a tensor gave an unexpected shape or stride");
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        out[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(tuple, i));
        if (out[i] == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    return 0;
}

/* -- A block of metadata --------------------------------------------------------- */

mp_tensor_meta *
mp_tensor_meta_alloc(int64_t ndim)
{
    if (ndim < 0 || ndim > INT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "a tensor has an impossible rank");
        return NULL;
    }
    size_t size = sizeof(mp_tensor_meta) + 3 * (size_t)ndim * sizeof(int64_t);
    mp_tensor_meta *m = PyMem_Calloc(1, size);
    if (m == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    m->ndim = (int32_t)ndim;
    m->coalesced = -1;
    for (int64_t i = 0; i < ndim; i++) {
        m->dims[2 * ndim + i] = MP_STRIDE_FIXED;
    }
    return m;
}

void
mp_tensor_meta_free(mp_tensor_meta *m)
{
    if (m == NULL) {
        return;
    }
    Py_XDECREF(m->layout);
    Py_XDECREF(m->dtype);
    Py_XDECREF(m->type);
    PyMem_Free(m);
}

/* Fill what is cheap to ask and the same on both paths. */
static int
meta_fill_common(mp_tensor_meta *m, PyObject *o)
{
    m->type = (PyTypeObject *)Py_NewRef(Py_TYPE(o));
    m->dtype = tensor_ask(&mp_torch.dtype, o);
    m->layout = tensor_ask(&mp_torch.layout, o);
    return m->dtype == NULL || m->layout == NULL ? -1 : 0;
}

static int
meta_fill_getters(mp_tensor_meta *m, PyObject *o, PyObject *shape)
{
    PyObject *strides = PyObject_CallOneArg(mp_torch.stride, o);
    if (strides == NULL) {
        return -1;
    }
    int rc = dims_read(shape, m->ndim, m->dims);
    if (rc == 0) {
        rc = dims_read(strides, m->ndim, m->dims + m->ndim);
    }
    Py_DECREF(strides);
    if (rc < 0 || device_read(o, &m->device_type, &m->device_index) < 0) {
        return -1;
    }
    int grad = mp_getter_bool(&mp_torch.requires_grad, o);
    m->requires_grad = grad == 1;
    return grad < 0 || tensor_key_set(o, &m->key_set) < 0 ? -1 : 0;
}

mp_tensor_meta *
mp_tensor_meta_getters(PyObject *o)
{
    PyObject *shape = tensor_ask(&mp_torch.shape, o);
    if (shape == NULL) {
        return NULL;
    }
    mp_tensor_meta *m = NULL;
    if (PyTuple_Check(shape)) {
        m = mp_tensor_meta_alloc(PyTuple_GET_SIZE(shape));
    }
    else {
        PyErr_SetString(PyExc_TypeError, "a tensor's shape is not a tuple");
    }
    if (m != NULL
        && (meta_fill_common(m, o) < 0 || meta_fill_getters(m, o, shape) < 0)) {
        mp_tensor_meta_free(m);
        m = NULL;
    }
    Py_DECREF(shape);
    return m;
}

/* -- The shim -------------------------------------------------------------------- */

/* Leaves say so in one byte.  A view may require grad through its base although its own
 * byte and grad_fn say no: ask the getter for everything else. */
static int
shim_requires_grad(PyObject *o, const uint64_t *impl)
{
    const char *autograd = (const char *)(uintptr_t)impl[mp_torch.autograd_word];
    if (autograd == NULL) {
        return 0;
    }
    if (mp_torch.requires_byte >= 0 && autograd[mp_torch.requires_byte] == 1) {
        return 1;
    }
    return mp_getter_bool(&mp_torch.requires_grad, o);
}

/* Metadata through AOTInductor's C functions, and from words of the C++ object whose
 * places were found at start (torch/find.c). */
static int
meta_fill_shim(mp_tensor_meta *m, PyObject *o)
{
    void *h = mp_shim_handle(o);
    int64_t *sizes, *strides;
    int32_t dtype;
    if (mp_torch.get_sizes(h, &sizes) || mp_torch.get_strides(h, &strides)
        || mp_torch.get_dtype(h, &dtype) || mp_torch.get_device_type(h, &m->device_type)
        || mp_torch.get_device_index(h, &m->device_index) || dtype < 0
        || dtype >= N_DTYPES) {
        PyErr_SetString(PyExc_RuntimeError, "torch's C shim cannot read this tensor");
        return -1;
    }
    size_t bytes = (size_t)m->ndim * sizeof(int64_t);
    if (bytes > 0) {
        memcpy(m->dims, sizes, bytes);
        memcpy(m->dims + m->ndim, strides, bytes);
    }
    if (mp_torch.dtypes[dtype] == NULL) {
        mp_torch.dtypes[dtype] = Py_NewRef(m->dtype);
    }
    const uint64_t *impl = mp_shim_impl(o);
    m->key_set = impl[mp_torch.key_word];
    if (mp_torch.size_word >= 0 && mp_torch.kind_word >= 0) {
        m->kind = impl[mp_torch.kind_word] & MP_KIND_BITS;
    }
    int grad = shim_requires_grad(o, impl);
    m->requires_grad = grad == 1;
    return grad < 0 ? -1 : 0;
}

mp_tensor_meta *
mp_tensor_meta_shim(PyObject *o)
{
    int64_t ndim = -1;
    if (mp_torch.get_dim(mp_shim_handle(o), &ndim)) {
        PyErr_SetString(PyExc_RuntimeError, "torch's C shim cannot read this tensor");
        return NULL;
    }
    mp_tensor_meta *m = mp_tensor_meta_alloc(ndim);
    if (m != NULL && (meta_fill_common(m, o) < 0 || meta_fill_shim(m, o) < 0)) {
        mp_tensor_meta_free(m);
        return NULL;
    }
    return m;
}

static mp_tensor_meta *
meta_read(PyObject *o)
{
    return mp_torch.path == TENSOR_SHIM ? mp_tensor_meta_shim(o)
                                        : mp_tensor_meta_getters(o);
}

/* -- Which tensors can be described ---------------------------------------------- */

/* Dispatch keys of ordinary tensors.  Others (Sparse, Python, FuncTorch, ...) mean that
 * metadata is kept elsewhere, and that the shim must not be asked. */
static bool
key_is_plain(const char *name, size_t len)
{
    static const char *const plain[] = {
        "CPU",
        "CUDA",
        "HIP",
        "XLA",
        "MPS",
        "IPU",
        "XPU",
        "HPU",
        "VE",
        "Lazy",
        "MTIA",
        "MAIA",
        "Meta",
        "PrivateUse1",
        "PrivateUse2",
        "PrivateUse3",
        "Conjugate",
        "Negative",
        "ADInplaceOrView",
        "BackendSelect",
    };
    if (len > 8
        && (strncmp(name, "Autograd", 8) == 0
            || strncmp(name, "Autocast", 8) == 0)) {  // mp-ok: dispatch keys
        return true;
    }
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strlen(plain[i]) == len
            && strncmp(plain[i], name, len) == 0) {  // mp-ok: dispatch keys
            return true;
        }
    }
    return false;
}

/* text is "DispatchKeySet(CPU, ADInplaceOrView, ...)": the first key that is not plain,
 * its length in *len, or NULL. */
static const char *
key_first_special(const char *text, size_t *len)
{
    const char *at = strchr(text, '(');
    if (at == NULL) {
        *len = strlen(text);
        return text;
    }
    for (at++; *at != '\0' && *at != ')';) {
        *len = strcspn(at, ",)");
        if (!key_is_plain(at, *len)) {
            return at;
        }
        at += *len;
        at += strspn(at, ", ");
    }
    return NULL;
}

bool
mp_tensor_keys_are_plain(const char *text)
{
    size_t len = 0;
    return key_first_special(text, &len) == NULL;
}

/* Sparse, quantised, nested, functorch-wrapped, functionalised ... tensors carry state
 * that sizes and strides do not show; their key sets give them away.  0 or -1. */
static int
key_set_describable(PyObject *o, uint64_t key_set)
{
    for (int i = 0; i < mp_torch.n_key_sets; i++) {
        if (mp_torch.key_sets[i] == key_set) {
            return 0;
        }
    }
    PyObject *keys = key_set_object(o);
    PyObject *text = keys == NULL ? NULL : PyObject_Str(keys);
    Py_XDECREF(keys);
    const char *chars = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    if (chars == NULL) {
        Py_XDECREF(text);
        return -1;
    }
    size_t len = 0;
    const char *special = key_first_special(chars, &len);
    if (special != NULL) {
        PyErr_Format(PyExc_TypeError, "a tensor of kind %.60s cannot be described",
                     special);
    }
    Py_DECREF(text);
    if (special == NULL && mp_torch.n_key_sets < N_KEY_SETS) {
        mp_torch.key_sets[mp_torch.n_key_sets++] = key_set;
    }
    return special == NULL ? 0 : -1;
}

bool
mp_tensor_is(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    return mp_torch.path != TENSOR_OFF
           && (type == mp_torch.tensor || type == mp_torch.param);
}

bool
mp_tensor_is_any(PyObject *o)
{
    return mp_torch.path != TENSOR_OFF && PyObject_TypeCheck(o, mp_torch.base);
}

/* A tensor whose layout is strided and whose keys are plain: anything else must not
 * reach the shim, which would write its complaint to stderr. */
static int
tensor_describable(PyObject *o)
{
    uint64_t key_set = 0;
    PyObject *layout = NULL;

    if (!mp_tensor_is(o)) {
        PyErr_Format(PyExc_TypeError, "%.100s is not a plain tensor",
                     Py_TYPE(o)->tp_name);
        return -1;
    }
    if (mp_torch.path == TENSOR_SHIM) {
        key_set = mp_shim_impl(o)[mp_torch.key_word];
    }
    else if (tensor_key_set(o, &key_set) < 0) {
        return -1;
    }
    if (key_set_describable(o, key_set) < 0) {
        return -1;
    }
    layout = tensor_ask(&mp_torch.layout, o);
    if (layout == NULL) {
        return -1;
    }
    bool strided = layout == mp_torch.strided;
    Py_DECREF(layout);
    if (!strided) {
        PyErr_SetString(PyExc_TypeError, "a tensor that is not strided");
        return -1;
    }
    return 0;
}

mp_tensor_meta *
mp_tensor_meta_new(PyObject *o)
{
    return tensor_describable(o) < 0 ? NULL : meta_read(o);
}

/* -- Comparing ------------------------------------------------------------------- */

/* All but sizes and strides. */
static bool
meta_same_kind(const mp_tensor_meta *a, const mp_tensor_meta *b)
{
    assert(a != NULL && b != NULL);
    return a->type == b->type && a->dtype == b->dtype && a->layout == b->layout
           && a->device_type == b->device_type && a->device_index == b->device_index
           && a->key_set == b->key_set && a->requires_grad == b->requires_grad
           && a->coalesced == b->coalesced && a->ndim == b->ndim;
}

bool
mp_tensor_meta_equal(const mp_tensor_meta *a, const mp_tensor_meta *b)
{
    return meta_same_kind(a, b) && a->open == b->open && a->small == b->small
           && memcmp(a->dims, b->dims, 3 * (size_t)a->ndim * sizeof(int64_t)) == 0;
}

static bool
meta_strides_cover(const mp_tensor_meta *old, const mp_tensor_meta *fresh)
{
    for (int32_t i = 0; i < old->ndim; i++) {
        if (mp_tensor_meta_link(old, i) == MP_STRIDE_FREE
            && mp_tensor_meta_link(fresh, i) != MP_STRIDE_FREE) {
            return false;
        }
    }
    return true;
}

bool
mp_tensor_meta_covers(const mp_tensor_meta *old, const mp_tensor_meta *fresh)
{
    return meta_same_kind(old, fresh) && (old->open & ~fresh->open) == 0
           && (old->small & ~fresh->small) == 0 && meta_strides_cover(old, fresh)
           && mp_tensor_dims_fit(old, fresh->dims, fresh->dims + fresh->ndim);
}

/* What o is now, or NULL; an exception that is set stays.  The getters make tuples, and a
 * collection that one of them starts could run anything: it waits until we are done. */
static mp_tensor_meta *
meta_now(PyObject *o)
{
    PyObject *type, *value, *trace;
    int collecting = PyGC_Disable();
    PyErr_Fetch(&type, &value, &trace);
    mp_tensor_meta *now = mp_tensor_meta_new(o);
    PyErr_Restore(type, value, trace);  // replaces what mp_tensor_meta_new set
    if (collecting) {
        PyGC_Enable();
    }
    return now;
}

static int
meta_check_getters(PyObject *o, const mp_tensor_meta *m)
{
    mp_tensor_meta *now = meta_now(o);
    int same = now != NULL && meta_same_kind(now, m)
               && mp_tensor_dims_fit(m, now->dims, now->dims + now->ndim);
    mp_tensor_meta_free(now);
    return same;
}

int
mp_tensor_meta_same_but_dims(PyObject *o, const mp_tensor_meta *m, int64_t *dims)
{
    mp_tensor_meta *now = mp_tensor_is(o) ? meta_now(o) : NULL;
    int same = now != NULL && meta_same_kind(now, m);
    if (same) {
        memcpy(dims, now->dims, 2 * (size_t)m->ndim * sizeof(*dims));
    }
    mp_tensor_meta_free(now);
    return same;
}

int
mp_tensor_is_leaf(PyObject *o)
{
    PyObject *type, *value, *trace;
    int collecting = PyGC_Disable();  // a node of the graph may be made
    PyErr_Fetch(&type, &value, &trace);
    int leaf = mp_getter_bool(&mp_torch.is_leaf, o);
    if (leaf == 1) {
        PyObject *node = tensor_ask(&mp_torch.grad_fn, o);
        leaf = node == Py_None ? 1 : -1;
        Py_XDECREF(node);
    }
    PyErr_Restore(type, value, trace);  // replaces what a getter set
    if (collecting) {
        PyGC_Enable();
    }
    return leaf;
}

PyObject *
mp_tensor_grad_borrow(PyObject *o)
{
    PyObject *type, *value, *trace;
    if (!mp_tensor_is(o) || mp_tensor_is_leaf(o) != 1) {
        return NULL;  // torch would warn
    }
    int collecting = PyGC_Disable();  // the object for it may be made
    PyErr_Fetch(&type, &value, &trace);
    PyObject *grad = tensor_ask(&mp_torch.grad, o);
    Py_XDECREF(grad);
    PyErr_Restore(type, value, trace);  // replaces what a getter set
    if (collecting) {
        PyGC_Enable();
    }
    return grad;
}

/* requires_grad by the getter, where one byte does not tell.  It has no reason to fail
 * on a plain tensor; if it does, the guard does not hold. */
static int
shim_grad_matches(PyObject *o, const mp_tensor_meta *m)
{
    int grad = shim_requires_grad(o, mp_shim_impl(o));
    if (grad < 0) {
        mp_err_drop();
        return 0;
    }
    return grad == m->requires_grad;
}

static inline bool
dims_equal(const int64_t *a, const int64_t *b, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

static inline bool
dims_fit(const mp_tensor_meta *m, const int64_t *sizes, const int64_t *strides)
{
    return !m->opened ? dims_equal(sizes, m->dims, m->ndim)
                            && dims_equal(strides, m->dims + m->ndim, m->ndim)
                      : mp_tensor_dims_fit(m, sizes, strides);
}

/* By the shim alone: for a torch whose words calibration did not find. */
static int
meta_check_shim(PyObject *o, const mp_tensor_meta *m)
{
    void *h = mp_shim_handle(o);
    int64_t ndim = -1, *sizes = NULL, *strides = NULL;
    int32_t dtype = -1, device = -1, index = -1;
    if (mp_torch.get_dim(h, &ndim) || ndim != m->ndim || mp_torch.get_sizes(h, &sizes)
        || mp_torch.get_strides(h, &strides) || !dims_fit(m, sizes, strides)
        || mp_torch.get_dtype(h, &dtype) || dtype < 0 || dtype >= N_DTYPES
        || mp_torch.dtypes[dtype] != m->dtype || mp_torch.get_device_type(h, &device)
        || device != m->device_type || mp_torch.get_device_index(h, &index)
        || index != m->device_index) {
        return 0;
    }
    return shim_grad_matches(o, m);
}

int8_t
mp_sparse_coalesced(PyObject *o)
{
    int before = mp_calm_begin();  // a mode of the program is not asked
    PyObject *answer = PyObject_CallOneArg(mp_torch.is_coalesced, o);
    mp_calm_end(before);
    int8_t found = answer == Py_True ? 1 : answer == Py_False ? 0 : -1;
    Py_XDECREF(answer);
    mp_err_drop();  // compressed rows or columns: nothing there to be coalesced
    return found;
}

/* Rows or columns of a sparse tensor: one key is for all of them. */
static bool
layout_matches(PyObject *o, const mp_tensor_meta *m)
{
    PyObject *layout = tensor_ask(&mp_torch.layout, o);
    bool same = layout == m->layout
                && (m->coalesced < 0 || mp_sparse_coalesced(o) == m->coalesced);
    mp_err_drop();  // of torch.Tensor itself: it has no reason to fail
    Py_XDECREF(layout);
    return same;
}

int
mp_tensor_meta_check(PyObject *o, const mp_tensor_meta *m)
{
    if (Py_TYPE(o) != m->type) {
        return 0;
    }
    if (mp_torch.path != TENSOR_SHIM) {
        return mp_torch.path == TENSOR_GETTERS && meta_check_getters(o, m);
    }
    // Equal keys: the same kind of tensor, so the shim cannot fail; the same layout.
    const uint64_t *impl = mp_shim_impl(o);
    if (impl[mp_torch.key_word] != m->key_set
        || (m->layout != mp_torch.strided && !layout_matches(o, m))) {
        return 0;
    }
    if (m->kind == 0) {
        return meta_check_shim(o, m);
    }
    mp_dims dims = mp_shim_dims(impl);
    if ((impl[mp_torch.kind_word] & MP_KIND_BITS) != m->kind || dims.n != m->ndim
        || !dims_fit(m, dims.sizes, dims.strides)) {
        return 0;
    }
    return shim_grad_matches(o, m);
}

/* -- Seen again ------------------------------------------------------------------- */

bool
mp_tensor_see(PyObject *o, const mp_tensor_meta *m, mp_tensor_seen *seen)
{
    assert(MP_TENSOR_SEEN == 1 + 2 * INLINE_DIMS);
    if (mp_torch.path != TENSOR_SHIM || m->kind == 0 || m->ndim > INLINE_DIMS
        || m->layout != mp_torch.strided  // (one key stands for CSR, CSC, BSR and BSC)
        || !mp_tensor_meta_check(o, m)) {
        return false;
    }
    const uint64_t *impl = mp_shim_impl(o);
    uint64_t autograd = impl[mp_torch.autograd_word];
    if (autograd != 0
        && (mp_torch.requires_byte < 0
            || ((const char *)(uintptr_t)autograd)[mp_torch.requires_byte] != 1)) {
        return false;  // its grad_fn, or that of its base, decides
    }
    *seen = (mp_tensor_seen){.o = o,
                             .type = m->type,
                             .impl = impl,
                             .key_set = m->key_set,
                             .kind = m->kind,
                             .autograd = autograd};
    memcpy(seen->dims, impl + mp_torch.size_word, sizeof seen->dims);
    return true;
}

bool
mp_tensor_as_seen(const mp_tensor_seen *seen)
{
    if (Py_TYPE(seen->o) != seen->type) {
        return false;
    }
    const uint64_t *impl = mp_shim_impl(seen->o);
    const uint64_t *dims = impl + mp_torch.size_word;
    if (impl != seen->impl) {
        return false;
    }
    uint64_t differs = (impl[mp_torch.key_word] ^ seen->key_set)
                       | ((impl[mp_torch.kind_word] & MP_KIND_BITS) ^ seen->kind)
                       | (impl[mp_torch.autograd_word] ^ seen->autograd);
    for (int i = 0; i < MP_TENSOR_SEEN; i++) {
        differs |= dims[i] ^ seen->dims[i];
    }
    return differs == 0
           && (seen->autograd == 0
               || ((const char *)(uintptr_t)seen->autograd)[mp_torch.requires_byte]
                      == 1);
}

uint64_t
mp_tensor_hash(PyObject *o)
{
    uint64_t hash = (uint64_t)(uintptr_t)Py_TYPE(o);
    if (mp_torch.path != TENSOR_SHIM) {
        return hash;
    }
    const uint64_t *impl = mp_shim_impl(o);
    const uint64_t *dims = impl + mp_torch.size_word;
    uint64_t n =
        dims[0] <= INLINE_DIMS ? dims[0] : 0;  // of more, their addresses stand there
    hash = mp_hash_mix(hash, impl[mp_torch.key_word]);
    hash = mp_hash_mix(hash, impl[mp_torch.kind_word] & MP_KIND_BITS);
    hash = mp_hash_mix(hash, dims[0]);
    for (uint64_t i = 0; i < n; i++) {
        hash = mp_hash_mix(hash, dims[1 + i]);
        hash = mp_hash_mix(hash, dims[1 + INLINE_DIMS + i]);
    }
    return hash;
}

/* -- Version and memory ---------------------------------------------------------- */

int64_t
mp_tensor_version(PyObject *o)
{
    PyObject *type, *value, *trace;
    int64_t version = -1;

    if (!mp_tensor_is_any(o)) {
        return -1;
    }
    PyErr_Fetch(&type, &value, &trace);
    PyObject *bare = mp_level_bare(o);
    PyObject *number = tensor_ask(&mp_torch.version, bare);
    Py_DECREF(bare);
    if (number != NULL) {
        version = PyLong_AsLongLong(number);
        Py_DECREF(number);
    }
    PyErr_Restore(type, value, trace);  // inference tensors raise: answered by -1
    return version;
}

/* Address of the first element; 0 for none.  The shim's reader leaves copy-on-write
 * tensors alone. */
static int
data_address(PyObject *o, uintptr_t *out)
{
    if (mp_torch.path == TENSOR_SHIM) {
        const void *data = NULL;
        if (mp_torch.get_data(mp_shim_handle(o), &data)) {
            return -1;
        }
        *out = (uintptr_t)data;
        return 0;
    }
    PyObject *number = PyObject_CallOneArg(mp_torch.data_ptr, o);
    if (number == NULL) {
        return -1;
    }
    *out = (uintptr_t)PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    return PyErr_Occurred() ? -1 : 0;
}

/* Bytes from the first to behind the last element, 0 if there is none.  torch has no
 * negative strides. */
static int
meta_span(const mp_tensor_meta *m, uintptr_t *out)
{
    uintptr_t last = 0;
    *out = 0;
    for (int32_t i = 0; i < m->ndim; i++) {
        if (m->dims[i] == 0) {
            return 0;
        }
        last += (uintptr_t)(m->dims[i] - 1) * (uintptr_t)m->dims[m->ndim + i];
    }
    PyObject *size = PyObject_GetAttrString(m->dtype, "itemsize");
    if (size == NULL) {
        return -1;
    }
    uintptr_t itemsize = (uintptr_t)PyLong_AsUnsignedLongLong(size);
    Py_DECREF(size);
    if (PyErr_Occurred()) {
        return -1;
    }
    *out = (last + 1) * itemsize;
    return 0;
}

static int
extent_read(PyObject *o, uintptr_t *lo, uintptr_t *hi)
{
    uintptr_t span = 0;
    *lo = *hi = 0;
    mp_tensor_meta *m = mp_tensor_meta_new(o);
    if (m == NULL) {
        return 0;
    }
    int rc = m->device_type == DEVICE_META ? -1 : meta_span(m, &span);
    mp_tensor_meta_free(m);
    if (rc < 0 || span == 0 || data_address(o, lo) < 0 || *lo == 0) {
        return 0;
    }
    *hi = *lo + span;
    return 1;
}

int
mp_tensor_extent(PyObject *o, uintptr_t *lo, uintptr_t *hi)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    int found = extent_read(o, lo, hi);
    PyErr_Restore(type, value, trace);
    return found;
}

/* A number that a method answers; -1 if it does not. */
static int64_t
tensor_number(PyObject *method, PyObject *o)
{
    PyObject *number = PyObject_CallOneArg(method, o);
    int64_t found = number == NULL ? -1 : PyLong_AsLongLong(number);
    Py_XDECREF(number);
    return found;
}

bool
mp_tensor_storage(PyObject *o, uintptr_t *start)
{
    PyObject *type, *value, *trace;
    *start = 0;
    if (!mp_tensor_is_any(o) || mp_tensor_odd(o) != MP_ODD_NOT) {
        return false;
    }
    PyErr_Fetch(&type, &value, &trace);
    bool told = data_address(o, start) == 0 && *start != 0;
    int64_t offset = told ? tensor_number(mp_torch.storage_offset, o) : -1;
    int64_t size = offset < 0 ? -1 : tensor_number(mp_torch.element_size, o);
    *start -= size < 0 ? 0 : (uintptr_t)(offset * size);
    told = size >= 0 && *start != 0;  // (meta tensors have offsets from nothing)
    mp_err_drop();
    PyObject *view = told ? NULL : PyObject_CallOneArg(mp_torch.is_view, o);
    bool alone = view == Py_False;
    Py_XDECREF(view);
    PyErr_Restore(type, value, trace);
    *start = alone ? (uintptr_t)o : *start;
    return alone || told;
}

bool
mp_tensor_requires_grad(PyObject *o)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    int grad = mp_tensor_is_any(o) ? mp_getter_bool(&mp_torch.requires_grad, o) : 0;
    PyErr_Restore(type, value, trace);
    return grad == 1;
}
