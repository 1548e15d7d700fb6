/* call/hit.c - a hit: an entry answers, at the begin of a call or after a break.
 *
 *   search a cache -> NEW: compile, and search again
 *                  -> graph -> replay -> the result, or the values at a break
 *                        raised -> changes are undone -> the program itself runs
 *
 * What must hold:
 * (1) From the moment that values are borrowed (bound arguments, the row of a point) to the
 *     end of the gathering no Python code runs: they and the guard registers are borrowed.
 *     What is needed later is gathered into strong references (mp_hit).
 * (2) Whoever uses an entry while Python code can run holds a reference to it.
 * (3) Compiling runs Python code, so everything that was checked before is void.
 * (4) When the program itself runs, the hit holds none of its objects: they die when they
 *     die in eager mode. */
#include "call/hit.h"

#include "call/dynamic.h"
#include "call/notice.h"
#include "call/quiet.h"
#include "call/transaction.h"
#include "guard/words.h"

enum {
    HIT_STRIKES = 3,  // graph raised, eager did not: give the graph up
    HIT_UNFIT = 4,    // the compiler refused calls that its guards let through
};

/* -- References --------------------------------------------------------------------- */

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
hit_keep_borrowed(mp_hit *hit)
{
    assert(hit->n_kept == 0 && hit->kept == NULL);
    const mp_replay *replay = hit->entry->plan->replay;
    hit->kept = PyMem_New(PyObject *, replay->n_loose);
    if (hit->kept == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int32_t i = 0; i < replay->n_ops; i++) {
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

/* The object that number k only passes on, as `x` does, +x, int(x) of an int, and min(x, y);
 * NULL: it is a new one.  Borrowed. */
static PyObject *
hit_passed_on(const mp_guards *g, int32_t k, PyObject *const *regs)
{
    const mp_number *op = &g->numbers.ops[k];
    const mp_number_value *v = g->values;
    bool second, of_float = false;
    switch (op->op) {  // (what `a` is depends on the kind)
    case MP_N_TO_INT:
    case MP_N_TRUNC:
    case MP_N_ROUND:
    case MP_N_FLOOR:
    case MP_N_CEIL:
    case MP_N_TO_FLOAT:
    case MP_N_ABS:
    case MP_N_MIN:
    case MP_N_MAX:
        of_float = g->numbers.ops[op->a].is_float;
        break;
    default:
        break;
    }
    switch (op->op) {
    case MP_N_VALUE:
        return regs[op->a];
    case MP_N_POS:
        return hit_passed_on(g, op->a, regs);
    case MP_N_TO_INT:
    case MP_N_TRUNC:
    case MP_N_ROUND:
    case MP_N_FLOOR:
    case MP_N_CEIL:
        return of_float ? NULL : hit_passed_on(g, op->a, regs);
    case MP_N_TO_FLOAT:
        return of_float ? hit_passed_on(g, op->a, regs) : NULL;
    case MP_N_ABS:
        return of_float || v[op->a].i < 0 ? NULL : hit_passed_on(g, op->a, regs);
    case MP_N_MIN:
    case MP_N_MAX:
        if (of_float) {
            second =
                op->op == MP_N_MIN ? v[op->b].f < v[op->a].f : v[op->b].f > v[op->a].f;
        }
        else {
            second =
                op->op == MP_N_MIN ? v[op->b].i < v[op->a].i : v[op->b].i > v[op->a].i;
        }
        return hit_passed_on(g, second ? op->b : op->a, regs);
    default:
        return NULL;
    }
}

/* Registers, and number k as ~k: 0, or -1 with MemoryError. */
MP_INLINE int
hit_gather_some(mp_hit *hit, const int32_t *given, int32_t n, PyObject *const *regs)
{
    PyObject **held = hit->held + hit->n_held;
    const mp_guards *guards = hit->entry->plan->guards;
    for (int32_t i = 0; i < n; i++) {
        int32_t number = ~given[i];
        if (given[i] >= 0) {
            held[i] = Py_NewRef(regs[given[i]]);
        }
        else if ((held[i] = Py_XNewRef(hit_passed_on(guards, number, regs))) == NULL
                 && mp_guards_numbers(guards, &number, 1, &held[i]) < 0) {
            hit->n_held += i;
            return -1;
        }
    }
    hit->n_held += n;
    return 0;
}

/* Strong references to what this hit needs: the registers of the check that has just
 * succeeded.  Runs no Python. */
static int
hit_gather(mp_hit *hit, PyObject *const *regs)
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
    if (hit_gather_some(hit, replay->source_regs, replay->n_sources, regs) < 0
        || hit_gather_some(hit, plan->inputs, plan->n_inputs, regs) < 0) {
        return -1;
    }
    return replay->n_loose == 0 ? 0 : hit_keep_borrowed(hit);
}

/* -- Search ------------------------------------------------------------------------ */

bool
mp_hit_matches(mp_cache *cache, mp_entry *entry, PyCodeObject *code,
               PyObject *const *values, int32_t n_row, int32_t *blame,
               PyObject *const **regs)
{
    assert(cache->n_regs >= entry->plan->guards->n_regs);
    mp_plan *plan = entry->plan;
    if (entry->code != code) {
        *blame = MP_BLAME_CODE;
        return false;
    }
    *regs = mp_guards_prove(plan->guards, values, cache->regs);
    if (*regs == NULL) {
        *blame = plan->guards->failed;
        return false;
    }
    if (plan->ambient != NULL && !mp_ambient_check(plan->ambient)) {
        *blame = MP_BLAME_AMBIENT;
        return false;
    }
    if (!mp_is_quiet(plan, code, *regs, values, n_row)) {
        *blame = MP_BLAME_FINALIZER;
        return false;
    }
    return true;
}

/* How far did the check of the entry get? The entry that got furthest is the most
 * similar one. */
static int64_t
hit_progress(int32_t blame)
{
    return blame == MP_BLAME_FINALIZER ? INT64_MAX
           : blame == MP_BLAME_AMBIENT ? INT64_MAX - 1
           : blame == MP_BLAME_CODE    ? -1
                                       : blame;
}

/* Can it not be the one?  Its objects have died (it goes with the next recording), or it has
 * no graph and a segment of its own may be recorded there; a call that begins stays eager. */
static bool
hit_passes(const mp_hit *hit, const mp_entry *entry)
{
    return entry->plan->guards->dead
           || (!hit->begins
               && (entry->state == MP_ENTRY_FAILED
                   || entry->state == MP_ENTRY_COMPILING));
}

/* What a search asks all entries with, and how far it has got. */
typedef struct {
    mp_CompiledObject *op;
    mp_hit *hit;
    mp_cache *cache;
    PyCodeObject *code;
    PyObject *const *values;
    int32_t n_row;
} hit_query;

/* Does entry i answer?  Then *found says how the search has ended. */
static bool
hit_try(const hit_query *q, int32_t i, mp_found *found)
{
    mp_hit *hit = q->hit;
    mp_entry *entry = q->cache->at[i];
    int32_t blame;
    PyObject *const *regs;
    if (hit_passes(hit, entry)) {
        return false;
    }
    if (!mp_hit_matches(q->cache, entry, q->code, q->values, q->n_row, &blame, &regs)) {
        if (hit->entry == NULL || hit_progress(blame) > hit_progress(hit->blame)) {
            hit->entry = entry;  // borrowed from the cache until the search ends
            hit->blame = blame;
        }
        return false;
    }
    mp_cache_touch(q->cache, i);
    entry->last_used = q->op->stats.calls;
    hit->entry = entry;
    entry->refs++;
    *found = hit_gather(hit, regs) < 0 ? MP_FOUND_ERROR : MP_FOUND_HIT;
    return true;
}

/* How many values there are: those of a row, or the bound parameters. */
static int32_t
query_n_values(const hit_query *q)
{
    const PyCodeObject *code = q->code;
    return q->n_row > 0 ? q->n_row
                        : code->co_argcount + code->co_kwonlyargcount
                              + ((code->co_flags & CO_VARARGS) != 0)
                              + ((code->co_flags & CO_VARKEYWORDS) != 0);
}

/* The entry used last does not answer: first the one that did for values like these, then all. */
static bool
hit_search_others(const hit_query *q, mp_found *found)
{
    mp_cache *cache = q->cache;
    uint64_t hash = mp_hints_hash(q->values, query_n_values(q));
    int32_t hinted = mp_cache_find(cache, mp_hints_find(&cache->hints, hash));
    if (hinted > 0 && hit_try(q, hinted, found)) {
        return true;
    }
    for (int32_t i = 1; i < cache->n; i++) {
        if (i != hinted && hit_try(q, i, found)) {
            mp_hints_note(&cache->hints, hash, cache->at[0], cache->n);
            return true;
        }
    }
    return false;
}

mp_found
mp_hit_search(mp_CompiledObject *op, mp_hit *hit, mp_cache *cache, PyCodeObject *code,
              PyObject *const *values, int32_t n_row)
{
    assert(hit->entry == NULL);
    const hit_query q = {op, hit, cache, code, values, n_row};
    mp_found found = MP_FOUND_NONE;
    if (cache->n > 0 && hit_try(&q, 0, &found)) {
        return found;
    }
    if (cache->n > 1 && hit_search_others(&q, &found)) {
        return found;
    }
    if (hit->entry != NULL) {
        hit->entry->refs++;
    }
    return MP_FOUND_NONE;
}

/* -- Compile ----------------------------------------------------------------------- */

/* What a compiler answers: a tuple of two, of three, or of all of these (_session.py,
 * Compiled). */
enum {
    ANSWER_RUN,
    ANSWER_BOXED,
    ANSWER_SHORT,  // how many there are at least
    ANSWER_UNDO = ANSWER_SHORT,
    ANSWER_WITH_UNDO,
    ANSWER_GUARDS = ANSWER_WITH_UNDO,
    ANSWER_WHY,
    ANSWER_OWNER,
    ANSWER_REUSED,
    ANSWER_WHOLE,
};

/* Tests that the compiler wants: they are in the entry before it answers any call.  With a
 * reason they make constants of its numbers. */
static int
hit_take_guards(mp_CompiledObject *op, mp_entry *entry, PyObject *answer)
{
    PyObject *guards = PyTuple_GET_ITEM(answer, ANSWER_GUARDS);
    PyObject *why = PyTuple_GET_ITEM(answer, ANSWER_WHY);
    if (!PyList_CheckExact(guards) || !PyUnicode_CheckExact(why)) {
        PyErr_SetString(PyExc_TypeError,
                        "a compiler's guards must be a list, and a str");
        return -1;
    }
    mp_plan *plan = entry->plan;
    if (mp_guards_extend(plan->guards, guards, plan->inputs, plan->n_inputs) < 0) {
        return -1;
    }
    return PyUnicode_GET_LENGTH(why) == 0 ? 0 : mp_dynamic_refuse(op, entry, why);
}

/* 1: the guards that the answer came with do not hold for this call. */
static int
hit_take_compiled(mp_CompiledObject *op, mp_entry *entry, PyObject *answer)
{
    assert(entry->callable == NULL);
    Py_ssize_t size = PyTuple_Check(answer) ? PyTuple_GET_SIZE(answer) : 0;
    bool whole = size == ANSWER_WHOLE;
    PyObject *callable = size > 0 ? PyTuple_GET_ITEM(answer, ANSWER_RUN) : NULL;
    if (whole && hit_take_guards(op, entry, answer) < 0) {
        return -1;
    }
    if (whole && callable == Py_None) {
        return 1;
    }
    if ((size != ANSWER_SHORT && size != ANSWER_WITH_UNDO && !whole)
        || !PyCallable_Check(callable)) {
        PyErr_SetString(PyExc_TypeError, "compiler must return (callable, boxed)");
        return -1;
    }
    if (size > ANSWER_UNDO
        && mp_transaction_take(entry, PyTuple_GET_ITEM(answer, ANSWER_UNDO)) < 0) {
        return -1;
    }
    int boxed = PyObject_IsTrue(PyTuple_GET_ITEM(answer, ANSWER_BOXED));
    if (boxed < 0) {
        return -1;
    }
    if (whole) {
        Py_XSETREF(entry->owner, Py_NewRef(PyTuple_GET_ITEM(answer, ANSWER_OWNER)));
        entry->reused = PyTuple_GET_ITEM(answer, ANSWER_REUSED) == Py_True;
        op->stats.reused += entry->reused;
    }
    entry->boxed = boxed;
    entry->callable = Py_NewRef(callable);
    return 0;
}

static int
hit_call_compiler(mp_CompiledObject *op, mp_hit *hit)
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
    int rc = hit_take_compiled(op, entry, answer);
    Py_DECREF(answer);
    return rc;
}

