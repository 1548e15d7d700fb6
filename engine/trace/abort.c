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
static void
trial_give_up(mp_trace *T)
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

void
mp_abort_of_body(mp_abort_info *why)
{
    if (why->id == MP_AB_CONTROL_FLOW || why->id == MP_AB_LIMIT
        || why->id == MP_AB_INTERNAL || why->id == MP_AB_WATCHER) {
        return;
    }
    PyObject *saved = mp_err_take();
    PyObject *text =
        PyUnicode_FromFormat("%s: %V", mp_abort_slug(why->id), why->detail, "");
    mp_err_drop();  // without memory there is no detail
    Py_XSETREF(why->detail, text);
    why->id = MP_AB_CONTROL_FLOW;
    mp_err_restore_steal(saved);
}

/* The arm of a branch that the program takes cannot be recorded: from now on, recordings break
 * before the outermost one. */
static void
avoid_branch(mp_trace *T)
{
    const mp_region *r = T->region;
    while (r != NULL && r->outer != NULL) {
        r = r->outer;
    }
    mp_abort_of_body(T->why);
    if (r != NULL) {
        mp_trace_avoid(T, r->site, true);
    }
}

/* Is the function of a cache at work?  The next call finds its answer there. */
static bool
is_below_cache(const mp_trace *T)
{
    bool below = false;
    for (int i = 0; i < T->n_stack && !below; i++) {
        below = T->stack[i].cached_key != NULL;
    }
    return below;
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
    T->compiling->values = T->compiling->values || id == MP_AB_HOST_READ
                           || id == MP_AB_DYNAMIC_SHAPE
                           || (id == MP_AB_CONTROL_FLOW && T->compiling->flow);
    PyObject *saved = mp_err_take();
    mp_abort_clear(T->why);
    T->why->id = id;
    T->why->pins = false;
    T->why->once = id == MP_AB_IMPORT || id == MP_AB_FILLED || is_below_cache(T);
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
    T->why->stack = mp_trace_stack(T);
    mp_err_drop();  // a detail that could not be formatted is left out
    mp_err_restore_steal(saved);
    if (T->trial) {
        trial_give_up(T);
        return MP_ABORTED;
    }
    if (T->inside > 0) {
        avoid_branch(T);
        if (!T->holds && T->in_mode == MP_MODE_OFF) {
            mp_watch_stop();
        }
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
