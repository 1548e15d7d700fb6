/* watch.c - show every new Python frame of one thread to a watcher.
 *
 * One PEP 523 hook per interpreter, in the chain while any watcher of any thread runs.
 * State is per thread: a stack of watchers (mp_watch_call nests) and a stack of
 * activations (evaluator runs on frames that the innermost watcher was told of).
 *
 * Invariants
 *  1 Only the innermost watcher of a thread is told anything, and only while it is neither
 *    stopped nor paused.
 *  2 An activation is on the stack exactly while its evaluator runs, so its frame and the
 *    frame's code are alive.
 *  3 watch_running counts watchers that have not stopped; at 0 the hook leaves the chain
 *    as soon as it stands on top of it.
 *  4 Another tool may have put its evaluator above ours and leave it there (TorchDynamo
 *    does).  Ours then goes on top once more, so that it stands in the chain twice: with
 *    watch_hook.next below its upper place, watch_hook.base below its lower one.  It tells
 *    its lower place by the frame: one that it is evaluating already.
 * Re-entrancy: callbacks may run Python.  What that runs passes through unseen if the
 * watcher is paused or an instruction callback is in progress (tstate->tracing).
 */
#include "compat/private.h"

#if MP_CAN_WATCH

/* More nested evaluators than this could exhaust the C stack: with a hook in place calls
 * from Python to Python use it. */
#define WATCH_MAX_DEPTH 2000
/* The same on 3.12, which counts C recursion itself: leave the program this much. */
#define WATCH_MIN_C_RECURSION 500
/* The same on 3.14, which measures the C stack in units of 32 KiB. */
#define WATCH_MIN_MARGINS 16

static struct {
    _PyFrameEvalFunction next;  // the evaluator below ours in the chain
    _PyFrameEvalFunction base;  // the one below the lowest place of ours (4)
    bool hooked;                // ours was put into the chain and not taken out by us
    bool twice;                 // (4)
    int running;                // (3)
    uint64_t serial;            // of the last watcher
} watch_hook;

static _Thread_local struct {
    mp_watcher *top;
    mp_activation *act;
    int depth;        // activations on the C stack, those of outer watchers too
    mp_frame *frame;  // the innermost that our evaluator has passed on (4)
    bool lower;       // it has come back once
} watch_self;

static PyObject *watch_eval(PyThreadState *ts, mp_frame *f, int throwflag);

/* -- The hook ---------------------------------------------------------------------- */

static _PyFrameEvalFunction
watch_chain_top(void)
{
    return _PyInterpreterState_GetEvalFrameFunc(PyInterpreterState_Get());
}

static void
watch_install(void)
{
    _PyFrameEvalFunction top = watch_chain_top();

    if (top == watch_eval) {
        return;
    }
    // With the default on top our lower place is gone: somebody has cleared the chain.
    watch_hook.twice = watch_hook.hooked && top != _PyEval_EvalFrameDefault;
    if (!watch_hook.twice) {
        watch_hook.base = top;
    }
    watch_hook.next = top;
    watch_hook.hooked = true;
    _PyInterpreterState_SetEvalFrameFunc(PyInterpreterState_Get(), watch_eval);
}

static void
watch_uninstall(void)
{
    if (watch_hook.hooked && watch_chain_top() == watch_eval) {
        _PyInterpreterState_SetEvalFrameFunc(PyInterpreterState_Get(), watch_hook.next);
        watch_hook.hooked = watch_hook.twice;
        watch_hook.next = watch_hook.base;
        watch_hook.twice = false;
    }
}

/* Let the evaluators below ours run a frame; ours may be among them (4). */
static PyObject *
watch_pass(PyThreadState *ts, mp_frame *f, int throwflag, bool on,
           _PyFrameEvalFunction next)
{
    mp_frame *outer = watch_self.frame;
    bool lower = watch_self.lower;

    watch_self.frame = f;
    watch_self.lower = false;
    PyObject *result = mp_events_run(ts, f, throwflag, on, next);
    watch_self.frame = outer;
    watch_self.lower = lower;
    return result;
}

