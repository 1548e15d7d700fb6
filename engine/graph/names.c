/* graph/names.c - what an operation looks up by name when it runs again.
 *
 * A graph calls a method by its name, `a + b` asks the classes of its operands, and a
 * Python function of torch looks up others in its module.  The program may replace any of
 * them.  A compiler looks them up when it compiles, a hit of the eager backend when it
 * runs.  R: both must find what the recorded call found, so each of these look-ups is
 * guarded. */
#include "graph/graph.h"

#include <string.h>

#include "objects/operators.h"
#include "objects/rows.h"
#include "read/read.h"

enum { MAX_OPERATOR = 16 };  // no operator of Python has a longer name

/* -- Special methods ----------------------------------------------------------------------- */

static mp_rc
guard_special(mp_trace *T, PyTypeObject *tp, const char *before, const char *name)
{
    char text[32];
    size_t size = strlen(name);
    int stem = (int)(size > 0 && name[size - 1] == '_' ? size - 1 : size);
    snprintf(text, sizeof(text), "__%s%.*s__", before, stem, name);
    PyObject *key = PyUnicode_InternFromString(text);
    if (key == NULL) {
        return MP_ERR;
    }
    mp_rc rc = mp_guard_type_attr(T, tp, key, mp_type_lookup_borrow(tp, key));
    Py_DECREF(key);
    return rc;
}

/* What the other operand is asked for instead: comparisons have no reversed methods, and
 * sum() adds. */
static const char *
other_name(PyObject *callee, const char *name)
{
    static const char *const pairs[] = {"lt", "gt", "le", "ge"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(pairs); i++) {
        if (callee == mp_operator_borrow(pairs[i])) {
            return pairs[i ^ 1];
        }
    }
    return mp_does(callee, MP_TRAIT_SUMS) ? "add" : name;
}

/* operator.add(a, b): __add__, __radd__; operator.iadd: __iadd__ too; abs(a): __abs__. */
static mp_rc
guard_operator(mp_trace *T, PyObject *callee, PyObject *const *args, Py_ssize_t nargs)
{
    static const char *const sides[] = {"", "r"};
    const char *name = ((PyCFunctionObject *)callee)->m_ml->ml_name;
    const char *names[] = {name, other_name(callee, name), name + (name[0] == 'i')};
    if (callee == mp_operator_borrow("getattr")
        || callee == mp_operator_borrow("setattr") || strlen(name) > MAX_OPERATOR) {
        return MP_OK;  // the descriptor is known
    }
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < nargs; i++) {
        for (size_t j = 0; j < 6 && rc == MP_OK && mp_tensor_is(args[i]); j++) {
            rc = guard_special(T, Py_TYPE(args[i]), sides[j % 2], names[j / 2]);
        }
    }
    return rc;
}

/* -- Functions in Python ------------------------------------------------------------------- */

enum { PARTS_DEPTH = 4 };  // modules in modules, functions that call functions

static mp_rc guard_names(mp_trace *T, PyObject *function, int depth);

/* Something that could be replaced to change what the function computes, or that stands in
 * the place of such a thing: a function of the program, or a C object that can be called. */
static bool
is_part(PyObject *value, PyObject *globals)
{
    uint32_t flags = mp_op_flags_of(value);
    if ((flags & MP_TORCH_CALL) != 0) {
        return true;
    }
    if (PyFunction_Check(value)) {
        PyObject *own = ((PyFunctionObject *)value)->func_globals;
        return own == globals || !mp_is_library(own);
    }
    return flags == 0 && !PyType_Check(value) && PyCallable_Check(value);
}

/* If the dict has such a function, it must stay the same, and so must the functions that
 * it calls. */
