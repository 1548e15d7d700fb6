/* verify/call.c - the real call of a verified hit.
 *
 *   the call, or a segment that an entry would answer -> recorded for real, FOLLOWING it
 *     -> the place where the entry ends -> compared -> the gap, the next segment ...
 *     -> a break or an end elsewhere    -> compared as far as that goes
 *     -> a divergence                   -> the rest of the call runs eager
 *
 * A recording that follows an entry leaves to it what is decided anew each time: where a
 * run breaks because of what other runs have met there (call/points.h), and which of the
 * frames' constants are looked at.  So it comes to the same end, if the entry is right.
 *
 * A recording that aborts proves nothing; the call's own segment is counted as a call that
 * ran eager then, a later one as a break.
 *
 * The user's call comes first: its result or exception is kept aside while anything of
 * ours runs, and only a report or an interrupt replaces a result, nothing an exception.
 * What it raises between segments, or behind the last one, concerns no entry.
 *
 * An entry that diverged stays in its cache, so that it answers for the same calls as
 * before, but they run eager for good: recorded again it would be as wrong. */
#include "verify/verify.h"

#include <string.h>

#include "run/record.h"

static int
verify_start(mp_verification *v, mp_session *s)
{
    memset(v, 0, sizeof(*v));
    v->op = s->op;
    v->outputs = PyList_New(0);
    v->stop = Py_BuildValue("OisO", Py_None, (int)MP_AB_OPCODE, "", Py_True);
    if (v->outputs == NULL || v->stop == NULL) {
        Py_CLEAR(v->outputs);
        Py_CLEAR(v->stop);
        v->op = NULL;
        return -1;
    }
    v->told = &s->compiling;
    s->verify = v;
    return 0;
}

static void
verify_failed(mp_verification *v)
{
    if (v->error == NULL && mp_err_is_signal()) {
        v->error = mp_err_take();
    }
    else {
        PyErr_WriteUnraisable((PyObject *)v->op);
    }
}

/* -- A segment that follows an entry ---------------------------------------------------- */

static void
verify_follow(mp_verification *v, mp_entry *entry, PyObject *notes)
{
    assert(v->entry == NULL);
    assert(v->entry == NULL);
    entry->refs++;
    v->entry = entry;
    v->told->age = entry->marked;  // the same numbers become symbols
    v->notes = Py_XNewRef(notes);
    v->seen = 0;
    v->strayed = false;
}

/* The segment is over. */
static void
verify_leave(mp_verification *v)
{
    mp_entry *entry = v->entry;
    v->entry = NULL;
    v->told->age = MP_MARKS_NOW;
    v->counts = false;
    Py_CLEAR(v->notes);
    mp_entry_release(entry);
}

static PyObject *
verify_avoids(mp_verification *v, PyCodeObject *code, int index)
{
    assert(v->entry != NULL);
    const mp_plan *plan = v->entry->plan;
    const mp_exit *x = plan->exit;
    v->seen++;
    v->due = x != NULL && v->seen >= plan->n_instr && x->at == index
             && x->frames[x->n_frames - 1].code == code;
    v->strayed =
        v->strayed || (!v->due && v->seen >= plan->n_instr + (x == NULL ? 1 : 0));
    return v->due && x->unseen ? v->stop : NULL;
}

static bool
verify_ends(const mp_verification *v)
{
    return v->due;
}

static bool
verify_reads(const mp_verification *v, int32_t at)
{
    assert(v->entry != NULL && at >= 0);
    const mp_guards *guards = v->entry->plan->guards;
    for (int32_t i = 0; i < guards->n_ops; i++) {
        if (guards->ops[i].kind == MP_G_LOAD_ARG && guards->ops[i].n == at) {
            return true;
        }
    }
    return false;
}

static int
verify_count_place(mp_verification *v, const mp_abort_info *why)
{
    mp_stats *stats = &v->op->stats;
    if (!v->counts && why->file == NULL) {
        return 0;
    }
    int32_t place = mp_stats_place(stats, mp_abort_slug(why->id), why->detail,
                                   why->file, why->line);
    if (place < 0) {
        return -1;
    }
    if (v->counts) {
        mp_stats_count(stats, place);
    }
    else {
        mp_stats_count_break(stats, place, why->id);
    }
    return 0;
}