/* (4) The frame that we have passed on comes back.  It may do so again, if what stood below
 * our lower place was put above ours, too. */
static PyObject *
watch_eval_below(PyThreadState *ts, mp_frame *f, int throwflag)
{
    if (watch_self.lower || watch_hook.base == watch_hook.next) {
        return _PyEval_EvalFrameDefault(ts, f, throwflag);
    }
    watch_self.lower = true;
    return watch_hook.base(ts, f, throwflag);
}

/* -- Watchers ---------------------------------------------------------------------- */

static bool
watcher_is_told(const mp_watcher *w)
{
    return w == watch_self.top && !w->stopped && w->paused == 0;
}

bool
mp_watch_has_running(void)
{
    for (mp_watcher *w = watch_self.top; w != NULL; w = w->outer) {
        if (!w->stopped) {
            return true;
        }
    }
    return false;
}

static void
watcher_finish(mp_watcher *w)
{
    if (w->stopped) {
        return;
    }
    w->stopped = true;
    mp_events_end(w);
    if (--watch_hook.running == 0) {
        watch_uninstall();
    }
}

static void
watcher_lose(mp_watcher *w, const char *why, int depth)
{
    PyObject *exc = mp_err_take();  // owned; of the frame that we are about to run

    watcher_finish(w);
    if (w->ops->lost != NULL) {
        w->ops->lost(w->ctx, why, depth);
    }
    mp_err_restore_steal(exc);
}

static void
watcher_fini(mp_watcher *w)
{
    PyObject *exc = mp_err_take();  // owned

    for (int32_t i = 0; i < w->n_codes; i++) {
        Py_DECREF(w->codes[i]);
    }
    PyMem_Free(w->codes);
    Py_CLEAR(w->kept);
    mp_err_restore_steal(exc);
}

void
mp_watch_keep_steal(PyObject *value)
{
    mp_watcher *w = watch_self.top;

    assert(w != NULL);
    w->kept = w->kept != NULL ? w->kept : PyList_New(0);
    if (w->kept == NULL || PyList_Append(w->kept, value) < 0) {
        mp_err_drop();
        return;  // without memory it lives for ever
    }
    Py_DECREF(value);
}

/* -- Leaving ----------------------------------------------------------------------- */

/* A call is left by an exception that its frames cannot catch: their code objects have no
 * exception tables until the exception has left the call.  No Python code runs meanwhile:
 * the collector is off, and the caller holds references to everything that the frames
 * hold. */
struct mp_muted {
    PyCodeObject *code;  // owned
    PyObject *table;     // owned; what belongs there
};

/* Room for n more: 0 / -1. */
static int
watcher_reserve(mp_watcher *w, int32_t n)
{
    return mp_grow(&w->muted, &w->cap_muted, w->n_muted + n, sizeof(*w->muted));
}

static int32_t
watch_activations(void)
{
    int32_t n = 0;

    for (mp_activation *act = watch_self.act; act != NULL; act = act->outer) {
        n++;
    }
    return n;
}

int
mp_watch_leave(void)
{
    mp_watcher *w = watch_self.top;

    assert(w != NULL && w->muted == NULL);
    return watcher_reserve(w, watch_activations() + 1);
}

void
mp_watch_abandon(void)
{
    assert(watch_self.top != NULL);
    watch_self.top->abandoned = true;
}

/* A frame object that outlives its frame (a traceback has it) would keep what the frame
 * held: a cycle, if that is the exception. */
static void
watcher_empty(mp_frame *f)
{
    for (int i = 0; i < mp_frame_code_borrow(f)->co_nlocalsplus; i++) {
        mp_slot_set_steal(&f->localsplus[i], NULL);
    }
}

/* There is room for it. */
static void
watcher_mute(mp_watcher *w, PyCodeObject *code)
{
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);  // a singleton

    assert(w->n_muted < w->cap_muted);
    w->muted[w->n_muted++] = (struct mp_muted){
        (PyCodeObject *)Py_NewRef((PyObject *)code), code->co_exceptiontable};
    code->co_exceptiontable = empty;
}

