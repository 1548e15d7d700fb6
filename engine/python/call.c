/* python/call.c - who is called, and what that means.
 *
 * mp_record_callee takes a callee apart - bound method, partial, staticmethod, instance
 * with __call__, compiled function - until it is one of: a tensor operation (logged), a
 * Python function (its frame is watched), a C function or type with a row
 * (objects/builtins.def), a class of the program.  Each part that the interpreter would
 * look at is guarded on the way.  Anything else is opaque: the recording cannot go
 * through it.
 *
 * The arguments are borrowed from the stack of the frame, or from an array of the
 * caller's.  No handler changes them; the interpreter makes the call itself. */
#include "python/python.h"

#include <string.h>
#include <structmember.h>

#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "objects/callables.h"
#include "objects/names.h"
#include "objects/operators.h"
#include "objects/own.h"
#include "objects/rows.h"
#include "read/read.h"

#define MAX_ARGS 255

/* The same call with `self` in front of the arguments. */
mp_rc
mp_call_with_self(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *self,
                  PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *all[MAX_ARGS + 1];
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (count > MAX_ARGS) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a call with %zd arguments", count);
    }
    all[0] = self;
    if (count > 0) {
        memcpy(all + 1, args, (size_t)count * sizeof(*all));
    }
    return mp_record_callee(T, s, callee, all, nargs + 1, kwnames);
}

/* What has_torch_function() reads: an attribute of the argument, or of its items. */
static mp_rc
ask_override(mp_trace *T, mp_shadow *s, PyObject *arg, int depth)
{
    bool holds = PyTuple_Check(arg) || PyList_Check(arg);
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0;
         rc == MP_OK && holds && depth == 0 && i < PySequence_Fast_GET_SIZE(arg); i++) {
        rc = ask_override(T, s, PySequence_Fast_GET_ITEM(arg, i), 1);
    }
    bool asked =
        mp_op_asks_object(arg) || (PyType_Check(arg) && !mp_tensor_is_any(arg));
    return rc == MP_OK && asked ? mp_record_getattr(T, s, arg, MP_NAME(TORCH_FUNCTION))
                                : rc;
}

/* An operation is about to run.  ASKS: a function that asks its arguments for
 * __torch_function__ reads that attribute of each of them. */
static mp_rc
begin_op(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, int flags)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (flags == MP_TORCH_HOOKS && mp_hook_takes(T, callee, args, nargs, kwnames)) {
        return mp_hook_begin(T, s, callee, args, nargs);
    }
    if (flags == MP_TORCH_NODE && count == 1 && mp_hook_find(T, args[0]) != NULL) {
        s->post = MP_POST_CONST;
        return MP_OK;
    }
    mp_rc rc = mp_op_begin(T, s, callee, args, nargs, kwnames, flags);
    uint8_t post = s->post;
    for (Py_ssize_t i = 0; flags == MP_TORCH_ASKS && rc == MP_OK && i < count; i++) {
        rc = ask_override(T, s, args[i], 0);  // (whose __getattr__ is watched)
    }
    s->post = post;
    return rc;
}

/* A Python function: an operation of torch's table as a whole, a disabled one, or code
 * to watch.  All arguments must be known before its frame begins. */
/* checkpoint(f, x, use_reentrant=False)? */
static bool
is_not_reentrant(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    bool found = false;
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        found = found
                || (mp_name_is(PyTuple_GET_ITEM(kwnames, i), "use_reentrant")
                    && args[nargs + i] == Py_False);
    }
    return found;
}

