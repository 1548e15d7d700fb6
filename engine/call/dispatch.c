/* call/dispatch.c - one call of a compiled function.
 *
 *   off, or inside a recording -> the original
 *   bind arguments -> search entries -> HIT  -> (compile) -> graph -> replay -> result
 *                                    -> MISS -> back-off or limit -> the original
 *                                            -> record -> new entry, or a named reason
 *
 * What must hold:
 * (1) From the end of the binding to the end of the gathering no Python code runs:
 *     bound slots and guard registers are borrowed.  What is needed later is gathered
 *     into strong references (mp_hit).
 * (2) Whoever uses an entry while Python can run holds a reference to it.
 * (3) After the backend has compiled an entry, the call starts over: it ran Python, so
 *     nothing that was bound or checked before counts.
 * (4) Numbers of stats places do not survive Python code (reset() may have run).
 *
 * The caller's reference keeps the CompiledFunction alive during a call. */
#include "call/dispatch.h"

#include "call/blame.h"
#include "call/notice.h"
#include "call/transaction.h"
#include "call/trial.h"
#include "call/verifier.h"
#include "run/record.h"

enum {
    DISPATCH_SAME_ABORTS = 3,  // aborts in a row at one place before backing off
    DISPATCH_ANY_ABORTS = 8,   // the same, at changing places
    DISPATCH_STRIKES = 3,      // graph raised, eager did not: give the graph up
    DISPATCH_AGE = 4,          // evict what was not used for this * max_entries calls
};

/* The arguments of the call in progress, as vectorcall got them. */
typedef mp_call_args dispatch_args;

typedef enum { FIND_ERROR = -1, FIND_MISS, FIND_HIT, FIND_UNFIT } dispatch_found;

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

static PyObject *
dispatch_fall_back(mp_CompiledObject *op, mp_fallback why, const dispatch_args *call)
{
    if (mp_stats_fallback(&op->stats, why) < 0) {
        return NULL;
    }
    return dispatch_plain(op, call);
}

/* -- Search ------------------------------------------------------------------------ */

void
mp_hit_init(mp_hit *hit)
{
    hit->entry = NULL;
    hit->difference = NULL;
    hit->held = hit->small;
    hit->undone = false;
    hit->n_held = hit->n_kept = 0;
    hit->kept = NULL;
}

void
mp_hit_drop(mp_hit *hit)
{
    while (hit->n_held > 0) {
        Py_XDECREF(hit->held[--hit->n_held]);
    }
    if (hit->held != hit->small) {
        PyMem_Free(hit->held);
        hit->held = hit->small;
    }
    while (hit->n_kept > 0) {
        Py_DECREF(hit->kept[--hit->n_kept]);
    }
    PyMem_Free(hit->kept);
    hit->kept = NULL;
}

/* What the replay has borrowed must outlive the graph, which may run Python. */
static int
dispatch_keep_borrowed(mp_hit *hit)
{
    assert(hit->n_kept == 0 && hit->kept == NULL);
    const mp_replay *replay = hit->entry->plan->replay;
    int32_t n = 0;
    for (int32_t i = 0; i < replay->n_ops; i++) {
        n += replay->ops[i].loose;
    }
    hit->kept = n == 0 ? NULL : PyMem_New(PyObject *, n);
    if (n > 0 && hit->kept == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int32_t i = 0; n > 0 && i < replay->n_ops; i++) {
        if (replay->ops[i].loose) {
            hit->kept[hit->n_kept++] = Py_NewRef(replay->ops[i].obj);
        }
    }
    return 0;
}

void
mp_hit_release(mp_hit *hit)
{
    mp_hit_drop(hit);
    Py_XDECREF(hit->difference);
    if (hit->entry != NULL) {
        mp_entry_release(hit->entry);
    }
}

