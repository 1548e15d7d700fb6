/* call/dispatch.c - one call of a compiled function.
 *
 *   off, or inside a recording -> the original
 *   bind arguments -> search entries -> HIT  -> (compile) -> graph -> replay -> result
 *                                                  (call/hit.c, as at each point)
 *                                    -> MISS -> back-off or limit -> the original
 *                                            -> record -> new entry, or a named reason
 *
 * What must hold:
 * (1) From the end of the binding to the end of the gathering no Python code runs:
 *     bound slots and guard registers are borrowed.
 * (2) Whoever uses an entry while Python can run holds a reference to it.
 * (3) After the backend has compiled an entry, the call starts over: it ran Python, so
 *     nothing that was bound or checked before counts.
 * (4) Numbers of stats places do not survive Python code (reset() may have run).
 *
 * The caller's reference keeps the CompiledFunction alive during a call. */
#include "call/dispatch.h"

#include "call/blame.h"
#include "call/dynamic.h"
#include "call/hit.h"
#include "call/notice.h"
#include "call/past.h"
#include "call/session.h"
#include "call/stance.h"
#include "call/trial.h"
#include "call/verifier.h"
#include "run/record.h"
#include "torch/hooks.h"

enum {
    DISPATCH_SAME_ABORTS = 3,  // aborts in a row at one place before backing off
    DISPATCH_ANY_ABORTS = 8,   // the same, at changing places
    DISPATCH_AGE = 4,          // evict what was not used for this * max_entries calls
};

/* The arguments of the call in progress, as vectorcall got them. */
typedef mp_call_args dispatch_args;

static bool dispatch_on = true;

void
mp_dispatch_enable(bool on)
{
    dispatch_on = on;
}

static inline PyObject *
dispatch_plain(mp_CompiledObject *op, const dispatch_args *call)
{
    return PyObject_Vectorcall(op->target.callable, call->args, call->nargsf,
                               call->kwnames);
}

/* mp_stand.eager: the call from its start. */
static PyObject *
dispatch_eager(mp_CompiledObject *op, void *ctx)
{
    return dispatch_plain(op, ctx);
}

static PyObject *
dispatch_fall_back(mp_CompiledObject *op, mp_fallback why, const dispatch_args *call)
{
    if (mp_stats_fallback(&op->stats, why) < 0) {
        return NULL;
    }
    return dispatch_plain(op, call);
}

/* -- Search ------------------------------------------------------------------------ */

/* Full, and even the least recently used entry is in use? */
static bool
dispatch_is_full(const mp_CompiledObject *op)
{
    const mp_cache *cache = &op->cache;
    if (mp_cache_alive(cache) < op->max_entries) {
        return false;
    }
    uint64_t age = op->stats.calls - cache->at[cache->n - 1]->last_used;
    return age <= (uint64_t)DISPATCH_AGE * (uint64_t)op->max_entries;
}

/* Is this miss one that is told to the listener, if it is recorded? */
static bool
dispatch_will_tell(const mp_CompiledObject *op)
{
    return op->on_event != NULL && op->stats.aborts.skip == 0
           && op->stats.misses.skip == 0 && !dispatch_is_full(op);
}

/* For the log: which entry is the nearest, and what is there instead?  Repeats its check,
 * because the registers have been used by others since.  0 / -1. */
static int
dispatch_compare(mp_CompiledObject *op, const mp_bound *bound, mp_hit *hit)
{
    if (hit->entry != NULL && op->cache.n > 1 && dispatch_will_tell(op)) {
        mp_blame_nearest(op, hit, bound->code, bound->slots);
    }
    if (hit->entry == NULL || hit->blame < 0 || op->on_event == NULL) {
        return 0;
    }
    mp_guards *guards = hit->entry->plan->guards;
    assert(hit->blame < guards->n_ops);
    if (mp_guards_check(guards, bound->slots, op->cache.regs)) {
        return 0;
    }
    hit->blame = guards->failed;  // (a proof may have failed elsewhere)
    hit->difference = mp_guards_found(guards, op->cache.regs);
    return PyErr_Occurred() ? -1 : 0;
}

