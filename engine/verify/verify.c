/* verify/verify.c - what is compared between an entry and a new recording of its segment.
 *
 * In this order; the first difference is reported:
 *   guard      what the new recording read is asked for by the entry's guards
 *   break      it ends where the entry ends: at the same break, or with the call
 *   effect     both replay programs build, write and return the same (at a break: the
 *              values of all frames), and torch is left in the same state
 *   graph      the tensors of the dry run are those of the real call
 *   exception  a segment that raises has a graph that raises
 *
 * A recording that ends before the entry does, for a reason of its own, proves that much:
 * what it has read until then is compared, nothing else.  If it goes on for as many
 * instructions as the entry has, and is elsewhere, then it has strayed. */
#include "verify/verify.h"
#include "call/transaction.h"
#include "effect/same.h"
#include "torch/levels.h"

/* Run the graph dry.  Its warnings are the real call's, which gives them once more. */
static PyObject *
verify_run(PyObject *verifier, const mp_entry *entry, PyObject *inputs)
{
    mp_held_warnings warned;
    if (mp_warnings_hold(&warned) < 0) {
        return NULL;
    }
    PyObject *callable = Py_NewRef(entry->callable);
    PyObject *notes =
        PyObject_CallMethod(verifier, "run", "OOOO", entry->plan->graph, callable,
                            entry->boxed ? Py_True : Py_False, inputs);
    Py_DECREF(callable);
    mp_warnings_let_go(&warned);
    if (notes != NULL && warned.messages != NULL) {
        PyObject *answer =
            PyObject_CallMethod(verifier, "forget", "O", warned.messages);
        if (answer == NULL) {
            Py_CLEAR(notes);
        }
        Py_XDECREF(answer);
    }
    Py_XDECREF(warned.messages);
    return notes;
}

int
mp_verify_dry(PyObject *verifier, const mp_entry *entry, PyObject *const *inputs,
              PyObject **notes)
{
    const mp_plan *plan = entry->plan;
    *notes = NULL;
    if (verifier == NULL || plan->graph == NULL) {
        return 0;
    }
    PyObject *list = PyList_New(plan->n_inputs);
    if (list == NULL) {
        return -1;
    }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(inputs[i]));
    }
    PyObject *owner = Py_NewRef(verifier);
    *notes = verify_run(owner, entry, list);
    Py_DECREF(owner);
    Py_DECREF(list);
    // A graph that raised may have left torch in one of its own modes.
    if (*notes != NULL && plan->ambient != NULL
        && (mp_levels_close() < 0 || mp_ambient_restore(plan->ambient) < 0)) {
        Py_CLEAR(*notes);
    }
    return *notes == NULL ? -1 : 0;
}

/* -- Reports ----------------------------------------------------------------------- */

/* New dict; what is consumed may be NULL, which means that making it failed. */
static PyObject *
verify_report_steal(const mp_entry *entry, const char *part, PyObject *source,
                    PyObject *expected, PyObject *found)
{
    PyObject *report = NULL;
    if (source != NULL && expected != NULL && found != NULL) {
        report = Py_BuildValue(
            "{s:K,s:s,s:O,s:O,s:O,s:O,s:i}", "entry", (unsigned long long)entry->id,
            "part", part, "source", source, "expected", expected, "found", found,
            "file", entry->code->co_filename, "line", entry->code->co_firstlineno);
    }
    Py_XDECREF(source);
    Py_XDECREF(expected);
    Py_XDECREF(found);
    return report;
}

/* Op `at` of fresh reads what the entry has no guard for: new dict. */
static PyObject *
verify_guard_report(const mp_entry *entry, const mp_guards *fresh, int32_t at)
{
    const mp_guard *op = &fresh->ops[at];
    int32_t reg = op->dst >= 0 ? op->dst : op->a;
    PyObject *line =
        op->dst >= 0 ? mp_guards_source(fresh, reg) : mp_guards_line(fresh, at);
    return verify_report_steal(entry, "guard",
                               reg >= 0 ? mp_guards_source(fresh, reg)
                                        : PyUnicode_FromString(""),
                               PyUnicode_FromString("a guard"), line);
}