/* Strong references to what this hit needs.  Runs no Python. */
int
mp_hit_gather(mp_hit *hit, PyObject *const *regs)
{
    assert(hit->entry != NULL && hit->n_held == 0 && hit->held == hit->small);
    const mp_plan *plan = hit->entry->plan;
    const mp_replay *replay = plan->replay;
    int32_t n = replay->n_sources + plan->n_inputs;
    if (n > MP_HIT_SMALL) {
        PyObject **held = PyMem_New(PyObject *, n);
        if (held == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        hit->held = held;
    }
    for (int32_t i = 0; i < replay->n_sources; i++) {
        hit->held[i] = Py_NewRef(regs[replay->source_regs[i]]);
    }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        hit->held[replay->n_sources + i] = Py_NewRef(regs[plan->inputs[i]]);
    }
    hit->n_held = n;
    return plan->guards->weak == NULL ? 0 : dispatch_keep_borrowed(hit);
}

/* Does the entry answer this call?  If not, *blame says why.  Runs no Python. */
static bool
dispatch_matches(mp_CompiledObject *op, mp_entry *entry, const mp_bound *bound,
                 int32_t *blame)
{
    assert(op->cache.n_regs >= entry->plan->guards->n_regs);
    mp_plan *plan = entry->plan;
    if (entry->code != bound->code) {
        *blame = MP_BLAME_CODE;
        return false;
    }
    if (!mp_guards_check(plan->guards, bound->slots, op->cache.regs)) {
        *blame = plan->guards->failed;
        return false;
    }
    if (plan->ambient != NULL && !mp_ambient_check(plan->ambient)) {
        *blame = MP_BLAME_AMBIENT;
        return false;
    }
    return true;
}

/* How far did the entry get?  The one that got furthest is the most similar. */
static int64_t
dispatch_progress(int32_t blame)
{
    return blame == MP_BLAME_AMBIENT ? INT64_MAX : blame == MP_BLAME_CODE ? -1 : blame;
}

static dispatch_found
dispatch_search(mp_CompiledObject *op, const mp_bound *bound, mp_hit *hit)
{
    assert(hit->entry == NULL);
    for (int32_t i = 0; i < op->cache.n; i++) {
        mp_entry *entry = op->cache.at[i];
        int32_t blame;
        if (entry->plan->guards->dead) {
            continue;  // goes with the next recording
        }
        if (dispatch_matches(op, entry, bound, &blame)) {
            mp_cache_touch(&op->cache, i);
            entry->last_used = op->stats.calls;
            hit->entry = entry;
            entry->refs++;
            return mp_hit_gather(hit, op->cache.regs) < 0 ? FIND_ERROR : FIND_HIT;
        }
        if (hit->entry == NULL
            || dispatch_progress(blame) > dispatch_progress(hit->blame)) {
            hit->entry = entry;  // borrowed from the cache until the search ends
            hit->blame = blame;
        }
    }
    if (hit->entry != NULL) {
        hit->entry->refs++;
    }
    return FIND_MISS;
}

/* For the log: in what does the tensor differ?  Repeats the nearest check, because the
 * registers have been used by others since.  0 / -1. */
static int
dispatch_compare(mp_CompiledObject *op, const mp_bound *bound, mp_hit *hit)
{
    if (hit->entry == NULL || hit->blame < 0 || op->on_event == NULL) {
        return 0;
    }
    mp_guards *guards = hit->entry->plan->guards;
    assert(hit->blame < guards->n_ops);
    const mp_guard *guard = &guards->ops[hit->blame];
    if (guard->kind != MP_G_TENSOR
        || mp_guards_check(guards, bound->slots, op->cache.regs)
        || guards->failed != hit->blame) {
        return 0;
    }
    PyObject *tensor = Py_NewRef(op->cache.regs[guard->a]);
    hit->difference = mp_tensor_meta_diff(tensor, guard->meta);
    Py_DECREF(tensor);
    return hit->difference == NULL ? -1 : 0;
}