/* mp_stand.search: bind, and search.  (1) */
static mp_found
dispatch_search(mp_CompiledObject *op, mp_hit *hit, void *ctx)
{
    const dispatch_args *call = ctx;
    mp_bound bound;
    int rc = mp_bind(&bound, &op->target, call->args, PyVectorcall_NARGS(call->nargsf),
                     call->kwnames);
    mp_found found = rc < 0 ? MP_FOUND_ERROR : MP_FOUND_UNFIT;
    if (rc > 0) {
        found = mp_hit_search(op, hit, &op->cache, bound.code, bound.slots, 0);
        if (found == MP_FOUND_NONE) {
            hit->learned = mp_dynamic_learn(op, &op->cache, bound.code, bound.slots);
            found = dispatch_compare(op, &bound, hit) < 0 ? MP_FOUND_ERROR : found;
        }
    }
    mp_bound_clear(&bound);
    return found == MP_FOUND_HIT && hit->entry->untried && mp_trial_is_due(op)
               ? MP_FOUND_UNTRIED
               : found;
}

/* mp_stand.holds */
static bool
dispatch_holds(mp_CompiledObject *op, mp_entry *entry, void *ctx)
{
    const dispatch_args *call = ctx;
    mp_bound bound;
    int32_t blame;
    PyObject *const *regs;
    int rc = mp_bind(&bound, &op->target, call->args, PyVectorcall_NARGS(call->nargsf),
                     call->kwnames);
    bool holds =
        rc > 0
        && mp_hit_matches(&op->cache, entry, bound.code, bound.slots, 0, &blame, &regs);
    mp_err_drop();  // without memory it does not
    mp_bound_clear(&bound);
    return holds;
}

/* -- Miss -------------------------------------------------------------------------- */

/* This call has made an entry of its own. */
static void
dispatch_kept(mp_CompiledObject *op)
{
    op->stats.plans++;
    mp_backoff_reset(&op->stats.aborts);
}

/* The recording became a plan: keep it in an entry. */
static int
dispatch_keep(mp_CompiledObject *op, mp_plan *plan, PyCodeObject *code)
{
    if (mp_entry_keep(op, &op->cache, plan, code) < 0) {
        return -1;
    }
    dispatch_kept(op);
    int rc = mp_dispatch_event(op, "record", "{s:K}", "entry",
                               (unsigned long long)op->cache.last_id);
    return rc < 0 ? rc : mp_dynamic_tell(op);
}

/* The recording failed: count it, and stop recording for a while if it keeps failing.
 * -1 with an exception set if the call's result must be dropped. */
static int
dispatch_aborted(mp_CompiledObject *op, const mp_abort_info *why, bool raised)
{
    int32_t place = mp_stats_place(&op->stats, mp_abort_slug(why->id), why->detail,
                                   why->file, why->line);
    if (place < 0) {
        return -1;
    }
    mp_stats_count(&op->stats, place);
    if (!op->fullgraph && !why->unwatched
        && mp_backoff_note(&op->stats.aborts, place, DISPATCH_SAME_ABORTS,
                           DISPATCH_ANY_ABORTS)
        && !raised && mp_notice_stopped(op, MP_NOTICE_ABORTS, place) < 0) {
        return -1;
    }
    if (mp_dispatch_event(op, "abort", MP_ABORT_INFO, MP_ABORT_VALUES(why)) < 0) {
        return -1;
    }
    if (op->fullgraph && !raised) {
        mp_notice_raise(op, Py_BuildValue(MP_ABORT_INFO, MP_ABORT_VALUES(why)));
        return -1;
    }
    return 0;
}

/* The same while the call's own exception is set; it has precedence over an exception of
 * MagPy. */
static void
dispatch_aborted_raising(mp_CompiledObject *op, const mp_abort_info *why)
{
    PyObject *exc = mp_err_take();
    if (dispatch_aborted(op, why, true) < 0 && !mp_err_drop()) {
        PyErr_WriteUnraisable((PyObject *)op);
    }
    mp_err_restore_steal(exc);
}

/* Are entries verified that answer segments after the first break of this recording?
 * Yes, if the next hit is due; this call does not count as that hit. */
static bool
dispatch_checks(const mp_CompiledObject *op)
{
    return op->segments && op->verify_every > 0 && op->verify_left <= 1;
}

