/* read/keys.c - look-ups in dicts, one key at a time.
 *
 * One look-up guards one item, or its absence.  A key whose class defines __hash__ or __eq__
 * is taken only if it is in the dict itself: no guard can compare it with another one.
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

/* Does a class below str, int or bytes hash and compare as these do? */
static bool
hashes_as_base(PyTypeObject *tp)
{
    PyTypeObject *const bases[] = {&PyUnicode_Type, &PyLong_Type, &PyBytes_Type};
    bool same = false;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(bases) && !same; i++) {
        same = PyType_IsSubtype(tp, bases[i]) && tp->tp_hash == bases[i]->tp_hash
               && tp->tp_richcompare == bases[i]->tp_richcompare;
    }
    return same;
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
            PyObject *item = PyTuple_GET_ITEM(key, i);
            if (!mp_key_is_safe(item) || mp_tensor_is(item)) {
                return false;
            }
        }
        return true;
    }
    if (mp_is_constant(key) || mp_is_enum_member(key) || mp_guard_is_pattern(key)
        || mp_tensor_is(key) || hashes_as_base(tp)) {
        return true;  // (the hash of a tensor is its address, by code of torch)
    }
    return tp->tp_hash == PyBaseObject_Type.tp_hash
           && tp->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

/* (__eq__ of another key would run if its hash is the same.) */
mp_rc
mp_find_key(mp_trace *T, PyObject *dict, mp_node *n, PyObject *key, PyObject **value)
{
    bool safe = mp_key_is_safe(key) || mp_guard_is_weak_key(key);
    *value = NULL;
    if (!safe && n != NULL && !n->rewritten && n->written != NULL) {
        // Which keys the run has written is asked by value.
        return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
    }
    Py_hash_t hash = safe ? mp_guard_key_hash(key) : -1;
    int found = hash == -1 && PyErr_Occurred()
                    ? -2
                    : mp_guard_dict_find(dict, key, hash, value);
    if (found >= -1 && !safe && found != 1) {
        return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
    }
    if (found == -1) {
        return mp_trace_abort(T, MP_AB_HASH, "a dict whose keys have their own __eq__");
    }
    return found < 0 ? MP_ERR : MP_OK;
}

mp_rc
mp_read_key(mp_trace *T, PyObject *dict, mp_node *n, PyObject *key, PyObject **value)
{
    assert(PyDict_Check(dict));
    *value = NULL;
    // The look-up must not run the program's __hash__ or __eq__: a handler runs no user
    // code, and a guard could not either.
    mp_rc rc = mp_find_key(T, dict, n, key, value);
    // A dict that the run made has no entry state; a key that it made was in no dict.
    if (rc != MP_OK || !mp_node_needs_guards(n) || mp_key_is_new(T, key)) {
        return rc;
    }
    // Guards speak of the heap at entry: what the run wrote under this key was not there.
    rc = mp_pin_key(T, key);
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