/* Mute the frames and set the exception: -1. */
static int
watcher_raise(mp_watcher *w)
{
    w->collects = PyGC_Disable();
    for (mp_activation *act = watch_self.act; act != NULL; act = act->outer) {
        watcher_mute(w, mp_frame_code_borrow(act->frame));
        watcher_empty(act->frame);
    }
    w->leaving = PyObject_CallFunction(PyExc_RuntimeError, "s", "a frame was left");
    if (w->leaving != NULL) {  // else it is a MemoryError, which will do
        mp_err_restore_steal(Py_NewRef(w->leaving));
    }
    return -1;
}

/* The call was given up: the same, as often as it takes.  f: a frame that is about to run,
 * or NULL.  -1. */
static int
watcher_abandon(mp_watcher *w, mp_frame *f)
{
    int collects = PyGC_Disable();

    w->collects = w->collects || collects;  // (it may be raised again and again)
    // What is in flight is an exception of the call that ends, which will raise its own.
    PyObject *exc = mp_err_take();  // owned
    if (exc != NULL && PyErr_GivenExceptionMatches(exc, PyExc_KeyboardInterrupt)) {
        mp_err_defer_steal(Py_NewRef(exc));
    }
    Py_XDECREF(exc);
    if (watcher_reserve(w, watch_activations() + 1) < 0) {
        return -1;  // (without memory handlers may see this exception)
    }
    for (mp_activation *act = watch_self.act; act != NULL; act = act->outer) {
        PyCodeObject *code = mp_frame_code_borrow(act->frame);
        if (PyBytes_GET_SIZE(code->co_exceptiontable) > 0) {
            watcher_mute(w, code);
        }
    }
    if (f != NULL && PyBytes_GET_SIZE(mp_frame_code_borrow(f)->co_exceptiontable) > 0) {
        watcher_mute(w, mp_frame_code_borrow(f));
    }
    PyErr_SetString(PyExc_RuntimeError, "a call was given up");
    return -1;
}

void
mp_watch_mute(PyObject *generator)
{
    mp_watcher *w = watch_self.top;
    mp_frame *f = mp_gen_frame(generator);

    if (watcher_reserve(w, 1) < 0) {
        mp_err_drop();  // without memory its handlers run when it dies
        return;
    }
    watcher_mute(w, mp_frame_code_borrow(f));
}

PyObject *
mp_watch_raise(void)
{
    (void)watcher_abandon(watch_self.top, NULL);
    return NULL;
}

/* The call has ended: if it was left, all is as it was and no exception is set. */
static void
watcher_unmute(mp_watcher *w)
{
    struct mp_muted *muted = w->muted;

    if (muted == NULL) {
        return;
    }
    // First: a traceback may hold what the frames held.  Our own exception is known, which
    // saves asking whether it comes from a signal.
    PyObject *exc = mp_err_take();  // owned
    if (exc != NULL && exc != w->leaving) {
        mp_err_restore_steal(Py_NewRef(exc));
        mp_err_drop();
    }
    Py_XDECREF(exc);
    Py_CLEAR(w->leaving);
    w->muted = NULL;
    for (int32_t i = w->n_muted; i-- > 0;) {  // a code object may be there twice
        Py_SETREF(muted[i].code->co_exceptiontable, muted[i].table);
    }
    if (w->collects) {
        PyGC_Enable();
        w->collects = false;
    }
    for (int32_t i = 0; i < w->n_muted; i++) {
        Py_DECREF(muted[i].code);
    }
    PyMem_Free(muted);
}

void
mp_watch_recover(void)
{
    mp_watcher *w = watch_self.top;

    w->abandoned = false;
    mp_err_drop();
    watcher_unmute(w);
    w->n_muted = w->cap_muted = 0;
    if (w->collects) {  // it was raised where no frame has handlers
        PyGC_Enable();
        w->collects = false;
    }
}

/* -- Frames ------------------------------------------------------------------------ */

static bool
watch_is_deep(PyThreadState *ts)
{
#if PY_VERSION_HEX >= 0x030e0000
    if (_Py_ReachedRecursionLimitWithMargin(ts, WATCH_MIN_MARGINS)) {
        return true;
    }
#elif PY_VERSION_HEX >= 0x030c0000
    if (ts->c_recursion_remaining < WATCH_MIN_C_RECURSION) {
        return true;
    }
#endif
    return watch_self.depth >= WATCH_MAX_DEPTH;
}

