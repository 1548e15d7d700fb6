/* events.c - instruction events of watched frames.
 *
 * 3.11: our C function in the thread's trace slot, with no object, so that sys.gettrace()
 * answers None.  cframe.use_tracing is set by the hook around each evaluator run: on for
 * watched frames, off for all others, which therefore run at full speed.
 * 3.12: local INSTRUCTION events of sys.monitoring on a tool id of our own.  They belong to
 * code objects, so other threads get them too and are sent away by their empty state.
 *
 * Both end up in mp_watch_tell.  Nothing here changes an exception that is in flight.
 */
#include "compat/private.h"

#if MP_CAN_WATCH

#if PY_VERSION_HEX < 0x030c0000

/* -- 3.11: the trace slot ---------------------------------------------------------- */

static int events_trace(PyObject *obj, PyFrameObject *fo, int what, PyObject *arg);

static bool
events_own_slot(PyThreadState *ts)
{
    return ts->c_tracefunc == events_trace && ts->c_profilefunc == NULL;
}

/* Ask the frame object for opcode events only, and remember what it had before. */
static void
events_flag_frame(mp_activation *act, PyFrameObject *fo)
{
    if (!act->flagged) {
        act->flagged = true;
        act->trace_lines = fo->f_trace_lines;
        act->trace_opcodes = fo->f_trace_opcodes;
        fo->f_trace_lines = 0;
        fo->f_trace_opcodes = 1;
    }
}

static void
events_unflag_frame(mp_activation *act, PyFrameObject *fo)
{
    if (act->flagged) {
        act->flagged = false;
        fo->f_trace_lines = act->trace_lines;
        fo->f_trace_opcodes = act->trace_opcodes;
    }
}

static int
events_trace(PyObject *obj, PyFrameObject *fo, int what, PyObject *arg)
{
    mp_activation *act = mp_watch_current(fo->f_frame);

    if (what == PyTrace_RETURN) {
        act = mp_watch_activations();  // restore also while paused
        if (act != NULL && act->frame == fo->f_frame) {
            events_unflag_frame(act, fo);
        }
    }
    else if (act != NULL && what == PyTrace_CALL) {
        events_flag_frame(act, fo);
    }
    else if (act != NULL && what == PyTrace_OPCODE) {
        return mp_watch_tell(act);
    }
    return 0;
}

int
mp_events_available(const char **why)
{
    PyThreadState *ts = PyThreadState_Get();

    if (ts->c_profilefunc != NULL) {
        *why = "a profiler is active in this thread";
        return 0;
    }
    if (ts->c_tracefunc != NULL && ts->c_tracefunc != events_trace) {
        *why =
            "a debugger, coverage or another trace function is active in this thread";
        return 0;
    }
    return 1;
}

int
mp_events_begin(void)
{
    PyThreadState *ts = PyThreadState_Get();

    // Set directly: PyEval_SetTrace would raise an audit event that the program can see.
    assert(ts->c_traceobj == NULL);
    ts->c_tracefunc = events_trace;
    return 0;
}

int
mp_events_arm(mp_watcher *w, mp_code_entry *entry)
{
    return 0;  // events_trace does it at PyTrace_CALL
}

void
mp_events_end(mp_watcher *w)
{
    PyThreadState *ts = PyThreadState_Get();
    mp_activation *act = mp_watch_activations();

    for (; act != NULL && act->watcher == w; act = act->outer) {
        if (act->flagged) {
            events_unflag_frame(act, act->frame->frame_obj);
        }
    }
    if (ts->c_tracefunc != events_trace || mp_watch_has_running()) {
        return;
    }
    ts->c_tracefunc = NULL;
    if (ts->c_profilefunc == NULL) {
        ts->cframe->use_tracing = 0;
    }
}

const char *
mp_events_lost(void)
{
    if (events_own_slot(PyThreadState_Get())) {
        return NULL;
    }
    return "the program set or removed a trace or profile function";
}

