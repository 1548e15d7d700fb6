/* trace/value.c - what a value on the stack is, and how it enters the reference graph.
 *
 * mp_value classifies a value that is there; mp_load, mp_load_const, mp_fresh and
 * mp_result bring new ones in. load_classify decides what is guarded about an object
 * that came from outside:
 *
 *   constant scalars              exact type and value (EQUALS, IS)
 *   classes, functions, builtins,
 *   modules, code                 identity (IS), which says everything that C code can see
 *   instances of int, str, ...
 *   subclasses                    type and identity: C code reads the value inside
 *   tensors                       metadata (TENSOR)
 *   everything else               exact type (TYPE_IS); content when it is read
 *
 * What must hold: a value of unknown origin ends the recording, because no guard could
 * say where it comes from. */
#include "trace/trace.h"

#include <string.h>

#include "guard/plant.h"
#include "objects/equal.h"
#include "objects/names.h"
#include "objects/operators.h"

static PyTypeObject *constant_types[64];
static int n_constant_types;

/* Instances of the type (torch.dtype, torch.device, ...) never change, and are compared
 * by value. false: no room, or an exception. */
bool
mp_register_constant_type(PyTypeObject *type)
{
    if (mp_guard_register_constant_type(type) < 0) {
        return false;
    }
    for (int i = 0; i < n_constant_types; i++) {
        if (constant_types[i] == type) {
            return true;
        }
    }
    if (n_constant_types == (int)Py_ARRAY_LENGTH(constant_types)) {
        return false;
    }
    Py_INCREF(type);
    constant_types[n_constant_types++] = type;
    return true;
}

/* Exact types: an instance of a subclass may have attributes and methods of its own. */
bool
mp_is_constant(PyObject *o)
{
    PyTypeObject *tp = Py_TYPE(o);
    if (tp == &PyLong_Type || tp == &PyUnicode_Type || tp == &PyBool_Type
        || tp == &PyFloat_Type || o == Py_None || tp == &PyBytes_Type
        || tp == &PyComplex_Type || o == Py_Ellipsis || o == Py_NotImplemented
        || tp == &PyRange_Type) {
        return true;
    }
    return mp_is_constant_type(tp);
}

bool
mp_is_constant_type(PyTypeObject *tp)
{
    for (int i = 0; i < n_constant_types; i++) {
        if (constant_types[i] == tp) {
            return true;
        }
    }
    return false;
}

/* Objects that a guard on their address covers. (What code of theirs reads is guarded
 * when it runs.) */
bool
mp_is_identity(PyObject *o)
{
    PyTypeObject *tp = Py_TYPE(o);
    if (PyType_Check(o) || tp == &PyFunction_Type || PyModule_Check(o)
        || tp == &PyMethodDescr_Type || tp == &PyWrapperDescr_Type
        || tp == &PyGetSetDescr_Type || tp == &PyMemberDescr_Type
        || tp == &PyClassMethodDescr_Type || tp == &PyCode_Type) {
        return true;
    }
    if (PyCFunction_Check(o)) {
        // A module's function; a method bound to an object is an object of its own.
        PyObject *self = PyCFunction_GET_SELF(o);
        return self == NULL || PyModule_Check(self) || PyType_Check(self);
    }
    return mp_is_op_object(o);
}

bool
mp_is_typing(PyObject *o)
{
    return mp_module_has(MP_MODULE_TYPING, Py_TYPE(o));
}

bool
mp_is_of_typing(PyObject *function)
{
    return PyFunction_Check(function)
           && mp_is_module(PyFunction_GET_GLOBALS(function), MP_MODULE_TYPING);
}

/* obj is new, or a singleton that the interpreter shares. */
mp_rc
mp_fresh(mp_trace *T, PyObject *obj)
{
    assert(obj != NULL);
    if (mp_is_constant(obj)) {
        return MP_OK;
    }
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    if (n != NULL && n->kind != MP_NODE_FRESH) {
        return MP_OK;  // a singleton (empty tuple) that external state holds too
    }
    return mp_refgraph_add_fresh(&T->graph, obj) == NULL ? MP_ERR : MP_OK;
}