/* The recording has ended, with a break or without a plan: are trials of use? */
static void
dispatch_note_trial(mp_CompiledObject *op, const mp_session *s)
{
    mp_entry *broke = NULL;
    for (int32_t i = 0; s->departed > 0 && i < op->cache.n && broke == NULL; i++) {
        broke = op->cache.at[i]->id == s->root_id ? op->cache.at[i] : NULL;
    }
    mp_trial_note(op, &s->compiling, broke);
}

/* May a trial follow a recording at once?  (The first one, as later calls begin with a trial.) */
static bool
dispatch_hopes(const mp_CompiledObject *op)
{
    return op->fullgraph
           || (op->segments && !op->tries && !op->hoped && op->verify_every == 0
               && mp_trial_may_be(op));
}

/* The recording failed, before any break: does it succeed with is_compiling() true? 1 / 0 /
 * -1. */
static int
dispatch_try_whole(mp_CompiledObject *op, const dispatch_args *call, PyObject *state,
                   PyObject *result, int64_t spent)
{
    if (state == NULL || result == NULL || !mp_trial_is_due(op)) {
        return 0;
    }
    int rc = mp_trial_after(op, call, state, result, spent);
    if (rc > 0) {
        dispatch_kept(op);
    }
    return rc;
}

/* The run could not be recorded and has answered: what the next calls do. */
static int
dispatch_unrecorded(mp_CompiledObject *op, mp_session *session,
                    const dispatch_args *call, PyObject *state, PyObject *result,
                    int64_t spent, const mp_abort_info *why)
{
    dispatch_note_trial(op, session);
    op->hoped = op->hoped || (session->compiling.hopes && op->tries);
    int rc = dispatch_try_whole(op, call, state, result, spent);
    rc = rc == 0 ? dispatch_aborted(op, why, false) : rc;
    if (session->avoided) {
        mp_backoff_reset(&op->stats.aborts);  // the next call takes another way
    }
    return rc;
}

static PyObject *
dispatch_record(mp_CompiledObject *op, const dispatch_args *call)
{
    mp_plan *plan = NULL;
    PyObject *result = NULL;
    PyObject *state = NULL;  // owned; of the random generators at the begin
    mp_abort_info why = {.detail = NULL};
    PyObject *root = Py_NewRef(op->target.root);  // a call below may follow another one
    PyCodeObject *code = (PyCodeObject *)Py_NewRef(op->target.root->func_code);
    int rc = 0;
    mp_session session;
    mp_verification check = {.op = NULL};
    mp_session_init(&session, op);
    session.compiling.hopes = !op->fullgraph && dispatch_hopes(op);
    if (dispatch_hopes(op) && op->judge != NULL
        && (state = PyObject_CallMethod(op->judge, "save", NULL)) == NULL) {
        goto done;
    }
    if (dispatch_checks(op) && mp_verify->start(&check, &session) < 0) {
        goto done;
    }
    int64_t start = mp_stats_now();
    result = mp_record_call(op->target.callable, call->args, call->nargsf,
                            call->kwnames, root, op->max_instructions, check.outputs,
                            op->segments ? &mp_session_host : NULL, &session,
                            &session.compiling, &plan, &why);
    op->stats.recordings++;
    int64_t spent = mp_stats_now() - start;
    op->stats.record_ns += spent;
    if (session.departed > 0) {
        dispatch_kept(op);
        result = mp_session_run(&session, result, plan, &why);
    }
    else if (plan != NULL && root == (PyObject *)op->target.root) {
        rc = dispatch_keep(op, plan, code);
    }
    else if (plan != NULL) {
        mp_plan_free(plan);
        rc = mp_stats_fallback(&op->stats, MP_FB_CALLABLE);
    }
    else if (result != NULL) {
        rc = dispatch_unrecorded(op, &session, call, state, result, spent, &why);
    }
    else {
        dispatch_aborted_raising(op, &why);
    }
    if (session.departed > 0) {
        dispatch_note_trial(op, &session);
    }
    if (session.once) {
        mp_past_once(op, session.root_id);
    }
    if (rc < 0) {
        Py_CLEAR(result);
    }
done:
    Py_XDECREF(state);
    mp_session_fini(&session);
    mp_abort_clear(&why);
    Py_DECREF(code);
    Py_DECREF(root);
    return check.op == NULL ? result : mp_verify->finish(&check, result);
}

