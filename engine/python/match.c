/* python/match.c - what a match statement reads (kinds, lengths, keys, attributes), and the
 * classes of an except clause. */
#include "cfunc/cfunc.h"
#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

/* A class may be registered as a sequence or mapping later. */
mp_rc
mp_record_match_kind(mp_trace *T, PyObject *subject)
{
    PyTypeObject *tp = Py_TYPE(subject);
    mp_rc rc = mp_pass(T, subject);
    return rc != MP_OK || mp_c_base(tp) == tp ? rc : mp_guard_abc(T);
}

mp_rc
mp_record_get_len(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    bool runs;
    mp_rc rc = mp_runs_python(T, s, obj, "__len__", &runs);
    s->post = MP_POST_RESULT;
    return rc != MP_OK || runs ? rc : mp_read_len(T, obj);
}

mp_rc
mp_record_match_class(mp_trace *T, mp_shadow *s, PyObject *subject, PyObject *cls,
                      PyObject *names, int count)
{
    mp_val n;
    mp_rc rc = mp_value(T, subject, &n);
    if (rc == MP_OK && PyType_Check(cls)) {
        PyObject *args[2] = {subject, cls};
        mp_call c = mp_call_make(NULL, args, 2, NULL);
        rc = mp_rule_isinstance(T, s, &c);
    }
    if (rc == MP_OK && s->below == MP_BELOW_WATCH) {
        // The metaclass says what is an instance, in Python.
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a match with a %s",
                              mp_type_name(cls));
    }
    if (rc != MP_OK || !PyType_Check(cls)
        || !PyObject_TypeCheck(subject, (PyTypeObject *)cls)) {
        return rc;
    }
    if (count > 0 && (((PyTypeObject *)cls)->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        PyObject *const key = MP_NAME(MATCH_ARGS);
        PyObject *found = mp_type_lookup_borrow((PyTypeObject *)cls, key);
        if (mp_type_lookup_borrow(Py_TYPE(cls), key) != NULL) {
            return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "__match_args__ of a %s",
                                  mp_type_name(cls));
        }
        rc = mp_guard_type_attr(T, (PyTypeObject *)cls, key, found);
        for (Py_ssize_t i = 0; rc == MP_OK && found != NULL && PyTuple_Check(found)
                               && i < count && i < PyTuple_GET_SIZE(found)
                               && PyUnicode_CheckExact(PyTuple_GET_ITEM(found, i));
             i++) {  // (a name that is no str is a TypeError)
            rc = mp_record_getattr(T, s, subject, PyTuple_GET_ITEM(found, i));
        }
    }
    for (Py_ssize_t i = 0;
         rc == MP_OK && PyTuple_Check(names) && i < PyTuple_GET_SIZE(names); i++) {
        rc = mp_record_getattr(T, s, subject, PyTuple_GET_ITEM(names, i));
    }
    s->post = MP_POST_RESULT;
    return rc;
}

/* `case {"k": v}` calls get() of anything but a dict. */
mp_rc
mp_record_match_keys(mp_trace *T, mp_shadow *s, PyObject *mapping)
{
    PyObject *const name = MP_NAME(GET);
    mp_rc rc = mp_unwrap_proxy(T, &mapping);
    if (rc == MP_OK && !PyDict_CheckExact(mapping)) {
        PyObject *found = mp_type_lookup_borrow(Py_TYPE(mapping), name);
        rc = mp_record_getattr(T, s, mapping, name);
        PyObject *dict = rc == MP_OK ? mp_instance_dict_borrow(mapping) : NULL;
        bool shadowed = dict != NULL && PyDict_GetItemWithError(dict, name) != NULL;
        PyObject *own = mp_type_lookup_borrow(&PyDict_Type, name);
        if (rc == MP_OK
            && (shadowed || found == NULL
                || !(PyFunction_Check(found)
                     || (found == own && PyDict_Check(mapping))))) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "get() of a %s, for a match",
                                mp_type_name(mapping));
        }
        s->below = MP_BELOW_WATCH;
    }
    s->post = MP_POST_RESULT;
    return rc != MP_OK || !PyDict_Check(mapping) ? rc : mp_read_items(T, mapping);
}

mp_rc
mp_record_except(mp_trace *T, PyObject *classes)
{
    mp_val n;
    mp_rc rc = mp_value(T, classes, &n);
    return rc != MP_OK || !PyTuple_Check(classes) ? rc : mp_read_all(T, classes);
}