/* Bind and search.  FIND_HIT and FIND_MISS fill *hit, which must be released. */
static dispatch_found
dispatch_find(mp_CompiledObject *op, const dispatch_args *call, mp_hit *hit)
{
    mp_bound bound;
    mp_hit_init(hit);
    int rc = mp_bind(&bound, &op->target, call->args, PyVectorcall_NARGS(call->nargsf),
                     call->kwnames);
    dispatch_found found = rc < 0 ? FIND_ERROR : FIND_UNFIT;
    if (rc > 0) {
        found = dispatch_search(op, &bound, hit);
        if (found == FIND_MISS && dispatch_compare(op, &bound, hit) < 0) {
            found = FIND_ERROR;
        }
    }
    mp_bound_clear(&bound);
    if (found == FIND_ERROR) {
        mp_hit_release(hit);
    }
    return found;
}

/* -- Compile ----------------------------------------------------------------------- */

/* The backend's answer is (callable, boxed) or (callable, boxed, undo). */
static int
dispatch_take_compiled(mp_entry *entry, PyObject *answer)
{
    assert(entry->callable == NULL);
    Py_ssize_t size = PyTuple_Check(answer) ? PyTuple_GET_SIZE(answer) : 0;
    if ((size != 2 && size != 3) || !PyCallable_Check(PyTuple_GET_ITEM(answer, 0))) {
        PyErr_SetString(PyExc_TypeError, "compiler must return (callable, boxed)");
        return -1;
    }
    if (size == 3 && mp_transaction_take(entry, PyTuple_GET_ITEM(answer, 2)) < 0) {
        return -1;
    }
    int boxed = PyObject_IsTrue(PyTuple_GET_ITEM(answer, 1));
    if (boxed < 0) {
        return -1;
    }
    entry->boxed = boxed;
    entry->callable = Py_NewRef(PyTuple_GET_ITEM(answer, 0));
    return 0;
}

static int
dispatch_call_compiler(mp_CompiledObject *op, mp_hit *hit)
{
    mp_entry *entry = hit->entry;
    int32_t n_sources = entry->plan->replay->n_sources;
    assert(hit->n_held == n_sources + entry->plan->n_inputs);
    PyObject *inputs = PyList_New(entry->plan->n_inputs);
    if (inputs == NULL) {
        return -1;
    }
    for (int32_t i = 0; i < entry->plan->n_inputs; i++) {
        PyList_SET_ITEM(inputs, i, Py_NewRef(hit->held[n_sources + i]));
    }
    PyObject *answer =
        PyObject_CallFunctionObjArgs(op->compiler, entry->plan->graph, inputs, NULL);
    Py_DECREF(inputs);
    if (answer == NULL) {
        return -1;
    }
    int rc = dispatch_take_compiled(entry, answer);
    Py_DECREF(answer);
    return rc;
}

/* The backend raised: this entry stays eager.  An interrupt is no failure. */
static int
dispatch_compile_failed(mp_CompiledObject *op, mp_entry *entry)
{
    assert(PyErr_Occurred());
    if (mp_err_is_signal()) {
        entry->state = MP_ENTRY_NEW;
        return -1;
    }
    if (!op->fullgraph && PyErr_ExceptionMatches(PyExc_RecursionError)
        && ++entry->short_of_stack < DISPATCH_STRIKES) {
        mp_err_drop();  // the call stands too deep for the compiler: another may not
        entry->state = MP_ENTRY_NEW;
        return 1;
    }
    entry->state = op->fullgraph ? MP_ENTRY_NEW : MP_ENTRY_FAILED;
    PyObject *exc = mp_err_take();
    if (op->fullgraph) {
        if (mp_stats_fallback(&op->stats, MP_FB_COMPILE_FAILED) == 0) {
            mp_notice_raise(op, Py_BuildValue("{s:s,s:O}", "reason", "backend-failed",
                                              "exception", exc));
        }
        Py_DECREF(exc);
        return -1;
    }
    int rc = mp_dispatch_event(op, "compile_failed", "{s:K,s:O}", "entry",
                               (unsigned long long)entry->id, "exception", exc);
    Py_DECREF(exc);
    return rc;
}