static mp_rc
call_function(mp_trace *T, mp_shadow *s, PyObject *func, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    assert(PyFunction_Check(func));
    int flags = mp_op_flags_of(func);
    if (flags == MP_TORCH_LATER_INLINE && mp_grad_is_enabled()) {
        // The function runs again in the backward pass; a graph of it does, too.
        return is_not_reentrant(args, nargs, kwnames)
                   ? mp_region_begin(T, s, func, args, nargs, kwnames)
                   : begin_op(T, s, func, args, nargs, kwnames, MP_TORCH_LATER);
    }
    flags = mp_apply_note_flags(T, flags, nargs > 0 ? args[0] : NULL);
    if (mp_is_known(func, MP_K_MARK_DIRTY) && nargs > 0
        && mp_apply_note_dirty(T, args[0], args + 1, nargs - 1) < 0) {
        return MP_ERR;
    }
    if (flags == MP_TORCH_APPLY) {
        return mp_apply_begin(T, s, func, args, nargs, kwnames);
    }
    if (flags == MP_TORCH_HIGHER) {
        return mp_region_begin(T, s, func, args, nargs, kwnames);
    }
    if (mp_op_is_whole(flags)) {
        return begin_op(T, s, func, args, nargs, kwnames, flags);
    }
    if (mp_is_disabled(func, args, nargs)) {
        Py_ssize_t all = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
        return mp_call_disabled(T, s, func, args, all);
    }
    if (mp_is_known(func, MP_K_DYNAMO_TAG)) {
        // TorchDynamo has put itself into nn.Module.__init__, to keep a book of modules that
        // nobody else looks into: a hit makes none, and writes nothing there.
        s->below = MP_BELOW_SKIP;
        s->post = MP_POST_CONST;
        return MP_OK;
    }
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    mp_rc rc = mp_check_search(T, func, args, nargs);
    for (Py_ssize_t i = 0; rc == MP_OK && i < count; i++) {
        rc = mp_pass(T, args[i]);
    }
    s->below = MP_BELOW_WATCH;
    s->passes = true;
    s->post = MP_POST_RESULT;
    rc = rc != MP_OK ? rc : mp_guard_function(T, func);
    return rc != MP_OK ? rc : mp_read_kwdefaults(T, func);
}

/* Is this a C constructor that only stores what it is given? */
bool
mp_is_storing_type(PyTypeObject *tp)
{
    return mp_does((PyObject *)tp, MP_TRAIT_STORES)
           || PyType_IsSubtype(tp, (PyTypeObject *)PyExc_BaseException);
}

/* Is it the __new__, __init__ or __setitem__ of a type that only stores? */
static bool
constructor_stores(PyObject *name, PyObject *attr)
{
    PyTypeObject *owner = Py_IS_TYPE(attr, &PyWrapperDescr_Type) ? PyDescr_TYPE(attr)
                          : mp_is_new(attr) ? (PyTypeObject *)PyCFunction_GET_SELF(attr)
                                            : NULL;
    return owner != NULL && mp_is_storing_type(owner)
           && mp_type_lookup_borrow(owner, name) == attr;
}

/* Python code of a constructor slot becomes known (*runs); C code must only store. */
static mp_rc
prepare_constructor(mp_trace *T, PyTypeObject *cls, PyObject *name, bool *runs)
{
    PyObject *attr = mp_type_lookup_borrow(cls, name);
    mp_rc rc = mp_guard_type_attr(T, cls, name, attr);
    if (rc != MP_OK || attr == NULL) {
        return rc;
    }
    if (Py_TYPE(attr) == &PyStaticMethod_Type) {
        PyObject *held = mp_descr_part_borrow(attr, 0);
        rc = held == NULL ? MP_OK : mp_load_part(T, attr, MP_F_STATIC_FUNC, held);
        attr = held;
    }
    if (attr != NULL && PyFunction_Check(attr)) {
        *runs = true;
        rc = rc != MP_OK ? rc : mp_load_const(T, attr);
        return rc != MP_OK ? rc : mp_guard_function(T, attr);
    }
    return rc != MP_OK ? rc
           : attr != NULL && constructor_stores(name, attr)
               ? MP_OK
               : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s.%U, which is a %s",
                                cls->tp_name, name,
                                attr == NULL ? "staticmethod" : mp_type_name(attr));
}

/* __new__ and __init__ of cls: Python code becomes known (*runs); C code must be one that
 * only stores its arguments, and instances must have no finalizer. */