/* An exact tuple that C code made of known values is new; one of constants is constant. */
static mp_rc
value_tuple(mp_trace *T, PyObject *obj, mp_val *v)
{
    assert(PyTuple_CheckExact(obj));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(obj); i++) {
        mp_rc rc = mp_pass(T, PyTuple_GET_ITEM(obj, i));
        if (rc != MP_OK) {
            return rc;
        }
    }
    *v = mp_val_of(mp_refgraph_add_fresh(&T->graph, obj));
    return v->node == NULL ? MP_ERR : MP_OK;
}

/* What is obj? Aborts if nothing is known of it, if it is a tensor of a subclass, or an
 * array that may share memory with a tensor. */
mp_rc
mp_value(mp_trace *T, PyObject *obj, mp_val *v)
{
    assert(obj != NULL);
    *v = MP_NO_VALUE;
    if (mp_is_constant(obj)) {
        return mp_is_array_scalar_type(Py_TYPE(obj)) ? mp_array_guard_state(T)
                                                     : mp_pin(T, obj);
    }
    *v = mp_val_of(mp_refgraph_find(&T->graph, obj));
    if (v->kind == MP_VAL_NODE) {
        if (v->node->passes) {
            return mp_trace_abort(T, MP_AB_SUBCLASS, "%s", mp_type_name(obj));
        }
        if (!mp_is_array(obj)) {
            return MP_OK;
        }
        mp_rc rc = T->lent != NULL ? mp_array_check_lent(T, obj) : MP_OK;
        return rc != MP_OK ? rc : mp_array_guard_state(T);
    }
    if (PyTuple_CheckExact(obj)) {
        return value_tuple(T, obj, v);
    }
    if (mp_tensor_is_any(obj) && !mp_tensor_is(obj)) {
        return mp_trace_abort(T, MP_AB_SUBCLASS, "%s", mp_type_name(obj));
    }
    return mp_trace_abort(T, MP_AB_UNKNOWN_VALUE, "a value of type %s",
                          mp_type_name(obj));
}

mp_rc
mp_value_items(mp_trace *T, PyObject *obj, mp_val *v)
{
    if (!mp_holds_symbols(T, obj)) {
        return mp_value(T, obj, v);
    }
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    *v = mp_val_of(n != NULL ? n : mp_refgraph_add_fresh(&T->graph, obj));
    return v->node == NULL ? MP_ERR : MP_OK;
}

mp_rc
mp_value_symbol(mp_trace *T, PyObject *obj, mp_val *v)
{
    mp_node *n = mp_symbol_find(T, obj);
    if (n == NULL) {
        return mp_value_items(T, obj, v);
    }
    *v = (mp_val){MP_VAL_SYMBOL, n};
    return MP_OK;
}

mp_rc
mp_value_late(mp_trace *T, PyObject *obj, mp_val *v)
{
    mp_node *n = mp_late_find(T, obj);
    if (n == NULL) {
        return mp_value_symbol(T, obj, v);
    }
    *v = (mp_val){MP_VAL_LATE, n};
    return MP_OK;
}

mp_rc
mp_pass(mp_trace *T, PyObject *obj)
{
    mp_val v;
    return mp_value_late(T, obj, &v);
}

mp_rc
mp_pass_all(mp_trace *T, PyObject *const *objs, Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = mp_pass(T, objs[i]);
    }
    return rc;
}

mp_rc
mp_know(mp_trace *T, PyObject *obj)
{
    mp_val n;
    return mp_value(T, obj, &n);
}

mp_rc
mp_know_all(mp_trace *T, PyObject *const *objs, Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = mp_know(T, objs[i]);
    }
    return rc;
}

bool
mp_is_fresh_id(mp_trace *T, PyObject *obj)
{
    return T->fresh_ids != NULL && PyLong_CheckExact(obj)
           && PySet_Contains(T->fresh_ids, obj) == 1;
}

/* Emit a test of n's register, once.  Fresh objects have none. */
mp_rc
mp_test(mp_trace *T, mp_guard_kind kind, mp_node *n, PyObject *obj, int64_t num)
{
    assert((int)kind >= MP_G_TYPE_IS);
    if (n == NULL || n->reg < 0) {
        return MP_OK;  // a fresh object needs no guard
    }
    if (obj != NULL && mp_is_fresh_id(T, obj)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "id of a new object");
    }
    return mp_refgraph_test(&T->graph, kind, n->reg, -1, obj, num) < 0 ? MP_ERR : MP_OK;
}