/* There is no PyTrace_CALL for it. */
void
mp_events_rebuilt(mp_activation *act)
{
    PyThreadState *ts = PyThreadState_Get();
    mp_frame *current = ts->cframe->current_frame;

    ts->cframe->current_frame = act->frame;
    PyFrameObject *fo = PyEval_GetFrame();
    ts->cframe->current_frame = current;
    if (fo != NULL) {
        events_flag_frame(act, fo);
    }
    mp_err_drop();  // without memory for its object the frame is not told
}

/* The evaluator copies use_tracing from its caller's cframe and writes it back there. */
PyObject *
mp_events_run(PyThreadState *ts, mp_frame *f, int throwflag, bool on,
              _PyFrameEvalFunction next)
{
    uint8_t before = ts->cframe->use_tracing;

    if (events_own_slot(ts)) {
        ts->cframe->use_tracing = on && ts->tracing == 0 ? 255 : 0;
    }
    PyObject *result = next(ts, f, throwflag);
    if (events_own_slot(ts)) {
        ts->cframe->use_tracing = before;
    }
    else if (ts->c_tracefunc == NULL && ts->c_profilefunc == NULL) {
        ts->cframe->use_tracing = 0;
    }
    return result;
}

void
mp_events_fini(void)
{
}

#else

/* -- 3.12: sys.monitoring ---------------------------------------------------------- */

static struct {
    PyObject *set_local;    // owned; sys.monitoring.set_local_events
    PyObject *free_id;      // owned; sys.monitoring.free_tool_id
    PyObject *tool;         // owned int; NULL until a tool id is ours
    PyObject *instruction;  // owned int; events.INSTRUCTION
    PyObject *nothing;      // owned int; no events
} events_monitor;

