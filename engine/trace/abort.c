/* trace/abort.c - how a recording ends before the run does. */
#include "trace/trace.h"

#include <stdarg.h>

const char *
mp_type_name(PyObject *o)
{
    return Py_TYPE(o)->tp_name;
}

void
mp_trace_avoid(mp_trace *T, mp_site site, bool at_once)
{
    assert(site.code < PyList_GET_SIZE(T->codes));
    mp_abort_id id = T->why->id;
    if (T->host != NULL && site.code >= 0 && site.index >= 0 && id != MP_AB_LIMIT
        && id != MP_AB_INTERNAL && id != MP_AB_WATCHER) {
        PyCodeObject *code = (PyCodeObject *)PyList_GET_ITEM(T->codes, site.code);
        T->host->avoid(T->host_ctx, code, site.index, at_once, T->why);
    }
}

/* What the frames hold dies when they are left: nothing of it runs. */
void
mp_trial_give_up(mp_trace *T)
{
    assert(T->trial);
    for (Py_ssize_t i = T->generators == NULL ? 0 : PyList_GET_SIZE(T->generators);
         i-- > 0;) {
        PyObject *gen = mp_weakref_borrow(PyList_GET_ITEM(T->generators, i));
        if (gen != Py_None && mp_gen_runs_code(gen)) {
            mp_watch_mute(gen);
        }
    }
    mp_watch_abandon();
}

mp_rc
mp_trace_abort(mp_trace *T, mp_abort_id id, const char *format, ...)
{
    assert(id < MP_AB_COUNT);
    va_list va;
    if (T->state != MP_TRACE_RECORDING) {
        return MP_ABORTED;
    }
    T->state = MP_TRACE_ABORTED;
    T->compiling->values =
        T->compiling->values || id == MP_AB_HOST_READ || id == MP_AB_DYNAMIC_SHAPE;
    PyObject *saved = mp_err_take();
    mp_abort_clear(T->why);
    T->why->id = id;
    va_start(va, format);
    T->why->detail = PyUnicode_FromFormatV(format, va);
    va_end(va);
    for (int i = T->n_stack - 1; i >= 0; i--) {
        mp_shadow *s = &T->stack[i];
        if (s->info != NULL && s->pending >= 0) {
            T->why->file = Py_NewRef(s->info->code->co_filename);
            T->why->line = mp_code_line(s->info->code, s->pending);
            break;
        }
    }
    mp_err_drop();  // a detail that could not be formatted is left out
    mp_err_restore_steal(saved);
    if (T->trial) {
        mp_trial_give_up(T);
        return MP_ABORTED;
    }
    if (T->holds) {
        return MP_ABORTED;
    }
    if (T->n_stack > 0) {
        const mp_shadow *s = &T->stack[T->n_stack - 1];
        mp_trace_avoid(T, (mp_site){s->code_no, s->pending}, false);
    }
    if (T->in_mode == MP_MODE_OFF) {
        mp_watch_stop();
    }
    return MP_ABORTED;
}
