/* read/keys.c - look-ups in dicts, one key at a time.
 *
 * One look-up guards one item, or its absence.  A key whose class defines __eq__ is refused:
 * to compare it here would run that.
 */
#include "objects/equal.h"
#include "read/read.h"

/* Enum members hash by name and compare by identity, unless the enum says otherwise. */
bool
mp_is_enum_member(PyObject *key)
{
    PyTypeObject *tp = Py_TYPE(key), *meta = Py_TYPE(tp);
    return (PyObject *)meta == mp_known[MP_K_ENUM_META]
           && tp->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

bool
mp_key_is_safe(PyObject *key)
{
    PyTypeObject *tp = Py_TYPE(key);
    if (tp == &PyUnicode_Type || tp == &PyLong_Type || tp == &PyBool_Type
        || key == Py_None || tp == &PyFloat_Type || tp == &PyBytes_Type
        || PyType_Check(key) || tp == &PyFunction_Type || PyCFunction_Check(key)) {
        return true;
    }
    if (tp == &PyTuple_Type) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
            if (!mp_key_is_safe(PyTuple_GET_ITEM(key, i))) {
                return false;
            }
        }
        return true;
    }
    if (mp_is_constant(key) || mp_is_enum_member(key) || mp_guard_is_pattern(key)) {
        return true;
    }
    return tp->tp_hash == PyBaseObject_Type.tp_hash
           && tp->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

/* A look-up in a dict whose keys have their own __eq__ would run it. */
bool
mp_dict_is_safe(PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    if (mp_dict_keys_are_str(dict)) {
        return true;
    }
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (!mp_key_is_safe(key)) {
            return false;
        }
    }
    return true;
}

mp_rc
mp_read_key(mp_trace *T, PyObject *dict, mp_node *n, PyObject *key, PyObject **value)
{
    assert(PyDict_Check(dict));
    *value = NULL;
    // The look-up below must not run the program's __hash__ or __eq__: a handler runs no
    // user code, and a guard could not either.
    if (!mp_key_is_safe(key)) {
        return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
    }
    if (!mp_dict_is_safe(dict)) {
        return mp_trace_abort(T, MP_AB_HASH, "a dict whose keys have their own __eq__");
    }
    *value = PyDict_GetItemWithError(dict, key);
    if (*value == NULL && PyErr_Occurred()) {
        return MP_ERR;
    }
    // A dict that the run made has no entry state; a key that it made was in no dict.
    if (!mp_node_needs_guards(n) || mp_key_is_new(T, key)) {
        return MP_OK;
    }
    // Guards speak of the heap at entry: what the run wrote under this key was not there.
    mp_rc rc = mp_pin_key(T, key);
    if (rc != MP_OK || mp_node_wrote(n, key)) {
        return rc;
    }
    if (*value == NULL) {
        return mp_test(T, MP_G_NO_KEY, n, key, 0);
    }
    return mp_load(T, MP_G_LOAD_KEY, n->reg, key, 0, *value);
}

bool
mp_hashes_by_value(PyObject *obj)
{
    if (mp_is_constant(obj)) {
        return true;
    }
    if (!PyTuple_CheckExact(obj) && !PyFrozenSet_CheckExact(obj)) {
        return false;
    }
    PyObject *items = PySequence_Tuple(obj);  // (runs no code; a tuple is its own)
    bool fits = items != NULL;
    for (Py_ssize_t i = 0; fits && i < PyTuple_GET_SIZE(items); i++) {
        fits = mp_hashes_by_value(PyTuple_GET_ITEM(items, i));
    }
    mp_err_drop();  // without memory for the items nothing is known of them
    Py_XDECREF(items);
    return fits;
}
