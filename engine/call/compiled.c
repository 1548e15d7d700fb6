/* call/compiled.c - CompiledFunction, the object that magpy.compile returns for a
 * function: construction, attributes, garbage collection.  How a call works:
 * call/dispatch.c.
 *
 * The object stands in for the wrapped callable.  It binds like it, and attributes are
 * read and written there, except for the few that the type defines.  Python code makes
 * copies (on_copy), because it knows the backend and its options.
 *
 * Ownership: entries hold what their guards and effects name, so the object is fully
 * visible to the garbage collector.  After tp_clear a finalizer may still call it: then
 * its vectorcall raises. */
#include "call/compiled.h"

#include <structmember.h>

#include "call/dispatch.h"
#include "call/dynamic.h"
#include "call/timing.h"
#include "objects/own.h"

static PyTypeObject *compiled_type;  // owned; NULL until mp_compiled_init

/* After tp_clear: the collector has taken the function away, a finalizer still calls.
 */
static PyObject *
compiled_call_dead(PyObject *self, PyObject *const *args, size_t nargsf,
                   PyObject *kwnames)
{
    PyErr_SetString(PyExc_ReferenceError, "the compiled function is being freed");
    return NULL;
}

static PyObject *
compiled_optional(PyObject *o)
{
    return o == NULL || o == Py_None ? NULL : Py_NewRef(o);
}

/* CompiledFunction(fn, *, compiler, ...): see src/magpy/_engine.pyi.  A compiled object
 * among `fn` is compiled anew. */
static PyObject *
compiled_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {
        "fn",          "compiler",         "on_event",     "on_abort", "fullgraph",
        "max_entries", "max_instructions", "segments",     "on_copy",  "wrapped",
        "judge",       "numbers",          "control_flow", NULL};
    PyObject *fn, *compiler = NULL, *on_event = NULL, *on_abort = NULL, *on_copy = NULL,
                  *wrapped = NULL, *judge = NULL;  // borrowed
    int fullgraph = 0, max_entries = 64, segments = 1, numbers = MP_DYNAMIC_AUTO,
        flow = -1;
    long long max_instructions = 50000000;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OOOpiLpOOOii:CompiledFunction",
                                     (char **)names, &fn, &compiler, &on_event,
                                     &on_abort, &fullgraph, &max_entries,
                                     &max_instructions, &segments, &on_copy, &wrapped,
                                     &judge, &numbers, &flow)) {
        return NULL;
    }
    if (max_entries < 1 || max_instructions < 1) {
        PyErr_SetString(PyExc_ValueError, "limits must be at least 1");
        return NULL;
    }
    if (numbers < MP_DYNAMIC_GIVEN || numbers > MP_DYNAMIC_ALWAYS) {
        PyErr_SetString(PyExc_ValueError, "numbers is an mp_dynamic_mode");
        return NULL;
    }
    if (fullgraph && (on_abort == NULL || !PyCallable_Check(on_abort))) {
        PyErr_SetString(PyExc_TypeError, "fullgraph needs on_abort");
        return NULL;
    }
    mp_CompiledObject *op = (mp_CompiledObject *)type->tp_alloc(type, 0);
    if (op == NULL) {
        return NULL;
    }
    mp_stats_init(&op->stats);
    op->vectorcall = mp_dispatch_call;
    op->wrapped = Py_NewRef(wrapped != NULL ? wrapped : fn);
    if (Py_IS_TYPE(fn, type)) {
        fn = ((mp_CompiledObject *)fn)->target.callable;
    }
    if (mp_target_init(&op->target, fn) < 0) {
        Py_DECREF(op);
        return NULL;
    }
    op->compiler = compiled_optional(compiler);
    op->on_event = compiled_optional(on_event);
    op->on_abort = fullgraph ? Py_NewRef(on_abort) : NULL;
    op->on_copy = compiled_optional(on_copy);
    op->judge = compiled_optional(judge);
    op->fullgraph = fullgraph;
    op->segments = segments && !fullgraph;
    op->max_entries = max_entries;
    op->marks.mode = (mp_dynamic_mode)numbers;
    op->max_instructions = max_instructions;
    op->flow = flow;
    return (PyObject *)op;
}

static int
compiled_traverse(PyObject *self, visitproc visit, void *arg)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(op->wrapped);
    Py_VISIT(op->compiler);
    Py_VISIT(op->on_event);
    Py_VISIT(op->on_abort);
    Py_VISIT(op->on_copy);
    Py_VISIT(op->verifier);
    Py_VISIT(op->judge);
    int rc = mp_target_visit(&op->target, visit, arg);
    rc = rc != 0 ? rc : mp_cache_visit(&op->cache, visit, arg);
    return rc != 0 ? rc : mp_points_visit(&op->points, visit, arg);
}

