/* verify.c - the real call of a verified hit, and what is compared after it.
 *
 * Compared, in this order; the first difference is reported:
 *   guard      what the new recording read is asked for by the entry's guards
 *   effect     both replay programs build, write and return the same
 *   graph      the tensors of the dry run are those of the real call
 *   exception  a call that raises has a graph that raises
 * A recording that aborts for another reason proves nothing; it is counted as a call
 * that ran eager.
 *
 * The user's call comes first: its result or exception is kept aside while anything of
 * ours runs, and only a report or an interrupt replaces a result, nothing an exception.
 *
 * An entry that diverged stays in the cache, so that it answers for the same calls as
 * before, but they run eager for good: recorded again it would be as wrong. */
#include "verify.h"

#include "compat/compat.h"
#include "effect_same.h"
#include "guard_cover.h"
#include "record.h"

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
    PyObject *callable = Py_NewRef(entry->callable);
    PyObject *owner = Py_NewRef(verifier);
    *notes = PyObject_CallMethod(owner, "run", "OOOO", plan->graph, callable,
                                 entry->boxed ? Py_True : Py_False, list);
    Py_DECREF(owner);
    Py_DECREF(callable);
    Py_DECREF(list);
    // A graph that raised may have left torch in one of its own modes.
    if (*notes != NULL && plan->ambient != NULL
        && mp_ambient_restore(plan->ambient) < 0) {
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
        PyObject *name = mp_guards_source(plan->guards, replay->source_regs[i]);
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

/* -- Comparing --------------------------------------------------------------------- */

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

/* The new recording against the entry: 0 / -1. */
static int
verify_plan(PyObject *verifier, const mp_entry *entry, PyObject *notes,
            const mp_plan *fresh, PyObject *outputs, PyObject **report)
{
    mp_cover cover;
    int rc = mp_cover_init(&cover, entry->plan->guards, fresh->guards);
    int32_t at =
        rc < 0 ? -1 : mp_guards_uncovered(entry->plan->guards, fresh->guards, &cover);
    if (rc < 0) {
        goto done;
    }
    if (at >= 0) {
        *report = verify_guard_report(entry, fresh->guards, at);
        rc = *report == NULL ? -1 : 0;
    }
    else if (!mp_replay_same(entry->plan->replay, fresh->replay, &cover)) {
        *report = verify_effect_report(entry, fresh);
        rc = *report == NULL ? -1 : 0;
    }
    else if (notes != NULL) {
        rc = verify_tensors(verifier, entry, notes, fresh, outputs, report);
    }
done:
    mp_cover_fini(&cover);
    return rc;
}

/* The program raised exc: did the graph?  Exhausted resources prove nothing.  0 / -1. */
static int
verify_raised(PyObject *verifier, const mp_entry *entry, PyObject *notes, PyObject *exc,
              PyObject **report)
{
    bool own = PyErr_GivenExceptionMatches(exc, PyExc_Exception)
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

/* -- The call ---------------------------------------------------------------------- */

/* The entry is wrong: eager from now on.  -1 with the exception that the report asks
 * for, or another one. */
static int
verify_diverged(mp_CompiledObject *op, PyObject *verifier, mp_entry *entry,
                PyObject *report)
{
    op->stats.diverged++;
    entry->state = MP_ENTRY_DIVERGED;
    Py_CLEAR(entry->callable);
    if (verifier == NULL) {
        return 0;
    }
    PyObject *exc = PyObject_CallMethod(verifier, "report", "O", report);
    if (exc == NULL) {
        return -1;
    }
    if (PyExceptionInstance_Check(exc)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    }
    Py_DECREF(exc);
    return PyErr_Occurred() ? -1 : 0;
}

/* A comparison that fails is no divergence: 0, but -1 for an interrupt. */
static int
verify_failed(mp_CompiledObject *op)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyErr_WriteUnraisable((PyObject *)op);
    return 0;
}

/* The call is over; exc is its exception or NULL.  0, -1 with an exception set. */
static int
verify_judge(mp_CompiledObject *op, mp_entry *entry, PyObject *notes, PyObject *exc,
             const mp_plan *fresh, PyObject *outputs, const mp_abort_info *why)
{
    PyObject *report = NULL, *verifier = Py_XNewRef(op->verifier);  // owned
    int rc = 0;
    op->stats.verified++;
    if (fresh != NULL) {
        op->stats.hits++;
        if (entry->hits++ == 0) {
            mp_backoff_reset(&op->stats.misses);  // recording again has paid off
        }
        rc = verify_plan(verifier, entry, notes, fresh, outputs, &report);
    }
    else {
        int32_t place = mp_stats_place(&op->stats, mp_abort_slug(why->id), why->detail,
                                       why->file, why->line);
        rc = place < 0 ? -1 : 0;
        if (rc == 0) {
            mp_stats_count(&op->stats, place);
        }
        if (rc == 0 && exc != NULL) {
            rc = verify_raised(verifier, entry, notes, exc, &report);
        }
    }
    rc = rc < 0 ? verify_failed(op) : 0;
    if (rc == 0 && report != NULL) {
        rc = verify_diverged(op, verifier, entry, report);
    }
    Py_XDECREF(report);
    Py_XDECREF(verifier);
    return rc;
}

PyObject *
mp_verify_call(mp_CompiledObject *op, mp_entry *entry, PyObject *notes,
               PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    mp_plan *fresh = NULL;
    mp_abort_info why = {.detail = NULL};
    PyObject *outputs = PyList_New(0);
    if (outputs == NULL) {
        return NULL;
    }
    PyObject *result = mp_record_call(op->target.callable, args, nargsf, kwnames,
                                      (PyObject *)op->target.root, op->max_instructions,
                                      outputs, NULL, NULL, &fresh, &why);
    PyObject *exc = mp_err_take();
    int rc = verify_judge(op, entry, notes, exc, fresh, outputs, &why);
    mp_plan_free(fresh);
    mp_abort_clear(&why);
    Py_DECREF(outputs);
    if (exc != NULL && rc < 0) {
        PyErr_WriteUnraisable((PyObject *)op);
    }
    if (exc != NULL) {
        mp_err_restore_steal(exc);
    }
    else if (rc < 0) {
        Py_CLEAR(result);
    }
    return result;
}
