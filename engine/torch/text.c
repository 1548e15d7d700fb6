/* torch/text.c - tensor metadata in words, for guards and recompile messages.
 *
 * Ownership: every function gives out a new str.  Re-entrancy: repr() of a torch.dtype
 * is the only foreign code, and it is C.
 */
#include "compat/compat.h"

#include <string.h>

#include "torch/tensor_state.h"

static const char *
device_name(int32_t number)
{
    static const char *const common[] = {[0] = "cpu",   [1] = "cuda", [6] = "hip",
                                         [9] = "xla",   [12] = "xpu", [13] = "mps",
                                         [14] = "meta", [15] = "hpu", [19] = "mtia"};
    int32_t count = (int32_t)(sizeof common / sizeof *common);
    if (number < 0 || number >= count || common[number] == NULL) {
        return "device";
    }
    return common[number];
}

/* "f32" of torch.float32. */
static PyObject *
dtype_text(PyObject *dtype)
{
    static const char *const shorts[][2] = {
        {"float32", "f32"},   {"float64", "f64"},     {"float16", "f16"},
        {"bfloat16", "bf16"}, {"int64", "i64"},       {"int32", "i32"},
        {"int16", "i16"},     {"int8", "i8"},         {"uint8", "u8"},
        {"complex64", "c64"}, {"complex128", "c128"},
    };
    PyObject *full = PyObject_Repr(dtype);
    const char *chars = full == NULL ? NULL : PyUnicode_AsUTF8(full);
    if (chars == NULL) {
        Py_XDECREF(full);
        return NULL;
    }
    const char *dot = strrchr(chars, '.');
    const char *name = dot == NULL ? chars : dot + 1;
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++) {
        if (strcmp(shorts[i][0], name) == 0) {
            name = shorts[i][1];
            break;
        }
    }
    PyObject *text = PyUnicode_FromString(name);
    Py_DECREF(full);
    return text;
}

/* "2, 3"; what is open is "*". */
static PyObject *
dims_text(const mp_tensor_meta *m, bool strides)
{
    PyObject *text = PyUnicode_FromString("");
    for (int32_t i = 0; i < m->ndim && text != NULL; i++) {
        bool fixed = strides ? mp_tensor_meta_link(m, i) == MP_STRIDE_FIXED
                             : !mp_tensor_meta_is_open(m, i);
        long long value = (long long)m->dims[strides ? m->ndim + i : i];
        const char *comma = i == 0 ? "" : ", ";
        PyUnicode_AppendAndDel(&text, fixed
                                          ? PyUnicode_FromFormat("%s%lld", comma, value)
                                          : PyUnicode_FromFormat("%s*", comma));
    }
    return text;
}

static PyObject *
device_text(int32_t type, int32_t index)
{
    const char *name = device_name(type);
    if (strcmp(name, "device") == 0) {
        return PyUnicode_FromFormat("device%d:%d", (int)type, (int)index);
    }
    return index < 0 ? PyUnicode_FromString(name)
                     : PyUnicode_FromFormat("%s:%d", name, (int)index);
}

static bool
meta_contiguous(const mp_tensor_meta *m)
{
    int64_t expected = 1;
    for (int32_t i = m->ndim - 1; i >= 0; i--) {
        if (m->dims[i] == 0) {
            return true;
        }
        if (m->dims[i] != 1 && m->dims[m->ndim + i] != expected) {
            return false;
        }
        expected *= m->dims[i];
    }
    return true;
}

/* Append what is not the ordinary case. */
static void
meta_text_extras(PyObject **text, const mp_tensor_meta *m)
{
    if (m->requires_grad) {
        PyUnicode_AppendAndDel(text, PyUnicode_FromString(" requires_grad"));
    }
    if (m->type != mp_torch.tensor && m->type != mp_torch.param) {
        PyUnicode_AppendAndDel(text, PyUnicode_FromFormat(" %.100s", m->type->tp_name));
    }
    if (m->type == mp_torch.param) {
        PyUnicode_AppendAndDel(text, PyUnicode_FromString(" Parameter"));
    }
    if (m->key_set & mp_torch.conj_key) {
        PyUnicode_AppendAndDel(text, PyUnicode_FromString(" conj"));
    }
    if (m->key_set & mp_torch.neg_key) {
        PyUnicode_AppendAndDel(text, PyUnicode_FromString(" neg"));
    }
    if (mp_torch.no_inference_key && !(m->key_set & mp_torch.no_inference_key)) {
        PyUnicode_AppendAndDel(text, PyUnicode_FromString(" inference"));
    }
    if (!meta_contiguous(m) && *text != NULL) {
        PyObject *strides = dims_text(m, true);
        PyObject *note = NULL;
        if (strides != NULL) {
            note = PyUnicode_FromFormat(" strides=(%U)", strides);
        }
        Py_XDECREF(strides);
        PyUnicode_AppendAndDel(text, note);
    }
}