static int
compiled_clear(PyObject *self)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    op->vectorcall = compiled_call_dead;
    Py_CLEAR(op->wrapped);
    Py_CLEAR(op->compiler);
    Py_CLEAR(op->on_event);
    Py_CLEAR(op->on_abort);
    Py_CLEAR(op->on_copy);
    Py_CLEAR(op->verifier);
    Py_CLEAR(op->judge);
    mp_target_clear(&op->target);
    mp_cache_clear(&op->cache);
    mp_points_clear(&op->points);
    mp_dynamic_clear(op);
    return 0;
}

static void
compiled_dealloc(PyObject *self)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (op->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    compiled_clear(self);
    mp_stats_fini(&op->stats);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Bind like the wrapped callable does: a plain function becomes a method, what has a
 * binding of its own is bound by that and runs eager. */
static PyObject *
compiled_get(PyObject *self, PyObject *obj, PyObject *type)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    PyObject *wrapped = op->wrapped;
    if (wrapped == NULL || PyFunction_Check(wrapped)
        || Py_IS_TYPE(wrapped, compiled_type)) {
        bool binds =
            obj != NULL && obj != Py_None && op->target.kind == MP_TARGET_FUNCTION;
        return binds ? PyMethod_New(self, obj) : Py_NewRef(self);
    }
    descrgetfunc get = Py_TYPE(wrapped)->tp_descr_get;
    if (get == NULL || PyMethod_Check(wrapped)) {
        return Py_NewRef(self);
    }
    PyObject *bound = get(wrapped, obj, type);
    if (bound == wrapped) {
        Py_SETREF(bound, Py_NewRef(self));
    }
    return bound;
}

/* Functions of MagPy must be made known to TorchDynamo when it has been imported, but no
 * code of ours runs when it traces a call of a compiled function.  It does read __class__
 * of what it meets (`isinstance`), so that getter is the place.  R: the getter returns
 * the class, whatever becomes of this. */
static void
compiled_tell_dynamo(void)
{
    static bool told;
    PyObject *modules = PyImport_GetModuleDict();  // borrowed
    if (told || PyErr_Occurred()
        || mp_dict_text_borrow(modules, "torch._dynamo") == NULL) {
        return;
    }
    told = true;  // not again below
    PyObject *seal = PyImport_ImportModule("magpy.seal");
    PyObject *done =
        seal == NULL ? NULL : PyObject_CallMethod(seal, "tell_dynamo", NULL);
    told = done != Py_False;
    mp_err_drop();  // then it raises what it says of objects that it does not know
    Py_XDECREF(done);
    Py_XDECREF(seal);
}

/* Whatever is not found here is looked up on the wrapped callable. */
static PyObject *
compiled_getattro(PyObject *self, PyObject *name)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    if (PyUnicode_Check(name)
        && PyUnicode_CompareWithASCIIString(name, "__class__") == 0) {
        compiled_tell_dynamo();
    }
    PyObject *value = PyObject_GenericGetAttr(self, name);
    if (value != NULL || op->wrapped == NULL
        || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return value;
    }
    mp_err_drop();
    return PyObject_GetAttr(op->wrapped, name);
}

/* Attributes of the type are the object's own; any other is set on the wrapped callable. */
static int
compiled_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    PyObject *own =
        PyUnicode_Check(name) ? mp_type_lookup_borrow(Py_TYPE(self), name) : NULL;
    if (op->wrapped == NULL || (own != NULL && Py_TYPE(own)->tp_descr_set != NULL)) {
        return PyObject_GenericSetAttr(self, name, value);
    }
    return PyObject_SetAttr(op->wrapped, name, value);
}

/* Names that every type has for itself: here they are the wrapped callable's. */
static PyObject *
compiled_get_named(PyObject *self, void *name)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    if (op->wrapped == NULL) {
        PyErr_SetString(PyExc_AttributeError, (const char *)name);
        return NULL;
    }
    // Interned: the caches of types keep every text that they were asked for.
    PyObject *key = PyUnicode_InternFromString((const char *)name);
    PyObject *value = key == NULL ? NULL : PyObject_GetAttr(op->wrapped, key);
    Py_XDECREF(key);
    return value;
}

/* What is written there is written to the callable's own; this one is ours. */
static PyObject *
compiled_get_wrapped(PyObject *self, void *name)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    if (op->wrapped == NULL) {
        PyErr_SetString(PyExc_AttributeError, (const char *)name);
        return NULL;
    }
    return Py_NewRef(op->wrapped);
}

