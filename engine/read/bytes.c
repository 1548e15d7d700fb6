/* read/bytes.c - bytearrays that existed before the run.
 *
 * A read depends on all bytes, and a write assigns all of them; the bytes are constants.
 * A bytearray that shares its memory (with a memoryview, or a tensor made by
 * torch.frombuffer) can change without any guard noticing, so it is refused, here and by
 * the guard. */
#include "read/read.h"

enum { BYTES_LIMIT = 1 << 16 };  // a guard holds a copy, and compares it at every call

mp_rc
mp_read_bytes(mp_trace *T, PyObject *obj, mp_node *n)
{
    assert(PyByteArray_Check(obj));
    if (((PyByteArrayObject *)obj)->ob_exports > 0) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a bytearray that shares memory");
    }
    if (PyByteArray_GET_SIZE(obj) > BYTES_LIMIT) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a large bytearray");
    }
    int first = mp_refgraph_first(&T->graph, MP_G_BYTES, n, 0);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(obj),
                                                PyByteArray_GET_SIZE(obj));
    mp_rc rc = bytes == NULL ? MP_ERR : mp_test(T, MP_G_BYTES, n, bytes, 0);
    Py_XDECREF(bytes);
    return rc;
}

mp_rc
mp_write_bytes(mp_trace *T, mp_shadow *s, mp_node *n, PyObject *key, PyObject *value)
{
    assert(n != NULL);
    bool has_tensor = false;
    mp_rc rc = mp_read_deep(T, key, &has_tensor);
    rc = rc != MP_OK || value == NULL ? rc : mp_read_deep(T, value, &has_tensor);
    if (rc == MP_OK && has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "a tensor as a byte");
    }
    s->below = MP_BELOW_WATCH;  // __index__
    return rc != MP_OK ? rc : mp_write_content(T, n);
}
