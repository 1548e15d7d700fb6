/* effect/build.c - making and filling objects by their C layout.
 *
 * Invariants
 *   (1) Objects come from the tp_new of their C base and are filled by its functions:
 *       no __new__, __init__, __setattr__, __setitem__ or append of a class in Python
 *       runs.
 *   (2) Only objects that nobody else has seen are filled.
 *   (3) What a row cannot make safely is refused when the op is emitted.
 *
 * Ownership: registers stay the caller's; results are new references.
 *
 * Re-entrancy: before 3.12 an allocation may start a collection, which may run any
 * code; nothing here keeps state across one but in locals. */
#include "effect/build.h"

#include <structmember.h>

#include "compat/compat.h"
#include "objects/array.h"

mp_effect_tools mp_effect_c;

/* Keep type.name in *slot. -1: exception. */
static int
effect_c_attr(PyTypeObject *type, const char *name, PyObject **slot)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
    if (found == NULL) {
        return -1;
    }
    Py_XSETREF(*slot, found);
    return 0;
}

/* Keep module.name, which must be a type, in *slot. */
static int
effect_c_type(const char *module_name, const char *name, PyTypeObject **slot)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    if (type == NULL) {
        return -1;
    }
    if (!PyType_Check(type)) {
        PyErr_Format(PyExc_SystemError, "%s.%s is not a type", module_name, name);
        Py_DECREF(type);
        return -1;
    }
    Py_XSETREF(*slot, (PyTypeObject *)type);
    return 0;
}

/* The types of C modules that objects are made of. */
static int
effect_c_types(mp_effect_tools *c)
{
    return effect_c_type("_collections", "deque", &c->deque) < 0
                   || effect_c_type("_collections", "defaultdict", &c->defaultdict) < 0
                   || effect_c_type("functools", "partial", &c->partial) < 0
                   || effect_c_type("types", "SimpleNamespace", &c->namespace) < 0
               ? -1
               : 0;
}

/* Their C functions and members, called past what a subclass has under these names. */
static int
effect_c_descriptors(mp_effect_tools *c)
{
    static const char *const parts[] = {"func", "args", "keywords"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++) {
        if (effect_c_attr(c->partial, parts[i], &c->partial_parts[i]) < 0) {
            return -1;
        }
    }
    return effect_c_attr(c->deque, "append", &c->deque_append) < 0
                   || effect_c_attr(c->deque, "clear", &c->deque_clear) < 0
                   || effect_c_attr(c->deque, "maxlen", &c->deque_maxlen) < 0
                   || effect_c_attr(&PyODict_Type, "clear", &c->odict_clear) < 0
                   || effect_c_attr(c->defaultdict, "default_factory",
                                    &c->default_factory)
                          < 0
                   || effect_c_attr(c->partial, "__setstate__", &c->partial_set) < 0
               ? -1
               : 0;
}

/* Once for the process.  The slots of types made in Python are found on a sample. */
int
mp_effect_init(void)
{
    PyObject *info = NULL;  // owned
    PyObject *cls = NULL;   // owned
    int rc = -1;

    if (mp_effect_c.ready) {
        return 0;
    }
    if (effect_c_types(&mp_effect_c) < 0 || effect_c_descriptors(&mp_effect_c) < 0) {
        goto done;
    }
    info = PyFloat_GetInfo();
    // Any __new__ that is not C's makes the type use the slot function for Python's.
    cls = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){sO}", "probe", "__new__",
                                Py_None);
    if (info == NULL || cls == NULL) {
        goto done;
    }
    Py_XSETREF(mp_effect_c.no_args, PyTuple_New(0));
    if (mp_effect_c.no_args == NULL) {
        goto done;
    }
    mp_effect_c.struct_new = Py_TYPE(info)->tp_new;
    mp_effect_c.python_new = ((PyTypeObject *)cls)->tp_new;
    mp_effect_c.python_dealloc = ((PyTypeObject *)cls)->tp_dealloc;
    mp_effect_c.ready = true;
    rc = 0;

done:
    Py_XDECREF(cls);
    Py_XDECREF(info);
    return rc;
}

/* -- Types ------------------------------------------------------------------------- */

/* Is type a Python-made subclass of base (or base itself)?  A C type in between has a
 * layout that base's functions do not know; it has a destructor of its own, and often
 * a __new__. */
