/* call/blame.c - why a call missed: the guard that is blamed, what the user is shown, and
 * what later recordings learn from it. */
#include "call/blame.h"

#include "call/notice.h"

enum {
    BLAME_MISSES = 8,  // misses in a row blamed on one guard
    BLAME_LENGTHS =
        40,             // the same of a length: they come from a small range, and again
    BLAME_CHANGES = 5,  // the same, and the number there is one that changes
    BLAME_ENTRIES = 8,  // compared for one miss, those used last first
};

/* -- The nearest entry ------------------------------------------------------------- */

/* How many guards of an entry fail. */
typedef struct {
    int32_t failed;
    int32_t at;  // the last one of them
} blame_count;

/* Does an operation behind this one use its register?  It may rely on the test. */
static bool
blame_is_used_later(const mp_guards *g, int32_t at)
{
    int32_t reg = g->ops[at].a;
    for (int32_t i = at + 1; i < g->n_ops; i++) {
        if (g->ops[i].a == reg || g->ops[i].b == reg) {
            return true;
        }
    }
    return false;
}

/* mp_guard_excuse: go on behind a test that no other operation relies on. */
static bool
blame_count_failed(void *ctx, const mp_guards *g, int32_t at, PyObject *const *regs)
{
    blame_count *count = ctx;
    const mp_guard *op = &g->ops[at];
    count->failed++;
    count->at = at;
    switch ((mp_guard_kind)op->kind) {
    case MP_G_EQUALS:
    case MP_G_LEN:
    case MP_G_TENSOR:
        return true;
    case MP_G_HOLDS:
        return g->n_valued > op->n;
    case MP_G_COMPUTED:
        return false;
    default:
        return op->dst < 0 && op->a >= 0 && !blame_is_used_later(g, at);
    }
}

/* What could not be looked at counts as failed. */
static int32_t
blame_distance(const mp_entry *entry, PyObject *const *values, PyObject **regs)
{
    mp_guards *g = entry->plan->guards;
    blame_count count = {.failed = 0};
    if (mp_guards_walk_on(g, values, regs, blame_count_failed, &count)) {
        return count.failed + (count.failed == 0);  // all hold: something else is amiss
    }
    return g->dead ? INT32_MAX : count.failed + (g->n_ops - count.at);
}

void
mp_blame_nearest(mp_CompiledObject *op, mp_hit *near, PyCodeObject *code,
                 PyObject *const *values)
{
    mp_cache *cache = &op->cache;
    int32_t least = near->entry->code == code
                        ? blame_distance(near->entry, values, cache->regs)
                        : INT32_MAX;
    mp_entry *nearest = near->entry;
    for (int32_t i = 0; i < cache->n && i < BLAME_ENTRIES; i++) {
        mp_entry *entry = cache->at[i];
        int32_t distance = entry == near->entry || entry->code != code
                               ? INT32_MAX
                               : blame_distance(entry, values, cache->regs);
        if (distance < least) {
            least = distance;
            nearest = entry;
        }
    }
    PyObject *const *regs;
    int32_t blame = near->blame;
    if (nearest == near->entry
        || mp_hit_matches(cache, nearest, code, values, 0, &blame, &regs)) {
        return;
    }
    nearest->refs++;
    mp_entry *before = near->entry;
    near->entry = nearest;
    near->blame = blame;
    mp_entry_release(before);  // the cache has it, too
}

/* -- The guard that failed --------------------------------------------------------- */

/* The part of the program's state that is to blame: new str. */
static PyObject *
blame_source(const mp_guards *guards, int32_t blame)
{
    if (blame == MP_BLAME_AMBIENT) {
        return PyUnicode_FromString("ambient state");
    }
    if (blame == MP_BLAME_CODE) {
        return PyUnicode_FromString("__code__");
    }
    if (blame == MP_BLAME_FINALIZER) {
        return PyUnicode_FromString("what dies in the call");
    }
    int32_t reg = guards->ops[blame].a;
    if (guards->ops[blame].kind == MP_G_HOLDS) {
        // The condition has the value in it: another text each time.
        int32_t k = mp_number_origin(&guards->numbers, (int32_t)guards->ops[blame].n);
        return k < 0 ? mp_guards_line(guards, blame) : mp_guards_given(guards, ~k);
    }
    return reg >= 0 ? mp_guards_source(guards, reg) : mp_guards_line(guards, blame);
}

