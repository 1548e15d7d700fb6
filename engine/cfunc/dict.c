/* cfunc/dict.c - methods of dicts that touch single keys. */
#include "cfunc/cfunc.h"
#include "python/python.h"
#include "read/read.h"

mp_rc
mp_rule_dict_pop(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs)
{
    mp_node *n;
    PyObject *value;
    mp_rc rc = mp_value(T, args[0], &n);
    rc = rc != MP_OK ? rc : mp_know_all(T, args + 1, nargs - 1);
    rc = rc != MP_OK || nargs < 2 ? rc : mp_prepare_key(T, s, args[1]);
    if (rc != MP_OK || nargs < 2) {
        return rc;
    }
    if (n->reg < 0 && !mp_key_is_safe(args[1])) {
        s->below = MP_BELOW_WATCH;
        return mp_prepare_instance(T, args[1]);
    }
    rc = mp_read_key(T, args[0], n, args[1], &value);
    return rc == MP_OK && value != NULL ? mp_write_key(T, n, args[1], true) : rc;
}

mp_rc
mp_rule_dict_setdefault(mp_trace *T, mp_shadow *s, PyObject *const *args,
                        Py_ssize_t nargs)
{
    mp_node *n;
    PyObject *value;
    mp_rc rc = mp_value(T, args[0], &n);
    rc = rc != MP_OK ? rc : mp_know_all(T, args + 1, nargs - 1);
    rc = rc != MP_OK || nargs < 2 ? rc : mp_prepare_key(T, s, args[1]);
    if (rc != MP_OK || nargs < 2) {
        return rc;
    }
    rc = mp_read_key(T, args[0], n, args[1], &value);
    return rc == MP_OK && value == NULL ? mp_write_key(T, n, args[1], false) : rc;
}

mp_rc
mp_rule_dict_update(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    mp_node *n;
    bool has_tensor = false;
    mp_rc rc = mp_value(T, args[0], &n);
    if (rc == MP_OK) {
        rc = mp_read_args(T, args + 1, nargs - 1, false, &has_tensor);
    }
    for (Py_ssize_t i = nargs; rc == MP_OK && i < mp_count_args(nargs, kwnames); i++) {
        rc = mp_know(T, args[i]);  // (stored)
    }
    s->below = MP_BELOW_WATCH;  // of what hands out the pairs
    rc = rc != MP_OK ? rc : mp_look_into(T, s, "dict.update", args + 1, nargs - 1);
    if (rc != MP_OK || n->reg < 0) {
        return rc;
    }
    if (nargs > 1 && !PyDict_Check(args[1])) {
        return mp_write_content(T, n);
    }
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (rc == MP_OK && nargs > 1 && PyDict_Next(args[1], &pos, &key, &value)) {
        rc = mp_write_key(T, n, key, false);
    }
    for (Py_ssize_t i = 0;
         rc == MP_OK && kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        rc = mp_write_key(T, n, PyTuple_GET_ITEM(kwnames, i), false);
    }
    return rc;
}

mp_rc
mp_rule_dict_get(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs)
{
    mp_node *n;
    PyObject *value;
    mp_rc rc = mp_value(T, args[0], &n);
    rc = rc != MP_OK ? rc : mp_know_all(T, args + 1, nargs - 1);
    rc = rc != MP_OK || nargs < 2 ? rc : mp_prepare_key(T, s, args[1]);
    if (rc != MP_OK || nargs < 2 || n == NULL) {
        return rc;
    }
    if (n->reg < 0) {
        s->below = MP_BELOW_WATCH;
        return mp_prepare_instance(T, args[1]);
    }
    return mp_read_key(T, args[0], n, args[1], &value);
}