/* No entry answers, and the user forbids another recording. */
static PyObject *
dispatch_stance_miss(mp_CompiledObject *op, mp_stance stance, const dispatch_args *call)
{
    if (stance == MP_STANCE_HITS) {
        return dispatch_fall_back(op, MP_FB_STANCE, call);
    }
    if (mp_stats_fallback(&op->stats, MP_FB_STANCE) < 0) {
        return NULL;
    }
    PyErr_Format(
        PyExc_RuntimeError,
        "no recording answers this call of %R, and torch.compiler.set_stance("
        "\"fail_on_recompile\") forbids another one; MAGPY_LOGS=recompiles says "
        "which guard fails",
        op->target.callable);
    return NULL;
}

static PyObject *
dispatch_miss(mp_CompiledObject *op, const mp_hit *near, const dispatch_args *call)
{
    mp_stance stance = mp_stance_seen();
    if (stance == MP_STANCE_HITS || stance == MP_STANCE_FAIL) {
        return dispatch_stance_miss(op, stance, call);
    }
    if (near->learned) {
        mp_backoff_reset(&op->stats.misses);
    }
    if (mp_stats_skip(&op->stats)) {
        return dispatch_plain(op, call);
    }
    if (dispatch_is_full(op)) {
        PyObject *result = dispatch_fall_back(op, MP_FB_ENTRY_LIMIT, call);
        int32_t place = op->stats.fallback[MP_FB_ENTRY_LIMIT];
        if (result != NULL && place >= 0
            && mp_notice_stopped(op, MP_NOTICE_LIMIT, place) < 0) {
            Py_CLEAR(result);
        }
        return result;
    }
    const char *why_not;  // then the miss leads to no recording that is to be blamed
    if (near->entry != NULL && mp_watch_available(&why_not)
        && (mp_blame_miss(op, near) < 0 || mp_dynamic_tell(op) < 0)) {
        return NULL;
    }
    if (mp_trial_is_due(op)) {
        PyObject *result = NULL;
        int rc = mp_trial_call(op, call, NULL, &result);
        if (rc != 0) {
            return result;
        }
    }
    return dispatch_record(op, call);
}

/* -- Verify ------------------------------------------------------------------------ */

/* The dry run has ended.  It ran Python, so the entry is looked for again (3).  1: it
 * still answers this call; 0: not, or the dry run failed; -1: exception set. */
static int
dispatch_verify_again(mp_CompiledObject *op, mp_hit *hit, dispatch_args *call, int dry)
{
    mp_hit again;
    if (dry < 0) {
        if (mp_err_is_signal()) {
            return -1;
        }
        PyErr_WriteUnraisable((PyObject *)op);
        return 0;
    }
    mp_hit_init(&again, true);
    mp_found found = dispatch_search(op, &again, call);
    bool same = found == MP_FOUND_HIT && again.entry == hit->entry;
    mp_hit_release(&again);
    if (found == MP_FOUND_ERROR) {
        return -1;
    }
    return same && hit->entry->state == MP_ENTRY_READY;
}

/* Verify this hit.  1: *result is the answer, or NULL; 0: start over, nothing has
 * happened; -1: exception set, nothing has happened. */
static int
dispatch_verify(mp_CompiledObject *op, mp_hit *hit, dispatch_args *call,
                PyObject **result)
{
    assert(op->verifier != NULL && hit->entry != NULL);
    PyObject *notes;  // owned or NULL
    int32_t n_sources = hit->entry->plan->replay->n_sources;
    op->verify_left = op->verify_every;
    int dry = mp_verify->dry(op->verifier, hit->entry, hit->held + n_sources, &notes);
    int rc = dispatch_verify_again(op, hit, call, dry);
    if (rc > 0) {
        // What the hit would have used must die when it dies in eager.
        mp_hit_drop(hit);
        *result = mp_verify->call(op, hit->entry, notes, call->args, call->nargsf,
                                  call->kwnames);
    }
    Py_XDECREF(notes);
    return rc;
}

/* -- Call -------------------------------------------------------------------------- */

/* The call did not bind.  1: start over, the callable calls another function now, and what
 * was recorded is gone; 0: eager, *why says for what. */