PyObject *
mp_tensor_meta_text(const mp_tensor_meta *m)
{
    PyObject *dtype = dtype_text(m->dtype);                           // owned
    PyObject *sizes = dims_text(m, false);                            // owned
    PyObject *device = device_text(m->device_type, m->device_index);  // owned
    PyObject *text = NULL;

    if (dtype != NULL && sizes != NULL && device != NULL) {
        text = PyUnicode_FromFormat("%U[%U] %U", dtype, sizes, device);
    }
    if (text != NULL) {
        meta_text_extras(&text, m);
    }
    Py_XDECREF(device);
    Py_XDECREF(sizes);
    Py_XDECREF(dtype);
    return text;
}

/* "what: expected X, got Y"; takes over both texts. */
static PyObject *
diff_text_steal(const char *what, PyObject *expected, PyObject *got)
{
    PyObject *text = NULL;
    if (expected != NULL && got != NULL) {
        text = PyUnicode_FromFormat("%s: expected %U, got %U", what, expected, got);
    }
    Py_XDECREF(expected);
    Py_XDECREF(got);
    return text;
}

static PyObject *
diff_size(const mp_tensor_meta *m, int32_t dim, int64_t size)
{
    if (mp_tensor_meta_is_open(m, dim)) {
        return PyUnicode_FromFormat(
            "size of dimension %d: expected at least 2, got %lld", (int)dim,
            (long long)size);
    }
    return PyUnicode_FromFormat("size of dimension %d: expected %lld, got %lld",
                                (int)dim, (long long)m->dims[dim], (long long)size);
}

static PyObject *
diff_stride(const mp_tensor_meta *m, int32_t dim, int64_t stride)
{
    int32_t link = mp_tensor_meta_link(m, dim);
    if (link >= 0) {
        return PyUnicode_FromFormat(
            "stride of dimension %d: expected size * stride of dimension %d, got %lld",
            (int)dim, (int)link, (long long)stride);
    }
    return PyUnicode_FromFormat("stride of dimension %d: expected %lld, got %lld",
                                (int)dim, (long long)m->dims[m->ndim + dim],
                                (long long)stride);
}

static PyObject *
diff_dims(const mp_tensor_meta *m, const mp_tensor_meta *now)
{
    const int64_t *strides = now->dims + now->ndim;
    int32_t at = mp_tensor_dims_unfit(m, now->dims, strides);
    if (at < 0) {
        return PyUnicode_FromString("no difference");
    }
    return at < m->ndim ? diff_size(m, at, now->dims[at])
                        : diff_stride(m, at - m->ndim, strides[at - m->ndim]);
}

static PyObject *
diff_metas(const mp_tensor_meta *m, const mp_tensor_meta *now)
{
    if (m->dtype != now->dtype) {
        return diff_text_steal("dtype", dtype_text(m->dtype), dtype_text(now->dtype));
    }
    if (m->device_type != now->device_type || m->device_index != now->device_index) {
        return diff_text_steal("device", device_text(m->device_type, m->device_index),
                               device_text(now->device_type, now->device_index));
    }
    if (m->ndim != now->ndim) {
        return PyUnicode_FromFormat("ndim: expected %d, got %d", (int)m->ndim,
                                    (int)now->ndim);
    }
    if (m->requires_grad != now->requires_grad) {
        return PyUnicode_FromFormat("requires_grad: expected %s, got %s",
                                    m->requires_grad ? "True" : "False",
                                    now->requires_grad ? "True" : "False");
    }
    if (m->key_set != now->key_set) {
        return diff_text_steal("kind of tensor (conj, neg, inference, ...)",
                               mp_tensor_meta_text(m), mp_tensor_meta_text(now));
    }
    return diff_dims(m, now);
}

PyObject *
mp_tensor_meta_diff(PyObject *o, const mp_tensor_meta *m)
{
    if (Py_TYPE(o) != m->type) {
        return PyUnicode_FromFormat("type: expected %s, got %s", m->type->tp_name,
                                    Py_TYPE(o)->tp_name);
    }
    bool is_odd = m->type != mp_torch.tensor && m->type != mp_torch.param;
    mp_odd kind =
        is_odd || m->layout != mp_torch.strided ? mp_tensor_odd(o) : MP_ODD_NOT;
    mp_tensor_meta *now =
        kind > MP_ODD_REFUSED ? mp_tensor_meta_odd(o, kind) : mp_tensor_meta_new(o);
    if (now == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
            return NULL;
        }
        mp_err_drop();
        return PyUnicode_FromString("layout: expected a plain strided tensor");
    }
    PyObject *text = diff_metas(m, now);
    mp_tensor_meta_free(now);
    return text;
}