static int
compiled_set_named(PyObject *self, PyObject *value, void *name)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    if (op->wrapped == NULL) {
        PyErr_SetString(PyExc_AttributeError, (const char *)name);
        return -1;
    }
    PyObject *key = PyUnicode_InternFromString((const char *)name);
    int rc = key == NULL ? -1 : PyObject_SetAttr(op->wrapped, key, value);
    Py_XDECREF(key);
    return rc;
}

static PyObject *
compiled_repr(PyObject *self)
{
    PyObject *name = compiled_get_named(self, (void *)"__qualname__");
    if (name == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return NULL;
        }
        mp_err_drop();
        name = PyUnicode_FromString("callable");
    }
    if (name == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<compiled %S at %p>", name, self);
    Py_DECREF(name);
    return text;
}

/* The number of recordings with a graph. */
static Py_ssize_t
compiled_graphs(const mp_cache *cache)
{
    Py_ssize_t n = 0;
    for (int32_t i = 0; i < cache->n; i++) {
        n += cache->at[i]->plan->graph != NULL;
    }
    return n;
}

/* stats(): the counters, with the graphs of all places. */
static PyObject *
compiled_stats(PyObject *self, PyObject *ignored)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    Py_ssize_t n_graphs = compiled_graphs(&op->cache);
    for (int32_t i = 0; i < op->points.n; i++) {
        n_graphs += compiled_graphs(&op->points.at[i]->cache);
    }
    return mp_stats_describe(&op->stats, n_graphs);
}

/* Entries of a place where calls go on: new list. */
static PyObject *
compiled_entries_at(mp_resume_point *point)
{
    PyObject *place = mp_points_place(point);
    PyObject *list = place == NULL ? NULL : mp_cache_describe(&point->cache);
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        if (PyDict_SetItemString(PyList_GET_ITEM(list, i), "resumes", place) < 0) {
            Py_CLEAR(list);
        }
    }
    Py_XDECREF(place);
    return list;
}

/* entries(): what was recorded, for the begin of a call and for all places after its
 * breaks. */
static PyObject *
compiled_entries(PyObject *self, PyObject *ignored)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    PyObject *list = mp_cache_describe(&op->cache);
    for (int32_t i = 0; list != NULL && i < op->points.n; i++) {
        PyObject *more = compiled_entries_at(op->points.at[i]);
        if (more == NULL
            || PyList_SetSlice(list, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, more) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(more);
    }
    return list;
}

/* reset(): forget everything.  A call that is in progress keeps the entry that it runs. */
static PyObject *
compiled_reset(PyObject *self, PyObject *ignored)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    mp_stats_fini(&op->stats);
    mp_stats_init(&op->stats);
    mp_cache_clear(&op->cache);
    mp_points_clear(&op->points);
    mp_dynamic_clear(op);
    Py_RETURN_NONE;
}

/* set_verify(every, verifier): verify mode for this object (call/verifier.h). */
static PyObject *
compiled_set_verify(PyObject *self, PyObject *args)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    PyObject *verifier = NULL;  // borrowed
    int every;
    if (!PyArg_ParseTuple(args, "i|O:set_verify", &every, &verifier)) {
        return NULL;
    }
    if (every < 0) {
        PyErr_SetString(PyExc_ValueError, "every must be at least 0");
        return NULL;
    }
    op->verify_every = op->verify_left = every;
    Py_XSETREF(op->verifier, compiled_optional(verifier));
    Py_RETURN_NONE;
}

/* on_copy(self, how, memo), or without one as functions do: themselves, and by name. */
static PyObject *
compiled_make_copy(PyObject *self, const char *how, PyObject *memo)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    if (op->on_copy == NULL) {
        return Py_NewRef(self);
    }
    PyObject *on_copy = Py_NewRef(op->on_copy);
    PyObject *copy = PyObject_CallFunction(on_copy, "OsO", self, how, memo);
    Py_DECREF(on_copy);
    return copy;
}

static PyObject *
compiled_copy(PyObject *self, PyObject *ignored)
{
    return compiled_make_copy(self, "copy", Py_None);
}

static PyObject *
compiled_deepcopy(PyObject *self, PyObject *memo)
{
    return compiled_make_copy(self, "deepcopy", memo);
}