static mp_rc
prepare_constructors(mp_trace *T, PyTypeObject *cls, bool *runs)
{
    if (!mp_is_storing_type(mp_c_base(cls))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "class %s", cls->tp_name);
    }
    if (mp_type_lookup_borrow(cls, MP_NAME(DEL)) != NULL) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an object with __del__: %s",
                              cls->tp_name);
    }
    mp_rc rc = prepare_constructor(T, cls, MP_NAME(NEW), runs);
    rc = rc != MP_OK ? rc : prepare_constructor(T, cls, MP_NAME(INIT), runs);
    if (rc == MP_OK && PyType_IsSubtype(cls, &PyODict_Type)) {
        // __init__ fills it with that
        rc = prepare_constructor(T, cls, MP_NAME(SETITEM), runs);
    }
    return rc;
}

/* A call of cls will run what these slots of it hold: __call__ of the metaclass, or else
 * its constructors. */
mp_rc
mp_prepare_class(mp_trace *T, PyTypeObject *cls, bool *runs)
{
    PyObject *call;
    mp_rc rc = mp_special(T, (PyObject *)cls, "__call__", &call);
    *runs = rc == MP_OK && call != NULL && PyFunction_Check(call);
    return rc != MP_OK || *runs ? rc : prepare_constructors(T, cls, runs);
}

/* Does the C code of a constructor look at what it is given, and not only pass it on? */
bool
mp_constructor_reads(PyTypeObject *cls)
{
    PyTypeObject *base = mp_c_base(cls), *plain = (PyTypeObject *)PyExc_BaseException;
    PyObject *init = mp_type_lookup_borrow(cls, MP_NAME(INIT));
    PyObject *make = mp_type_lookup_borrow(cls, MP_NAME(NEW));
    bool new_ignores = base->tp_new == PyBaseObject_Type.tp_new
                       || base->tp_new == plain->tp_new
                       || base->tp_new == PyType_GenericNew
                       || PyType_IsSubtype(base, &PyDict_Type) || base == &PySet_Type;
    bool init_ignores =
        base->tp_init == PyBaseObject_Type.tp_init || base->tp_init == plain->tp_init;
    return !(new_ignores || make != mp_type_lookup_borrow(base, MP_NAME(NEW)))
           || !(init_ignores || init != mp_type_lookup_borrow(base, MP_NAME(INIT)));
}

/* type.__call__ is about to make an instance of cls.  What its C constructor reads of the
 * arguments is guarded: nothing, or one level, or the items of an iterable.  Python code of
 * the constructor is watched.  The result is fresh (s->makes). */
mp_rc
mp_call_constructors(mp_trace *T, mp_shadow *s, PyTypeObject *cls,
                     PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    mp_rc rc = prepare_constructors(T, cls, &(bool){false});
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    bool reads = mp_constructor_reads(cls);
    bool takes_items =
        mp_c_base(cls)->tp_iter != NULL;  // list, set, ...: walks an argument
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = !reads        ? mp_pass(T, args[i])
             : takes_items ? mp_read_items(T, args[i])
                           : mp_read_all(T, args[i]);
        if (rc == MP_OK && takes_items) {
            rc = mp_prepare_instance(T, args[i]);
        }
    }
    if (rc == MP_OK && reads && PyType_IsSubtype(cls, &PyDict_Type)) {
        rc = mp_look_into(T, s, cls->tp_name, args, nargs);
    }
    if (rc == MP_OK && nargs == 1 && PyType_IsSubtype(cls, &PyUnicode_Type)
        && cls->tp_new == PyUnicode_Type.tp_new) {
        rc = mp_record_format(T, s, args[0]);
    }
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    s->makes = cls;
    return rc;
}

/* A class is called: its metaclass answers, if that has a __call__ in Python. */
static mp_rc
call_class(mp_trace *T, mp_shadow *s, PyTypeObject *cls, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *call;
    mp_rc rc = mp_special(T, (PyObject *)cls, "__call__", &call);
    if (rc != MP_OK) {
        return rc;
    }
    return Py_TYPE(cls) != &PyType_Type && call != NULL && PyFunction_Check(call)
               ? mp_call_with_self(T, s, call, (PyObject *)cls, args, nargs, kwnames)
               : mp_call_constructors(T, s, cls, args, nargs, kwnames);
}