/* Which sizes and strides of a tensor from outside become symbols: bit masks by dim. */
static bool
which_dims_are_open(mp_trace *T, int32_t reg, PyObject *value, const mp_tensor_meta *m,
                    uint64_t *open, uint64_t *small, uint64_t *strides)
{
    *open = *small = *strides = 0;
    for (int32_t d = 0; d < m->ndim && d < 64; d++) {
        mp_dynamic how =
            mp_is_dynamic_place(T, reg, MP_PART_SIZE, d, value, m->dims[d]);
        *open |= (uint64_t)(how != MP_STATIC) << d;
        *small |= (uint64_t)(how == MP_DYNAMIC_WANTED) << d;
        how = mp_is_dynamic_place(T, reg, MP_PART_STRIDE, d, value, 0);
        *strides |= (uint64_t)(how != MP_STATIC) << d;
    }
    return (*open | *strides) != 0;
}

/* A tensor from outside: its metadata is the guard.  The guard is emitted past the table
 * of seen ones, because each tensor has metadata of its own. */
static mp_rc
load_tensor(mp_trace *T, int32_t reg, PyObject *value)
{
    mp_odd kind = mp_tensor_odd(value);
    mp_tensor_meta *meta = kind == MP_ODD_NOT       ? mp_tensor_meta_new(value)
                           : kind == MP_ODD_REFUSED ? NULL
                                                    : mp_tensor_meta_odd(value, kind);
    if (meta == NULL) {
        mp_err_drop();  // no description: not for a graph
        return mp_trace_abort(T, MP_AB_SUBCLASS, "a tensor without dense metadata");
    }
    uint64_t open = 0, small, strides, all = UINT64_MAX;
    bool blind = T->loads_open || kind == MP_ODD_NESTED;
    bool sized = !blind && kind == MP_ODD_NOT
                 && which_dims_are_open(T, reg, value, meta, &open, &small, &strides);
    if (sized) {
        mp_tensor_meta_open(meta, open, small, strides);
    }
    else if (blind) {
        mp_tensor_meta_open(meta, all, all, all);
    }
    if (mp_guards_test(T->guards, MP_G_TENSOR, reg, -1, NULL, 0, meta) < 0) {
        return MP_ERR;
    }
    mp_node *n = mp_refgraph_add_tensor(&T->graph, value, reg);
    if (n != NULL) {
        n->sized = sized;
        n->odd = kind != MP_ODD_NOT;
        n->blind = n->dynamic = blind;
    }
    return n == NULL ? MP_ERR : sized ? mp_symbols_of_tensor(T, reg, meta) : MP_OK;
}

/* Instances of int, str, ... subclasses (enum members, typed strings), bound C methods. */
static bool
holds_scalar(PyObject *o)
{
    if (PyCFunction_Check(o) || mp_is_method_wrapper(o)) {
        return true;  // bound to an object for good
    }
    return PyLong_Check(o) || PyUnicode_Check(o) || PyFloat_Check(o) || PyBytes_Check(o)
           || PyComplex_Check(o);
}

/* Was the class made by a function that the run has seen?  Its qualified name says so. */
static bool
class_is_of_call(mp_trace *T, PyObject *cls)
{
    if (!PyType_HasFeature((PyTypeObject *)cls, Py_TPFLAGS_HEAPTYPE)) {
        return false;
    }
    PyObject *name = ((PyHeapTypeObject *)cls)->ht_qualname;
    bool found = false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(T->codes) && !found; i++) {
        PyObject *maker = ((PyCodeObject *)PyList_GET_ITEM(T->codes, i))->co_qualname;
        Py_ssize_t n = PyUnicode_GET_LENGTH(maker);
        found = PyUnicode_GET_LENGTH(name) > n && PyUnicode_READ_CHAR(name, n) == '.'
                && PyUnicode_READ_CHAR(name, n + 1) == '<'
                && PyUnicode_Tailmatch(name, maker, 0, n, -1) == 1;
    }
    return found;
}

/* May a function of the program have made it, as a nested function or class is? Bound C
 * methods are made everywhere. */
static bool
is_local(PyObject *v)
{
    if (PyCFunction_Check(v)) {
        return true;
    }
    if (PyFunction_Check(v)) {
        PyCodeObject *code = (PyCodeObject *)((PyFunctionObject *)v)->func_code;
        return code->co_flags & CO_NESTED;
    }
    if (!PyType_Check(v)
        || !PyType_HasFeature((PyTypeObject *)v, Py_TPFLAGS_HEAPTYPE)) {
        return false;
    }
    return PyUnicode_Contains(((PyHeapTypeObject *)v)->ht_qualname, MP_NAME(LOCALS))
           != 0;
}