/* Texts of a plan's effects: new list. */
static PyObject *
verify_effects(const mp_plan *plan)
{
    const mp_replay *replay = plan->replay;
    PyObject *names = PyList_New(replay->n_sources), *text = NULL;
    for (int32_t i = 0; names != NULL && i < replay->n_sources; i++) {
        PyObject *name = mp_guards_given(plan->guards, replay->source_regs[i]);
        if (name == NULL) {
            Py_CLEAR(names);
            break;
        }
        PyList_SET_ITEM(names, i, name);
    }
    if (names != NULL) {
        text = mp_replay_text(replay, names);
        Py_DECREF(names);
    }
    return text;
}

/* The first of the lines that is not among the others, or that there is none: new str. */
static PyObject *
verify_line(PyObject *lines, PyObject *others)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lines); i++) {
        PyObject *line = PyList_GET_ITEM(lines, i);
        int known = PySequence_Contains(others, line);
        if (known <= 0) {
            return known < 0 ? NULL : Py_NewRef(line);
        }
    }
    return PyUnicode_FromString("nothing more");
}

static PyObject *
verify_effect_report(const mp_entry *entry, const mp_plan *fresh)
{
    PyObject *report = NULL;
    PyObject *old = verify_effects(entry->plan), *now = verify_effects(fresh);  // owned
    if (old != NULL && now != NULL) {
        report = verify_report_steal(entry, "effect", PyUnicode_FromString(""),
                                     verify_line(now, old), verify_line(old, now));
    }
    Py_XDECREF(now);
    Py_XDECREF(old);
    return report;
}

/* Where the segment ends: new str. */
static PyObject *
verify_place(const mp_plan *plan)
{
    const mp_exit *x = plan->exit;
    if (x == NULL) {
        return PyUnicode_FromString("the call returns");
    }
    PyCodeObject *code = x->frames[x->n_frames - 1].code;
    return PyUnicode_FromFormat("a break at %U:%d", code->co_filename,
                                mp_code_line(code, x->at));
}

static PyObject *
verify_break_report(const mp_entry *entry, const mp_plan *fresh)
{
    return verify_report_steal(entry, "break", PyUnicode_FromString(""),
                               verify_place(fresh), verify_place(entry->plan));
}

/* -- Comparing --------------------------------------------------------------------- */

/* Do both end at the same instruction of the same frames, or with the call? */
static bool
verify_same_place(const mp_exit *old, const mp_exit *fresh)
{
    if (old == NULL || fresh == NULL) {
        return old == fresh;
    }
    bool same = old->n_frames == fresh->n_frames && old->at == fresh->at;
    for (int32_t i = 0; same && i < old->n_frames; i++) {
        const mp_point_frame *a = &old->frames[i], *b = &fresh->frames[i];
        same = a->code == b->code && a->index == b->index;
    }
    return same;
}

/* At the same place: do the values of the frames come from the same sources? */
static bool
verify_same_exit(const mp_exit *old, const mp_exit *fresh)
{
    bool same = old == NULL || old->n_values == fresh->n_values;
    for (int32_t i = 0; same && old != NULL && i < old->n_frames; i++) {
        same = old->frames[i].n_slots == fresh->frames[i].n_slots
               && old->frames[i].how == fresh->frames[i].how;
    }
    for (int32_t i = 0; same && old != NULL && i < old->n_values; i++) {
        same = old->from[i] == fresh->from[i];
    }
    return same;
}

/* The tensors: 0 / -1; *report stays NULL if there is no difference. */
static int
verify_tensors(PyObject *verifier, const mp_entry *entry, PyObject *notes,
               const mp_plan *fresh, PyObject *outputs, PyObject **report)
{
    PyObject *graph = fresh->graph != NULL ? fresh->graph : Py_None;
    PyObject *text =
        PyObject_CallMethod(verifier, "compare", "OOO", notes, outputs, graph);
    if (text == NULL) {
        return -1;
    }
    if (text == Py_None) {
        Py_DECREF(text);
        return 0;
    }
    *report =
        verify_report_steal(entry, "graph", PyUnicode_FromString(""),
                            PyUnicode_FromString("the tensors of the real call"), text);
    return *report == NULL ? -1 : 0;
}

/* How many guards of the fresh recording must the entry have?  What the instruction of a
 * break has looked at before it was given up need not be the same each time, and what is
 * looked at for the plan depends on that. */