/* Pickles: on_copy decides; without it, as functions do, by qualified name. */
static PyObject *
compiled_reduce(PyObject *self, PyObject *ignored)
{
    if (((mp_CompiledObject *)self)->on_copy == NULL) {
        return compiled_get_named(self, (void *)"__qualname__");
    }
    return compiled_make_copy(self, "pickle", Py_None);
}

/* search_seconds(n, args, kwargs): see call/timing.h. */
static PyObject *
compiled_search_seconds(PyObject *self, PyObject *args)
{
    return mp_timing_search((mp_CompiledObject *)self, args);
}

static PyMethodDef compiled_methods[] = {
    {"stats", compiled_stats, METH_NOARGS, "Counters, as a dict."},
    {"entries", compiled_entries, METH_NOARGS, "What was recorded, a dict per entry."},
    {"reset", compiled_reset, METH_NOARGS, "Forget all entries and counters."},
    {"set_verify", compiled_set_verify, METH_VARARGS,
     "set_verify(every, verifier=None): verify every so many hits, 0 for none."},
    {"search_seconds", compiled_search_seconds, METH_VARARGS,
     "search_seconds(n, args, kwargs): seconds to bind, check guards, gather inputs."},
    {"__copy__", compiled_copy, METH_NOARGS, NULL},
    {"__deepcopy__", compiled_deepcopy, METH_O, NULL},
    {"__reduce__", compiled_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef compiled_members[] = {
    {"disabled", T_BOOL, offsetof(mp_CompiledObject, disabled), 0, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(mp_CompiledObject, vectorcall),
     READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(mp_CompiledObject, weakrefs), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef compiled_getset[] = {
    {"__name__", compiled_get_named, compiled_set_named, NULL, (void *)"__name__"},
    {"__qualname__", compiled_get_named, compiled_set_named, NULL,
     (void *)"__qualname__"},
    {"__module__", compiled_get_named, compiled_set_named, NULL, (void *)"__module__"},
    {"__doc__", compiled_get_named, compiled_set_named, NULL, (void *)"__doc__"},
    {"__wrapped__", compiled_get_wrapped, compiled_set_named, NULL,
     (void *)"__wrapped__"},
    {"__dict__", compiled_get_named, compiled_set_named, NULL, (void *)"__dict__"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot compiled_slots[] = {
    {Py_tp_new, (void *)compiled_new},
    {Py_tp_dealloc, (void *)compiled_dealloc},
    {Py_tp_traverse, (void *)compiled_traverse},
    {Py_tp_clear, (void *)compiled_clear},
    {Py_tp_call, (void *)PyVectorcall_Call},
    {Py_tp_descr_get, (void *)compiled_get},
    {Py_tp_getattro, (void *)compiled_getattro},
    {Py_tp_setattro, (void *)compiled_setattro},
    {Py_tp_repr, (void *)compiled_repr},
    {Py_tp_methods, compiled_methods},
    {Py_tp_members, compiled_members},
    {Py_tp_getset, compiled_getset},
    {0, NULL},
};

static PyType_Spec compiled_spec = {
    .name = "magpy._engine.CompiledFunction",
    .basicsize = sizeof(mp_CompiledObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = compiled_slots,
};

/* What the recorder runs when the object is called inside a recording. */
static PyObject *
compiled_original_borrow(PyObject *o)
{
    return ((mp_CompiledObject *)o)->target.callable;
}

/* Make the type once for the process, and tell the recorder how to see through its
 * objects. */
int
mp_compiled_init(PyObject *module)
{
    if (compiled_type == NULL) {
        compiled_type = (PyTypeObject *)PyType_FromSpec(&compiled_spec);
        if (compiled_type == NULL) {
            return -1;
        }
    }
    mp_own_register(compiled_type, compiled_original_borrow);
    return PyModule_AddType(module, compiled_type);
}

PyObject *
mp_compiled_kinds(PyObject *o)
{
    if (!Py_IS_TYPE(o, compiled_type)) {
        PyErr_SetString(PyExc_TypeError, "not a CompiledFunction");
        return NULL;
    }
    mp_CompiledObject *op = (mp_CompiledObject *)o;
    PyObject *guards = PyDict_New(), *effects = PyDict_New();  // owned
    int rc = guards == NULL || effects == NULL
                 ? -1
                 : mp_cache_count_kinds(&op->cache, guards, effects);
    for (int32_t i = 0; rc == 0 && i < op->points.n; i++) {
        rc = mp_cache_count_kinds(&op->points.at[i]->cache, guards, effects);
    }
    PyObject *pair = rc < 0 ? NULL : PyTuple_Pack(2, guards, effects);
    Py_XDECREF(guards);
    Py_XDECREF(effects);
    return pair;
}