/* A call in a gap returned v: remember its address, for a guard on it could never hold
 * again. */
int
mp_note_gap_made(mp_trace *T, PyObject *v)
{
    assert(T->host != NULL);
    if (v == NULL || !is_local(v)) {
        return 0;
    }
    PyObject **made = T->host->gap_made(T->host_ctx);
    if (*made == NULL && (*made = PySet_New(NULL)) == NULL) {
        return -1;
    }
    PyObject *address = PyLong_FromVoidPtr(v);
    int rc = address == NULL ? -1 : PySet_Add(*made, address);
    Py_XDECREF(address);
    return rc;
}

static bool
is_gap_made(mp_trace *T, PyObject *v)
{
    PyObject *made = T->host == NULL ? NULL : *T->host->gap_made(T->host_ctx);
    if (made == NULL || !is_local(v)) {
        return false;
    }
    PyObject *address = PyLong_FromVoidPtr(v);
    int found = address == NULL ? -1 : PySet_Contains(made, address);
    Py_XDECREF(address);
    mp_err_drop();  // without memory nothing is recorded with it
    return found != 0;
}

/* Did the call itself make v, before this segment? Its identity must not be guarded: the
 * guard would keep it alive, and the next call makes another one. */
bool
mp_is_of_call(mp_trace *T, PyObject *v)
{
    assert(v != NULL);
    if (T->is_root && T->state == MP_TRACE_RECORDING) {
        return false;
    }
    if (is_gap_made(T, v)) {
        return true;
    }
    if (PyType_Check(v)) {
        return class_is_of_call(T, v);
    }
    if (holds_scalar(v) && !PyCFunction_Check(v)) {
        PyObject *cls = (PyObject *)Py_TYPE(v);  // the instance came after its class
        return is_gap_made(T, cls) || class_is_of_call(T, cls);
    }
    if (!PyFunction_Check(v)) {
        return false;
    }
    PyCodeObject *code = (PyCodeObject *)((PyFunctionObject *)v)->func_code;
    for (Py_ssize_t i = 0;
         (code->co_flags & CO_NESTED) && i < PyList_GET_SIZE(T->codes); i++) {
        PyObject *consts = ((PyCodeObject *)PyList_GET_ITEM(T->codes, i))->co_consts;
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(consts); k++) {
            if (PyTuple_GET_ITEM(consts, k) == (PyObject *)code) {
                return true;
            }
        }
    }
    return false;
}

/* The segment ends before such an object is looked at. */
static mp_rc
abort_of_call(mp_trace *T, PyObject *v)
{
    assert(mp_is_of_call(T, v));
    if (PyCFunction_Check(v)) {
        return mp_trace_abort(T, MP_AB_VOLATILE, "%s",
                              ((PyCFunctionObject *)v)->m_ml->ml_name);
    }
    PyObject *name = PyFunction_Check(v) ? ((PyFunctionObject *)v)->func_qualname
                     : PyType_Check(v) ? ((PyHeapTypeObject *)v)->ht_qualname
                                       : ((PyHeapTypeObject *)Py_TYPE(v))->ht_qualname;
    return mp_trace_abort(T, MP_AB_VOLATILE, "%U", name);
}

/* A constant: a symbol if the place has had another one, or its value is guarded. */
static mp_rc
load_constant(mp_trace *T, int32_t reg, PyObject *value)
{
    assert(mp_is_constant(value));
    bool taken;
    mp_rc waits = mp_symbol_load(T, reg, value, &taken);
    if (waits != MP_OK || taken) {
        return waits;
    }
    if (T->holds
        && (PyLong_CheckExact(value) || PyFloat_CheckExact(value)
            || PyUnicode_CheckExact(value))
        && T->host->changes(T->host_ctx, T->guards, reg)) {
        PyObject *source = mp_guards_source(T->guards, reg);
        mp_rc rc =
            source == NULL ? MP_ERR : mp_trace_abort(T, MP_AB_VOLATILE, "%U", source);
        Py_XDECREF(source);
        return rc;
    }
    mp_guard_kind kind =
        value == Py_None || PyBool_Check(value) ? MP_G_IS : MP_G_EQUALS;
    return mp_refgraph_test(&T->graph, kind, reg, -1, value, 0) < 0 ? MP_ERR : MP_OK;
}

