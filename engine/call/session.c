/* call/session.c - the rest of a call after its first break.
 *
 *   watched frames run the instruction of the break
 *     -> the next place to go on: no entry there -> recorded in place
 *                                 an entry       -> the frames are left; graph, effects,
 *                                                   new frames at its break, and again
 *     -> the call returns
 *
 * A loop, however many breaks there are: each turn begins with no frame of the call on the
 * C stack.  How an entry answers is told once, for the begin of a call too, in call/hit.c.
 * What must hold: a point that was left owns its values until the next frames
 * have them, so nothing dies in between that eager would keep. */
#include "call/session.h"

#include <string.h>

#include "call/dynamic.h"
#include "call/notice.h"
#include "call/past.h"
#include "call/stance.h"
#include "call/verifier.h"
#include "run/record.h"
#include "torch/hooks.h"

const mp_verifier *mp_verify;

enum {
    SESSION_FAILS = 3,    // recordings that began at a point and came to nothing
    SESSION_EMPTY = 2,    // segments without content there
    SESSION_CHANGES = 5,  // entries there before a number of theirs is one that changes
    SESSION_ENTRIES = 16,  // ways to go on there
    SESSION_PASSES = 500,  // events without a segment: the rest of the call is not ours
};

/* -- What the recording asks ------------------------------------------------------------ */

static void
session_forget(mp_session *s)
{
    mp_hit_release(&s->hit);
    mp_hit_init(&s->hit, false);
}

/* Where the call stands: the row of a point. */
typedef struct {
    mp_session *s;
    mp_resume_point *point;
    const mp_point *row;
} session_place;

/* mp_stand.search; the table of points may be another one by now.  What is no hit is
 * forgotten. */
static mp_found
session_search(mp_CompiledObject *op, mp_hit *hit, void *ctx)
{
    const session_place *at = ctx;
    assert(hit == &at->s->hit);
    mp_found found = MP_FOUND_NONE;
    if (op->points.serial == at->s->serial) {
        found = mp_hit_search(op, hit, &at->point->cache, at->row->frames[0].code,
                              at->row->values, at->row->n_values);
    }
    if (found != MP_FOUND_HIT) {
        session_forget(at->s);
    }
    return found;
}

/* mp_stand.eager: the run is where it was left, and nothing of the entry has happened. */
static PyObject *
session_plain(mp_CompiledObject *op, void *ctx)
{
    mp_session *s = ((session_place *)ctx)->s;
    assert(s->op == op && s->at.values != NULL);
    PyObject *result = mp_point_run(&s->at, NULL, NULL);
    mp_point_clear(&s->at);
    return result;
}

/* mp_stand.holds */
static bool
session_holds(mp_CompiledObject *op, mp_entry *entry, void *ctx)
{
    const session_place *at = ctx;
    int32_t blame;
    PyObject *const *regs;
    return op->points.serial == at->s->serial
           && mp_hit_matches(&at->point->cache, entry, at->row->frames[0].code,
                             at->row->values, at->row->n_values, &blame, &regs);
}

/* No entry answers: is it for a number or a text (`for name, child in pairs`) that is
 * another one each time? */
static void
session_note_change(mp_session *s, mp_resume_point *point, const mp_point *p)
{
    if (point->cache.n < SESSION_CHANGES) {
        return;
    }
    int32_t blame = 0;
    PyObject *const *regs;
    mp_entry *last = point->cache.at[0];
    if (!last->plan->guards->dead
        && !mp_hit_matches(&point->cache, last, p->frames[0].code, p->values,
                           p->n_values, &blame, &regs)
        && blame >= 0
        && mp_points_note_change(&s->op->points, last->plan->guards, blame, true) < 0) {
        mp_err_drop();  // without memory it is pinned once more
    }
}

static int
session_copy(mp_session *s, const mp_point *p)
{
    assert(s->at.values == NULL && !p->owns);
    if (mp_point_init(&s->at, p->n_frames, p->n_values) < 0) {
        return -1;
    }
    memcpy(s->at.frames, p->frames, (size_t)p->n_frames * sizeof(*p->frames));
    memcpy(s->at.values, p->values, (size_t)p->n_values * sizeof(*p->values));
    mp_point_own(&s->at);
    return 0;
}

/* Verify mode: the entry that matches here is compared with what the program does from
 * here on.  Its graph runs now, dry; nothing may hold its inputs when the program
 * continues. */