/* func, args and keywords of a functools.partial, guarded: new references. */
mp_rc
mp_read_partial(mp_trace *T, PyObject *partial, mp_node *n, PyObject **parts)
{
    static const char *const names[] = {"func", "args", "keywords"};
    static const int fields[] = {MP_F_PARTIAL_FUNC, MP_F_PARTIAL_ARGS, MP_F_PARTIAL_KW};
    mp_rc rc = MP_OK;
    for (int i = 0; i < 3 && rc == MP_OK; i++) {
        parts[i] = PyObject_GetAttrString(partial, names[i]);
        if (parts[i] == NULL) {
            rc = MP_ERR;
        }
        else if (n->reg >= 0) {
            rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, fields[i], parts[i]);
        }
        else {
            rc = mp_result(T, parts[i]);
        }
        if (rc == MP_OK && i > 0) {
            rc = mp_read_all(T, parts[i]);
        }
    }
    return rc;
}

/* Which of the keywords it is; -1: none. */
static Py_ssize_t
keyword_index(PyObject *kwnames, PyObject *key)
{
    assert(kwnames == NULL || PyTuple_Check(kwnames));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (name == key
            || (PyUnicode_Check(key) && PyUnicode_Compare(name, key) == 0)) {
            return i;
        }
    }
    return -1;
}

/* functools.partial: the function with the stored arguments in front. */
static mp_rc
call_partial(mp_trace *T, mp_shadow *s, PyObject *partial, mp_node *n,
             PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *parts[3] = {NULL, NULL, NULL}, *all[MAX_ARGS], *kw = NULL;  // owned
    mp_rc rc = mp_read_partial(T, partial, n, parts);
    for (int i = 1; i < 3 && rc == MP_OK; i++) {
        rc = mp_box_in_place(T, parts[i]);
    }
    if (rc == MP_OK) {
        Py_ssize_t stored = PyTuple_GET_SIZE(parts[1]), given = nargs;
        Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames), total = 0;
        PyObject *key, *value;
        Py_ssize_t pos = 0;
        if (stored + given + nkw + PyDict_GET_SIZE(parts[2]) > MAX_ARGS) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a call with too many arguments");
            goto done;
        }
        PyObject *list = PyList_New(0);
        for (Py_ssize_t i = 0; i < stored; i++) {
            all[total++] = PyTuple_GET_ITEM(parts[1], i);
        }
        for (Py_ssize_t i = 0; i < given; i++) {
            all[total++] = args[i];
        }
        // In the order of the dict that partial makes: what the caller gives again stands
        // where it was stored.
        while (list != NULL && PyDict_Next(parts[2], &pos, &key, &value)) {
            Py_ssize_t again = kwnames == NULL ? -1 : keyword_index(kwnames, key);
            all[total++] = again < 0 ? value : args[given + again];
            if (PyList_Append(list, key) < 0) {
                Py_CLEAR(list);
            }
        }
        for (Py_ssize_t i = 0; i < nkw && list != NULL; i++) {
            if (PyDict_Contains(parts[2], PyTuple_GET_ITEM(kwnames, i)) == 1) {
                continue;
            }
            all[total++] = args[given + i];
            if (PyList_Append(list, PyTuple_GET_ITEM(kwnames, i)) < 0) {
                Py_CLEAR(list);
            }
        }
        kw = list == NULL ? NULL : PyList_AsTuple(list);
        Py_XDECREF(list);
        rc = kw == NULL ? MP_ERR
                        : mp_record_callee(T, s, parts[0], all, stored + given, kw);
    }
done:
    Py_XDECREF(kw);
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(parts[i]);
    }
    return rc;
}

/* module.qualname for a message: new reference. */
static PyObject *
callee_text(PyObject *callee)
{
    PyObject *name = PyObject_GetAttrString(callee, "__qualname__");
    if (name == NULL || !PyUnicode_Check(name)) {
        mp_err_drop();  // no usable name: the type's name describes it
        Py_XDECREF(name);
        return PyUnicode_FromString(mp_type_name(callee));
    }
    PyObject *module = PyObject_GetAttrString(callee, "__module__");
    if (module == NULL) {
        mp_err_drop();  // a missing module only shortens the text
    }
    else if (PyUnicode_Check(module)) {
        Py_SETREF(name, PyUnicode_FromFormat("%U.%U", module, name));
    }
    Py_XDECREF(module);
    return name;
}