static mp_rc
guard_part(mp_trace *T, PyObject *dict, PyObject *name, PyObject *globals, int depth)
{
    PyObject *value = PyDict_GetItemWithError(dict, name);
    if (value == NULL || !is_part(value, globals)) {
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    mp_rc rc = mp_load_const(T, dict);
    rc = rc != MP_OK
             ? rc
             : mp_read_key(T, dict, mp_refgraph_find(&T->graph, dict), name, &value);
    bool own =
        PyFunction_Check(value) && ((PyFunctionObject *)value)->func_globals == globals;
    return rc == MP_OK && own ? guard_names(T, value, depth - 1) : rc;
}

/* The names in the function's code that a module, or one in it, has such things under. */
static mp_rc
guard_attributes(mp_trace *T, PyObject *module, PyObject *names, PyObject *globals,
                 int depth)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names) && rc == MP_OK; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        PyObject *value = PyDict_GetItemWithError(module, name);
        if (value != NULL && PyModule_CheckExact(value) && depth > 0) {
            rc =
                guard_attributes(T, PyModule_GetDict(value), names, globals, depth - 1);
        }
        else {
            rc = guard_part(T, module, name, globals, depth);
        }
    }
    return rc;
}

/* Methods of tensors.  What is no descriptor of C's has replaced one that is. */
static mp_rc
guard_methods(mp_trace *T, PyObject *names)
{
    PyTypeObject *tensor = (PyTypeObject *)mp_op_types.tensor;
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names) && rc == MP_OK; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        PyObject *method = mp_type_lookup_borrow(tensor, name);
        if (method != NULL
            && ((mp_op_flags_of(method) & MP_TORCH_CALL) != 0
                || Py_TYPE(method) != &PyGetSetDescr_Type)) {
            rc = mp_guard_type_attr(T, tensor, name, method);
        }
    }
    return rc;
}

/* Functions of the library that it is made of: those of `boolean_dispatch`. */
static mp_rc
guard_cells(mp_trace *T, PyObject *closure, int depth)
{
    mp_rc rc = MP_OK;
    Py_ssize_t n = closure == NULL ? 0 : PyTuple_GET_SIZE(closure);
    for (Py_ssize_t i = 0; i < n && rc == MP_OK; i++) {
        PyObject *value = PyCell_GET(PyTuple_GET_ITEM(closure, i));
        if (value != NULL && PyFunction_Check(value)) {
            rc = guard_names(T, value, depth - 1);
        }
    }
    return rc;
}

/* Its names are globals, attributes of a module that is a global (`torch`), or methods of
 * tensors.  One guard too many costs a recording where something was replaced. */
static mp_rc
guard_names(mp_trace *T, PyObject *function, int depth)
{
    PyFunctionObject *f = (PyFunctionObject *)function;
    if (depth <= 0 || !mp_is_library(f->func_globals)) {
        return MP_OK;
    }
    int first = mp_refgraph_first(&T->graph, MP_G_FUNCTION, function, 1);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    PyObject *names = ((PyCodeObject *)f->func_code)->co_names;
    mp_rc rc = guard_attributes(T, f->func_globals, names, f->func_globals, depth);
    rc = rc != MP_OK ? rc : guard_methods(T, names);
    return rc != MP_OK ? rc : guard_cells(T, f->func_closure, depth);
}

/* -- Frames below an operation --------------------------------------------------------------- */

/* Code, numbers and texts that stand in a library's module.  Containers and other objects
 * are no part of it: `warnings.filters` is another list in each block that changes them. */
static bool
may_pin(mp_trace *T, PyObject *value)
{
    mp_node *n = mp_refgraph_find(&T->graph, value);
    bool is_code = mp_is_identity(value) || PyCallable_Check(value);
    return mp_is_constant(value)
           || (is_code && !mp_tensor_is_any(value) && !mp_has_finalizer(value)
               && (n == NULL || n->kind != MP_NODE_FRESH));
}

/* The name in the module's dict must stay there, or stay absent.  *value: borrowed. */
static mp_rc
guard_name(mp_trace *T, PyObject *dict, PyObject *name, PyObject **value)
{
    *value = PyDict_CheckExact(dict) ? PyDict_GetItemWithError(dict, name) : NULL;
    if (PyErr_Occurred()) {
        return MP_ERR;
    }
    if (!PyDict_CheckExact(dict) || (*value != NULL && !may_pin(T, *value))) {
        return MP_OK;
    }
    mp_rc rc = mp_load_const(T, dict);
    rc = rc != MP_OK
             ? rc
             : mp_read_key(T, dict, mp_refgraph_find(&T->graph, dict), name, value);
    return rc == MP_OK && *value != NULL ? mp_load_const(T, *value) : rc;
}

