/* cfunc/describe.c - the effect class of any callable, for people and tests. */
#include "cfunc/cfunc.h"
#include "objects/operators.h"
#include "python/python.h"
#include "read/read.h"

/* What a bound C method is a method of, and what stands behind wrappers: borrowed. */
static const char *
class_of_bound(PyObject *callable)
{
    PyObject *self = PyCFunction_GET_SELF(callable);
    if (self == NULL || PyModule_Check(self) || PyType_Check(self)) {
        return NULL;
    }
    PyObject *descr = mp_bound_descr_borrow(callable);
    return descr == NULL ? "opaque" : mp_record_class_of(descr);
}

/* An instance of a C type: what its __call__ does. */
static const char *
class_of_instance(PyTypeObject *tp)
{
    PyObject *dict = mp_type_dict_borrow(tp);
    PyObject *call = dict == NULL ? NULL : mp_dict_text_borrow(dict, "__call__");
    mp_rule rule = call == NULL ? RULE_NONE : mp_rule_of(call);
    return rule == RULE_NONE ? NULL : mp_rule_effect(rule);
}

const char *
mp_record_class_of(PyObject *callable)
{
    PyTypeObject *tp = Py_TYPE(callable);
    if (mp_op_flags_of(callable) != 0) {
        return "torch";
    }
    if (PyFunction_Check(callable)) {
        return "python";
    }
    if (PyMethod_Check(callable)) {
        return mp_record_class_of(PyMethod_GET_FUNCTION(callable));
    }
    const char *bound = PyCFunction_Check(callable) ? class_of_bound(callable) : NULL;
    if (bound != NULL) {
        return bound;
    }
    mp_rule rule = mp_rule_of(callable);
    if (rule != RULE_NONE) {
        return mp_rule_effect(rule);
    }
    if (PyType_Check(callable)) {
        PyTypeObject *base = mp_c_base((PyTypeObject *)callable);
        return base != (PyTypeObject *)callable ? "python"
               : mp_is_storing_type(base)       ? mp_rule_effect(RULE_MOVE)
               : mp_is_numpy_callable(callable) ? "numpy"
                                                : NULL;
    }
    if (mp_is_numpy_callable(callable)) {
        return "numpy";
    }
    return mp_c_base(tp) != tp ? "python" : class_of_instance(tp);
}