static bool
watch_frame_is_fresh(mp_frame *f, int throwflag)
{
    return !throwflag && f->owner != FRAME_OWNED_BY_GENERATOR && mp_frame_lasti(f) < 0;
}

/* Decode the frame's code and switch its events on.  A failure ends the watch. */
static mp_code_entry *
watch_arm(mp_watcher *w, mp_frame *f)
{
    PyObject *exc = mp_err_take();  // owned; in flight when the frame is thrown into
    mp_code_entry *entry = mp_code_entry_get(mp_frame_code_borrow(f));

    if (entry != NULL && mp_events_arm(w, entry) < 0) {
        entry = NULL;
    }
    if (entry == NULL) {
        mp_err_drop();  // told as the reason below
    }
    mp_err_restore_steal(exc);
    if (entry == NULL) {
        watcher_lose(w, "the instructions of a frame could not be watched",
                     MP_DEPTH_CALLS);
    }
    return entry;
}

/* The frame ends where it is, as if an exception had been thrown into it. */
static PyObject *
watch_run_abandoned(mp_watcher *w, PyThreadState *ts, mp_frame *f)
{
    // Who closes a generator expects no other exception back, and would report it.
    bool closes = PyErr_ExceptionMatches(PyExc_GeneratorExit);
    PyObject *closing = closes ? mp_err_take() : NULL;  // owned
    (void)watcher_abandon(w, f);
    if (closing != NULL) {
        mp_err_drop();
        mp_err_restore_steal(closing);
    }
    return watch_pass(ts, f, 1, false, watch_hook.next);
}

/* r: the frame is a rebuilt one, and those that it called come first; or NULL. */
static PyObject *
watch_run_told(mp_watcher *w, PyThreadState *ts, mp_frame *f, int throwflag,
               mp_resume *r)
{
    mp_activation act = {.frame = f,
                         .watcher = w,
                         .outer = watch_self.act,
                         .told = -1,
                         .from_top = r == NULL && watch_frame_is_fresh(f, throwflag)};

    // The evaluator sets it too, but `enter` may look.
    f->previous = *mp_thread_frame(ts);
    PyObject *exc =
        mp_err_take();  // owned; what the frame is thrown, GeneratorExit perhaps
    bool watched = w->ops->enter(w->ctx, f, watch_frame_is_fresh(f, throwflag));
    mp_err_restore_steal(exc);
    if (w->abandoned) {
        return watch_run_abandoned(w, ts, f);
    }
    if (watched && watcher_is_told(w)) {
        act.entry = watch_arm(w, f);
    }
    watch_self.act = &act;
    watch_self.depth++;
    if (r != NULL) {
        if (act.entry != NULL) {
            mp_events_rebuilt(&act);
        }
        mp_resume_callees(ts, f, r, &throwflag);
    }
    PyObject *result = watch_pass(ts, f, throwflag, act.entry != NULL, watch_hook.next);
    watch_self.depth--;
    watch_self.act = act.outer;
    if (!watcher_is_told(w)) {
        return result;
    }
    const char *why = mp_events_lost();
    if (why != NULL) {
        watcher_lose(w, why, MP_DEPTH_GONE);
    }
    else {
        w->ops->leave(w->ctx, f, watched, result);
    }
    return result;
}

/* The frame evaluator: each Python frame of each thread comes here while a watch runs
 * anywhere.  It decides whether the frame is reported to this thread's innermost
 * watcher, and passes it on. */