static mp_arrival
session_follow(session_place *at)
{
    mp_session *s = at->s;
    const mp_stand stand = {session_search, session_plain, session_holds, at};
    PyObject *notes = NULL;  // owned
    assert(s->verify != NULL && s->hit.entry != NULL);
    mp_found found = mp_hit_find(s->op, &s->hit, &stand);
    int rc = found == MP_FOUND_ERROR ? -1 : 0;
    mp_entry *entry = s->hit.entry;
    bool answers = found == MP_FOUND_HIT && entry->state == MP_ENTRY_READY
                   && mp_hooks_now() == MP_HOOKS_NONE;
    if (answers) {
        int32_t blame;
        PyObject *const *regs;
        rc = mp_verify->dry(s->op->verifier, entry,
                            s->hit.held + entry->plan->replay->n_sources, &notes);
        answers = rc == 0 && s->op->points.serial == s->serial  // it ran Python
                  && entry->state == MP_ENTRY_READY && !entry->plan->branches
                  && mp_hit_matches(&at->point->cache, entry, at->row->frames[0].code,
                                    at->row->values, at->row->n_values, &blame, &regs);
    }
    if (rc < 0) {
        mp_verify->failed(s->verify);
    }
    if (answers) {
        mp_verify->follow(s->verify, entry, notes);
        s->passed = 0;
    }
    Py_XDECREF(notes);
    session_forget(s);
    return answers ? MP_ARRIVE_FOLLOW : MP_ARRIVE_STOP;
}

static mp_arrival
session_pass(mp_session *s)
{
    return ++s->passed > SESSION_PASSES ? MP_ARRIVE_STOP : MP_ARRIVE_PASS;
}

/* The run has come to a place where a segment may begin: leave the frames if an entry
 * answers here, record if there is room for another entry, or else let the interpreter
 * go on. */
static mp_arrival
session_arrive(void *ctx, const mp_point *p)
{
    mp_session *s = ctx;
    mp_resume_point *point = mp_points_find(&s->op->points, p);
    if (point == NULL || s->op->disabled || s->op->points.serial != s->serial) {
        mp_err_drop();  // without memory the call ends in eager
        return MP_ARRIVE_STOP;
    }
    session_place at = {s, point, p};
    mp_found found = session_search(s->op, &s->hit, &at);
    if (found == MP_FOUND_HIT && s->hit.entry->state == MP_ENTRY_DIVERGED) {
        session_forget(s);  // it is known to be wrong: eager
        return MP_ARRIVE_STOP;
    }
    if (found == MP_FOUND_HIT && s->verify != NULL) {
        return session_follow(&at);
    }
    if (found == MP_FOUND_HIT && session_copy(s, p) == 0) {
        s->there = point;
        s->left = true;
        s->passed = 0;
        return MP_ARRIVE_LEAVE;
    }
    if (found != MP_FOUND_NONE) {
        session_forget(s);
        mp_err_drop();  // as above
        return MP_ARRIVE_STOP;
    }
    if (mp_dynamic_learn(s->op, &point->cache, p->frames[0].code, p->values)) {
        s->has_news = true;
    }
    session_note_change(s, point, p);
    mp_stance stance = mp_stance_seen();
    if (stance == MP_STANCE_EAGER || stance == MP_STANCE_HITS
        || stance == MP_STANCE_FAIL) {
        return MP_ARRIVE_STOP;
    }
    if (point->failed >= SESSION_FAILS || point->empty >= SESSION_EMPTY
        || mp_cache_alive(&point->cache) >= SESSION_ENTRIES) {
        return session_pass(s);
    }
    s->here = point;
    s->passed = 0;
    return MP_ARRIVE_RECORD;
}

/* Is the segment in progress compared with an entry? */
static bool
session_follows(const mp_session *s)
{
    return s->verify != NULL && s->verify->entry != NULL;
}

/* Count the break where it happened: 0 / -1. */
static int
session_count(mp_session *s, const mp_abort_info *why)
{
    int32_t place = mp_stats_place(&s->op->stats, mp_abort_slug(why->id), why->detail,
                                   why->file, why->line);
    if (place < 0) {
        return -1;
    }
    mp_stats_count_break(&s->op->stats, place, why->id);
    mp_place *row = &s->op->stats.places[place];
    row->stack = row->stack == NULL ? Py_XNewRef(why->stack) : row->stack;
    s->has_news = true;
    return 0;
}

/* A segment has ended at a break, or has come to nothing (plan == NULL).  Its plan
 * becomes an entry of the place where it began; in verify mode it is compared with the
 * entry that it follows. */