static mp_rc
call_opaque(mp_trace *T, PyObject *callee)
{
    bool is_c =
        !(Py_TYPE(callee)->tp_flags & Py_TPFLAGS_HEAPTYPE) || PyType_Check(callee);
    PyObject *text =
        is_c ? callee_text(callee) : PyUnicode_FromString(mp_type_name(callee));
    if (text == NULL) {
        return MP_ERR;
    }
    mp_rc rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%U", text);
    Py_DECREF(text);
    return rc;
}

/* torch.ops..., a scripted function. */
static mp_rc
call_operator(mp_trace *T, mp_shadow *s, PyObject *op, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    int flags = mp_op_flags_of(op);
    if (flags != 0) {
        return begin_op(T, s, op, args, nargs, kwnames, flags);
    }
    PyObject *name = mp_op_target_name(op);
    if (name == NULL) {
        return MP_ERR;
    }
    mp_rc rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "operator %S", name);
    Py_DECREF(name);
    return rc;
}

/* The descriptor from which a bound C method came, found by its PyMethodDef: NULL if no
 * class of self's MRO has it. */
PyObject *
mp_bound_descr_borrow(PyObject *bound)
{
    if (mp_is_method_wrapper(bound)) {
        return mp_descr_part_borrow(bound, 0);
    }
    PyMethodDef *def = ((PyCFunctionObject *)bound)->m_ml;
    PyObject *self = PyCFunction_GET_SELF(bound);
    PyObject *mro = self == NULL ? NULL : Py_TYPE(self)->tp_mro;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyObject *dict = mp_type_dict_borrow((PyTypeObject *)PyTuple_GET_ITEM(mro, i));
        PyObject *found = dict == NULL ? NULL : mp_dict_text_borrow(dict, def->ml_name);
        if (found != NULL && Py_IS_TYPE(found, &PyMethodDescr_Type)
            && ((PyMethodDescrObject *)found)->d_method == def) {
            return found;
        }
    }
    return NULL;
}

/* MyFunction.apply of torch 2.14, a C function that is bound to the class. */
static mp_rc
call_apply(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject **all = PyMem_New(PyObject *, (size_t)count + 1);
    if (all == NULL) {
        PyErr_NoMemory();
        return MP_ERR;
    }
    all[0] = PyCFunction_GET_SELF(callee);
    memcpy(all + 1, args, (size_t)count * sizeof(*all));
    mp_rc rc = mp_apply_begin(T, s, callee, all, nargs + 1, kwnames);
    PyMem_Free(all);
    return rc;
}

/* A C function, with its self in front if it is bound. */
static mp_rc
call_c_function(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames)
{
    bool found;
    PyObject *self = PyCFunction_Check(callee) ? PyCFunction_GET_SELF(callee) : NULL;
    int flags = mp_op_flags_of(callee);
    if (self != NULL && !PyModule_Check(self) && !PyType_Check(self)) {
        // A bound method: act on the method of the type that it came from.
        PyObject *descr = mp_bound_descr_borrow(callee);
        if (descr == NULL) {
            // pybind11's functions are bound to a record of their own.
            return flags != 0 ? begin_op(T, s, callee, args, nargs, kwnames, flags)
                              : call_opaque(T, callee);
        }
        mp_node *n = mp_refgraph_find(&T->graph, callee);
        mp_rc rc = mp_load_const(T, descr);
        if (rc == MP_OK && n != NULL && n->reg >= 0) {
            rc = mp_load_const(T, self);  // the pinned callee holds it
        }
        return rc != MP_OK ? rc
                           : mp_call_with_self(T, s, descr, self, args, nargs, kwnames);
    }
    if (flags == MP_TORCH_APPLY && self != NULL && PyType_Check(self)) {
        return call_apply(T, s, callee, args, nargs, kwnames);
    }
    if (flags != 0) {
        return begin_op(T, s, callee, args, nargs, kwnames, flags);
    }
    mp_call c = mp_call_make(callee, args, nargs, kwnames);
    mp_rc rc = mp_record_builtin(T, s, &c, &found);
    if (rc != MP_OK || found) {
        return rc;
    }
    if (mp_is_numpy_callable(callee)) {
        return mp_numpy_call(T, s, callee, args, c.count);
    }
    return call_opaque(T, callee);
}