static PyObject *
watch_eval(PyThreadState *ts, mp_frame *f, int throwflag)
{
    mp_watcher *w = watch_self.top;
    _PyFrameEvalFunction next = watch_hook.next;

    if (f == watch_self.frame) {
        return watch_eval_below(ts, f, throwflag);
    }
    if (w == NULL || w->stopped) {
        if (watch_hook.running == 0) {
            watch_uninstall();  // (3) another hook was above ours when the watch ended
        }
        return watch_pass(ts, f, throwflag, false, next);
    }
    if (w->paused > 0 || ts->tracing > 0) {
        if (w->ops->missed != NULL) {
            PyObject *exc = mp_err_take();
            w->ops->missed(w->ctx, f);
            mp_err_restore_steal(exc);
        }
        return watch_pass(ts, f, throwflag, false, next);
    }
    const char *why = mp_events_lost();
    int depth = 0;  // (its caller has gone on since it was told of)
    if (why == NULL && watch_is_deep(ts)) {
        why = "Python frames are nested too deep";
        depth = MP_DEPTH_CALLS;
    }
    if (why != NULL) {
        watcher_lose(w, why, depth);
        return w->abandoned ? watch_run_abandoned(w, ts, f)
                            : watch_pass(ts, f, throwflag, false, next);
    }
    return watch_run_told(w, ts, f, throwflag, NULL);
}

PyObject *
mp_watch_run_rebuilt(PyThreadState *ts, mp_frame *f, mp_resume *r)
{
    int throwflag = 0;

    if (r->told && watch_self.top != NULL && watcher_is_told(watch_self.top)) {
        return watch_run_told(watch_self.top, ts, f, 0, r);
    }
    mp_resume_callees(ts, f, r, &throwflag);
    return mp_events_run(ts, f, throwflag, false, _PyEval_EvalFrameDefault);
}

mp_activation *
mp_watch_current(mp_frame *f)
{
    mp_activation *act = watch_self.act;

    if (act == NULL || act->frame != f || act->entry == NULL
        || !watcher_is_told(act->watcher)) {
        return NULL;
    }
    return act;
}

mp_activation *
mp_watch_activations(void)
{
    return watch_self.act;
}

/* Is i the first instruction from unit `from` on that is told? */
static bool
watch_tells_next(const mp_code_entry *entry, int from, int i)
{
    while (from >= 0 && from < entry->info.count && !entry->tells[from]) {
        from++;
    }
    return from == i;
}

/* May instruction i follow the one that was told before? */
static bool
watch_follows(const mp_activation *act, int i)
{
    const mp_code_info *info = &act->entry->info;

    if (act->told < 0) {
        return !act->from_top || watch_tells_next(act->entry, 0, i);
    }
    const mp_instr *before = &info->at[act->told];
    return info->is_handler[i] || watch_tells_next(act->entry, before->next, i)
           || (before->target >= 0 && watch_tells_next(act->entry, before->target, i));
}

/* R: each instruction of a watched frame is told.  Events of other tools for the same line may
 * keep one from us, and a debugger may go elsewhere. */
static bool
watch_misses(mp_activation *act, int i)
{
    bool misses = !watch_follows(act, i);
    act->told = i;
    if (misses) {
        watcher_lose(act->watcher, "another tool has hidden an instruction",
                     act->entry->info.at[i].depth);
    }
    return misses;
}

int
mp_watch_tell(mp_activation *act)
{
    int i = mp_frame_lasti(act->frame);
    mp_watcher *w = act->watcher;

    assert(!PyErr_Occurred());
    if (i >= 0 && i < act->entry->info.count && act->entry->tells[i]
        && !watch_misses(act, i)) {
        w->ops->instr(w->ctx, act->frame, &act->entry->info, i);
    }
    assert(!PyErr_Occurred());
    return w->abandoned       ? watcher_abandon(w, NULL)
           : w->muted != NULL ? watcher_raise(w)
                              : 0;
}

/* -- Interface --------------------------------------------------------------------- */

int
mp_watch_supported(const char **why)
{
    bool main = PyInterpreterState_Get() == PyInterpreterState_Main();

    *why = main ? NULL : "this is a sub-interpreter";
    return main;
}

int
mp_watch_available(const char **why)
{
    PyThreadState *ts = PyThreadState_Get();

    if (!mp_watch_supported(why)) {
        return 0;
    }
    if (ts->tracing > 0) {
        *why = "a trace or monitoring function is running";
    }
    else if (watch_is_deep(ts)) {
        *why = "Python frames are nested too deep";
    }
    return *why == NULL ? mp_events_available(why) : 0;
}