static int
session_depart(void *ctx, mp_plan *plan, const mp_abort_info *why)
{
    mp_session *s = ctx;
    mp_CompiledObject *op = s->op;
    mp_resume_point *here = s->here;
    bool root = s->departed == 0 && !s->resumed;
    s->here = NULL;
    if (session_follows(s)) {
        s->departed++;
        int rc = mp_verify->judge(s->verify, plan, NULL, why);
        mp_plan_free(plan);
        return rc;
    }
    if (op->points.serial != s->serial) {
        mp_plan_free(plan);
        return -1;
    }
    if (plan == NULL) {
        assert(here != NULL);
        here->empty++;
        return 0;
    }
    assert(plan->exit != NULL && plan->exit->n_frames > 0);
    PyCodeObject *code = plan->exit->frames[0].code;
    if (session_count(s, why) < 0) {
        mp_plan_free(plan);
        return -1;
    }
    s->departed++;
    s->once = s->once || why->once;
    if (why->pins && mp_marks_set_static(&op->marks, plan->guards) < 0) {
        mp_err_drop();  // without memory it breaks there again
    }
    if (here != NULL) {
        here->failed = 0;
    }
    assert(root == (here == NULL));
    s->has_news = true;
    int rc = mp_entry_keep(op, root ? &op->cache : &here->cache, plan, code);
    s->root_id = root ? op->cache.last_id : s->root_id;
    return rc;
}

static void
session_avoid(void *ctx, PyCodeObject *code, int index, bool at_once,
              const mp_abort_info *why)
{
    mp_session *s = ctx;
    if (session_follows(s)) {
        return;  // it breaks where its entry does
    }
    PyObject *detail =
        why->detail != NULL ? Py_NewRef(why->detail) : PyUnicode_FromString("");
    if (detail == NULL
        || mp_points_avoid(&s->op->points, code, index, at_once, why->id, detail) < 0) {
        mp_err_drop();  // without memory it fails again
    }
    Py_XDECREF(detail);
    s->avoided = true;
}

static PyObject *
session_avoids(void *ctx, PyCodeObject *code, int index)
{
    mp_session *s = ctx;
    return session_follows(s) ? mp_verify->avoids(s->verify, code, index)
                              : mp_points_avoids(&s->op->points, code, index);
}

static bool
session_ends(void *ctx)
{
    const mp_session *s = ctx;
    return session_follows(s) && mp_verify->ends(s->verify);
}

static bool
session_reads(void *ctx, int32_t at)
{
    return mp_verify->reads(((mp_session *)ctx)->verify, at);
}

static bool
session_changes(void *ctx, const mp_guards *guards, int32_t reg)
{
    mp_session *s = ctx;
    return !session_follows(s) && mp_points_changes(&s->op->points, guards, reg);
}

/* The frames of a break have been rebuilt and hold their values themselves. */
static void
session_rebuilt(void *ctx)
{
    mp_point_clear(&((mp_session *)ctx)->next);
}

static PyObject **
session_gap_made(void *ctx)
{
    return &((mp_session *)ctx)->gap_made;
}

const mp_host mp_session_host = {session_arrive, session_depart,  session_avoid,
                                 session_avoids, session_changes, session_rebuilt,
                                 session_reads,  session_ends,    session_gap_made};

void
mp_session_init(mp_session *s, mp_CompiledObject *op)
{
    memset(s, 0, sizeof(*s));
    s->op = op;
    s->serial = op->points.serial;
    s->told = op->cache.last_id;
    s->compiling = mp_compiling_plain();
    s->compiling.numbers = &op->marks;
    s->compiling.flow = op->flow < 0 ? mp_flow() : op->flow > 0;
    s->compiling.compiler = op->compiler;
    s->compiling.age = MP_MARKS_NOW;
    mp_hit_init(&s->hit, false);
}

void
mp_session_fini(mp_session *s)
{
    session_forget(s);
    mp_point_clear(&s->at);
    mp_point_clear(&s->next);
    Py_CLEAR(s->gap_made);
}

/* -- Going on ------------------------------------------------------------------------------ */

/* Tell the listener of the breaks that are new, and of the entries.  Its own Python may
 * reset the counters.  0 / -1. */
static int
session_tell(mp_session *s)
{
    mp_CompiledObject *op = s->op;
    int rc = 0;
    s->has_news = false;
    for (int32_t i = 0; rc == 0 && i < op->stats.n_places; i++) {
        mp_place *row = &op->stats.places[i];
        if (row->breaks == 0 || row->told) {
            continue;
        }
        row->told = true;
        mp_abort_info why = {.id = row->abort,
                             .detail = Py_XNewRef(row->detail),
                             .file = Py_XNewRef(row->file),
                             .line = row->line,
                             .stack = Py_XNewRef(row->stack)};
        rc = mp_dispatch_event(op, "break", MP_ABORT_INFO, MP_ABORT_VALUES(&why));
        mp_abort_clear(&why);
    }
    rc = rc == 0 ? mp_dynamic_tell(op) : rc;
    while (rc == 0 && s->told < op->cache.last_id) {
        rc = mp_dispatch_event(op, "record", "{s:K}", "entry",
                               (unsigned long long)++s->told);
    }
    return rc;
}

