/* cfunc/identity.c - id() and hash(): numbers that depend on where objects lie. */
#include "cfunc/cfunc.h"
#include "read/read.h"

/* The identity of an external object is a constant once it is pinned.  That of a new one
 * is another number in every run: it may serve as a key inside the run, no more. */
mp_rc
mp_rule_id(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->count != 1) {
        return MP_OK;
    }
    PyObject *obj = c->args[0];
    mp_val n;
    mp_rc rc = mp_value(T, obj, &n);
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_external(n)) {
        return mp_load_const(T, obj);
    }
    if (mp_symbol_value_borrow(T, obj) != NULL) {  // a box is where eager has no object
        rc = mp_trace_abort(T, MP_AB_SIDE_EFFECT, "id of a number");
        T->why->pins = T->why->once = true;
        return rc;
    }
    rc = mp_is_constant(obj) ? mp_constant_id(T, s, obj) : mp_note_identity(T, obj);
    if (rc != MP_OK) {
        return rc;
    }
    PyObject *number = PyLong_FromVoidPtr(obj);
    if (T->fresh_ids == NULL) {
        T->fresh_ids = PySet_New(NULL);
    }
    if (number == NULL || T->fresh_ids == NULL || PySet_Add(T->fresh_ids, number) < 0) {
        rc = MP_ERR;
    }
    Py_XDECREF(number);
    return rc;
}

mp_rc
mp_rule_hash(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->count == 1 && mp_tensor_is_any(c->args[0])) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "hash of a tensor");
    }
    if (c->count == 1 && !mp_hashes_by_value(c->args[0])
        && !PyTuple_Check(c->args[0])) {
        PyObject *func;
        mp_rc rc = mp_special(T, c->args[0], "__hash__", &func);
        if (rc == MP_OK && (func == NULL || !PyFunction_Check(func))) {
            return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "hash of an object");
        }
        s->below = MP_BELOW_WATCH;
        return rc;
    }
    bool has_tensor = false;
    mp_rc rc = mp_read_args(T, c->args, c->count, true, &has_tensor);
    rc = rc != MP_OK || c->count == 0 ? rc : mp_refuse_nan(T, c->args[0]);
    return rc == MP_OK && c->count == 1 && !mp_hashes_by_value(c->args[0])
               ? mp_trace_abort(T, MP_AB_SIDE_EFFECT, "hash of an object")
               : rc;
}