static bool
effect_extends(PyTypeObject *type, PyTypeObject *base)
{
    assert(mp_effect_c.ready);
    newfunc python_new = mp_effect_c.python_new;
    while (type != NULL && type != base && (type->tp_flags & Py_TPFLAGS_HEAPTYPE)
           && type->tp_dealloc == mp_effect_c.python_dealloc
           && (type->tp_new == base->tp_new || type->tp_new == python_new)) {
        type = type->tp_base;
    }
    return type != NULL && type == base;
}

/* The type in C whose layout an exception has, if it is that of BaseException: others
 * (OSError, StopIteration) have members of their own.  NULL: no such exception. */
static PyTypeObject *
effect_exception_base(PyTypeObject *type)
{
    PyTypeObject *base = (PyTypeObject *)PyExc_BaseException;
    while (type != NULL && (type->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        type = type->tp_base;
    }
    return type != NULL && PyType_IsSubtype(type, base) && type->tp_new == base->tp_new
                   && type->tp_basicsize == base->tp_basicsize
               ? type
               : NULL;
}

/* The C type of plain values that a str, int, ... subclass extends; NULL: none. */
static PyTypeObject *
effect_scalar_base(PyTypeObject *type)
{
    PyTypeObject *bases[] = {&PyUnicode_Type, &PyLong_Type, &PyFloat_Type,
                             &PyBytes_Type, &PyComplex_Type};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(bases); i++) {
        if (type != bases[i] && effect_extends(type, bases[i])) {
            return bases[i];
        }
    }
    return NULL;
}

/* Can an object of this type be made by its C layout? The rows that are no builders of
 * one fixed type ask. */
bool
mp_effect_can_make(mp_effect_kind kind, PyTypeObject *type)
{
    assert(mp_effect_c.ready);
    PyTypeObject *base;
    switch (kind) {
    case MP_E_ITERATOR:
    case MP_E_ITER_CALL:
        return mp_effect_can_iterate(kind, type);
    case MP_E_PARTIAL:
        return effect_extends(type, mp_effect_c.partial);
    case MP_E_EXCEPTION:
        base = effect_exception_base(type);
        return base != NULL && effect_extends(type, base);
    case MP_E_SCALAR:
        return effect_scalar_base(type) != NULL;
    case MP_E_STRUCT:
        return PyType_IsSubtype(type, &PyTuple_Type) && type->tp_new != NULL
               && (type->tp_new == mp_effect_c.struct_new
                   || effect_extends(type, &PyTuple_Type)
                   || !(type->tp_flags & Py_TPFLAGS_HEAPTYPE));
    case MP_E_INSTANCE:
        return effect_extends(type, &PyBaseObject_Type)
               || effect_extends(type, mp_effect_c.namespace);
    case MP_E_DICT_LIKE:
        return effect_extends(type, &PyDict_Type) || effect_extends(type, &PyODict_Type)
               || effect_extends(type, mp_effect_c.defaultdict);
    default:
        return effect_extends(type, &PyList_Type) || effect_extends(type, &PySet_Type)
               || effect_extends(type, &PyFrozenSet_Type)
               || effect_extends(type, mp_effect_c.deque);
    }
}

/* -- Building ---------------------------------------------------------------------- */

/* Builtin containers get their items in order; a register holds an object that is made
 * already. */
static PyObject *
effect_make_tuple(const int32_t *items, int32_t count, PyObject *const *regs)
{
    assert(count >= 0);
    PyObject *tuple = PyTuple_New(count);
    if (tuple == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(regs[items[i]]));
    }
    return tuple;
}

static PyObject *
effect_make_list(const int32_t *items, int32_t count, PyObject *const *regs)
{
    assert(count >= 0);
    PyObject *list = PyList_New(count);
    if (list == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < count; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(regs[items[i]]));
    }
    return list;
}

