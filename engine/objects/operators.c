/* objects/operators.c - which callables are tensor operations, and of which kind.
 *
 * Rows come from src/magpy/_torch_table/, once per process: callable -> mp_torch_flags, in
 * the registry (callables.h).  Operator objects (torch.ops, scripted functions) are judged
 * when they are first called.
 */
#include "objects/operators.h"

#include "compat/compat.h"
#include "objects/callables.h"

static PyTypeObject *op_object_types[8];
static int n_op_object_types;
static PyObject *op_flags;    // Python function: flags of an operator object
static PyObject *op_effects;  // Python function: what a callable may do
static PyObject *operators;   // dict of the operator module, plus getattr and setattr
mp_op_types_t mp_op_types;

static int
op_register(PyObject *callable, int flags)
{
    mp_callable *row = mp_callable_add(mp_callable_key(callable), callable);
    if (row != NULL) {
        row->op_flags = flags;
    }
    return row == NULL ? -1 : 0;
}

bool
mp_is_op_object(PyObject *callable)
{
    for (int i = 0; i < n_op_object_types; i++) {
        if (PyObject_TypeCheck(callable, op_object_types[i])) {
            return true;
        }
    }
    return false;
}

/* An operator object (torch.ops..., a scripted function): its row is asked for once, if it
 * lives as long as the process.  No row: it is opaque. */
static int
op_object_flags(PyObject *op)
{
    PyObject *row = op_flags == NULL ? NULL : PyObject_CallOneArg(op_flags, op);
    int flags = row == NULL ? 0 : (int)PyLong_AsLong(row);
    Py_XDECREF(row);
    bool stays = !Py_IS_TYPE(op, mp_op_types.script_function);
    if (PyErr_Occurred() || flags <= 0 || (stays && op_register(op, flags) < 0)) {
        mp_err_drop();  // without an answer it is opaque
        flags = 0;
    }
    return flags;
}

int
mp_op_flags_of(PyObject *callable)
{
    int flags = mp_callable_find(mp_callable_key(callable))->op_flags;
    return flags == 0 && mp_is_op_object(callable) ? op_object_flags(callable) : flags;
}

/* A function of `operator` lives as long as the process. */
static bool
is_operator(PyObject *callable)
{
    return PyCFunction_Check(callable)
           && mp_operator_borrow(((PyCFunctionObject *)callable)->m_ml->ml_name)
                  == callable;
}

PyObject *
mp_op_effects(PyObject *callable)
{
    const void *key = mp_callable_key(callable);
    const mp_callable *row = mp_callable_find(key);
    if (row->effects != NULL) {
        return Py_NewRef(row->effects);
    }
    PyObject *found =
        op_effects == NULL ? NULL : PyObject_CallOneArg(op_effects, callable);
    bool stays = mp_callable_find(key)->key != NULL || is_operator(callable);
    mp_callable *kept = found != NULL && stays ? mp_callable_add(key, callable) : NULL;
    if (kept != NULL && kept->effects == NULL) {
        kept->effects = Py_NewRef(found);
    }
    mp_err_drop();  // nothing is known of it then, or it is asked again
    return found;
}

bool
mp_op_is_whole(int flags)
{
    return flags != 0 && flags != MP_TORCH_INLINE && flags != MP_TORCH_LATER_INLINE;
}

PyObject *
mp_operator_borrow(const char *name)
{
    return mp_dict_text_borrow(operators, name);
}

