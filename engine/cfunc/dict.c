/* cfunc/dict.c - methods of dicts that touch single keys.
 *
 * What a method finds under a key is a guard on that key (mp_read_key), what it leaves there an
 * entry of the journal (mp_write_key); the rest of the dict may be different in each call.
 * Where the keys are not known before the call, the whole content is read or written. */
#include "cfunc/cfunc.h"
#include "python/python.h"
#include "read/read.h"

mp_rc
mp_rule_dict_pop(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    PyObject *value;
    mp_rc rc = mp_value(T, c->args[0], &n);
    rc = rc != MP_OK ? rc : mp_pass_all(T, c->args + 1, c->nargs - 1);
    rc = rc != MP_OK || c->nargs < 2 ? rc : mp_prepare_key(T, s, c->args[1]);
    if (rc != MP_OK || c->nargs < 2) {
        return rc;
    }
    if (n.node->reg < 0 && !mp_key_is_safe(c->args[1])) {
        s->below = MP_BELOW_WATCH;
        return mp_prepare_instance(T, c->args[1]);
    }
    rc = mp_read_key(T, c->args[0], n.node, c->args[1], &value);
    mp_symbol_offer(T, value);
    return rc == MP_OK && value != NULL ? mp_write_key(T, n.node, c->args[1], true)
                                        : rc;
}

mp_rc
mp_rule_dict_setdefault(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    PyObject *value;
    mp_rc rc = mp_value(T, c->args[0], &n);
    rc = rc != MP_OK ? rc : mp_pass_all(T, c->args + 1, c->nargs - 1);
    rc = rc != MP_OK || c->nargs < 2 ? rc : mp_prepare_key(T, s, c->args[1]);
    if (rc != MP_OK || c->nargs < 2) {
        return rc;
    }
    rc = mp_read_key(T, c->args[0], n.node, c->args[1], &value);
    mp_symbol_offer(T, value);
    return rc == MP_OK && value == NULL ? mp_write_key(T, n.node, c->args[1], false)
                                        : rc;
}

/* d.update(other, **names): other is read as a whole, one level more if it gives pairs.
 * The keys of a dict are journalled one by one; of anything else which keys there will
 * be is known only afterwards, so the whole content is new. */
mp_rc
mp_rule_dict_update(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    bool has_tensor = false;
    mp_rc rc = mp_value(T, c->args[0], &n);
    if (rc == MP_OK) {
        rc = mp_read_args(T, c->args + 1, c->nargs - 1, false, &has_tensor);
    }
    for (Py_ssize_t i = c->nargs; rc == MP_OK && i < c->count; i++) {
        rc = mp_pass(T, c->args[i]);  // (stored)
    }
    s->below = MP_BELOW_WATCH;  // of the iterable that gives the pairs
    rc =
        rc != MP_OK ? rc : mp_look_into(T, s, "dict.update", c->args + 1, c->nargs - 1);
    if (rc != MP_OK || n.node->reg < 0) {
        return rc;
    }
    if (c->nargs > 1 && !PyDict_Check(c->args[1])) {
        return mp_write_content(T, n.node);
    }
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (rc == MP_OK && c->nargs > 1 && PyDict_Next(c->args[1], &pos, &key, &value)) {
        rc = mp_write_key(T, n.node, key, false);
    }
    for (Py_ssize_t i = 0;
         rc == MP_OK && c->kwnames != NULL && i < PyTuple_GET_SIZE(c->kwnames); i++) {
        rc = mp_write_key(T, n.node, PyTuple_GET_ITEM(c->kwnames, i), false);
    }
    return rc;
}

mp_rc
mp_rule_dict_get(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    PyObject *value;
    mp_rc rc = mp_value(T, c->args[0], &n);
    rc = rc != MP_OK ? rc : mp_pass_all(T, c->args + 1, c->nargs - 1);
    rc = rc != MP_OK || c->nargs < 2 ? rc : mp_prepare_key(T, s, c->args[1]);
    if (rc != MP_OK || c->nargs < 2 || mp_val_is_constant(n)) {
        return rc;
    }
    if (n.node->reg < 0) {
        s->below = MP_BELOW_WATCH;
        return mp_prepare_instance(T, c->args[1]);
    }
    rc = mp_read_key(T, c->args[0], n.node, c->args[1], &value);
    mp_symbol_offer(T, value);
    return rc;
}