static int32_t
verify_limit(const mp_plan *old, const mp_plan *fresh, bool prefix)
{
    const mp_exit *a = old->exit, *b = fresh->exit;
    bool partly = b != NULL && (prefix || a == NULL || a->n_looked != b->n_looked);
    return partly ? b->n_guards : fresh->guards->n_ops;
}

/* 0 / -1; 1: the two cannot be compared. */
static int
verify_guards(const mp_entry *entry, const mp_plan *fresh, bool prefix, mp_cover *cover,
              PyObject **report)
{
    int32_t limit = verify_limit(entry->plan, fresh, prefix);
    int32_t at = mp_guards_uncovered(entry->plan->guards, fresh->guards, limit, cover);
    if (at < 0) {
        return 0;
    }
    if (mp_cover_is_vague(cover, entry->plan->guards, &fresh->guards->ops[at])) {
        return 1;
    }
    *report = verify_guard_report(entry, fresh->guards, at);
    return *report == NULL ? -1 : 0;
}

static bool
verify_same_state(const mp_plan *plan)
{
    const mp_ambient *after = plan->after != NULL ? plan->after : plan->ambient;
    return after == NULL || mp_ambient_check(after);
}

/* What the segment leaves behind. */
static int
verify_effect(const mp_entry *entry, const mp_plan *fresh, const mp_cover *cover,
              PyObject **report)
{
    bool same = mp_replay_same(entry->plan->replay, fresh->replay, cover)
                && verify_same_exit(entry->plan->exit, fresh->exit);
    if (same && verify_same_state(entry->plan)) {
        return 0;
    }
    *report =
        same ? verify_report_steal(entry, "effect", PyUnicode_FromString(""),
                                   PyUnicode_FromString("torch is in another mode"),
                                   PyUnicode_FromString("the mode that was recorded"))
             : verify_effect_report(entry, fresh);
    return *report == NULL ? -1 : 0;
}

int
mp_verify_compare(PyObject *verifier, const mp_entry *entry, PyObject *notes,
                  const mp_plan *fresh, PyObject *outputs, bool strayed,
                  PyObject **report)
{
    assert(entry != NULL && fresh != NULL);
    mp_cover cover;
    if (entry->plan->guards->dead || fresh->guards->dead) {
        return 0;  // what they compare with has died: nothing can be said
    }
    bool there = verify_same_place(entry->plan->exit, fresh->exit);
    // A call that has returned cannot come to the entry's break any more.
    strayed = !there && (strayed || fresh->exit == NULL);
    int rc = mp_cover_init(&cover, entry->plan->guards, fresh->guards);
    rc = rc < 0 ? rc : verify_guards(entry, fresh, !there && !strayed, &cover, report);
    if (rc == 0 && *report == NULL && strayed) {
        *report = verify_break_report(entry, fresh);
        rc = *report == NULL ? -1 : 0;
    }
    if (rc == 0 && *report == NULL && there) {
        rc = verify_effect(entry, fresh, &cover, report);
    }
    if (rc == 0 && *report == NULL && there && notes != NULL) {
        rc = verify_tensors(verifier, entry, notes, fresh, outputs, report);
    }
    mp_cover_fini(&cover);
    return rc < 0 ? -1 : 0;
}

/* Exhausted resources prove nothing. */
int
mp_verify_raised(PyObject *verifier, const mp_entry *entry, PyObject *notes,
                 PyObject *exc, PyObject **report)
{
    bool own = !mp_exc_is_signal(exc)
               && !PyErr_GivenExceptionMatches(exc, PyExc_MemoryError)
               && !PyErr_GivenExceptionMatches(exc, PyExc_RecursionError);
    if (own && notes != NULL) {
        PyObject *raised = PyObject_CallMethod(verifier, "raised", "O", notes);
        int yes = raised == NULL ? -1 : PyObject_IsTrue(raised);
        Py_XDECREF(raised);
        if (yes < 0) {
            return -1;
        }
        own = !yes;
    }
    if (own) {
        *report = verify_report_steal(entry, "exception", PyUnicode_FromString(""),
                                      PyUnicode_FromString(Py_TYPE(exc)->tp_name),
                                      PyUnicode_FromString("no exception"));
        return *report == NULL ? -1 : 0;
    }
    return 0;
}