/* Watching has ended: keep what its last segment has become. */
static PyObject *
session_ended(mp_session *s, PyObject *result, mp_plan *plan, const mp_abort_info *why)
{
    if (s->left && (result != NULL || PyErr_Occurred())) {
        s->left = false;  // it could not be left after all
        session_forget(s);
        mp_point_clear(&s->at);
    }
    PyObject *exc = mp_err_take();
    int rc = 0;
    if (session_follows(s)) {
        (void)mp_verify->judge(s->verify, plan, exc, why);
        mp_plan_free(plan);
        plan = NULL;
        s->has_news = true;
    }
    bool valid = s->here != NULL && s->op->points.serial == s->serial;
    if (plan != NULL && valid) {
        s->here->failed = 0;
        rc = mp_entry_keep(s->op, &s->here->cache, plan,
                           (PyCodeObject *)PyTuple_GET_ITEM(s->here->codes, 0));
    }
    else {
        mp_plan_free(plan);
        if (valid) {
            s->here->failed++;
            rc = why->file != NULL ? session_count(s, why) : 0;
        }
    }
    s->here = NULL;
    if (rc == 0 && s->has_news) {
        rc = session_tell(s);
        session_forget(s);  // the listener ran Python code, so the hit is void
    }
    if (rc < 0 && exc == NULL) {
        Py_CLEAR(result);
        return NULL;
    }
    mp_err_drop();  // the program's own exception wins
    mp_err_restore_steal(exc);
    return result;
}

/* The frames at the entry's break are rebuilt and run on. */
static PyObject *
session_resume(mp_session *s, mp_entry *entry, PyObject *values)
{
    assert(PyTuple_Check(values) && entry->plan->exit != NULL);
    mp_plan *plan = NULL;
    mp_abort_info why = {.detail = NULL};
    int rc = mp_point_after(&s->next, entry->plan->exit, values, &s->at);
    Py_DECREF(values);
    mp_point_clear(&s->at);
    if (rc < 0) {
        return NULL;
    }
    s->resumed = true;
    s->here = NULL;
    PyObject *result =
        mp_record_resume(&s->next, entry->plan->exit, s->op->max_instructions,
                         &mp_session_host, s, &s->compiling, &plan, &why);
    mp_point_clear(&s->next);
    result = session_ended(s, result, plan, &why);
    mp_abort_clear(&why);
    return result;
}

/* One segment: its graph, its effects, and on to its break.  The call's result, or NULL:
 * an exception, or the run was left once more. */
static PyObject *
session_turn(mp_session *s)
{
    assert(s->left && s->there != NULL);
    s->left = false;
    session_place place = {s, s->there, &s->at};
    const mp_stand at = {session_search, session_plain, session_holds, &place};
    mp_found found = mp_hit_find(s->op, &s->hit, &at);
    if (found != MP_FOUND_HIT) {
        return found == MP_FOUND_ERROR ? NULL : session_plain(s->op, &place);
    }
    PyObject *result = mp_hit_use(s->op, &s->hit, &at);
    bool answered = s->hit.answered;
    mp_entry *entry = s->hit.entry;  // lives until its exit was used
    entry->refs++;
    session_forget(s);
    if (answered && result != NULL && entry->plan->exit != NULL) {
        result = session_resume(s, entry, result);
    }
    else {
        mp_point_clear(&s->at);
    }
    mp_entry_release(entry);
    return result;
}

static PyObject *
session_loop(mp_session *s, PyObject *result)
{
    while (s->left) {
        assert(result == NULL);
        result = session_turn(s);
    }
    return result;
}

PyObject *
mp_session_run(mp_session *s, PyObject *result, mp_plan *plan, const mp_abort_info *why)
{
    return session_loop(s, session_ended(s, result, plan, why));
}

PyObject *
mp_session_continue(mp_CompiledObject *op, mp_entry *entry, PyObject *values)
{
    assert(values != NULL && entry->plan->exit != NULL);
    mp_session s;
    mp_session_init(&s, op);
    PyObject *result = session_loop(&s, session_resume(&s, entry, values));
    if (s.once) {
        mp_past_once(op, entry->id);
    }
    mp_session_fini(&s);
    return result;
}