/* NEW -> READY, FAILED, or NEW again and -1, or 1 without an exception: not at this depth. */
int
mp_hit_compile(mp_CompiledObject *op, mp_hit *hit)
{
    assert(hit->entry->state == MP_ENTRY_NEW);
    mp_entry *entry = hit->entry;
    if (op->compiler == NULL) {
        entry->state = MP_ENTRY_FAILED;
        return 0;
    }
    entry->state = MP_ENTRY_COMPILING;
    int64_t start = mp_stats_now();
    int rc = dispatch_call_compiler(op, hit);
    int64_t spent = mp_stats_now() - start;
    op->stats.compile_ns += spent;
    if (rc < 0) {
        return dispatch_compile_failed(op, entry);
    }
    entry->state = MP_ENTRY_READY;
    return mp_dispatch_event(op, "compile", "{s:K,s:d}", "entry",
                             (unsigned long long)entry->id, "seconds",
                             (double)spent / 1e9);
}

/* -- Hit --------------------------------------------------------------------------- */

/* Boxed: the list takes the references over, so that the callee can free inputs early.
 * */
static PyObject *
dispatch_call_boxed(PyObject *callable, mp_hit *hit, int32_t n_sources)
{
    PyObject *list = PyList_New(hit->n_held - n_sources);
    if (list == NULL) {
        return NULL;
    }
    for (int32_t i = n_sources; i < hit->n_held; i++) {
        PyList_SET_ITEM(list, i - n_sources, hit->held[i]);
    }
    hit->n_held = n_sources;
    PyObject *answer = PyObject_CallOneArg(callable, list);
    Py_DECREF(list);
    return answer;
}

/* Run the graph and leave torch as the run has: new tuple of n_outputs. */
PyObject *
mp_hit_call_graph(mp_hit *hit)
{
    assert(hit->entry->callable != NULL);
    mp_entry *entry = hit->entry;
    int32_t n_sources = entry->plan->replay->n_sources;
    PyObject *callable = Py_NewRef(entry->callable);
    PyObject *answer;
    if (entry->boxed) {
        answer = dispatch_call_boxed(callable, hit, n_sources);
    }
    else {
        answer = PyObject_Vectorcall(callable, hit->held + n_sources,
                                     (size_t)(hit->n_held - n_sources), NULL);
    }
    Py_DECREF(callable);
    if (answer != NULL && PyList_CheckExact(answer)) {
        Py_SETREF(answer, PyList_AsTuple(answer));
    }
    if (answer == NULL) {
        return NULL;
    }
    if (entry->plan->n_outputs == 1 && mp_tensor_is_any(answer)) {
        entry->bare = true;
        Py_SETREF(answer, PyTuple_Pack(1, answer));
        if (answer == NULL) {
            return NULL;
        }
    }
    if (!PyTuple_Check(answer) || PyTuple_GET_SIZE(answer) != entry->plan->n_outputs) {
        PyErr_Format(PyExc_TypeError,
                     "a compiled graph must return a tuple or list of %d, not '%.200s'",
                     (int)entry->plan->n_outputs, Py_TYPE(answer)->tp_name);
        Py_CLEAR(answer);
    }
    if (answer != NULL && entry->plan->after != NULL
        && mp_ambient_restore(entry->plan->after) < 0) {
        Py_CLEAR(answer);
    }
    return answer;
}

/* Eager did what the graph could not, again and again: the graph is no use. */
int
mp_entry_strike(mp_CompiledObject *op, mp_entry *entry)
{
    assert(entry->refs > 0);
    if (entry->undo_flags & MP_UNDO_CAUGHT && entry->hits > 0) {
        return 0;  // a handler of the program has had it
    }
    if (++entry->raised >= DISPATCH_STRIKES && entry->state == MP_ENTRY_READY) {
        entry->state = MP_ENTRY_FAILED;
        Py_CLEAR(entry->callable);
    }
    return mp_notice_useless(op, entry);
}

/* The graph raised and nothing is committed yet.  Run the original from the start,
 * unless what the graph has done could not be undone, or it was interrupted. */
