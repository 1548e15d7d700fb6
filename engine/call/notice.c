/* call/notice.c - events that the listener of a compiled function gets once, for the user.
 *
 * The listener runs Python: callers hold what they need across these calls, and use no
 * number of a stats place behind them. */
#include "call/notice.h"

/* Exceptions of the listener's own must not reach the program; an interrupt must.  No
 * exception may be set on entry. */
int
mp_dispatch_event(mp_CompiledObject *op, const char *kind, const char *format, ...)
{
    assert(kind != NULL && format != NULL);
    if (op->on_event == NULL) {
        return 0;
    }
    va_list values;
    va_start(values, format);
    PyObject *info = Py_VaBuildValue(format, values);
    va_end(values);
    if (info == NULL) {
        return -1;
    }
    PyObject *listener = Py_NewRef(op->on_event);
    PyObject *answer = PyObject_CallFunction(listener, "sO", kind, info);
    Py_DECREF(info);
    int rc = answer == NULL ? -1 : 0;
    if (rc < 0 && !mp_err_is_signal()) {
        PyErr_WriteUnraisable(listener);
        rc = 0;
    }
    Py_XDECREF(answer);
    Py_DECREF(listener);
    return rc;
}

void
mp_notice_raise(mp_CompiledObject *op, PyObject *info)
{
    PyObject *exc = info != NULL ? PyObject_CallOneArg(op->on_abort, info) : NULL;
    Py_XDECREF(info);
    if (exc == NULL) {
        return;
    }
    if (PyExceptionInstance_Check(exc)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "on_abort must return an exception");
    }
    Py_DECREF(exc);
}

/* Has it not been said yet?  Then it counts as said. */
static bool
notice_is_new(mp_CompiledObject *op, mp_notice what)
{
    bool is_new = (op->stats.noticed & (unsigned)what) == 0;
    op->stats.noticed |= (unsigned)what;
    return is_new;
}

/* The abort of this name; MP_AB_COUNT: it is none. */
static mp_abort_id
notice_abort(PyObject *reason)
{
    int id = 0;
    while (id < MP_AB_COUNT
           && PyUnicode_CompareWithASCIIString(reason, mp_abort_slug((mp_abort_id)id))
                  != 0) {
        id++;
    }
    return (mp_abort_id)id;
}

int
mp_notice_stopped(mp_CompiledObject *op, mp_notice what, int32_t place)
{
    assert(place >= 0 && place < op->stats.n_places);
    if (!notice_is_new(op, what)) {
        return 0;
    }
    const mp_place *row = &op->stats.places[place];
    PyObject *reason = Py_NewRef(row->reason);  // owned, as the next ones
    PyObject *detail = Py_NewRef(row->detail != NULL ? row->detail : Py_None);
    PyObject *file = Py_NewRef(row->file != NULL ? row->file : Py_None);
    mp_abort_id id = notice_abort(reason);
    bool abort = id != MP_AB_COUNT;
    int rc = mp_dispatch_event(op, "stopped", "{s:O,s:O,s:O,s:i,s:s,s:s}", "reason",
                               reason, "detail", detail, "file", file, "line",
                               row->line, "what", abort ? mp_abort_text(id) : "",
                               "hint", abort ? mp_abort_hint(id) : "");
    Py_DECREF(file);
    Py_DECREF(detail);
    Py_DECREF(reason);
    return rc;
}

int
mp_notice_useless(mp_CompiledObject *op, const mp_entry *entry)
{
    return notice_is_new(op, MP_NOTICE_USELESS)
               ? mp_dispatch_event(op, "graph_useless", "{s:K}", "entry",
                                   (unsigned long long)entry->id)
               : 0;
}

int
mp_notice_bare(mp_CompiledObject *op, const mp_entry *entry)
{
    return entry->bare && notice_is_new(op, MP_NOTICE_BARE)
               ? mp_dispatch_event(op, "bare_result", "{s:K}", "entry",
                                   (unsigned long long)entry->id)
               : 0;
}

int
mp_notice_raised(mp_CompiledObject *op, const mp_entry *entry, bool rerun)
{
    PyObject *exc = mp_err_take();  // owned
    int rc = mp_dispatch_event(op, "graph_raised", "{s:K,s:O,s:O}", "entry",
                               (unsigned long long)entry->id, "exception", exc, "rerun",
                               rerun ? Py_True : Py_False);
    if (rc == 0 && !rerun) {
        mp_err_restore_steal(exc);
        return 0;
    }
    Py_DECREF(exc);
    return rc;
}