/* The first line of `then` that is not in `now` at the same place: new str. */
static PyObject *
blame_first_change(PyObject *then, PyObject *now)
{
    Py_ssize_t n = PyList_GET_SIZE(then);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *line = PyList_GET_ITEM(then, i);
        if (i >= PyList_GET_SIZE(now)
            || PyUnicode_Compare(line, PyList_GET_ITEM(now, i)) != 0) {
            return Py_NewRef(line);
        }
    }
    return PyUnicode_FromString("ambient state is as recorded");
}

/* Which ambient state is not as it was?  New str. */
static PyObject *
blame_ambient_line(const mp_ambient *recorded)
{
    const char *refused;
    PyObject *line = NULL, *then = NULL, *now = NULL;  // owned
    mp_ambient *current = mp_ambient_take(&refused);
    if (current == NULL) {
        return refused == NULL ? NULL : PyUnicode_FromFormat("%s is default", refused);
    }
    then = mp_ambient_text(recorded);
    now = then != NULL ? mp_ambient_text(current) : NULL;
    if (now != NULL) {
        line = blame_first_change(then, now);
    }
    Py_XDECREF(now);
    Py_XDECREF(then);
    mp_ambient_free(current);
    return line;
}

/* The guard that failed, as text: new str. */
static PyObject *
blame_line(const mp_plan *plan, int32_t blame)
{
    if (blame == MP_BLAME_AMBIENT) {
        return blame_ambient_line(plan->ambient);
    }
    if (blame == MP_BLAME_CODE) {
        return PyUnicode_FromString("__code__ is as recorded");
    }
    if (blame == MP_BLAME_FINALIZER) {
        return PyUnicode_FromString("no finalizer runs in the call");
    }
    return mp_guards_line(plan->guards, blame);
}

/* The instruction that needed the guard, and its callers: new list. */
static PyObject *
blame_stack(const mp_plan *plan, int32_t blame)
{
    return mp_sites_stack(&plan->sites, mp_sites_row(&plan->sites.guards, blame));
}

/* Why is there no entry for this call?  Remember it, and tell the listener. */
int
mp_blame_miss(mp_CompiledObject *op, const mp_hit *near)
{
    const mp_guards *guards = near->entry->plan->guards;
    PyObject *source = blame_source(guards, near->blame);
    if (source == NULL) {
        return -1;
    }
    int rc = 0;
    int32_t place = mp_stats_place(&op->stats, MP_STATS_BACKOFF, source, NULL, 0);
    PyObject *line = NULL, *stack = NULL;  // owned
    if (place < 0) {
        rc = -1;
        goto done;
    }
    bool length = near->blame >= 0 && guards->ops[near->blame].kind == MP_G_LEN;
    bool stops = !near->learned
                 && mp_backoff_note(&op->stats.misses, place,
                                    length ? BLAME_LENGTHS : BLAME_MISSES, UINT32_MAX);
    if (op->stats.misses.same >= BLAME_CHANGES && near->blame >= 0
        && mp_points_note_change(&op->points, guards, near->blame, false) < 0) {
        rc = -1;
        goto done;
    }
    if (op->on_event == NULL) {
        goto done;
    }
    if (stops && mp_notice_stopped(op, MP_NOTICE_MISSES, place) < 0) {
        rc = -1;
        goto done;
    }
    line = blame_line(near->entry->plan, near->blame);
    stack = blame_stack(near->entry->plan, near->blame);
    rc = line == NULL || stack == NULL
             ? -1
             : mp_dispatch_event(op, "miss", "{s:K,s:O,s:O,s:O,s:O}", "entry",
                                 (unsigned long long)near->entry->id, "source", source,
                                 "guard", line, "difference",
                                 near->difference ? near->difference : Py_None, "stack",
                                 stack);
done:
    Py_XDECREF(stack);
    Py_XDECREF(line);
    Py_DECREF(source);
    return rc;
}
