/* rebuild/keys.c - keys of dicts and sets that a hit makes or fills, and the tables of sets.
 *
 * R: no key runs code of the program where it is hashed or compared.
 */
#include "read/read.h"
#include "rebuild/shape.h"

/* Filling a dict or set hashes and compares its keys, and must not run user code. */
static bool
dict_key_is_plain(PyObject *key)
{
    PyTypeObject *tp = Py_TYPE(key);
    PyTypeObject *bases[] = {&PyUnicode_Type, &PyLong_Type, &PyFloat_Type,
                             &PyBytes_Type, &PyComplex_Type};
    if (mp_key_is_safe(key) || mp_tensor_is(key)) {
        return true;  // torch's own __hash__ of a tensor is its identity
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(bases); i++) {
        if (PyType_IsSubtype(tp, bases[i])) {
            return tp->tp_hash == bases[i]->tp_hash
                   && tp->tp_richcompare == bases[i]->tp_richcompare;
        }
    }
    if (PyTuple_Check(key) && tp->tp_hash == PyTuple_Type.tp_hash
        && tp->tp_richcompare == PyTuple_Type.tp_richcompare) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
            if (!dict_key_is_plain(PyTuple_GET_ITEM(key, i))) {
                return false;
            }
        }
        return true;
    }
    if (PyFrozenSet_Check(key) && tp->tp_hash == PyFrozenSet_Type.tp_hash
        && tp->tp_richcompare == PyFrozenSet_Type.tp_richcompare) {
        PyObject *item;
        Py_ssize_t pos = 0;
        Py_hash_t hash;
        while (mp_set_next(key, &pos, &item, &hash)) {
            if (!dict_key_is_plain(item)) {
                return false;
            }
        }
        return true;
    }
    return tp == &_PyWeakref_RefType ? dict_key_is_plain(mp_weakref_borrow(key))
                                     : !(tp->tp_flags & Py_TPFLAGS_HEAPTYPE);
}

/* The items of s that a dict or set takes as keys. */
mp_rc
mp_rebuild_check_keys(mp_trace *T, const mp_shape *s, PyObject *obj)
{
    int step = PyDict_Check(obj) ? 2 : PyAnySet_Check(obj) ? 1 : 0;
    for (int i = 0; step > 0 && i < s->n_items; i += step) {
        if (!dict_key_is_plain(s->items[i])) {
            return mp_trace_abort(T, MP_AB_HASH, "a new %s holds a key of type %s",
                                  mp_type_name(obj), mp_type_name(s->items[i]));
        }
    }
    return MP_OK;
}

/* May a set get this key, or all that this tuple holds?  (Sets have such members only.) */
bool
mp_rebuild_set_takes(PyObject *operand)
{
    bool plain = PyAnySet_Check(operand) || PyDict_Check(operand)
                 || PyTuple_Check(operand) || dict_key_is_plain(operand);
    for (Py_ssize_t i = 0;
         plain && PyTuple_Check(operand) && i < PyTuple_GET_SIZE(operand); i++) {
        plain = dict_key_is_plain(PyTuple_GET_ITEM(operand, i));
    }
    return plain;
}

/* Does a set have the table that it gets when its members are added in their order? */
mp_rc
mp_rebuild_check_table(mp_trace *T, PyObject *set)
{
    PyObject *plain = PySet_New(NULL), *key, *theirs, *ours = NULL;
    Py_ssize_t pos = 0;
    Py_hash_t hash;
    int rc = plain == NULL ? -1 : 0;
    while (rc == 0 && mp_set_next(set, &pos, &key, &hash)) {
        rc = PySet_Add(plain, key);
    }
    theirs = rc < 0 ? NULL : mp_set_layout(set);
    ours = theirs == NULL ? NULL : mp_set_layout(plain);
    rc = ours == NULL ? -1 : PyObject_RichCompareBool(ours, theirs, Py_EQ);
    Py_XDECREF(theirs);
    Py_XDECREF(ours);
    Py_XDECREF(plain);
    return rc < 0    ? MP_ERR
           : rc == 0 ? mp_trace_abort(T, MP_AB_OUTPUT,
                                      "a new %s whose order follows from its past",
                                      mp_type_name(set))
                     : MP_OK;
}

mp_rc
mp_rebuild_keep_table(mp_trace *T, mp_write *w)
{
    if (!mp_set_has_order(T, w->node->obj)) {
        return mp_trace_abort(T, MP_AB_OUTPUT,
                              "a changed set that holds objects without order");
    }
    Py_XSETREF(w->key, mp_set_layout(w->node->obj));
    return w->key == NULL ? MP_ERR : MP_OK;
}
