/* run/death.c - objects that die during a recording, and the code that runs then.
 *
 * Objects die in instructions of the program, when the recorder releases what nothing
 * else holds (mp_refgraph_release), when the root frame has ended, and by the garbage
 * collector.  Library code does no harm.  A generator of the run is recorded.  Everything
 * else ends the recording: its writes would be taken for writes of the run, and on a hit
 * it runs by itself. */
#include "run/run.h"

/* While a segment is recorded the collector is off: the garbage of others is no part of the
 * run, and what its finalizers write must not be taken for the run's, nor for what was there
 * at entry.  This many objects may wait for it. */
enum { GARBAGE = 100000 };

static PyObject *gc_callbacks;  // owned: gc.callbacks; NULL until the set-up

int
mp_death_init(void)
{
    PyObject *gc = gc_callbacks != NULL ? NULL : PyImport_ImportModule("gc");
    if (gc != NULL) {
        gc_callbacks = PyObject_GetAttrString(gc, "callbacks");
        Py_DECREF(gc);
    }
    return gc_callbacks == NULL ? -1 : 0;
}

/* -- Frames ------------------------------------------------------------------------------ */

static bool
is_of_library(mp_frame *f)
{
    return mp_is_library(mp_frame_globals_borrow(f));
}

/* Callbacks of WeakKeyDictionary, WeakSet and the like. */
bool
mp_is_weakref_frame(mp_frame *f)
{
    PyObject *globals = mp_frame_globals_borrow(f);
    return mp_is_module(globals, MP_MODULE_WEAKREF)
           || mp_is_module(globals, MP_MODULE_WEAKREFSET);
}

/* Callbacks of tables that others in the library keep (TorchDynamo's, of modules): code of
 * it that gets a dead reference.  Code that the run does not see has made the function, so
 * its address may have been that of something that the run made. */
static bool
is_library_callback(mp_trace *T, mp_frame *f)
{
    const mp_node *n = mp_refgraph_find(&T->graph, mp_frame_func_borrow(f));
    PyObject *ref =
        mp_frame_code_borrow(f)->co_argcount == 1 ? mp_frame_local_borrow(f, 0) : NULL;
    return ref != NULL && PyWeakref_CheckRef(ref) && mp_weakref_borrow(ref) == Py_None
           && is_of_library(f) && (n == NULL || n->kind == MP_NODE_FRESH);
}

static bool
is_gc_callback(PyObject *func)
{
    for (Py_ssize_t i = 0;
         PyList_Check(gc_callbacks) && i < PyList_GET_SIZE(gc_callbacks); i++) {
        if (PyList_GET_ITEM(gc_callbacks, i) == func) {
            return true;
        }
    }
    return false;
}

bool
mp_death_is_harmless(mp_frame *f)
{
    return is_of_library(f) || mp_is_weakref_frame(f)
           || is_gc_callback(mp_frame_func_borrow(f));
}

/* A finalizer or a weak reference's callback, at any instruction: of garbage that is not
 * the program's, or of an object that a hit drops as well.  (The run makes no object with
 * __del__; a program that calls __del__ itself has looked the function up.) */
bool
mp_is_finalizer(mp_trace *T, mp_frame *f)
{
    PyObject *name = mp_frame_code_borrow(f)->co_name;
    if (PyUnicode_CompareWithASCIIString(name, "__del__") == 0) {  // mp-ok: a suspicion
        return mp_refgraph_find(&T->graph, mp_frame_func_borrow(f)) == NULL;
    }
    if ((mp_refgraph_find(&T->graph, mp_frame_func_borrow(f)) == NULL
         && mp_is_weakref_frame(f))
        || is_library_callback(T, f)) {
        return true;
    }
    return is_gc_callback(mp_frame_func_borrow(f));
}

/* An object dies and its code (a finalizer) is not part of the recording: its writes
 * would be taken for writes of the run, and a hit releases objects only after its
 * effects.  (A generator that the run made is recorded; one that existed before a break
 * is not.) */
bool
mp_runs_as_it_dies(mp_trace *T, mp_frame *f, bool fresh)
{
    PyCodeObject *code = mp_frame_code_borrow(f);
    const mp_shadow *parent = T->n_stack == 0 ? NULL : &T->stack[T->n_stack - 1];
    if (PyUnicode_CompareWithASCIIString(code->co_name, "__del__")
        == 0) {  // mp-ok: a suspicion
        return !is_of_library(f)
               && mp_refgraph_find(&T->graph, mp_frame_func_borrow(f)) == NULL;
    }
    return !T->is_root && !fresh && parent != NULL && parent->below == MP_BELOW_NOTHING
           && mp_frame_is_in_block(f);
}

/* -- The collector -------------------------------------------------------------------------- */

void
mp_collect_garbage(mp_trace *T)
{
    assert(T->state == MP_TRACE_RECORDING);
    if (!T->collects || mp_gc_waiting() < GARBAGE) {
        return;
    }
    T->releases = true;
    PyGC_Enable();
    (void)PyGC_Collect();
    (void)PyGC_Disable();
    T->overdue = T->releases = false;
}

void
mp_collector_restore(mp_trace *T)
{
    if (T->postpones && T->collects) {
        PyGC_Enable();
    }
    T->postpones = false;
    if (T->overdue) {
        T->overdue = false;
        mp_gc_catch_up();
    }
}

/* -- Objects ----------------------------------------------------------------------------- */

enum { ITERATORS_DEEP = 8 };

static int
finalizer_behind(PyObject *v, void *deep)
{
    int left = *(int *)deep - 1;
    if (mp_has_finalizer(v)) {
        return 1;
    }
    return left > 0 && Py_TYPE(v)->tp_iternext != NULL
           && Py_TYPE(v)->tp_traverse != NULL
           && Py_TYPE(v)->tp_traverse(v, finalizer_behind, &left);
}

bool
mp_reaches_finalizer(PyObject *v)
{
    int deep = ITERATORS_DEEP;
    return finalizer_behind(v, &deep);
}
