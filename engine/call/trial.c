/* call/trial.c - see call/trial.h.
 *
 * What must hold: a trial leaves no trace.  run/trial.c ends it before it writes
 * anything; torch's state and the random generators are restored here; its result is
 * dropped, and so are exceptions of the program, because the real call follows.  Only an
 * interrupt is raised. */
#include "call/trial.h"

#include "call/hit.h"
#include "call/notice.h"
#include "call/past.h"
#include "call/stance.h"
#include "run/record.h"
#include "torch/hooks.h"

enum {
    TRIAL_FAILS = 3,              // in a row: no more of them
    TRIAL_TIMED = 5,              // hits that are timed
    TRIAL_SLOWER = 125,           // % of eager: all of them (its one call may vary)
    TRIAL_NOISE_NS = 100000,      // on top: what a busy process adds to either
    TRIAL_INSTRUCTIONS = 5000000  // what is longer is given up
};

bool
mp_trial_may_be(const mp_CompiledObject *op)
{
    return op->judge != NULL && op->trials_failed < TRIAL_FAILS
           && mp_compiling_knob() == MP_COMPILING_AUTO
           && mp_stance_seen() == MP_STANCE_COMPILE;
}

bool
mp_trial_is_due(const mp_CompiledObject *op)
{
    return op->tries && mp_trial_may_be(op);
}

void
mp_trial_note(mp_CompiledObject *op, const mp_compiling *told, mp_entry *broke)
{
    if (told->tells != MP_TELL_FALSE || !told->asked || !told->values
        || (broke != NULL && broke->mutates)) {
        return;
    }
    op->tries = true;
    if (broke != NULL) {
        broke->untried = true;
    }
}

void
mp_trial_time(mp_CompiledObject *op, mp_entry *entry, int64_t ns)
{
    assert(ns >= 0);
    bool best = entry->timed == TRIAL_TIMED || ns < entry->best_ns;
    entry->best_ns = best ? ns : entry->best_ns;
    int64_t bar = TRIAL_SLOWER * entry->eager_ns / 100 + TRIAL_NOISE_NS;
    if (--entry->timed == 0 && entry->best_ns > bar) {
        op->trials_failed = TRIAL_FAILS;
        mp_cache_remove(&op->cache, entry);
    }
}

/* What came of a trial. */
typedef struct {
    mp_plan *plan;     // owned; NULL: it has failed
    PyObject *result;  // owned
    PyObject *left;    // owned or NULL: what it wrote (mp_compiling.left)
} trial_outcome;

/* But for the plan, which goes elsewhere. */
static void
trial_clear(trial_outcome *got)
{
    PyObject *exc = mp_err_take();
    Py_CLEAR(got->result);
    Py_CLEAR(got->left);
    mp_err_restore_steal(exc);
}

/* The trial itself; with an exception only if the call must end. */
static void
trial_record(mp_CompiledObject *op, const mp_call_args *call, trial_outcome *got)
{
    mp_abort_info why = {.detail = NULL};
    mp_compiling told = {.tells = MP_TELL_PROGRAM,
                         .trial = true,
                         .numbers = &op->marks,
                         .compiler = op->compiler,
                         .age = MP_MARKS_NOW};
    int64_t limit = op->max_instructions;
    int64_t start = mp_stats_now();
    got->result =
        mp_record_call(op->target.callable, call->args, call->nargsf, call->kwnames,
                       (PyObject *)op->target.root,
                       limit < TRIAL_INSTRUCTIONS ? limit : TRIAL_INSTRUCTIONS, NULL,
                       NULL, NULL, &told, &got->plan, &why);
    got->left = told.left;
    op->stats.recordings++;
    op->stats.record_ns += mp_stats_now() - start;
    if (got->result == NULL && PyErr_Occurred()
        && PyErr_ExceptionMatches(PyExc_Exception)) {
        mp_err_drop();  // the real call raises its own
    }
    if (got->plan == NULL && !PyErr_Occurred()) {
        op->trials_failed++;
        (void)mp_dispatch_event(op, "trial", MP_ABORT_INFO, MP_ABORT_VALUES(&why));
    }
    mp_abort_clear(&why);
}

static int
trial_restore(mp_CompiledObject *op, PyObject *state)
{
    PyObject *exc = mp_err_take();
    PyObject *done = PyObject_CallMethod(op->judge, "restore", "O", state);
    int rc = done == NULL ? -1 : 0;
    Py_XDECREF(done);
    if (exc != NULL) {
        mp_err_drop();  // the older one tells
        mp_err_restore_steal(exc);
        return -1;
    }
    return rc;
}

