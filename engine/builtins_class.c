/* builtins_class.c - what asks an object for its class, and properties called by themselves. */
#include "builtins.h"

/* issubclass(x, classes): what their metaclasses say. */
mp_rc
mp_ask_metaclasses(mp_trace *T, PyObject *classes)
{
    PyObject *found;
    mp_rc rc = MP_OK;
    if (!PyTuple_Check(classes)) {
        return mp_special(T, classes, "__subclasscheck__", &found);
    }
    if (Py_EnterRecursiveCall(" while recording")) {
        PyErr_Clear();
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a container nested too deeply");
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(classes) && rc == MP_OK; i++) {
        rc = mp_ask_metaclasses(T, PyTuple_GET_ITEM(classes, i));
    }
    Py_LeaveRecursiveCall();
    return rc;
}

/* obj.__class__ is asked: object's own answers, or a property in Python, which runs. */
static mp_rc
ask_class(mp_trace *T, PyObject *obj)
{
    PyObject *found, *own;
    mp_rc rc = mp_special_any(T, obj, "__class__", &found);
    own = mp_dict_text_borrow(mp_type_dict_borrow(&PyBaseObject_Type), "__class__");
    if (rc != MP_OK || found == NULL || found == own || PyType_Check(obj)) {
        return rc;
    }
    PyObject *get = Py_IS_TYPE(found, &PyProperty_Type)
                        ? *(PyObject **)((char *)found + sizeof(PyObject))
                        : NULL;
    bool is_in_c = mp_c_base(Py_TYPE(obj)) == Py_TYPE(obj);
    return is_in_c || (get != NULL && PyFunction_Check(get))
               ? MP_OK
               : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "__class__ of a %s",
                                mp_type_name(obj));
}

mp_rc
mp_rule_isinstance(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs)
{
    bool has_tensor = false;
    mp_rc rc = nargs == 2 ? mp_read_args(T, args, 1, false, &has_tensor) : MP_OK;
    if (rc != MP_OK || nargs != 2) {
        return rc;
    }
    rc = mp_guard_mro(T, Py_TYPE(args[0]));
    rc = rc != MP_OK ? rc : mp_read_all(T, args[1]);
    Py_ssize_t count = PyTuple_Check(args[1]) ? PyTuple_GET_SIZE(args[1]) : 1;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        PyObject *cls = PyTuple_Check(args[1]) ? PyTuple_GET_ITEM(args[1], i) : args[1];
        PyObject *check;
        rc = mp_special(T, cls, "__instancecheck__", &check);
        if (rc == MP_OK && check != NULL && PyFunction_Check(check)) {
            // ABCs answer from the classes' registries; their own frames are of no use.
            bool is_abc = mp_is_module(PyFunction_GET_GLOBALS(check), MP_MODULE_ABC);
            s->below =
                is_abc && s->below != MP_BELOW_WATCH ? MP_BELOW_SKIP : MP_BELOW_WATCH;
            if (is_abc && !PyObject_TypeCheck(args[0], (PyTypeObject *)cls)) {
                rc = mp_guard_abc(T);
            }
        }
        if (rc == MP_OK && PyType_Check(cls) && !mp_tensor_is_any(args[0])
            && !PyObject_TypeCheck(args[0], (PyTypeObject *)cls)) {
            // The type says no: what the object says of its class counts.
            rc = mp_special(T, args[0], "__getattribute__", &check);
            rc = rc != MP_OK ? rc : ask_class(T, args[0]);
        }
    }
    return rc;
}

/* property.__get__(p, obj, type) and its kin, called by themselves. */
mp_rc
mp_rule_property(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                 Py_ssize_t nargs)
{
    bool gets = mp_is_known(callee, MP_K_PROPERTY_GET);
    bool sets = mp_is_known(callee, MP_K_PROPERTY_SET);
    PyObject **funcs = (PyObject **)((char *)args[0] + sizeof(PyObject));
    PyObject *func = gets ? funcs[0] : sets ? funcs[1] : funcs[2];
    mp_node *n;
    mp_rc rc = mp_value(T, args[0], &n);
    if (rc != MP_OK || func == NULL || nargs < 2 || (gets && args[1] == Py_None)) {
        return rc;
    }
    if (n != NULL && n->reg >= 0) {
        rc = !(gets || sets) || !Py_IS_TYPE(args[0], &PyProperty_Type)
                 ? mp_trace_abort(T, MP_AB_OPAQUE_CALL, "property.%s",
                                  mp_callee_name(callee))
                 : mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL,
                           gets ? MP_F_PROP_GET : MP_F_PROP_SET, func);
    }
    else {
        rc = mp_result(T, func);
    }
    return rc != MP_OK
               ? rc
               : mp_record_callee(T, s, func, args + 1, gets ? 1 : nargs - 1, NULL);
}
