/* read/c_object.c - objects of C types that are not containers, and what C code reads of
 * them.
 *
 * R: an object of a type without a row, or one that shows its content, is opaque, because
 * no guard could cover what C code finds in it. */
#include "read/read.h"

#include <string.h>

#include "objects/rows.h"

/* Can C code get at what such an object holds without an attribute or a call? */
static bool
shows_content(PyTypeObject *tp)
{
    static const PyNumberMethods no_number;
    static const PySequenceMethods no_sequence;
    static const PyMappingMethods no_mapping;
    static const PyBufferProcs no_buffer;
    return (tp->tp_richcompare != NULL
            && tp->tp_richcompare != PyBaseObject_Type.tp_richcompare)
           || tp->tp_iter != NULL
           || (tp->tp_as_number != NULL
               && memcmp(tp->tp_as_number, &no_number, sizeof(no_number)) != 0)
           || (tp->tp_as_sequence != NULL
               && memcmp(tp->tp_as_sequence, &no_sequence, sizeof(no_sequence)) != 0)
           || (tp->tp_as_mapping != NULL
               && memcmp(tp->tp_as_mapping, &no_mapping, sizeof(no_mapping)) != 0)
           || (tp->tp_as_buffer != NULL
               && memcmp(tp->tp_as_buffer, &no_buffer, sizeof(no_buffer)) != 0);
}

static mp_rc
read_slice(mp_trace *T, PyObject *obj, mp_node *n)
{
    PySliceObject *slice = (PySliceObject *)obj;
    mp_rc rc =
        mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_SLICE_START, slice->start);
    if (rc == MP_OK) {
        rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_SLICE_STOP, slice->stop);
    }
    return rc == MP_OK
               ? mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_SLICE_STEP, slice->step)
               : rc;
}

mp_rc
mp_read_c_object(mp_trace *T, PyObject *obj, mp_node *n)
{
    PyTypeObject *base = mp_c_base(Py_TYPE(obj));
    if (n == NULL || n->reg < 0 || n->pinned || n->kind == MP_NODE_TENSOR
        || base == &PyBaseObject_Type || base == &PyDictProxy_Type || mp_is_sized(obj)
        || PyMethod_Check(obj) || mp_is_identity(obj)) {
        return MP_OK;
    }
    if (PySlice_Check(obj)) {
        return read_slice(T, obj, n);
    }
    if (mp_is_array(obj)) {
        return mp_array_read(T, obj, n);
    }
    if (mp_rule_of_type(base) == RULE_VALUE || mp_is_dtype(obj)
        || (PyObject *)base == mp_known[MP_K_ARRAY_UFUNC]) {
        return mp_load_const(T, obj);
    }
    return shows_content(base) || mp_rule_of_type(base) == RULE_NONE
               ? mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "the content of a %s",
                                mp_type_name(obj))
               : MP_OK;
}
