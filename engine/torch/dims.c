/* torch/dims.c - single sizes and strides of a tensor, as numbers of guards read them.
 *
 * From the words of its TensorImpl, if calibration found them and the tensor's key set is
 * one that mp_tensor_meta_new has met; else from the getters, whose tuples are dropped
 * before anything else runs.
 *
 * Ownership: nothing is kept.  Re-entrancy: as torch/tensor.c. */
#include "torch/tensor_state.h"

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