/* The backend raised: this entry stays eager.  An interrupt is no failure. */
static int
hit_compile_failed(mp_CompiledObject *op, mp_entry *entry)
{
    assert(PyErr_Occurred());
    if (mp_err_is_signal()) {
        entry->state = MP_ENTRY_NEW;
        return -1;
    }
    if (!op->fullgraph && PyErr_ExceptionMatches(PyExc_RecursionError)
        && ++entry->short_of_stack < HIT_STRIKES) {
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

/* The compiler has shown that this call is another case, and the guards tell so from now
 * on.  R: they must, or the search that follows would find the entry for ever. */
static int
hit_compile_unfit(mp_entry *entry)
{
    entry->state = ++entry->unfit < HIT_UNFIT ? MP_ENTRY_NEW : MP_ENTRY_FAILED;
    return 0;
}

/* NEW -> READY, FAILED, or NEW again and -1, or 1 without an exception: not at this depth. */
static int
hit_compile(mp_CompiledObject *op, mp_hit *hit)
{
    assert(hit->entry->state == MP_ENTRY_NEW);
    mp_entry *entry = hit->entry;
    if (op->compiler == NULL) {
        entry->state = MP_ENTRY_FAILED;
        return 0;
    }
    entry->state = MP_ENTRY_COMPILING;
    int64_t start = mp_stats_now();
    int rc = hit_call_compiler(op, hit);
    int64_t spent = mp_stats_now() - start;
    op->stats.compile_ns += spent;
    if (rc < 0) {
        return hit_compile_failed(op, entry);
    }
    if (rc > 0) {
        return hit_compile_unfit(entry);
    }
    entry->state = MP_ENTRY_READY;
    return mp_dispatch_event(op, "compile", "{s:K,s:d}", "entry",
                             (unsigned long long)entry->id, "seconds",
                             (double)spent / 1e9);
}

mp_found
mp_hit_compile(mp_CompiledObject *op, mp_hit *hit, const mp_stand *at)
{
    mp_found found = MP_FOUND_HIT;
    while (found == MP_FOUND_HIT && hit->entry->state == MP_ENTRY_NEW) {
        int rc = hit_compile(op, hit);
        mp_hit_release(hit);  // (3)
        mp_hit_init(hit, hit->begins);
        found = rc < 0   ? MP_FOUND_ERROR
                : rc > 0 ? MP_FOUND_DEEP
                         : at->search(op, hit, at->ctx);
    }
    return found;
}

/* -- Run --------------------------------------------------------------------------- */

/* Boxed: the list takes the references over, so that the callee can free inputs early.
 */
static PyObject *
hit_call_boxed(PyObject *callable, mp_hit *hit, int32_t n_sources)
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
        answer = hit_call_boxed(callable, hit, n_sources);
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
static int
hit_strike(mp_CompiledObject *op, mp_entry *entry)
{
    assert(entry->refs > 0);
    if (entry->undo_flags & MP_UNDO_CAUGHT && entry->hits > 0) {
        return 0;  // a handler of the program has had it
    }
    if (++entry->raised >= HIT_STRIKES && entry->state == MP_ENTRY_READY) {
        entry->state = MP_ENTRY_FAILED;
        Py_CLEAR(entry->callable);
        Py_CLEAR(entry->owner);
    }
    return mp_notice_useless(op, entry);
}

/* The program itself runs from where the hit stands. */
static PyObject *
hit_fall_back(mp_CompiledObject *op, mp_hit *hit, mp_fallback why, const mp_stand *at)
{
    mp_hit_drop(hit);  // (4)
    if (hit->begins && mp_stats_fallback(&op->stats, why) < 0) {
        return NULL;
    }
    return at->eager(op, at->ctx);
}

/* The entry answers no call, or not now. */
static PyObject *
hit_unready(mp_CompiledObject *op, mp_hit *hit, const mp_stand *at)
{
    mp_entry_state state = hit->entry->state;
    assert(state != MP_ENTRY_NEW && state != MP_ENTRY_READY);
    mp_fallback why = state == MP_ENTRY_COMPILING  ? MP_FB_COMPILING
                      : state == MP_ENTRY_DIVERGED ? MP_FB_DIVERGED
                                                   : MP_FB_COMPILE_FAILED;
    return hit_fall_back(op, hit, why, at);
}

/* An operation has warned under filters that a graph does not have: from now on a segment
 * ends before it, and the entry answers nobody. */
static void
hit_avoid_warning(mp_CompiledObject *op, mp_entry *entry)
{
    mp_plan *plan = entry->plan;
    PyObject *detail = PyUnicode_FromString("an operation that warns");
    if (op->segments && plan->filtered != NULL && detail != NULL
        && mp_points_avoid(&op->points, plan->filtered, plan->filtered_at, true,
                           MP_AB_SIDE_EFFECT, detail)
               == 0) {
        plan->guards->dead = true;
    }
    Py_XDECREF(detail);
    mp_err_drop();  // without memory it goes on as before
}

/* The graph raised and nothing is committed yet.  The program runs itself, unless what the
 * graph has done could not be undone, or it was interrupted. */
static PyObject *
hit_raised(mp_CompiledObject *op, mp_hit *hit, const mp_stand *at)
{
    assert(PyErr_Occurred());
    op->stats.hits += hit->begins && !hit->undone;
    if (hit->warned && hit->undone) {
        mp_err_drop();
        hit_avoid_warning(op, hit->entry);
    }
    else if (mp_notice_raised(op, hit->entry, hit->undone) < 0 || !hit->undone) {
        return NULL;
    }
    PyObject *result = hit_fall_back(op, hit, MP_FB_GRAPH_RAISED, at);
    if (result != NULL && hit_strike(op, hit->entry) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* It is the hit of a call. */
static void
hit_count(mp_CompiledObject *op, const mp_entry *entry)
{
    op->stats.hits++;
    op->stats.partial_hits += entry->plan->exit != NULL;
    if (entry->hits == 0) {
        mp_backoff_reset(&op->stats.misses);  // recording again has paid off
    }
}

PyObject *
mp_hit_use(mp_CompiledObject *op, mp_hit *hit, const mp_stand *at)
{
    assert(hit->entry != NULL);
    mp_entry *entry = hit->entry;
    PyObject *outputs = NULL;         // owned
    PyObject *const *tensors = NULL;  // borrowed from outputs
    if (entry->state != MP_ENTRY_READY) {
        return hit_unready(op, hit, at);
    }
    if (entry->plan->graph != NULL) {
        outputs = mp_transaction_run(hit);
        if (outputs == NULL) {
            return hit_raised(op, hit, at);
        }
        entry->raised = 0;
        tensors = ((PyTupleObject *)outputs)->ob_item;
    }
    if (hit->begins) {
        hit_count(op, entry);
    }
    entry->hits++;
    hit->answered = true;
    bool holds = !entry->plan->replay->has_memos || at->holds(op, entry, at->ctx);
    PyObject *result = mp_replay_run(entry->plan->replay, hit->held, tensors, holds);
    Py_XDECREF(outputs);
    if (result != NULL && entry->bare && mp_notice_bare(op, entry) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* -- Keep ------------------------------------------------------------------------ */

int
mp_entry_keep(mp_CompiledObject *op, mp_cache *cache, mp_plan *plan, PyCodeObject *code)
{
    assert(plan != NULL && code != NULL);
    mp_entry *entry = mp_entry_new(plan, code, ++op->cache.last_id);
    if (entry == NULL) {
        return -1;
    }
    entry->last_used = op->stats.calls;
    mp_dynamic_kept(op, entry);
    mp_cache_purge(cache);
    while (cache->n >= op->max_entries) {
        mp_entry_release(mp_cache_pop(cache));
    }
    int rc = mp_cache_insert(cache, entry);
    mp_entry_release(entry);
    return rc;
}