/* Does the code store the name itself? Then it need not be guarded. */
static bool
stores_global(const mp_code_info *info, int name)
{
    for (int i = 0; i < info->count; i++) {
        if (info->at[i].op == MP_OP_STORE_GLOBAL && info->at[i].arg == name) {
            return true;
        }
    }
    return false;
}

/* `torch.nn.functional` behind LOAD_GLOBAL: attributes of modules, as far as it goes. */
static mp_rc
guard_chain(mp_trace *T, const mp_code_info *info, int at, PyObject *value)
{
    mp_rc rc = MP_OK;
    while (rc == MP_OK && value != NULL && PyModule_CheckExact(value)
           && (at = info->at[at].next) < info->count
           && (info->at[at].op == MP_OP_LOAD_ATTR
               || info->at[at].op == MP_OP_LOAD_METHOD)) {
        PyObject *name = PyTuple_GET_ITEM(info->code->co_names, info->at[at].arg);
        rc = guard_name(T, PyModule_GetDict(value), name, &value);
    }
    return rc;
}

/* A function that is found again may have got other code by then. */
static mp_rc
guard_code(mp_trace *T, PyObject *func)
{
    PyCodeObject *code = (PyCodeObject *)((PyFunctionObject *)func)->func_code;
    if ((code->co_flags & CO_NESTED) && mp_refgraph_find(&T->graph, func) == NULL) {
        return MP_OK;  // made anew by each call, as far as is known
    }
    mp_rc rc = mp_load_const(T, func);
    return rc != MP_OK ? rc : mp_guard_function(T, func);
}

mp_rc
mp_op_guard_frame(mp_trace *T, mp_frame *f)
{
    PyCodeObject *code = mp_frame_code_borrow(f);
    int first = mp_refgraph_first(&T->graph, MP_G_FUNCTION, code, 2);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    const mp_code_info *info = mp_code_info_get(code);
    mp_rc rc = info == NULL ? MP_ERR : mp_load_const(T, (PyObject *)code);  // it lives
    rc = rc != MP_OK ? rc : guard_code(T, mp_frame_func_borrow(f));
    for (int i = 0; rc == MP_OK && i < info->count; i = info->at[i].next) {
        const mp_instr *in = &info->at[i];
        if (in->op != MP_OP_LOAD_GLOBAL || stores_global(info, in->arg)) {
            continue;
        }
        PyObject *name = PyTuple_GET_ITEM(code->co_names, in->arg), *value;
        rc = guard_name(T, mp_frame_globals_borrow(f), name, &value);
        if (rc == MP_OK && value == NULL) {
            rc = guard_name(T, mp_frame_builtins_borrow(f), name, &value);
        }
        rc = rc != MP_OK ? rc : guard_chain(T, info, i, value);
    }
    return rc;
}

/* -- Names of methods ------------------------------------------------------------------------ */

static PyObject *
method_name_borrow(PyObject *callee)
{
    if (Py_TYPE(callee) == &PyMethodDescr_Type
        || Py_TYPE(callee) == &PyWrapperDescr_Type) {
        return ((PyDescrObject *)callee)->d_name;
    }
    return PyFunction_Check(callee) ? ((PyFunctionObject *)callee)->func_name : NULL;
}

mp_rc
mp_op_call_name(mp_trace *T, PyObject *callee, PyObject *const *args, Py_ssize_t nargs,
                PyObject **target)
{
    PyObject *name = NULL;
    if (nargs > 0 && mp_tensor_is(args[0]) && mp_op_types.tensor != NULL) {
        name = method_name_borrow(callee);
    }
    PyObject *found = name != NULL && PyUnicode_CheckExact(name)
                          ? mp_type_lookup_borrow(Py_TYPE(args[0]), name)
                          : NULL;
    *target = Py_NewRef(found == callee ? name : callee);
    // Where the name leads elsewhere, it decides how the operation is logged.
    mp_rc rc =
        found == NULL ? MP_OK : mp_guard_type_attr(T, Py_TYPE(args[0]), name, found);
    if (rc == MP_OK && PyFunction_Check(callee) && mp_op_types.tensor != NULL) {
        rc = guard_names(T, callee, PARTS_DEPTH);
    }
    if (rc == MP_OK && PyCFunction_Check(callee) && mp_op_flags_of(callee) == 0) {
        rc = guard_operator(T, callee, args, nargs);
    }
    return rc;
}
