/* call/blame.c - why a call missed: the guard that is blamed, what the user is shown, and
 * what later recordings learn from it. */
#include "call/blame.h"

#include "call/notice.h"

enum {
    BLAME_MISSES = 8,   // misses in a row blamed on one guard
    BLAME_CHANGES = 5,  // the same, and the number there is one that changes
};

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
    PyObject *line = NULL;  // owned
    if (place < 0) {
        rc = -1;
        goto done;
    }
    bool stops = !near->learned
                 && mp_backoff_note(&op->stats.misses, place, BLAME_MISSES, UINT32_MAX);
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
    rc = line == NULL
             ? -1
             : mp_dispatch_event(op, "miss", "{s:K,s:O,s:O,s:O}", "entry",
                                 (unsigned long long)near->entry->id, "source", source,
                                 "guard", line, "difference",
                                 near->difference ? near->difference : Py_None);
done:
    Py_XDECREF(line);
    Py_DECREF(source);
    return rc;
}
