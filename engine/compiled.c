/* compiled.c - the object magpy.compile returns: construction, attributes, collection.
 *
 * It stands in for the wrapped callable: it binds like it, has its name, and whatever
 * attribute is not found here is looked up there.  Attributes that the user sets live
 * in the object's own dict.
 *
 * Ownership: entries hold what their guards and effects name, so the object must be,
 * and is, fully visible to the collector.  tp_clear can leave an object that is still
 * called by a finalizer: its vectorcall then raises.  How a call works: dispatch.c. */
#include "compiled.h"

#include "dispatch.h"

#include <structmember.h>

static PyTypeObject *compiled_type;  // owned; NULL until mp_compiled_init

/* After tp_clear: the collector has taken the function away, a finalizer still calls.
 * */
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

static PyObject *
compiled_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {
        "fn",          "compiler",         "on_event", "on_abort", "fullgraph",
        "max_entries", "max_instructions", "segments", NULL};
    PyObject *fn, *compiler = NULL, *on_event = NULL, *on_abort = NULL;  // borrowed
    int fullgraph = 0, max_entries = 64, segments = 1;
    long long max_instructions = 50000000;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OOOpiLp:CompiledFunction",
                                     (char **)names, &fn, &compiler, &on_event,
                                     &on_abort, &fullgraph, &max_entries,
                                     &max_instructions, &segments)) {
        return NULL;
    }
    if (max_entries < 1 || max_instructions < 1) {
        PyErr_SetString(PyExc_ValueError, "limits must be at least 1");
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
    op->wrapped = Py_NewRef(fn);
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
    op->fullgraph = fullgraph;
    op->segments = segments && !fullgraph;
    op->max_entries = max_entries;
    op->max_instructions = max_instructions;
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
    Py_VISIT(op->verifier);
    Py_VISIT(op->dict);
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
    Py_CLEAR(op->verifier);
    Py_CLEAR(op->dict);
    mp_target_clear(&op->target);
    mp_cache_clear(&op->cache);
    mp_points_clear(&op->points);
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

/* Bind like the wrapped callable does: only a plain function becomes a method. */
static PyObject *
compiled_get(PyObject *self, PyObject *obj, PyObject *type)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    if (obj == NULL || obj == Py_None || op->target.kind != MP_TARGET_FUNCTION) {
        return Py_NewRef(self);
    }
    return PyMethod_New(self, obj);
}

/* Whatever is not found here is looked up on the wrapped callable. */
static PyObject *
compiled_getattro(PyObject *self, PyObject *name)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    PyObject *value = PyObject_GenericGetAttr(self, name);
    if (value != NULL || op->wrapped == NULL
        || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return value;
    }
    PyErr_Clear();
    return PyObject_GetAttr(op->wrapped, name);
}

/* __name__ and the like: what was set on this object, else the wrapped callable's. */
static PyObject *
compiled_get_named(PyObject *self, void *name)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    PyObject *key = PyUnicode_InternFromString((const char *)name);
    if (key == NULL) {
        return NULL;
    }
    PyObject *value = op->dict != NULL ? PyDict_GetItemWithError(op->dict, key) : NULL;
    if (value != NULL) {
        Py_INCREF(value);
    }
    else if (!PyErr_Occurred()) {
        if (op->wrapped != NULL) {
            value = PyObject_GetAttr(op->wrapped, key);
        }
        else {
            PyErr_SetObject(PyExc_AttributeError, key);
        }
    }
    Py_DECREF(key);
    return value;
}

static int
compiled_set_named(PyObject *self, PyObject *value, void *name)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    if (value == NULL) {
        PyErr_Format(PyExc_AttributeError, "cannot delete %s", (const char *)name);
        return -1;
    }
    if (op->dict == NULL) {
        op->dict = PyDict_New();
        if (op->dict == NULL) {
            return -1;
        }
    }
    return PyDict_SetItemString(op->dict, (const char *)name, value);
}

static PyObject *
compiled_repr(PyObject *self)
{
    PyObject *name = compiled_get_named(self, (void *)"__qualname__");
    if (name == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return NULL;
        }
        PyErr_Clear();
        name = PyUnicode_FromString("callable");
    }
    if (name == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<compiled %S at %p>", name, self);
    Py_DECREF(name);
    return text;
}

static Py_ssize_t
compiled_graphs(const mp_cache *cache)
{
    Py_ssize_t n = 0;
    for (int32_t i = 0; i < cache->n; i++) {
        n += cache->at[i]->plan->graph != NULL;
    }
    return n;
}

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

static PyObject *
compiled_reset(PyObject *self, PyObject *ignored)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    mp_stats_fini(&op->stats);
    mp_stats_init(&op->stats);
    mp_cache_clear(&op->cache);
    mp_points_clear(&op->points);
    Py_RETURN_NONE;
}

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

/* Copied and pickled by name, as functions are. */
static PyObject *
compiled_reduce(PyObject *self, PyObject *ignored)
{
    return compiled_get_named(self, (void *)"__qualname__");
}

static PyMethodDef compiled_methods[] = {
    {"stats", compiled_stats, METH_NOARGS, "Counters, as a dict."},
    {"entries", compiled_entries, METH_NOARGS, "What was recorded, a dict per entry."},
    {"reset", compiled_reset, METH_NOARGS, "Forget all entries and counters."},
    {"set_verify", compiled_set_verify, METH_VARARGS,
     "set_verify(every, verifier=None): verify every so many hits, 0 for none."},
    {"__reduce__", compiled_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef compiled_members[] = {
    {"__wrapped__", T_OBJECT_EX, offsetof(mp_CompiledObject, wrapped), 0, NULL},
    {"disabled", T_BOOL, offsetof(mp_CompiledObject, disabled), 0, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(mp_CompiledObject, vectorcall),
     READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(mp_CompiledObject, weakrefs), READONLY,
     NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(mp_CompiledObject, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef compiled_getset[] = {
    {"__name__", compiled_get_named, compiled_set_named, NULL, (void *)"__name__"},
    {"__qualname__", compiled_get_named, compiled_set_named, NULL,
     (void *)"__qualname__"},
    {"__module__", compiled_get_named, compiled_set_named, NULL, (void *)"__module__"},
    {"__doc__", compiled_get_named, compiled_set_named, NULL, (void *)"__doc__"},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
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
    {Py_tp_repr, (void *)compiled_repr},
    {Py_tp_methods, compiled_methods},
    {Py_tp_members, compiled_members},
    {Py_tp_getset, compiled_getset},
    {0, NULL},
};

PyType_Spec mp_compiled_spec = {
    .name = "magpy._engine.CompiledFunction",
    .basicsize = sizeof(mp_CompiledObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = compiled_slots,
};

int
mp_compiled_init(PyObject *module)
{
    if (compiled_type == NULL) {
        compiled_type = (PyTypeObject *)PyType_FromSpec(&mp_compiled_spec);
        if (compiled_type == NULL) {
            return -1;
        }
    }
    return PyModule_AddType(module, compiled_type);
}

PyObject *
mp_compiled_original_borrow(PyObject *o)
{
    if (!Py_IS_TYPE(o, compiled_type)) {
        return NULL;
    }
    return ((mp_CompiledObject *)o)->target.callable;
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