/* A partial of a partial takes the inner one apart, unless that has attributes: which of
 * both would need guards on its state. */
static mp_rc
check_partial(mp_trace *T, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs)
{
    mp_val n;
    if (nargs < 1 || (PyObject *)mp_c_base(cls) != mp_known[MP_K_PARTIAL]
        || !mp_is_instance(args[0], MP_K_PARTIAL)) {
        return MP_OK;
    }
    mp_rc rc = mp_value(T, args[0], &n);
    return rc != MP_OK || !mp_val_has_source(n)
               ? rc
               : mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                                "a partial of an external partial");
}

/* A C callback runs unseen when the object dies; one in Python is seen by its frame. */
static mp_rc
check_weakref(mp_trace *T, PyObject *cls, PyObject *const *args, Py_ssize_t nargs)
{
    if (cls != (PyObject *)&_PyWeakref_RefType || nargs < 2 || args[1] == Py_None
        || PyFunction_Check(args[1])
        || (PyMethod_Check(args[1])
            && PyFunction_Check(PyMethod_GET_FUNCTION(args[1])))) {
        return MP_OK;
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a weak reference with a callback");
}

/* A class or a type in C: an operation (torch.Tensor), a row, numpy's, a type of
 * constants, or a class whose constructor is followed. */
static mp_rc
call_type(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames)
{
    bool found;
    if (callee == (PyObject *)&PyBool_Type && nargs == 1 && kwnames == NULL
        && mp_is_undecided(T, args[0]) && mp_branch_is_tested(s)) {
        return mp_branch_begin(T, s, args[0]);
    }
    int flags = mp_op_flags_of(callee);
    mp_rc rc = check_partial(T, (PyTypeObject *)callee, args, nargs);
    rc = rc != MP_OK ? rc : check_weakref(T, callee, args, nargs);
    if (rc != MP_OK) {
        return rc;
    }
    if (flags != 0) {
        return begin_op(T, s, callee, args, nargs, kwnames, flags);
    }
    mp_call c = mp_call_make(callee, args, nargs, kwnames);
    rc = mp_record_builtin(T, s, &c, &found);
    if (rc != MP_OK || found) {
        return rc;
    }
    if (mp_is_numpy_callable(callee)) {
        return mp_numpy_call(T, s, callee, args, c.count);
    }
    if (mp_is_constant_type((PyTypeObject *)callee)) {  // torch.device("cpu")
        bool has_tensor = false;
        s->below = MP_BELOW_SKIP;
        s->post = MP_POST_RESULT;
        for (Py_ssize_t i = 0; i < c.count && rc == MP_OK; i++) {
            rc = mp_read_deep(T, args[i], &has_tensor);
            rc = rc != MP_OK ? rc : mp_refuse_lazy(T, args[i]);
        }
        return rc;
    }
    return call_class(T, s, (PyTypeObject *)callee, args, nargs, kwnames);
}

/* What a wrapper from outside holds is loaded through its C member; that of a new
 * wrapper is a constant. */
mp_rc
mp_load_wrapped(mp_trace *T, mp_node *n, int field, PyObject *inner)
{
    return n != NULL && n->reg >= 0
               ? mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, field, inner)
               : mp_load_const(T, inner);
}

/* A Python function or any other callable, bound to an object. */
static mp_rc
call_method(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *func = PyMethod_GET_FUNCTION(callee), *self = PyMethod_GET_SELF(callee);
    mp_rc rc = mp_record_method_parts(T, callee);
    return rc != MP_OK ? rc : mp_call_with_self(T, s, func, self, args, nargs, kwnames);
}