/* An object that the graph knows already, from another place. */
static mp_rc
load_known(mp_trace *T, int32_t reg, PyObject *value, const mp_node *known)
{
    assert(known->obj == value);
    bool pinned = known->reg >= 0 && known->pinned;
    if (known->reg < 0) {
        // An unwritten place cannot hold what the run made, but for singletons.
        pinned = PyTuple_CheckExact(value)
                 && (PyTuple_GET_SIZE(value) == 0 || known->of_code);
        if (!pinned) {
            return mp_trace_abort(T, MP_AB_UNKNOWN_VALUE,
                                  "a new %s in unwritten external state",
                                  mp_type_name(value));
        }
    }
    int32_t test =
        pinned ? mp_refgraph_test(&T->graph, MP_G_IS, reg, -1, value, 0)
               : mp_refgraph_test(&T->graph, MP_G_SAME, reg, known->reg, NULL, 0);
    return test < 0 ? MP_ERR : MP_OK;
}

/* Only this very object: no other place can tell more about it. */
static mp_rc
load_pinned(mp_trace *T, int32_t reg, PyObject *value)
{
    mp_node *n = mp_refgraph_add_external(&T->graph, value, reg);
    if (n == NULL || mp_refgraph_test(&T->graph, MP_G_IS, reg, -1, value, 0) < 0) {
        return MP_ERR;
    }
    n->pinned = true;
    return MP_OK;
}

/* A register was just loaded with `value`: guard it and give it a node. */
static mp_rc
load_classify(mp_trace *T, int32_t reg, PyObject *value)
{
    assert(reg >= 0 && reg < T->guards->n_regs);
    if (mp_is_constant(value)) {
        return load_constant(T, reg, value);
    }
    const mp_node *known = mp_refgraph_find(&T->graph, value);
    if (known != NULL) {
        return load_known(T, reg, value, known);
    }
    if (mp_is_of_call(T, value)) {
        // The guard would keep it alive, and never hold again.
        return abort_of_call(T, value);
    }
    // The empty tuple is one object wherever it comes from: C code makes the same one.
    if (mp_is_identity(value)
        || (PyTuple_CheckExact(value) && PyTuple_GET_SIZE(value) == 0)) {
        return load_pinned(T, reg, value);
    }
    if (mp_tensor_is(value)
        || (mp_tensor_is_any(value) && mp_tensor_odd(value) > MP_ODD_REFUSED)) {
        return load_tensor(T, reg, value);
    }
    // hasattr(module, "lazy"): who looks at the tensor that was found there asks mp_value.
    bool passes = mp_tensor_is_any(value);
    if (passes && T->guards->ops[T->guards->def[reg]].kind != MP_G_LOAD_KEY) {
        return mp_trace_abort(T, MP_AB_SUBCLASS, "%s", mp_type_name(value));
    }
    if (mp_refgraph_test(&T->graph, MP_G_TYPE_IS, reg, -1, (PyObject *)Py_TYPE(value),
                         0)
        < 0) {
        return MP_ERR;
    }
    if (!T->is_root && mp_has_finalizer(value)) {
        // It may be of this call, and die in it.
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an object with __del__: %s",
                              mp_type_name(value));
    }
    if (holds_scalar(value)) {
        // C code reads the value inside; the object is immutable, so identity covers it.
        return load_pinned(T, reg, value);
    }
    mp_node *n = mp_refgraph_add_external(&T->graph, value, reg);
    if (n == NULL) {
        return MP_ERR;
    }
    n->passes = passes;
    return MP_OK;
}

/* Read one step from register a (kind, key, n), which led to `value`.  A step is loaded
 * once; what was found is classified the first time. */
mp_rc
mp_load(mp_trace *T, mp_guard_kind kind, int32_t a, PyObject *key, int64_t n,
        PyObject *value)
{
    bool is_new;
    assert(T->state == MP_TRACE_RECORDING);
    if (key != NULL && mp_is_fresh_id(T, key)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "id of a new object");
    }
    int32_t reg = mp_refgraph_load(&T->graph, kind, a, key, n, &is_new);
    if (reg < 0 || mp_plant_freeze(T->guards, reg, value) < 0) {
        return MP_ERR;
    }
    if (is_new) {
        return load_classify(T, reg, value);
    }
    bool taken;  // again: it has a guard, or is a symbol
    return mp_symbol_load(T, reg, value, &taken);
}