static PyObject *
dispatch_graph_raised(mp_CompiledObject *op, mp_hit *hit, const dispatch_args *call)
{
    mp_entry *entry = hit->entry;
    if (!hit->undone) {
        op->stats.hits++;
    }
    if (mp_notice_raised(op, entry, hit->undone) < 0 || !hit->undone
        || mp_stats_fallback(&op->stats, MP_FB_GRAPH_RAISED) < 0) {
        return NULL;
    }
    PyObject *result = dispatch_plain(op, call);
    if (result != NULL && mp_entry_strike(op, entry) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
dispatch_run(mp_CompiledObject *op, mp_hit *hit, const dispatch_args *call)
{
    assert(hit->entry != NULL);
    mp_entry *entry = hit->entry;
    PyObject *outputs = NULL;         // owned
    PyObject *const *tensors = NULL;  // borrowed from outputs
    if (entry->plan->graph != NULL) {
        outputs = mp_transaction_run(hit);
        if (outputs == NULL) {
            return dispatch_graph_raised(op, hit, call);
        }
        entry->raised = 0;
        tensors = ((PyTupleObject *)outputs)->ob_item;
    }
    op->stats.hits++;
    op->stats.partial_hits += entry->plan->exit != NULL;
    if (entry->hits++ == 0) {
        mp_backoff_reset(&op->stats.misses);  // recording again has paid off
    }
    PyObject *result = mp_replay_run(entry->plan->replay, hit->held, tensors);
    Py_XDECREF(outputs);
    if (result != NULL && entry->bare && mp_notice_bare(op, entry) < 0) {
        Py_CLEAR(result);
    }
    if (result == NULL || entry->plan->exit == NULL) {
        return result;
    }
    mp_hit_drop(hit);  // what the rest of the call uses is in the result
    return mp_session_continue(op, entry, result);
}

/* -- Miss -------------------------------------------------------------------------- */

int
mp_entry_keep(mp_CompiledObject *op, mp_cache *cache, mp_plan *plan, PyCodeObject *code)
{
    assert(plan != NULL && code != NULL);
    mp_entry *entry = mp_entry_new(plan, code, ++op->cache.last_id);
    if (entry == NULL) {
        return -1;
    }
    entry->last_used = op->stats.calls;
    mp_cache_purge(cache);
    while (cache->n >= op->max_entries) {
        mp_entry_release(mp_cache_pop(cache));
    }
    int rc = mp_cache_insert(cache, entry);
    mp_entry_release(entry);
    return rc;
}

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
    return mp_dispatch_event(op, "record", "{s:K}", "entry",
                             (unsigned long long)op->cache.last_id);
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

/* The same with the call's own exception in flight, which wins over any of ours. */
static void
dispatch_aborted_raising(mp_CompiledObject *op, const mp_abort_info *why)
{
    PyObject *exc = mp_err_take();
    if (dispatch_aborted(op, why, true) < 0 && !mp_err_drop()) {
        PyErr_WriteUnraisable((PyObject *)op);
    }
    mp_err_restore_steal(exc);
}

/* Are entries verified that answer segments behind the first break of this recording?  If
 * the next hit is: this call takes nobody's turn. */
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

/* fullgraph, and the recording failed: does it succeed if it is told that a compiler is at
 * work?  1 / 0 / -1. */
static int
dispatch_try_whole(mp_CompiledObject *op, const dispatch_args *call, PyObject *state,
                   PyObject *result)
{
    if (state == NULL || result == NULL || !mp_trial_is_due(op)) {
        return 0;
    }
    int rc = mp_trial_after(op, call, state, result);
    if (rc > 0) {
        dispatch_kept(op);
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
    if (op->fullgraph && op->judge != NULL
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
    op->stats.record_ns += mp_stats_now() - start;
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
        dispatch_note_trial(op, &session);
        rc = dispatch_try_whole(op, call, state, result);
        rc = rc == 0 ? dispatch_aborted(op, &why, false) : rc;
        if (session.avoided) {
            mp_backoff_reset(&op->stats.aborts);  // the next call takes another way
        }
    }
    else {
        dispatch_aborted_raising(op, &why);
    }
    if (session.departed > 0) {
        dispatch_note_trial(op, &session);
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

static PyObject *
dispatch_miss(mp_CompiledObject *op, const mp_hit *near, const dispatch_args *call)
{
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
        && mp_blame_miss(op, near) < 0) {
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
dispatch_verify_again(mp_CompiledObject *op, mp_hit *hit, const dispatch_args *call,
                      int dry)
{
    mp_hit again;
    if (dry < 0) {
        if (mp_err_is_signal()) {
            return -1;
        }
        PyErr_WriteUnraisable((PyObject *)op);
        return 0;
    }
    dispatch_found found = dispatch_find(op, call, &again);
    if (found == FIND_ERROR) {
        return -1;
    }
    bool same = found == FIND_HIT && again.entry == hit->entry;
    if (found != FIND_UNFIT) {
        mp_hit_release(&again);
    }
    return same && hit->entry->state == MP_ENTRY_READY;
}

/* Verify this hit.  1: *result is the answer, or NULL; 0: start over, nothing has
 * happened; -1: exception set, nothing has happened. */
static int
dispatch_verify(mp_CompiledObject *op, mp_hit *hit, const dispatch_args *call,
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

static PyObject *
dispatch_run_timed(mp_CompiledObject *op, mp_hit *hit, const dispatch_args *call)
{
    int64_t start = mp_stats_now();
    PyObject *result = dispatch_run(op, hit, call);
    int64_t spent = mp_stats_now() - start;
    if (result != NULL && hit->entry->timed > 0) {
        mp_trial_time(op, hit->entry, spent);
    }
    return result;
}

static PyObject *
dispatch_use(mp_CompiledObject *op, mp_hit *hit, const dispatch_args *call)
{
    switch (hit->entry->state) {
    case MP_ENTRY_READY:
        return hit->entry->timed > 0 ? dispatch_run_timed(op, hit, call)
                                     : dispatch_run(op, hit, call);
    case MP_ENTRY_COMPILING:
        return dispatch_fall_back(op, MP_FB_COMPILING, call);
    case MP_ENTRY_DIVERGED:
        return dispatch_fall_back(op, MP_FB_DIVERGED, call);
    default:
        return dispatch_fall_back(op, MP_FB_COMPILE_FAILED, call);
    }
}

static PyObject *
dispatch_answer(mp_CompiledObject *op, const dispatch_args *call)
{
    bool verify = op->verify_every > 0;  // at most once for a call
    for (;;) {
        mp_hit hit;
        dispatch_found found = dispatch_find(op, call, &hit);
        if (found == FIND_ERROR) {
            return NULL;
        }
        if (found == FIND_UNFIT) {
            mp_fallback why;
            if (dispatch_follow(op, &why) > 0) {
                continue;  // (3)
            }
            return dispatch_fall_back(op, why, call);
        }
        if (found == FIND_HIT && hit.entry->untried && mp_trial_is_due(op)) {
            PyObject *answer = NULL;
            int rc = mp_trial_call(op, call, hit.entry, &answer);
            mp_hit_release(&hit);
            if (rc != 0) {
                return answer;
            }
            continue;  // (3)
        }
        if (found == FIND_HIT && hit.entry->state == MP_ENTRY_NEW) {
            int rc = mp_hit_compile(op, &hit);
            mp_hit_release(&hit);
            if (rc < 0) {
                return NULL;
            }
            if (rc > 0) {
                return dispatch_fall_back(op, MP_FB_COMPILE_FAILED, call);
            }
            continue;  // (3)
        }
        if (verify && found == FIND_HIT && hit.entry->state == MP_ENTRY_READY
            && !hit.entry->told && --op->verify_left <= 0) {
            PyObject *answer = NULL;
            int rc = dispatch_verify(op, &hit, call, &answer);
            mp_hit_release(&hit);
            if (rc != 0) {
                return answer;
            }
            verify = false;
            continue;  // (3)
        }
        PyObject *result = found == FIND_HIT ? dispatch_use(op, &hit, call)
                                             : dispatch_miss(op, &hit, call);
        mp_hit_release(&hit);
        return result;
    }
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
    if (op->cache.n == 0 && mp_stats_skip(&op->stats)) {
        return dispatch_plain(op, &call);
    }
    return dispatch_answer(op, &call);
}