/* The guard that fills the register. */
static const mp_guard *
load_of(const mp_guards *g, int32_t reg)
{
    assert(reg >= 0 && reg < g->n_regs);
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (g->ops[i].dst == reg) {
            return &g->ops[i];
        }
    }
    return NULL;
}

/* Does a path of strong references hold it from the call's begin on, of which the run has
 * written to no part? */
static bool
is_held(const mp_trace *T, const mp_node *n)
{
    while (n != NULL && n->reg >= 0 && n->kind == MP_NODE_EXTERNAL && !n->loose
           && !n->released) {
        const mp_guard *load = load_of(T->guards, n->reg);
        if (load == NULL
            || (load->kind == MP_G_LOAD_FIELD && load->n == MP_F_WEAKREF)) {
            return false;
        }
        if (load->kind == MP_G_LOAD_ARG || load->kind == MP_G_LOAD_CONST) {
            return true;
        }
        n = load->a < 0 || load->a >= T->graph.cap_by_reg ? NULL
                                                          : T->graph.by_reg[load->a];
    }
    return false;
}

/* A weak reference: its object.
 * R: what the run has taken from its place may be dead on a hit though it was not here, or
 * not be dead though it was: others may hold it or not, and no guard counts references. */
static mp_rc
call_weakref(mp_trace *T, mp_shadow *s, PyObject *ref, const mp_node *n)
{
    PyObject *target = mp_weakref_borrow(ref);
    const mp_node *t = mp_refgraph_find(&T->graph, target);
    bool ours =
        t != NULL && t->reg < 0;  // it dies by what the run does, and that alone
    if (T->lets_go && !ours && !is_held(T, t)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a weak reference after a write");
    }
    s->post = MP_POST_RESULT;
    if (n == NULL || n->reg < 0) {
        return MP_OK;
    }
    if (mp_is_identity(target) && t == NULL) {
        // The guard would keep alive what the reference does not.
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a weak reference to a %s",
                              mp_type_name(target));
    }
    return mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_WEAKREF, target);
}

/* An instance: its class's __call__. */
static mp_rc
call_instance(mp_trace *T, mp_shadow *s, PyObject *callee, mp_node *n,
              PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (mp_type_is(callee, MP_K_PARTIAL)) {
        return call_partial(T, s, callee, n, args, nargs, kwnames);
    }
    if (PyWeakref_CheckRef(callee)) {
        return call_weakref(T, s, callee, n);
    }
    PyObject *original = mp_compiled_original_borrow(callee);
    if (original != NULL) {
        // A compiled function that is called inside a recording runs its original.
        mp_rc rc = mp_load_wrapped(T, n, MP_F_COMPILED, original);
        return rc != MP_OK ? rc
                           : mp_record_callee(T, s, original, args, nargs, kwnames);
    }
    mp_call c = mp_call_make(callee, args, nargs, kwnames);
    if (mp_is_cached(callee)) {
        return mp_cached_begin(T, s, &c);
    }
    if ((mp_type_marks(callee) & MP_MARK_GETTER) && n != NULL) {
        return mp_call_getter(T, s, &c);
    }
    if (mp_type_marks(callee) & MP_MARK_JSON) {
        return mp_call_json(T, s, &c);
    }
    PyObject *call;
    mp_rc rc = mp_special_any(T, callee, "__call__", &call);
    if (rc != MP_OK) {
        return rc;
    }
    if (call != NULL && PyFunction_Check(call)) {
        return mp_call_with_self(T, s, call, callee, args, nargs, kwnames);
    }
    if (call != NULL && mp_compiled_original_borrow(call) != NULL) {
        rc = mp_load_const(T, call);
        return rc != MP_OK ? rc : mp_record_callee(T, s, call, args, nargs, kwnames);
    }
    if (call != NULL && mp_is_compiled_call(callee, call)) {
        PyObject *slot = mp_call_slot_borrow(callee, call);
        rc = n->reg < 0 ? MP_OK
                        : mp_load(T, MP_G_LOAD_SLOT, n->reg,
                                  mp_call_slot_member_borrow(call), 0, slot);
        return rc != MP_OK ? rc : mp_record_callee(T, s, slot, args, nargs, kwnames);
    }
    if (mp_is_numpy_callable(callee)) {
        return mp_numpy_call(T, s, callee, args, nargs);
    }
    // A row for the __call__ of a C type asks for what an exact instance does: a circle.
    bool around = call != NULL && mp_rule_of(call) == RULE_TYPE_CALL;
    return call == NULL || around || mp_c_base(Py_TYPE(callee)) == Py_TYPE(callee)
               ? call_opaque(T, callee)
               : mp_call_special(T, s, callee, call, args, nargs, kwnames);
}