/* deque.append of the C type, past that of a subclass. */
static int
effect_deque_append(PyObject *deque, PyObject *item)
{
    PyObject *args[2] = {deque, item};
    PyObject *none = PyObject_Vectorcall(mp_effect_c.deque_append, args, 2, NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* Add items to a list, set, deque, or an instance of a subclass, without its own methods; to
 * a frozenset as well, as long as the program has no reference to it. */
int
mp_effect_extend(PyObject *o, const int32_t *items, int32_t count,
                 PyObject *const *regs)
{
    assert(PyList_Check(o) || PyAnySet_Check(o)
           || PyObject_TypeCheck(o, mp_effect_c.deque));
    int rc = 0;
    for (int32_t i = 0; i < count && rc == 0; i++) {
        PyObject *item = regs[items[i]];
        if (PyList_Check(o)) {
            rc = PyList_Append(o, item);
        }
        else if (PyAnySet_Check(o)) {
            rc = PySet_Add(o, item);
        }
        else {
            rc = effect_deque_append(o, item);
        }
    }
    return rc;
}

/* New content for a deque that others see.  Clearing it makes iterators over it raise,
 * as in eager mode. */
int
mp_effect_refill_deque(PyObject *deque, const int32_t *items, int32_t count,
                       PyObject *const *regs)
{
    assert(PyObject_TypeCheck(deque, mp_effect_c.deque));
    Py_ssize_t size = mp_effect_c.deque->tp_as_sequence->sq_length(deque);
    if (size == 0 && effect_deque_append(deque, Py_None) < 0) {
        return -1;  // clearing an empty one does not tell its iterators
    }
    PyObject *none = PyObject_CallOneArg(mp_effect_c.deque_clear, deque);
    if (none == NULL) {
        return -1;
    }
    Py_DECREF(none);
    return mp_effect_extend(deque, items, count, regs);
}

/* Past any __setitem__ of a subclass; an OrderedDict keeps its order in functions of its
 * own. */
static int
effect_dict_put(PyObject *dict, PyObject *key, PyObject *value)
{
    return PyODict_Check(dict) ? PyODict_SetItem(dict, key, value)
                               : PyDict_SetItem(dict, key, value);
}

static int
effect_update(PyObject *dict, const int32_t *pairs, int32_t count,
              PyObject *const *regs)
{
    assert(PyDict_Check(dict) && count % 2 == 0);
    for (int32_t i = 0; i < count; i += 2) {
        if (effect_dict_put(dict, regs[pairs[i]], regs[pairs[i + 1]]) < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *
effect_make_dict(const int32_t *pairs, int32_t count, PyObject *const *regs)
{
    PyObject *dict = PyDict_New();
    if (dict != NULL && effect_update(dict, pairs, count, regs) < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

/* A struct sequence (torch.return_types, os.stat_result) with all its fields. */
static PyObject *
effect_make_struct_sequence(PyTypeObject *type, PyObject *fields)
{
    PyObject *o = PyStructSequence_New(type);
    if (o == NULL) {
        return NULL;
    }
    // Named and unnamed fields; those beyond len(o) are reached by name only.
    PyObject *n_fields = PyObject_GetAttrString((PyObject *)type, "n_fields");
    Py_ssize_t n = n_fields == NULL ? -1 : PyLong_AsSsize_t(n_fields);
    Py_XDECREF(n_fields);
    if (n < 0 || PyTuple_GET_SIZE(fields) > n) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_TypeError, "too many fields for %.200s", type->tp_name);
        }
        Py_DECREF(o);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        bool given = i < PyTuple_GET_SIZE(fields);
        PyStructSequence_SetItem(
            o, i, Py_NewRef(given ? PyTuple_GET_ITEM(fields, i) : Py_None));
    }
    return o;
}

/* Subclasses of tuple: C's __new__ of tuple, or that of a static type in C. */
static PyObject *
effect_make_struct(PyTypeObject *type, const int32_t *items, int32_t count,
                   PyObject *const *regs)
{
    assert(PyType_IsSubtype(type, &PyTuple_Type));
    PyObject *fields = effect_make_tuple(items, count, regs);
    if (fields == NULL) {
        return NULL;
    }
    PyObject *o = NULL;
    if (type->tp_new == mp_effect_c.struct_new) {
        o = effect_make_struct_sequence(type, fields);
    }
    else {
        // A C type like torch.Size has a __new__ of its own, in C, too.
        bool is_python = type->tp_flags & Py_TPFLAGS_HEAPTYPE;
        newfunc make = is_python ? PyTuple_Type.tp_new : type->tp_new;
        PyObject *args = PyTuple_Pack(1, fields);
        o = args == NULL ? NULL : make(type, args, NULL);
        Py_XDECREF(args);
        if (o == NULL && !is_python && PyErr_ExceptionMatches(PyExc_TypeError)) {
            mp_err_drop();  // it takes them one by one, like what isocalendar() makes
            o = make(type, fields, NULL);
        }
    }
    Py_DECREF(fields);
    return o;
}

/* What the interpreter takes for granted about a function's parts. */
static bool
effect_function_parts_fit(PyObject *code, PyObject *const *at)
{
    PyObject *closure = at[MP_FN_CLOSURE], *dict = at[MP_FN_DICT];
    Py_ssize_t n_free = PyCode_GetNumFree((PyCodeObject *)code);
    if (!PyDict_Check(at[MP_FN_GLOBALS]) || !PyUnicode_Check(at[MP_FN_NAME])
        || !PyUnicode_Check(at[MP_FN_QUALNAME])
        || (dict != NULL && !PyDict_Check(dict))) {
        return false;
    }
    if (closure == NULL) {
        return n_free == 0;
    }
    if (!PyTuple_CheckExact(closure) || PyTuple_GET_SIZE(closure) != n_free) {
        return false;
    }
    for (Py_ssize_t i = 0; i < n_free; i++) {
        if (!PyCell_Check(PyTuple_GET_ITEM(closure, i))) {
            return false;
        }
    }
    return true;
}

/* A function of this code with these parts (MP_FN_...), as MAKE_FUNCTION makes it. */
static PyObject *
effect_make_function(PyObject *code, const int32_t *items, PyObject *const *regs)
{
    assert(PyCode_Check(code));
    PyObject *at[MP_FN_COUNT];  // borrowed from regs
    for (int i = 0; i < MP_FN_COUNT; i++) {
        at[i] = mp_effect_reg_borrow(regs, items[i]);
    }
    if (!effect_function_parts_fit(code, at)) {
        PyErr_SetString(PyExc_SystemError, "function parts do not fit");
        return NULL;
    }
    PyObject *o =
        PyFunction_NewWithQualName(code, at[MP_FN_GLOBALS], at[MP_FN_QUALNAME]);
    if (o == NULL) {
        return NULL;
    }
    if ((at[MP_FN_DEFAULTS] && PyFunction_SetDefaults(o, at[MP_FN_DEFAULTS]) < 0)
        || (at[MP_FN_KWDEFAULTS]
            && PyFunction_SetKwDefaults(o, at[MP_FN_KWDEFAULTS]) < 0)
        || (at[MP_FN_CLOSURE] && PyFunction_SetClosure(o, at[MP_FN_CLOSURE]) < 0)) {
        Py_DECREF(o);
        return NULL;
    }
    // No C API sets these; annotations may still be the compiler's tuple.
    PyFunctionObject *f = (PyFunctionObject *)o;
    Py_XSETREF(f->func_name, Py_NewRef(at[MP_FN_NAME]));
    Py_XSETREF(f->func_dict, Py_XNewRef(at[MP_FN_DICT]));
    Py_XSETREF(f->func_annotations, Py_XNewRef(at[MP_FN_ANNOTATIONS]));
    mp_func_annotate_set(o, at[MP_FN_ANNOTATE]);
    if (at[MP_FN_DOC] != NULL) {
        Py_XSETREF(f->func_doc, Py_NewRef(at[MP_FN_DOC]));
    }
    if (at[MP_FN_MODULE] != NULL) {
        Py_XSETREF(f->func_module, Py_NewRef(at[MP_FN_MODULE]));
    }
    return o;
}

/* A dict subclass: made empty by dict's tp_new, then its factory, then its content. */
static PyObject *
effect_make_dict_like(const mp_effect *op, const int32_t *pairs, PyObject *const *regs)
{
    assert(PyType_IsSubtype((PyTypeObject *)op->obj, &PyDict_Type));
    PyTypeObject *type = (PyTypeObject *)op->obj;
    PyObject *factory = mp_effect_reg_borrow(regs, op->a);
    PyObject *o = PyDict_Type.tp_new(type, mp_effect_c.no_args, NULL);
    if (o == NULL) {
        return NULL;
    }
    if (factory != NULL && PyType_IsSubtype(type, mp_effect_c.defaultdict)) {
        PyObject *args = PyTuple_Pack(1, factory);
        int rc = args == NULL ? -1 : mp_effect_c.defaultdict->tp_init(o, args, NULL);
        Py_XDECREF(args);
        if (rc < 0) {
            Py_DECREF(o);
            return NULL;
        }
    }
    if (effect_update(o, pairs, op->count, regs) < 0) {
        Py_CLEAR(o);
    }
    return o;
}

/* A list, set, frozenset or deque subclass, in the same way. */
static PyObject *
effect_make_list_like(const mp_effect *op, const int32_t *items, PyObject *const *regs)
{
    assert(PyType_Check(op->obj));
    PyTypeObject *type = (PyTypeObject *)op->obj;
    PyObject *maxlen = mp_effect_reg_borrow(regs, op->a);
    PyTypeObject *base = mp_effect_c.deque;  // borrowed
    if (PyType_IsSubtype(type, &PyList_Type)) {
        base = &PyList_Type;
    }
    else if (PyType_IsSubtype(type, &PySet_Type)) {
        base = &PySet_Type;
    }
    else if (PyType_IsSubtype(type, &PyFrozenSet_Type)) {
        base = &PyFrozenSet_Type;
    }
    PyObject *o = base->tp_new(type, mp_effect_c.no_args, NULL);
    if (o == NULL) {
        return NULL;
    }
    if (maxlen != NULL && base == mp_effect_c.deque) {
        PyObject *args = Py_BuildValue("(()O)", maxlen);
        int rc = args == NULL ? -1 : mp_effect_c.deque->tp_init(o, args, NULL);
        Py_XDECREF(args);
        if (rc < 0) {
            Py_DECREF(o);
            return NULL;
        }
    }
    if (mp_effect_extend(o, items, op->count, regs) < 0) {
        Py_CLEAR(o);
    }
    return o;
}

/* tp_new takes partials of partials apart; what was recorded is set as it is. */
static PyObject *
effect_make_partial(PyTypeObject *type, const int32_t *items, PyObject *const *regs)
{
    assert(PyType_IsSubtype(type, mp_effect_c.partial));
    PyObject *args = PyTuple_Pack(1, (PyObject *)&PyType_Type);  // any callable
    PyObject *state = PyTuple_Pack(4, regs[items[0]], regs[items[1]], regs[items[2]],
                                   Py_None);  // no attributes yet
    PyObject *o = args == NULL || state == NULL
                      ? NULL
                      : mp_effect_c.partial->tp_new(type, args, NULL);
    if (o != NULL) {
        PyObject *both[2] = {o, state};
        PyObject *none = PyObject_Vectorcall(mp_effect_c.partial_set, both, 2, NULL);
        if (none == NULL) {
            Py_CLEAR(o);
        }
        Py_XDECREF(none);
    }
    Py_XDECREF(args);
    Py_XDECREF(state);
    return o;
}

/* An instance of a str, int, ... subclass with this value. */
static PyObject *
effect_make_scalar(PyTypeObject *type, PyObject *value)
{
    PyTypeObject *base = effect_scalar_base(type);
    if (base == NULL || !Py_IS_TYPE(value, base)) {
        PyErr_Format(PyExc_SystemError, "%.200s does not extend %.200s", type->tp_name,
                     Py_TYPE(value)->tp_name);
        return NULL;
    }
    PyObject *args = PyTuple_Pack(1, value);
    PyObject *o = args == NULL ? NULL : base->tp_new(type, args, NULL);
    Py_XDECREF(args);
    return o;
}

/* An exception that was never raised. */
static PyObject *
effect_make_exception(PyTypeObject *type, PyObject *args)
{
    assert(PyType_IsSubtype(type, (PyTypeObject *)PyExc_BaseException));
    if (!PyTuple_CheckExact(args)) {
        PyErr_SetString(PyExc_SystemError, "args of an exception are no tuple");
        return NULL;
    }
    return ((PyTypeObject *)PyExc_BaseException)->tp_new(type, args, NULL);
}

/* The method `op->obj` of a C type, bound to self. */
static PyObject *
effect_make_bound(const mp_effect *op, PyObject *self)
{
    if (!PyObject_TypeCheck(self, PyDescr_TYPE(op->obj))) {
        mp_effect_wrong_target(op, self);
        return NULL;
    }
    return Py_TYPE(op->obj)->tp_descr_get(op->obj, self, (PyObject *)Py_TYPE(self));
}

/* An instance without attributes: no __new__ and no __init__ of its class runs. */
static PyObject *
effect_make_instance(PyTypeObject *type)
{
    PyTypeObject *base = PyType_IsSubtype(type, mp_effect_c.namespace)
                             ? mp_effect_c.namespace
                             : &PyBaseObject_Type;
    return base->tp_new(type, mp_effect_c.no_args, NULL);
}

/* A token that has set its variable back: the variable is as it was. */
static PyObject *
effect_make_used_token(PyObject *var)
{
    PyObject *token = PyContextVar_Set(var, Py_None);
    if (token != NULL && PyContextVar_Reset(var, token) < 0) {
        Py_CLEAR(token);
    }
    return token;
}

/* What torch's method answers: the handle, or None. */
static PyObject *
effect_set_hook(const mp_effect *op, const int32_t *items, PyObject *const *regs)
{
    PyObject *args[2] = {regs[items[0]], op->count < 2 ? NULL : regs[items[1]]};
    return PyObject_Vectorcall(op->obj, args, (size_t)op->count, NULL);
}

/* Make the object of a builder, or the new content of an assignment: new reference. */
PyObject *
mp_effect_build(const mp_effect *op, const int32_t *items, PyObject *const *regs)
{
    assert(mp_effect_c.ready);
    PyTypeObject *type = (PyTypeObject *)op->obj;  // of the rows that have one
    switch (op->kind) {
    case MP_E_CONST:
        return Py_NewRef(op->obj);
    case MP_E_ARRAY:
        return mp_array_copy(op->obj);
    case MP_E_ARRAY_VIEW:
        return mp_array_view_make(regs[op->a], op->obj);
    case MP_E_TUPLE:
        return effect_make_tuple(items, op->count, regs);
    case MP_E_STRUCT:
        return effect_make_struct(type, items, op->count, regs);
    case MP_E_LIST:
    case MP_E_LIST_ASSIGN:
        return effect_make_list(items, op->count, regs);
    case MP_E_DICT:
    case MP_E_DICT_ASSIGN:
        return effect_make_dict(items, op->count, regs);
    case MP_E_SET_CHANGE:
        return mp_effect_set_members(regs[op->a], op->obj);
    case MP_E_SET_ASSIGN:
    case MP_E_SET:
        return mp_effect_make_set(PySet_New(NULL), op->obj, items, op->count, regs);
    case MP_E_FROZENSET:
        return mp_effect_make_set(PyFrozenSet_New(NULL), op->obj, items, op->count,
                                  regs);
    case MP_E_SLICE:
        return PySlice_New(regs[items[0]], regs[items[1]], regs[items[2]]);
    case MP_E_CELL:
        return PyCell_New(mp_effect_reg_borrow(regs, op->a));
    case MP_E_METHOD:
        return PyMethod_New(regs[op->a], regs[op->b]);
    case MP_E_WEAKREF:
        return PyWeakref_NewRef(regs[op->a], NULL);
    case MP_E_FUNCTION:
        return effect_make_function(op->obj, items, regs);
    case MP_E_INSTANCE:
        return effect_make_instance(type);
    case MP_E_BOUND:
        return effect_make_bound(op, regs[op->a]);
    case MP_E_ITERATOR:
        return mp_effect_make_iterator(type, items, op->count, regs);
    case MP_E_ITER_CALL:
        return mp_effect_call_iterator(type, items, op->count, regs);
    case MP_E_PARTIAL:
        return effect_make_partial(type, items, regs);
    case MP_E_EXCEPTION:
        return effect_make_exception(type, regs[op->a]);
    case MP_E_SCALAR:
        return effect_make_scalar(type, regs[op->a]);
    case MP_E_BYTEARRAY:
        return PyByteArray_FromObject(regs[op->a]);
    case MP_E_PROXY:
        return PyDictProxy_New(regs[op->a]);
    case MP_E_CONTEXT_SET:
        return PyContextVar_Set(op->obj, regs[op->a]);
    case MP_E_TOKEN:
        return effect_make_used_token(op->obj);
    case MP_E_GRAD_FN:
        return PyObject_GetAttrString(regs[op->a], "grad_fn");
    case MP_E_HOOK:
        return effect_set_hook(op, items, regs);
    case MP_E_DICT_LIKE:
        return effect_make_dict_like(op, items, regs);
    case MP_E_LIST_LIKE:
        return effect_make_list_like(op, items, regs);
    default:
        PyErr_Format(PyExc_SystemError, "replay op %d builds nothing", (int)op->kind);
        return NULL;
    }
}

static void
effect_take_back_one(const mp_effect *op, PyObject *made)
{
    if (op->kind == MP_E_CONTEXT_SET) {
        (void)PyContextVar_Reset(op->obj, made);
    }
    else if (op->kind == MP_E_HOOK && made != Py_None) {
        Py_XDECREF(PyObject_CallMethod(made, "remove", NULL));
    }
    mp_err_drop();  // no memory for that either
}

void
mp_effect_take_back(const mp_replay *p, PyObject **regs)
{
    PyObject *exc = mp_err_take();
    for (int32_t i = p->n_commit; i-- > 0;) {
        const mp_effect *op = &p->ops[i];
        if (op->dst >= 0 && regs[op->dst] != NULL) {
            effect_take_back_one(op, regs[op->dst]);
        }
    }
    mp_err_restore_steal(exc);
}

/* -- Filling ----------------------------------------------------------------------- */

/* TypeError: the object in the register cannot take this operation.  Always -1. */
int
mp_effect_wrong_target(const mp_effect *op, PyObject *o)
{
    PyErr_Format(PyExc_TypeError, "cannot replay '%s' on an object of type %.200s",
                 mp_effect_name(op->kind), Py_TYPE(o)->tp_name);
    return -1;
}

/* Where an object has the member that a descriptor of __slots__ names; NULL: it has no
 * such member. */
PyObject **
mp_effect_slot(const mp_effect *op, PyObject *o)
{
    assert(Py_IS_TYPE(op->obj, &PyMemberDescr_Type));
    PyMemberDescrObject *descr = (PyMemberDescrObject *)op->obj;
    if (!PyObject_TypeCheck(o, PyDescr_TYPE(descr))) {
        return NULL;
    }
    return (PyObject **)((char *)o + descr->d_member->offset);
}

static int
effect_no_dict(PyObject *o)
{
    PyErr_Format(PyExc_TypeError, "%.200s object has no __dict__", Py_TYPE(o)->tp_name);
    return -1;
}

/* An attribute of a new instance, past any __setattr__ and data descriptor of its class. */
static int
effect_fill_attr(PyObject *o, PyObject *name, PyObject *value)
{
    assert(PyUnicode_CheckExact(name) && value != NULL);
    PyObject *found = mp_type_lookup_borrow(Py_TYPE(o), name);
    // With no data descriptor in the way this is a plain store, and it keeps the
    // compact form that the attributes of a new instance have.
    if (found == NULL || Py_TYPE(found)->tp_descr_set == NULL) {
        return PyObject_GenericSetAttr(o, name, value);
    }
    PyObject *dict = mp_instance_dict_make_borrow(o);
    if (dict == NULL) {
        return PyErr_Occurred() ? -1 : effect_no_dict(o);
    }
    return PyDict_SetItem(dict, name, value);
}

/* count == 0: the instance has a __dict__, which is empty. */
static int
effect_fill_attrs(PyObject *o, const int32_t *pairs, int32_t count,
                  PyObject *const *regs)
{
    assert(count % 2 == 0);
    if (count == 0 && mp_instance_dict_make_borrow(o) == NULL) {
        return PyErr_Occurred() ? -1 : effect_no_dict(o);
    }
    for (int32_t i = 0; i < count; i += 2) {
        PyObject *name = regs[pairs[i]];
        if (!PyUnicode_CheckExact(name)) {
            PyErr_SetString(PyExc_SystemError, "attribute name is not a str");
            return -1;
        }
        if (effect_fill_attr(o, name, regs[pairs[i + 1]]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Put parts into an object that was made empty, because it may hold itself. */
int
mp_effect_fill(const mp_effect *op, const int32_t *items, PyObject *const *regs)
{
    assert(op->a >= 0);
    PyObject *a = regs[op->a];
    PyObject **slot = NULL;
    switch (op->kind) {
    case MP_E_FILL_LIST:
        if (!PyList_Check(a) && !PySet_Check(a)
            && !PyObject_TypeCheck(a, mp_effect_c.deque)) {
            return mp_effect_wrong_target(op, a);
        }
        return mp_effect_extend(a, items, op->count, regs);
    case MP_E_FILL_DICT:
        if (!PyDict_Check(a)) {
            return mp_effect_wrong_target(op, a);
        }
        return effect_update(a, items, op->count, regs);
    case MP_E_FILL_ATTRS:
        return effect_fill_attrs(a, items, op->count, regs);
    case MP_E_FILL_SLOT:
        slot = mp_effect_slot(op, a);
        break;
    default:  // MP_E_FILL_CELL
        slot = PyCell_Check(a) ? &((PyCellObject *)a)->ob_ref : NULL;
    }
    if (slot == NULL) {
        return mp_effect_wrong_target(op, a);
    }
    Py_XSETREF(*slot, Py_NewRef(regs[op->b]));
    return 0;
}