/* The trial, and all is as before.  1: *got; 0: nothing; -1: exception. */
static int
trial_run(mp_CompiledObject *op, const mp_call_args *call, PyObject *state,
          trial_outcome *got)
{
    const char *refused;
    mp_ambient *ambient =
        mp_watch_available(&refused) && mp_hooks_now() == MP_HOOKS_NONE
            ? mp_ambient_take(&refused)
            : NULL;
    *got = (trial_outcome){.plan = NULL};
    if (ambient == NULL) {  // what cannot be watched would be a real call
        int rc = PyErr_Occurred() ? -1 : 0;
        return trial_restore(op, state) < 0 ? -1 : rc;
    }
    trial_record(op, call, got);
    int rc = PyErr_Occurred() ? -1 : got->plan != NULL;
    PyObject *exc = mp_err_take();
    if (mp_ambient_restore(ambient) < 0) {
        rc = -1;
    }
    if (exc != NULL) {
        mp_err_drop();
        mp_err_restore_steal(exc);
    }
    mp_ambient_free(ambient);
    rc = trial_restore(op, state) < 0 ? -1 : rc;
    if (rc <= 0) {
        mp_plan_free(got->plan);
        got->plan = NULL;
        trial_clear(got);
    }
    return rc;
}

/* What both calls could reach: new tuple of the callable and all arguments. */
static PyObject *
trial_given(const mp_CompiledObject *op, const mp_call_args *call)
{
    Py_ssize_t n = PyVectorcall_NARGS(call->nargsf)
                   + (call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames));
    PyObject *given = PyTuple_New(n + 1);
    if (given != NULL) {
        PyTuple_SET_ITEM(given, 0, Py_NewRef(op->target.callable));
    }
    for (Py_ssize_t i = 0; given != NULL && i < n; i++) {
        PyTuple_SET_ITEM(given, i + 1, Py_NewRef(call->args[i]));
    }
    return given;
}

/* (key, what the trial wrote there, what is there now) of each write: new tuple.  What is not
 * there is NotImplemented. */
static PyObject *
trial_writes(PyObject *left)
{
    Py_ssize_t n = left == NULL ? 0 : PyList_GET_SIZE(left);
    PyObject *writes = PyTuple_New(n);
    for (Py_ssize_t i = 0; writes != NULL && i < n; i++) {
        PyObject *const *at = ((PyTupleObject *)PyList_GET_ITEM(left, i))->ob_item;
        PyObject *now = PyDict_GetItemWithError(at[0], at[1]);
        PyObject *row = PyErr_Occurred() ? NULL
                                         : PyTuple_Pack(3, at[1], at[2],
                                                        now ? now : Py_NotImplemented);
        if (row == NULL) {
            Py_CLEAR(writes);
            break;
        }
        PyTuple_SET_ITEM(writes, i, row);
    }
    return writes;
}

/* None, or in what the trial differs from a real call with this result: new. */
static PyObject *
trial_differs(const mp_CompiledObject *op, const mp_call_args *call,
              const trial_outcome *got, PyObject *result)
{
    PyObject *given = trial_given(op, call), *text = NULL;
    PyObject *writes = given == NULL ? NULL : trial_writes(got->left);
    if (writes != NULL) {
        text = PyObject_CallMethod(op->judge, "agree", "OOOO", got->result, result,
                                   given, writes);
    }
    Py_XDECREF(writes);
    Py_XDECREF(given);
    return text;
}

/* Keep the plan if the trial had the result of the real call, and its effects.  1, 0, -1. */
static int
trial_judge(mp_CompiledObject *op, const mp_call_args *call, trial_outcome *got,
            PyCodeObject *code, PyObject *result)
{
    mp_plan *plan = got->plan;
    PyObject *text = trial_differs(op, call, got, result);
    got->plan = NULL;
    if (text == NULL) {
        mp_plan_free(plan);
        return -1;
    }
    int rc = 0;
    if (text != Py_None) {
        op->trials_failed++;
        mp_plan_free(plan);
        rc = mp_dispatch_event(op, "differs", "{s:O}", "what", text);
    }
    else if (mp_entry_keep(op, &op->cache, plan, code) < 0) {
        rc = -1;
    }
    else {
        op->trials_failed = 0;
        op->cache.at[0]->told = true;
        rc = mp_dispatch_event(op, "record", "{s:K}", "entry",
                               (unsigned long long)op->cache.last_id);
        rc = rc < 0 ? -1 : 1;
    }
    Py_DECREF(text);
    return rc;
}