static PyObject *
events_callback(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    mp_activation *act = mp_watch_current(*mp_thread_frame(PyThreadState_Get()));

    if (act != NULL && mp_watch_tell(act) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef events_callback_def = {"magpy_instruction",
                                          (PyCFunction)(void (*)(void))events_callback,
                                          METH_FASTCALL, NULL};

/* A free tool id, the unnamed ones first.  New int, Py_None if all are taken, NULL with
 * an exception. */
static PyObject *
events_free_id(PyObject *monitoring)
{
    static const int order[] = {4, 3, 5, 2, 1, 0};

    for (size_t i = 0; i < Py_ARRAY_LENGTH(order); i++) {
        PyObject *name = PyObject_CallMethod(monitoring, "get_tool", "i", order[i]);
        if (name == NULL) {
            return NULL;
        }
        Py_DECREF(name);
        if (name == Py_None) {
            return PyLong_FromLong(order[i]);
        }
    }
    return Py_NewRef(Py_None);
}

/* Take the id and register the callback. */
static int
events_take_id(PyObject *monitoring, PyObject *id)
{
    PyObject *callback = NULL;  // owned
    PyObject *done = NULL;      // owned
    int rc = -1;

    callback = PyCFunction_New(&events_callback_def, NULL);
    if (callback == NULL) {
        goto done;
    }
    done = PyObject_CallMethod(monitoring, "use_tool_id", "Os", id, "magpy");
    if (done == NULL) {
        goto done;
    }
    Py_SETREF(done, PyObject_CallMethod(monitoring, "register_callback", "OOO", id,
                                        events_monitor.instruction, callback));
    if (done == NULL) {
        goto done;
    }
    events_monitor.tool = Py_NewRef(id);
    rc = 0;

done:
    Py_XDECREF(done);
    Py_XDECREF(callback);
    return rc;
}

static int
events_load_names(PyObject *monitoring)
{
    PyObject *events = PyObject_GetAttrString(monitoring, "events");  // owned

    if (events == NULL) {
        return -1;
    }
    Py_XSETREF(events_monitor.instruction,
               PyObject_GetAttrString(events, "INSTRUCTION"));
    Py_DECREF(events);
    Py_XSETREF(events_monitor.set_local,
               PyObject_GetAttrString(monitoring, "set_local_events"));
    Py_XSETREF(events_monitor.free_id,
               PyObject_GetAttrString(monitoring, "free_tool_id"));
    Py_XSETREF(events_monitor.nothing, PyLong_FromLong(0));
    if (events_monitor.instruction == NULL || events_monitor.set_local == NULL
        || events_monitor.free_id == NULL || events_monitor.nothing == NULL) {
        return -1;
    }
    return 0;
}

/* 1: a tool id is ours, 0: none is free, -1: exception. */
static int
events_acquire(void)
{
    PyObject *id = NULL;          // owned
    PyObject *monitoring = NULL;  // borrowed from sys
    int rc = -1;

    if (events_monitor.tool != NULL) {
        return 1;
    }
    monitoring = PySys_GetObject("monitoring");
    if (monitoring == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "magpy: sys.monitoring is missing");
        return -1;
    }
    if (events_load_names(monitoring) < 0) {
        return -1;
    }
    id = events_free_id(monitoring);
    if (id == Py_None) {
        rc = 0;
    }
    else if (id != NULL && events_take_id(monitoring, id) == 0) {
        rc = 1;
    }
    Py_XDECREF(id);
    return rc;
}

int
mp_events_available(const char **why)
{
    PyObject *exc = mp_err_take();  // owned
    int rc = events_acquire();

    if (rc < 0) {
        mp_err_drop();  // told as text
        *why = "sys.monitoring does not answer";
    }
    else if (rc == 0) {
        *why = "all tool ids of sys.monitoring are taken";
    }
    mp_err_restore_steal(exc);
    return rc > 0;
}

int
mp_events_begin(void)
{
    return 0;  // mp_events_available has the tool id
}

static int
events_set_local(PyCodeObject *code, PyObject *events)
{
    PyObject *args[] = {events_monitor.tool, (PyObject *)code, events};
    PyObject *done = PyObject_Vectorcall(events_monitor.set_local, args, 3, NULL);

    if (done == NULL) {
        return -1;
    }
    Py_DECREF(done);
    return 0;
}

static int
events_remember(mp_watcher *w, PyCodeObject *code)
{
    if (mp_grow(&w->codes, &w->cap_codes, w->n_codes + 1, sizeof(*w->codes)) < 0) {
        return -1;
    }
    w->codes[w->n_codes++] = (PyCodeObject *)Py_NewRef((PyObject *)code);
    return 0;
}

int
mp_events_arm(mp_watcher *w, mp_code_entry *entry)
{
    if (entry->armed > 0 && entry->armed_by == w->serial) {
        return 0;
    }
    if (events_remember(w, entry->info.code) < 0) {
        return -1;
    }
    if (entry->armed == 0
        && events_set_local(entry->info.code, events_monitor.instruction) < 0) {
        Py_DECREF(w->codes[--w->n_codes]);
        return -1;
    }
    entry->armed++;
    entry->armed_by = w->serial;
    return 0;
}

/* References to the code objects stay until the watched call returns: dropping them could
 * run user code. */
void
mp_events_end(mp_watcher *w)
{
    PyObject *exc = mp_err_take();  // owned

    for (int32_t i = 0; i < w->n_codes; i++) {
        mp_code_entry *entry = mp_code_entry_get(w->codes[i]);
        if (entry != NULL && --entry->armed > 0) {
            continue;
        }
        if (entry == NULL
            || events_set_local(w->codes[i], events_monitor.nothing) < 0) {
            PyErr_WriteUnraisable((PyObject *)w->codes[i]);
        }
    }
    mp_err_restore_steal(exc);
}

const char *
mp_events_lost(void)
{
    return NULL;  // a tool id of our own cannot be lost
}

void
mp_events_rebuilt(mp_activation *act)
{
}

PyObject *
mp_events_run(PyThreadState *ts, mp_frame *f, int throwflag, bool on,
              _PyFrameEvalFunction next)
{
    return next(ts, f, throwflag);
}

void
mp_events_fini(void)
{
    if (events_monitor.tool != NULL) {
        PyObject *done =
            PyObject_CallOneArg(events_monitor.free_id, events_monitor.tool);
        if (done == NULL) {
            PyErr_WriteUnraisable(events_monitor.free_id);
        }
        Py_XDECREF(done);
    }
    Py_CLEAR(events_monitor.tool);
    Py_CLEAR(events_monitor.set_local);
    Py_CLEAR(events_monitor.free_id);
    Py_CLEAR(events_monitor.instruction);
    Py_CLEAR(events_monitor.nothing);
}

#endif

#endif
