/* run/callback.c - what each callback of the interpreter begins and ends with.
 *
 * What must hold:
 *
 *  1 A failure of the recorder is a reason (INTERNAL), never an exception of the program
 *    (mp_trace_settle); the exception state is as it was when a callback returns.
 *  2 While a callback runs, the garbage collector is off and `busy` keeps frames that a
 *    finalizer starts away from the recording.
 *  3 When a recording has ended, no frame of the program is left with an object of ours in
 *    place of one of its own (mp_unbox). */
#include "run/run.h"

#include "torch/modes.h"

void
mp_trace_settle(mp_trace *T, mp_rc rc)
{
    assert((rc == MP_ERR) == (PyErr_Occurred() != NULL));
    if (rc != MP_ERR && !PyErr_Occurred()) {
        return;
    }
    bool interrupted = mp_err_is_signal();
    PyObject *exc = mp_err_take();
    const char *type = exc == NULL ? "unknown error" : Py_TYPE(exc)->tp_name;
    PyObject *text = exc == NULL ? NULL : PyObject_Str(exc);
    (void)mp_trace_abort(T, MP_AB_INTERNAL, "%s: %S", type, text ? text : Py_None);
    mp_err_drop();  // an exception's text that cannot be made is left out
    Py_XDECREF(text);
    if (interrupted) {
        mp_err_defer_steal(exc);
        return;
    }
    Py_XDECREF(exc);
}

mp_callback
mp_callback_begin(mp_trace *T)
{
    assert(!T->busy);
    T->busy = true;
    int collects = PyGC_Disable();
    return (mp_callback){.exc = mp_err_take(),
                         .calm = mp_modes_on() ? mp_calm_begin() : -1,
                         .collects = collects || (T->postpones && T->collects)};
}

/* Undo mp_callback_begin.  A segment that has ended lets go of its objects here, before
 * the program goes on. */
void
mp_callback_end(mp_trace *T, mp_callback saved)
{
    assert(T->busy);
    mp_calm_end(saved.calm);
    if ((T->state == MP_TRACE_ABORTED || T->state == MP_TRACE_GAP)
        && T->graph.slots != NULL && T->in_mode == MP_MODE_OFF) {
        mp_unbox(T, NULL, saved.exc, MP_DEPTH_GONE);
        mp_trace_drop(T);
    }
    T->postpones = T->state == MP_TRACE_RECORDING;
    T->collects = saved.collects;
    bool scheduled = T->postpones && mp_gc_take_scheduled();
    T->overdue = T->overdue || scheduled || (T->collects && mp_gc_is_due());
    if (saved.collects && !T->postpones) {
        PyGC_Enable();
    }
    T->busy = false;
    mp_err_restore_steal(saved.exc);
}

bool
mp_has_made_boxes(const mp_trace *T)
{
    return T->symbols.cap > 0 || T->lates.n > 0;
}

void
mp_unbox_callers(mp_trace *T, mp_callback saved)
{
    if (T->state == MP_TRACE_ABORTED && mp_has_made_boxes(T)) {
        mp_unbox(T, NULL, saved.exc, MP_DEPTH_CALLS);
    }
}

bool
mp_ended_in_mode(const mp_trace *T)
{
    return !T->busy && T->state == MP_TRACE_ABORTED && !T->trial;
}

void
mp_stop_after_mode(mp_trace *T, int depth)
{
    mp_watch_stop();
    if (mp_has_made_boxes(T)) {
        mp_callback saved = mp_callback_begin(T);
        mp_unbox(T, NULL, saved.exc, depth);
        mp_callback_end(T, saved);
    }
}
