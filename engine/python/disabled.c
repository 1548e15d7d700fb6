/* python/disabled.c - functions that compilers are to keep off: magpy.disable, torch.compiler.disable,
 * and what torch and TorchDynamo have marked for themselves. */
#include "python/python.h"

/* What torch._compile._disable_dynamo() has made of a function of torch: marks it for
 * torch._dynamo when it is first called. */
static bool
is_disabled_by_torch(PyObject *func)
{
    PyObject *maker = mp_known[MP_K_DYNAMO_DISABLER];
    if (maker == NULL || !PyFunction_Check(maker)) {
        return false;
    }
    PyCodeObject *code = (PyCodeObject *)((PyFunctionObject *)maker)->func_code;
    bool found = false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_consts) && !found; i++) {
        found = PyTuple_GET_ITEM(code->co_consts, i)
                == ((PyFunctionObject *)func)->func_code;
    }
    return found;
}

/* Marks of magpy.disable, torch.compiler.disable and torch._dynamo.disable. */
static bool
is_marked(PyObject *func)
{
    PyObject *dict = ((PyFunctionObject *)func)->func_dict;
    if (is_disabled_by_torch(func)) {
        return true;
    }
    if (dict == NULL) {
        return false;
    }
    PyObject *mark = mp_dict_text_borrow(dict, "_magpy_disable");
    return (mark != NULL && mark != Py_False)
           || mp_dict_text_borrow(dict, "_torchdynamo_disable") == Py_True;
}

/* magpy.disable of a method, a module or another object: the functions that are marked for
 * this one stand in its dict. */
static bool
is_disabled_for(PyObject *func, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *dict = nargs > 0 ? mp_instance_dict_borrow(args[0]) : NULL;
    PyObject *marks = dict == NULL ? NULL : mp_dict_text_borrow(dict, "_magpy_disable");
    mp_err_drop();  // without memory for the dict of an instance it has no mark
    if (marks == NULL || !PyTuple_CheckExact(marks)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(marks); i++) {
        if (PyTuple_GET_ITEM(marks, i) == func) {
            return true;
        }
    }
    return false;
}

/* TorchDynamo has put its mark on methods of torch's optimizers, for itself: what it has
 * wrapped is watched, the wrapper is not. */
static mp_rc
call_behind(mp_trace *T, mp_shadow *s, PyObject *func, PyObject *behind,
            PyObject *const *args, Py_ssize_t count)
{
    mp_rc rc = mp_load_const(T, func);
    rc = rc != MP_OK ? rc : mp_guard_function(T, func);
    rc = rc != MP_OK ? rc : mp_load_const(T, behind);
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = mp_pass(T, args[i]);
    }
    s->alone = behind;
    s->below = MP_BELOW_ONE;
    s->post = MP_POST_RESULT;
    return rc;
}

bool
mp_is_disabled(PyObject *func, PyObject *const *args, Py_ssize_t nargs)
{
    assert(PyFunction_Check(func));
    // (torch._dynamo.disable makes an object of TorchDynamo, whose id it keeps.)
    return is_marked(func) || is_disabled_for(func, args, nargs)
           || func == mp_known[MP_K_DYNAMO_DISABLE];
}

/* Torch marks some of its own functions: then the mark is not the user's. */
mp_rc
mp_call_disabled(mp_trace *T, mp_shadow *s, PyObject *func, PyObject *const *args,
                 Py_ssize_t count)
{
    PyObject *dict = ((PyFunctionObject *)func)->func_dict;
    PyObject *behind =
        dict == NULL ? NULL : mp_dict_text_borrow(dict, "_torchdynamo_orig_callable");
    if (behind != NULL && PyFunction_Check(behind)
        && mp_is_of_package(((PyFunctionObject *)behind)->func_globals,
                            "torch.optim")) {
        return call_behind(T, s, func, behind, args, count);
    }
    if (behind == NULL && dict != NULL && is_disabled_by_torch(func)) {
        behind = mp_dict_text_borrow(dict, "__wrapped__");
    }
    if (behind == NULL || !PyFunction_Check(behind)) {
        behind = func;
    }
    PyFunctionObject *f = (PyFunctionObject *)behind;
    if (!mp_is_of_package(f->func_globals, "torch")) {
        return mp_trace_abort(T, MP_AB_DISABLED, "%S", f->func_qualname);
    }
    const char *module = mp_module_name(f->func_globals);
    bool random = mp_is_of_package(f->func_globals, "torch.random");
    return mp_trace_abort(T, random ? MP_AB_SIDE_EFFECT : MP_AB_OPAQUE_CALL, "%s.%S",
                          module, f->func_qualname);
}
