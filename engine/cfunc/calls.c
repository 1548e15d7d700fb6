/* cfunc/calls.c - C functions that call what they are given, or make an instance. */
#include "cfunc/cfunc.h"
#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

/* next(it): an iterator that the run made, or one in Python; a C iterator from outside
 * is refused here (a `for` loop may advance some). */
mp_rc
mp_rule_next(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *const *args = c->args;
    mp_val n = MP_NO_VALUE;
    mp_rc rc = c->nargs > 0 ? mp_value(T, args[0], &n) : MP_OK;
    if (rc == MP_OK && c->nargs > 1) {
        rc = mp_pass(T, args[1]);
    }
    if (rc != MP_OK || mp_val_is_constant(n)) {
        return rc;
    }
    s->below = MP_BELOW_WATCH;
    s->through_c = !PyGen_CheckExact(args[0]);
    if (n.node->reg < 0) {
        rc = mp_look_before_next(T, args[0]);
        return rc != MP_OK ? rc : mp_prepare_instance(T, args[0]);
    }
    PyObject *func;
    rc = mp_special(T, args[0], "__next__", &func);
    if (rc == MP_OK && (func == NULL || !PyFunction_Check(func))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "next of an external %s",
                              mp_type_name(args[0]));
    }
    return rc;
}

mp_rc
mp_rule_new(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *const *args = c->args;
    bool has_tensor = false;
    s->below = MP_BELOW_WATCH;  // of what a tuple is made of
    if (c->count > 0 && PyType_Check(args[0])
        && mp_type_lookup_borrow((PyTypeObject *)args[0], MP_NAME(DEL)) != NULL) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an object with __del__");
    }
    if (c->count == 2
        && PyCFunction_GET_SELF(c->callee) == (PyObject *)&PyUnicode_Type) {
        mp_rc rc = mp_record_format(T, s, args[1]);
        if (rc != MP_OK) {
            return rc;
        }
    }
    return mp_read_args(T, args, c->count, false, &has_tensor);
}

/* Does a metaclass in Python ask for type.__call__, from its own __call__ as a rule? */
static bool
passes_metaclass(const mp_call *c)
{
    PyObject *call = PyType_Check(c->args[0])
                         ? mp_type_lookup_borrow(Py_TYPE(c->args[0]), MP_NAME(CALL))
                         : NULL;
    return Py_IS_TYPE(c->callee, &PyWrapperDescr_Type)
           && PyDescr_TYPE(c->callee) == &PyType_Type && call != NULL
           && PyFunction_Check(call);
}

mp_rc
mp_rule_type_call(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->nargs < 1) {
        return MP_OK;
    }
    PyObject *callee = c->args[0], *const *args = c->args + 1;
    return passes_metaclass(c)
               ? mp_call_constructors(T, s, (PyTypeObject *)callee, args, c->nargs - 1,
                                      c->kwnames)
               : mp_record_callee(T, s, callee, args, c->nargs - 1, c->kwnames);
}

mp_rc
mp_rule_inplace(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    s->below = MP_BELOW_WATCH;
    return mp_record_inplace(T, s, c);
}