static int
dispatch_follow(mp_CompiledObject *op, mp_fallback *why)
{
    PyFunctionObject *old;
    int same = mp_target_follow(&op->target, &old);
    *why = same < 0 ? MP_FB_CALLABLE : MP_FB_ARGUMENTS;
    if (same != 0) {
        return 0;
    }
    mp_cache_clear(&op->cache);
    mp_points_clear(&op->points);
    Py_DECREF(old);
    return 1;
}

/* The entry answers; what follows behind its break belongs to the call. */
static PyObject *
dispatch_run(mp_CompiledObject *op, mp_hit *hit, const mp_stand *at)
{
    PyObject *result = mp_hit_use(op, hit, at);
    if (result == NULL || !hit->answered || hit->entry->plan->exit == NULL) {
        return result;
    }
    mp_hit_drop(hit);  // what the rest of the call uses is in the result
    return mp_session_continue(op, hit->entry, result);
}

static PyObject *
dispatch_use(mp_CompiledObject *op, mp_hit *hit, const mp_stand *at)
{
    if (hit->entry->timed == 0 || hit->entry->state != MP_ENTRY_READY) {
        return dispatch_run(op, hit, at);
    }
    int64_t start = mp_stats_now();
    PyObject *result = dispatch_run(op, hit, at);
    int64_t spent = mp_stats_now() - start;
    if (result != NULL && hit->entry->timed > 0) {
        mp_trial_time(op, hit->entry, spent);
    }
    return result;
}

/* The call stands at its begin, and the search has ended.  1: *result is the answer, or
 * NULL; 0: start over (3). */
static int
dispatch_found(mp_CompiledObject *op, mp_hit *hit, mp_found found, dispatch_args *call,
               const mp_stand *at, bool *verify, PyObject **result)
{
    mp_fallback why;
    switch (found) {
    case MP_FOUND_ERROR:
        return 1;
    case MP_FOUND_UNFIT:
        if (dispatch_follow(op, &why) > 0) {
            return 0;
        }
        *result = dispatch_fall_back(op, why, call);
        return 1;
    case MP_FOUND_DEEP:
        *result = dispatch_fall_back(op, MP_FB_COMPILE_FAILED, call);
        return 1;
    case MP_FOUND_UNTRIED:
        return mp_trial_call(op, call, hit->entry, result) != 0;
    case MP_FOUND_NONE:
        *result = dispatch_miss(op, hit, call);
        return 1;
    case MP_FOUND_HIT:
        break;
    }
    // (A compile runs code of the program, which may have taken the verifier away.)
    if (*verify && op->verifier != NULL && mp_hooks_now() == MP_HOOKS_NONE
        && hit->entry->state == MP_ENTRY_READY && !hit->entry->told
        && !hit->entry->plan->branches && --op->verify_left <= 0) {
        *verify = false;
        return dispatch_verify(op, hit, call, result) != 0;
    }
    *result = dispatch_use(op, hit, at);
    return 1;
}

static PyObject *
dispatch_answer(mp_CompiledObject *op, dispatch_args *call)
{
    const mp_stand at = {dispatch_search, dispatch_eager, dispatch_holds, call};
    bool verify = op->verify_every > 0;  // at most once for a call
    PyObject *result = NULL;
    int done = 0;
    while (!done) {
        mp_hit hit;
        mp_hit_init(&hit, true);
        mp_found found = mp_hit_find(op, &hit, &at);
        done = dispatch_found(op, &hit, found, call, &at, &verify, &result);
        mp_hit_release(&hit);
    }
    return result;
}

PyObject *
mp_dispatch_call(PyObject *self, PyObject *const *args, size_t nargsf,
                 PyObject *kwnames)
{
    mp_CompiledObject *op = (mp_CompiledObject *)self;
    dispatch_args call = {args, nargsf, kwnames};
    if (op->disabled || !dispatch_on || mp_recording()) {
        return dispatch_plain(op, &call);
    }
    op->stats.calls++;
    mp_stance stance = mp_stance_now();
    if (stance == MP_STANCE_EAGER
        || (stance == MP_STANCE_EAGER_FIRST && op->stats.calls == 1)) {
        return dispatch_fall_back(op, MP_FB_STANCE, &call);
    }
    if (op->cache.n == 0 && mp_stats_skip(&op->stats)) {
        return dispatch_plain(op, &call);
    }
    return dispatch_answer(op, &call);
}