/* obj was reached through something whose identity is guarded, so it is part of the
 * program: a constant of the guard program, and pinned. */
mp_rc
mp_load_const(mp_trace *T, PyObject *obj)
{
    bool is_new;
    if (mp_is_constant(obj)) {
        return mp_pin(T, obj);
    }
    mp_node *known = mp_refgraph_find(&T->graph, obj);
    if (known != NULL && known->kind != MP_NODE_FRESH && !known->pinned) {
        known->pinned = true;
        return mp_test(T, MP_G_IS, known, obj, 0);
    }
    if (known != NULL) {
        return MP_OK;
    }
    int32_t reg = mp_refgraph_load(&T->graph, MP_G_LOAD_CONST, -1, obj, 0, &is_new);
    if (reg < 0 || mp_plant_freeze(T->guards, reg, obj) < 0) {
        return MP_ERR;
    }
    if (mp_is_identity(obj)) {
        mp_node *n = mp_refgraph_add_external(&T->graph, obj, reg);
        if (n == NULL) {
            return MP_ERR;
        }
        n->pinned = true;
        return MP_OK;
    }
    mp_rc rc = is_new ? load_classify(T, reg, obj) : MP_OK;
    if (rc == MP_OK && (known = mp_refgraph_find(&T->graph, obj)) != NULL) {
        known->pinned = true;
    }
    return rc;
}

/* The result of a C function with a row: what is known stays what it is, everything else
 * is new.  A tensor would have come from an operation that was not logged. */
mp_rc
mp_result(mp_trace *T, PyObject *obj)
{
    assert(obj != NULL);
    const mp_node *n = mp_refgraph_find(&T->graph, obj);
    bool is_old = n != NULL && n->kind == MP_NODE_FRESH && n->type != Py_TYPE(obj);
    if (mp_is_constant(obj)
        || (n != NULL && !is_old)) {  // (else another object was there)
        return MP_OK;
    }
    if (mp_tensor_is_any(obj)) {
        return mp_trace_abort(T, MP_AB_UNKNOWN_VALUE, "a tensor made by a C function");
    }
    if (PyType_Check(obj) || PyModule_Check(obj) || mp_is_op_object(obj)) {
        return mp_load_const(T, obj);  // classes follow from types that are guarded
    }
    return mp_fresh(T, obj);
}

/* Guard what decides which code runs when func is called: code, defaults, keyword
 * defaults and closure.  A function that the run made has nothing to guard. */
mp_rc
mp_guard_function(mp_trace *T, PyObject *func)
{
    assert(PyFunction_Check(func));
    mp_node *n = mp_refgraph_find(&T->graph, func);
    if (n == NULL) {
        return mp_trace_abort(T, MP_AB_UNKNOWN_FRAME, "function %U",
                              ((PyFunctionObject *)func)->func_qualname);
    }
    if (n->kind == MP_NODE_FRESH) {
        return MP_OK;
    }
    int first = mp_refgraph_first(&T->graph, MP_G_FUNCTION, func, 0);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    PyFunctionObject *f = (PyFunctionObject *)func;
    PyObject *state = PyTuple_Pack(5, func, f->func_code,
                                   f->func_defaults ? f->func_defaults : Py_None,
                                   f->func_kwdefaults ? f->func_kwdefaults : Py_None,
                                   f->func_closure ? f->func_closure : Py_None);
    if (state == NULL) {
        return MP_ERR;
    }
    int r = mp_guards_test(T->guards, MP_G_FUNCTION, -1, -1, state, 0, NULL);
    Py_DECREF(state);
    return r < 0 ? MP_ERR : MP_OK;
}

/* Is it a 0-dimensional tensor computed from constants alone, to which nothing was
 * written since? */
bool
mp_tensor_is_constant(mp_trace *T, PyObject *obj)
{
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    if (!is_tensor_node(n) || n->constant != T->n_mutations + 1) {
        return false;
    }
    return !n->sized || mp_pin_everything(T) == MP_OK;  // who asks reads it
}

mp_rc
mp_refuse_fresh_id(mp_trace *T, PyObject *obj)
{
    return mp_is_fresh_id(T, obj)
               ? mp_trace_abort(T, MP_AB_SIDE_EFFECT, "id of a new object")
               : MP_OK;
}