PyObject *
mp_bound_self_borrow(PyObject *bound)
{
    return mp_is_method_wrapper(bound) ? mp_descr_part_borrow(bound, 1)
                                       : PyCFunction_GET_SELF(bound);
}

/* Unbound methods and slots of C types: self is the first argument. */
static bool
method_like(PyObject *callee)
{
    return Py_TYPE(callee) == &PyMethodDescr_Type
           || Py_TYPE(callee) == &PyWrapperDescr_Type
           || Py_TYPE(callee) == &PyClassMethodDescr_Type;
}

/* Will a call of it run a Python frame that is watched? Then the frame tells the
 * arguments. */
bool
mp_callee_is_watched(PyObject *callee)
{
    if (PyMethod_Check(callee)) {
        callee = PyMethod_GET_FUNCTION(callee);
    }
    if (!PyFunction_Check(callee) && !PyType_Check(callee)) {
        PyObject *call = mp_type_lookup_borrow(Py_TYPE(callee), MP_NAME(CALL));
        callee = call != NULL && PyFunction_Check(call) ? call : callee;
    }
    int flags = mp_op_flags_of(callee);
    return PyFunction_Check(callee) && !mp_op_is_whole(flags)
           && flags != MP_TORCH_LATER_INLINE;
}

/* A call is about to happen. kwnames: names of the last arguments, or NULL. */
mp_rc
mp_record_callee(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames)
{
    assert(callee != NULL && nargs >= 0);
    assert(kwnames == NULL || PyTuple_Check(kwnames));
    mp_val n;
    mp_rc rc = mp_value(T, callee, &n);
    if (rc != MP_OK) {
        return rc;
    }
    bool found;
    rc = mp_record_class_maker(T, s, callee, args, nargs, kwnames, &found);
    if (rc != MP_OK || found) {
        return rc;
    }
    if (PyFunction_Check(callee)) {
        return call_function(T, s, callee, args, nargs, kwnames);
    }
    if (PyMethod_Check(callee)) {
        return call_method(T, s, callee, args, nargs, kwnames);
    }
    if (PyType_Check(callee)) {
        return call_type(T, s, callee, args, nargs, kwnames);
    }
    if (PyCFunction_Check(callee) || method_like(callee)) {
        return call_c_function(T, s, callee, args, nargs, kwnames);
    }
    if (mp_is_method_wrapper(callee)) {
        PyObject *descr = mp_descr_part_borrow(callee, 0);
        PyObject *self = mp_descr_part_borrow(callee, 1);
        rc = mp_load_const(T, descr);
        if (rc == MP_OK && mp_val_has_source(n)) {
            rc = mp_load_const(T, self);
        }
        return rc != MP_OK ? rc
                           : mp_call_with_self(T, s, descr, self, args, nargs, kwnames);
    }
    if (mp_is_op_object(callee)) {
        return call_operator(T, s, callee, args, nargs, kwnames);
    }
    if (Py_TYPE(callee) == &PyStaticMethod_Type) {
        PyObject *inner = mp_descr_part_borrow(callee, 0);
        if (inner == NULL) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a staticmethod of nothing");
        }
        rc = mp_load_wrapped(T, n.node, MP_F_STATIC_FUNC, inner);
        return rc != MP_OK ? rc : mp_record_callee(T, s, inner, args, nargs, kwnames);
    }
    return call_instance(T, s, callee, n.node, args, nargs, kwnames);
}