/* Entries that broke and wait for a trial are tried again when they would answer: they go
 * now, and what went on after their breaks, if no other entry breaks. */
static void
trial_forget(mp_CompiledObject *op)
{
    for (int32_t i = 0; i < op->cache.n; i++) {
        op->cache.at[i]->past |= op->cache.at[i]->untried;
    }
    (void)mp_past_drop(op);
}

/* The trial agrees with the real call, which took `spent`: its entry answers from now on. */
static void
trial_kept(mp_CompiledObject *op, int64_t spent, mp_entry *broke)
{
    if (op->cache.n > 0 && op->cache.at[0]->told) {
        op->cache.at[0]->timed = TRIAL_TIMED;
        op->cache.at[0]->eager_ns = spent;
    }
    op->stats.plans++;
    mp_backoff_reset(&op->stats.aborts);
    if (broke != NULL) {
        mp_cache_remove(&op->cache, broke);
    }
    trial_forget(op);
}

/* The real call, and which entry answers from now on. */
static PyObject *
trial_real(mp_CompiledObject *op, const mp_call_args *call, trial_outcome *got,
           mp_entry *broke)
{
    PyCodeObject *code = (PyCodeObject *)Py_NewRef(op->target.root->func_code);
    int64_t start = mp_stats_now();
    PyObject *result = PyObject_Vectorcall(op->target.callable, call->args,
                                           call->nargsf, call->kwnames);
    int64_t spent = mp_stats_now() - start;
    int rc = 0;
    if (result == NULL) {
        PyObject *exc = mp_err_take();
        op->trials_failed++;
        mp_plan_free(got->plan);
        rc = mp_stats_fallback(&op->stats, MP_FB_TRIAL_DIFFERS);
        mp_err_drop();
        mp_err_restore_steal(exc);
    }
    else {
        rc = trial_judge(op, call, got, code, result);
        if (rc > 0) {
            trial_kept(op, spent, broke);
        }
        else if (rc == 0) {
            op->tries =
                broke != NULL || !op->hoped;  // else a recording with breaks is next
            rc = mp_stats_fallback(&op->stats, MP_FB_TRIAL_DIFFERS);
        }
    }
    if (rc < 0) {
        Py_CLEAR(result);
    }
    Py_DECREF(code);
    return result;
}

int
mp_trial_call(mp_CompiledObject *op, const mp_call_args *call, mp_entry *broke,
              PyObject **result)
{
    trial_outcome got;
    PyObject *state = PyObject_CallMethod(op->judge, "save", NULL);
    if (state == NULL) {
        return -1;
    }
    if (broke != NULL) {
        broke->untried = false;
    }
    int rc = trial_run(op, call, state, &got);
    Py_DECREF(state);
    if (rc > 0) {
        *result = trial_real(op, call, &got, broke);
        trial_clear(&got);
    }
    return rc;
}

int
mp_trial_after(mp_CompiledObject *op, const mp_call_args *call, PyObject *state,
               PyObject *result, int64_t spent)
{
    trial_outcome got;
    int32_t failed = op->trials_failed;
    PyCodeObject *code = (PyCodeObject *)Py_NewRef(op->target.root->func_code);
    PyObject *now = PyObject_CallMethod(op->judge, "save", NULL);
    PyObject *done =
        now == NULL ? NULL : PyObject_CallMethod(op->judge, "restore", "O", state);
    int rc = done == NULL ? -1 : trial_run(op, call, now, &got);
    Py_XDECREF(done);
    Py_XDECREF(now);
    if (rc > 0 && op->fullgraph && got.left != NULL) {
        mp_plan_free(got.plan);  // the call itself has come before, and has written
        op->trials_failed++;
        rc = 0;
        trial_clear(&got);
    }
    else if (rc > 0) {
        // (What a call has written, the next one may write otherwise: try again then.  Else
        // the next one is recorded with its breaks.)
        bool again = op->fullgraph || got.left != NULL;
        rc = trial_judge(op, call, &got, code, result);
        trial_clear(&got);
        op->tries = op->tries && (rc != 0 || again);
        if (rc > 0 && !op->fullgraph && op->cache.n > 0 && op->cache.at[0]->told) {
            op->cache.at[0]->timed = TRIAL_TIMED;
            op->cache.at[0]->eager_ns = spent;
        }
    }
    op->trials_failed = rc == 0 && !op->fullgraph ? failed : op->trials_failed;
    Py_DECREF(code);
    return rc;
}