/* 0 / -1 */
static int
verify_count(mp_verification *v, const mp_plan *fresh, const mp_abort_info *why)
{
    mp_stats *stats = &v->op->stats;
    if (v->counts) {
        stats->verified++;
    }
    if (fresh == NULL) {
        return verify_count_place(v, why);
    }
    bool first = v->entry->hits++ == 0;
    if (v->counts) {
        stats->hits++;
        stats->partial_hits += v->entry->plan->exit != NULL;
    }
    if (v->counts && first) {
        mp_backoff_reset(&stats->misses);  // recording again has paid off
    }
    return 0;
}

/* The entry is wrong: eager from now on. */
static void
verify_diverged(mp_verification *v)
{
    v->op->stats.diverged++;
    v->entry->state = MP_ENTRY_DIVERGED;
    Py_CLEAR(v->entry->callable);
    Py_CLEAR(v->entry->owner);
}

/* The real call has come to the end of the entry, or has ended: compare. fresh: the plan
 * of the new recording; exc: what the call raised; why: what ended the recording
 * otherwise. */
static int
verify_judge(mp_verification *v, const mp_plan *fresh, PyObject *exc,
             const mp_abort_info *why)
{
    assert(v->entry != NULL);
    PyObject *verifier = Py_XNewRef(v->op->verifier);  // NULL: verifying was ended
    PyObject *notes = verifier != NULL ? v->notes : NULL;
    int rc = verify_count(v, fresh, why);
    // Unrecorded, the run may have come to the entry's break, and raised behind it.
    bool within = v->entry->plan->exit == NULL || why->id == MP_AB_RAISED;
    if (rc == 0 && fresh != NULL) {
        rc = mp_verify_compare(verifier, v->entry, notes, fresh, v->outputs, v->strayed,
                               &v->report);
    }
    else if (rc == 0 && exc != NULL && within) {
        rc = mp_verify_raised(verifier, v->entry, notes, exc, &v->report);
    }
    if (rc < 0) {
        verify_failed(v);
    }
    if (v->report != NULL) {
        verify_diverged(v);
    }
    verify_leave(v);
    Py_XDECREF(verifier);
    return v->report != NULL || v->error != NULL ? -1 : 0;
}

/* -- The call ---------------------------------------------------------------------------- */

/* -1 with the exception that the report asks for, or another one. */
static int
verify_tell(mp_verification *v)
{
    PyObject *verifier = Py_XNewRef(v->op->verifier);
    PyObject *exc = v->report == NULL || verifier == NULL
                        ? Py_NewRef(Py_None)
                        : PyObject_CallMethod(verifier, "report", "O", v->report);
    if (exc != NULL && PyExceptionInstance_Check(exc)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    }
    Py_XDECREF(exc);
    Py_XDECREF(verifier);
    if (v->error != NULL && !PyErr_Occurred()) {
        mp_err_restore_steal(v->error);
        v->error = NULL;
    }
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *
verify_finish(mp_verification *v, PyObject *result)
{
    PyObject *exc = mp_err_take();
    assert(v->entry == NULL);
    int rc = verify_tell(v);
    if (exc != NULL && rc < 0) {
        PyErr_WriteUnraisable((PyObject *)v->op);
    }
    Py_CLEAR(v->report);
    Py_CLEAR(v->error);
    Py_CLEAR(v->stop);
    Py_CLEAR(v->outputs);
    if (exc != NULL) {
        mp_err_restore_steal(exc);
    }
    else if (rc < 0) {
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
verify_call(mp_CompiledObject *op, mp_entry *entry, PyObject *notes,
            PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    mp_session session;
    mp_verification v;
    mp_plan *plan = NULL;
    mp_abort_info why = {.detail = NULL};
    mp_session_init(&session, op);
    if (verify_start(&v, &session) < 0) {
        return NULL;
    }
    v.counts = true;
    verify_follow(&v, entry, notes);
    PyObject *result = mp_record_call(op->target.callable, args, nargsf, kwnames,
                                      (PyObject *)op->target.root, op->max_instructions,
                                      v.outputs, op->segments ? &mp_session_host : NULL,
                                      &session, &session.compiling, &plan, &why);
    result = mp_session_run(&session, result, plan, &why);
    mp_abort_clear(&why);
    mp_session_fini(&session);
    return verify_finish(&v, result);
}

const mp_verifier mp_verify_table = {
    .dry = mp_verify_dry,
    .start = verify_start,
    .finish = verify_finish,
    .follow = verify_follow,
    .avoids = verify_avoids,
    .ends = verify_ends,
    .reads = verify_reads,
    .judge = verify_judge,
    .failed = verify_failed,
    .call = verify_call,
};