static int
setup_operators(void)
{
    PyObject *module = PyImport_ImportModule("operator");
    if (module == NULL) {
        return -1;
    }
    Py_XSETREF(operators, PyDict_Copy(PyModule_GetDict(module)));
    Py_DECREF(module);
    if (operators == NULL) {
        return -1;
    }
    PyObject *builtins = PyEval_GetBuiltins();
    static const char *const names[] = {"getattr", "setattr"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *function = mp_dict_text_borrow(builtins, names[i]);
        if (function == NULL
            || PyDict_SetItemString(operators, names[i], function) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
setup_types(PyObject *setup)
{
    PyObject *types = mp_dict_text_borrow(setup, "op_object_types");
    for (Py_ssize_t i = 0; types != NULL && i < PyTuple_GET_SIZE(types); i++) {
        if (n_op_object_types < (int)Py_ARRAY_LENGTH(op_object_types)) {
            op_object_types[n_op_object_types++] =
                (PyTypeObject *)Py_NewRef(PyTuple_GET_ITEM(types, i));
        }
    }
    Py_XSETREF(op_flags, Py_XNewRef(mp_dict_text_borrow(setup, "op_flags")));
    Py_XSETREF(op_effects, Py_XNewRef(mp_dict_text_borrow(setup, "op_effects")));
    Py_XSETREF(mp_op_types.graph_object, (PyTypeObject *)Py_XNewRef(mp_dict_text_borrow(
                                             setup, "graph_object_type")));
    Py_XSETREF(
        mp_op_types.script_function,
        (PyTypeObject *)Py_XNewRef(mp_dict_text_borrow(setup, "script_function_type")));
    Py_XSETREF(mp_op_types.generator, (PyTypeObject *)Py_XNewRef(mp_dict_text_borrow(
                                          setup, "generator_type")));
    Py_XSETREF(
        mp_op_types.script_object,
        (PyTypeObject *)Py_XNewRef(mp_dict_text_borrow(setup, "script_object_type")));
    PyObject *tensors = mp_dict_text_borrow(setup, "tensor_types");
    if (tensors != NULL) {
        Py_XSETREF(mp_op_types.tensor, Py_NewRef(PyTuple_GET_ITEM(tensors, 0)));
    }
    PyObject *masks = mp_dict_text_borrow(setup, "mask_dtypes");
    for (int i = 0; masks != NULL && i < 2; i++) {
        Py_XSETREF(mp_op_types.masks[i], Py_NewRef(PyTuple_GET_ITEM(masks, i)));
    }
    return 0;
}

/* Without setup: what works without torch.  With it: the flags of all torch callables,
 * and the types that operations need. */
int
mp_oplog_init(PyObject *setup)
{
    if (operators == NULL && setup_operators() < 0) {
        return -1;
    }
    static bool done;  // an interrupt may have ended the first try half way
    if (setup == NULL || done) {
        return 0;
    }
    PyObject *ops = mp_dict_text_borrow(setup, "ops"), *callable, *flags;
    Py_ssize_t pos = 0;
    PyObject *aliases = mp_dict_text_borrow(setup, "op_aliases");
    for (Py_ssize_t i = 0; aliases != NULL && i < PyTuple_GET_SIZE(aliases); i++) {
        PyObject *pair = PyTuple_GET_ITEM(aliases, i);
        if (op_register(PyTuple_GET_ITEM(pair, 0),
                        (int)PyLong_AsLong(PyTuple_GET_ITEM(pair, 1)))
            < 0) {
            return -1;
        }
    }
    while (ops != NULL && PyDict_Next(ops, &pos, &callable, &flags)) {
        if (op_register(callable, (int)PyLong_AsLong(flags)) < 0) {
            return -1;
        }
    }
    done = setup_types(setup) == 0;
    return done ? 0 : -1;
}

PyObject *
mp_record_op_flags(void)
{
    static const struct {
        const char *name;
        int flags;
    } all[] = {
#define FLAG(name, text)            {#name, MP_TORCH_##name},
#define COMBINED(name, flags, text) {#name, MP_TORCH_##name},
#include "objects/op_flags.def"
#undef FLAG
#undef COMBINED
    };
    PyObject *found = PyDict_New();
    for (size_t i = 0; found != NULL && i < Py_ARRAY_LENGTH(all); i++) {
        PyObject *number = PyLong_FromLong(all[i].flags);  // owned
        if (number == NULL || PyDict_SetItemString(found, all[i].name, number) < 0) {
            Py_CLEAR(found);
        }
        Py_XDECREF(number);
    }
    return found;
}