/* A call of callable, or with r the run of a rebuilt chain. */
static PyObject *
watch_run(const mp_watch_ops *ops, void *ctx, PyObject *callable, PyObject *const *args,
          size_t nargsf, PyObject *kwnames, mp_resume *r)
{
    const char *why;

    if (mp_events_begin() < 0) {
        return NULL;
    }
    mp_watcher w = {.ops = ops, .ctx = ctx, .outer = watch_self.top};
    mp_activation *outer_act = watch_self.act;
    w.serial = ++watch_hook.serial;
    watch_hook.running++;
    watch_install();
    watch_self.top = &w;
    watch_self.act = NULL;  // (1) frames of outer watchers are not told
    PyObject *result = r != NULL ? mp_resume_chain(r)
                                 : PyObject_Vectorcall(callable, args, nargsf, kwnames);
    watcher_unmute(&w);
    why = w.stopped ? NULL : mp_events_lost();
    if (why != NULL) {
        watcher_lose(&w, why, MP_DEPTH_GONE);
    }
    watcher_finish(&w);
    watch_self.top = w.outer;
    watch_self.act = outer_act;
    watcher_fini(&w);
    return result;
}

PyObject *
mp_watch_call(const mp_watch_ops *ops, void *ctx, PyObject *callable,
              PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    assert(ops->enter != NULL && ops->instr != NULL && ops->leave != NULL);
    const char *why;

    if (!mp_watch_available(&why)) {
        PyErr_Format(PyExc_RuntimeError, "magpy: cannot watch: %s", why);
        return NULL;
    }
    return watch_run(ops, ctx, callable, args, nargsf, kwnames, NULL);
}

PyObject *
mp_watch_resume(const mp_watch_ops *ops, void *ctx, const mp_resume_frame *frames,
                int32_t n)
{
    const char *why;
    mp_resume r = {.frames = frames, .n = n, .told = true};

    if (!mp_watch_available(&why)) {
        return mp_resume_run(frames, n);
    }
    return watch_run(ops, ctx, NULL, NULL, 0, NULL, &r);
}

void
mp_watch_stop(void)
{
    if (watch_self.top != NULL) {
        watcher_finish(watch_self.top);
    }
}

void
mp_watch_pause(void)
{
    if (watch_self.top != NULL) {
        watch_self.top->paused++;
    }
}

void
mp_watch_unpause(void)
{
    if (watch_self.top != NULL) {
        assert(watch_self.top->paused > 0);
        watch_self.top->paused--;
    }
}

int
mp_compat_init(PyObject *module)
{
    return mp_code_init();
}

void
mp_compat_fini(void)
{
    if (watch_hook.running == 0) {  // else a daemon thread needs the events to its end
        mp_events_fini();
    }
}

#else  // !MP_CAN_WATCH

int
mp_watch_supported(const char **why)
{
    *why = "this CPython version is not supported yet";
    return 0;
}

int
mp_watch_available(const char **why)
{
    return mp_watch_supported(why);
}

PyObject *
mp_watch_call(const mp_watch_ops *ops, void *ctx, PyObject *callable,
              PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    const char *why;

    (void)mp_watch_available(&why);
    PyErr_Format(PyExc_RuntimeError, "magpy: cannot watch: %s", why);
    return NULL;
}

void
mp_watch_stop(void)
{
}

int
mp_watch_leave(void)
{
    PyErr_SetString(PyExc_RuntimeError, "magpy: nothing is watched");
    return -1;
}

void
mp_watch_abandon(void)
{
}

void
mp_watch_mute(PyObject *generator)
{
}

void
mp_watch_recover(void)
{
}

PyObject *
mp_watch_raise(void)
{
    PyErr_SetString(PyExc_RuntimeError, "magpy: nothing is watched");
    return NULL;
}

void
mp_watch_pause(void)
{
}

void
mp_watch_unpause(void)
{
}

int
mp_compat_init(PyObject *module)
{
    return 0;
}

void
mp_compat_fini(void)
{
}

#endif
