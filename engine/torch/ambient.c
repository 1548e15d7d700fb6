/* torch/ambient.c - state of torch and Python that no argument carries.
 *
 * A snapshot holds, per row of torch/ambient.def, the answer of the getter and the number
 * that the row's probe gave at that moment.  A check compares numbers, and answers only
 * where the loaded torch has no probe.
 * R: a probe whose answer contradicts its getter when the engine starts is never used.
 *
 * Ownership: the resolved getters live until the process ends; a snapshot owns its
 * answers, which are immutable scalars.  Re-entrancy: getters, setters and probes are C
 * functions without callbacks; the collector is held while getters run in a check.
 */
#include "torch/ambient_place.h"

#include <string.h>

#include "compat/compat.h"
#include "torch/hooks.h"
#include "torch/modes.h"
#include "torch/tensor.h"

struct mp_ambient {
    PyObject *answers[N_ROWS];  // owned; NULL for rows that are not active
    int64_t numbers[N_ROWS];    // of the probes
    uint64_t words[MP_AMBIENT_WORDS];
    bool has_words;
};

/* -- Snapshots ------------------------------------------------------------------- */

void
mp_ambient_free(mp_ambient *a)
{
    if (a == NULL) {
        return;
    }
    for (int i = 0; i < N_ROWS; i++) {
        Py_CLEAR(a->answers[i]);
    }
    PyMem_Free(a);
}

int
mp_ambient_visit(mp_ambient *a, visitproc visit, void *arg)
{
    for (int i = 0; i < N_ROWS; i++) {
        Py_VISIT(a->answers[i]);
    }
    return 0;
}

/* MP_ABORTED: the row refuses.  A getter that raises (settings that torch finds
 * contradictory) refuses too. */
static mp_rc
ambient_take_row(mp_ambient *a, int i)
{
    a->answers[i] = mp_ambient_answer(i);
    if (a->answers[i] == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) {
            return MP_ERR;
        }
        mp_err_drop();
        return MP_ABORTED;
    }
    if (mp_ambient_found[i].probed) {
        a->numbers[i] = mp_ambient_number(i);
        mp_ambient_found[i].probed = mp_ambient_agrees(i, a->answers[i], a->numbers[i]);
    }
    mp_ambient_place_check(i, a->answers[i], a->numbers[i]);
    bool refuses = mp_ambient_rows[i].policy == POLICY_refuse
                   && !mp_ambient_equal(a->answers[i], mp_ambient_found[i].usual);
    // (Hooks and modes of the program would run below each operation.)
    refuses = refuses || (i == ROW_SAVED_HOOKS && a->numbers[i] == MP_HOOKS_OTHER)
              || (i == ROW_FUNCTION_MODE && a->numbers[i] == MP_MODES_OTHER);
    return refuses ? MP_ABORTED : MP_OK;
}

mp_ambient *
mp_ambient_take(const char **refused)
{
    *refused = NULL;
    mp_ambient *a = PyMem_Calloc(1, sizeof *a);
    if (a == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    mp_rc rc = MP_OK;
    int calm = mp_calm_pause();  // (which is a row)
    for (int i = 0; i < N_ROWS && rc == MP_OK; i++) {
        rc = mp_ambient_found[i].active ? ambient_take_row(a, i) : MP_OK;
        if (rc == MP_ABORTED) {
            *refused = mp_ambient_rows[i].what;
        }
    }
    mp_calm_end(calm);
    if (rc != MP_OK) {
        mp_ambient_free(a);
        return NULL;
    }
    const uint64_t *const *at = mp_ambient_places();
    if (at != NULL) {
        mp_ambient_words_take(at, a->words);
        a->has_words = true;
    }
    return a;
}

/* -- Checking -------------------------------------------------------------------- */

/* A refuse row: is it as usual?  While its dict has the version in which it was, it is. */
static bool
ambient_value_usual(int i)
{
    mp_ambient_access *found = &mp_ambient_found[i];
    uint64_t version = mp_dict_version(found->getter);
    if (version != found->seen) {
        PyObject *value = PyDict_GetItemWithError(found->getter, found->name);
        if (value == NULL || !mp_ambient_equal(value, found->usual)) {
            mp_err_drop();  // mp-ok: it is not known to be usual
            return false;
        }
        found->seen = version;
    }
    return true;
}

/* The getter is asked; it allocates, and nothing may be collected meanwhile. */
static bool
ambient_answer_same(const mp_ambient *a, int i)
{
    int collecting = PyGC_Disable();
    PyObject *now = mp_ambient_answer(i);
    bool same = now != NULL && mp_ambient_equal(now, a->answers[i]);
    Py_XDECREF(now);
    mp_err_drop();  // mp-ok: a state that cannot be read is not the recorded one
    if (collecting) {
        PyGC_Enable();
    }
    return same;
}

static bool
ambient_row_same(const mp_ambient *a, int i)
{
    if (mp_ambient_found[i].probed) {
        return mp_ambient_number(i) == a->numbers[i];
    }
    if (mp_ambient_rows[i].reader == READ_VALUE) {
        return ambient_value_usual(i);
    }
    return ambient_answer_same(a, i);
}

/* In a thread without words, or from one. */
static bool
ambient_all_same(const mp_ambient *a)
{
    bool same = true;
    for (int i = 0; i < N_ROWS && same; i++) {
        same = !mp_ambient_found[i].active || ambient_row_same(a, i);
    }
    return same;
}

int
mp_ambient_check(const mp_ambient *a)
{
    const uint64_t *const *at = a->has_words ? mp_ambient_places() : NULL;
    if (at == NULL) {
        return ambient_all_same(a);
    }
    int n;
    const int *asked = mp_ambient_asked(&n);
    bool same = mp_ambient_words_same(at, a->words);
    for (int k = 0; k < n && same; k++) {
        same = ambient_row_same(a, asked[k]);
    }
    return same;
}

/* -- Texts ----------------------------------------------------------------------- */

static PyObject *
ambient_row_text(const mp_ambient *a, int i)
{
    const mp_ambient_row *row = &mp_ambient_rows[i];
    if (row->reader == READ_KEYS) {
        return PyUnicode_FromFormat("torch's dispatch keys == %R", a->answers[i]);
    }
    if (row->reader == READ_VALUE) {
        return PyUnicode_FromFormat("%s.%s == %R", row->module, row->getter,
                                    a->answers[i]);
    }
    if (row->reader == READ_NESTING) {
        return PyUnicode_FromFormat("depth of torch.autocast == %R", a->answers[i]);
    }
    if (row->reader == READ_OWN) {
        return PyUnicode_FromFormat("%s == %R", row->what, a->answers[i]);
    }
    const char *quote = row->arg != NULL ? "'" : "";
    return PyUnicode_FromFormat("%s.%s(%s%s%s) == %R", row->module, row->getter, quote,
                                row->arg != NULL ? row->arg : "", quote, a->answers[i]);
}

PyObject *
mp_ambient_text(const mp_ambient *a)
{
    PyObject *lines = PyList_New(0);
    for (int i = 0; i < N_ROWS && lines != NULL; i++) {
        bool usual = i == ROW_FUNCTION_MODE && a->numbers[i] == MP_MODES_NONE;
        if (a->answers[i] == NULL || mp_ambient_rows[i].policy != POLICY_guard
            || usual) {
            continue;
        }
        PyObject *line = ambient_row_text(a, i);
        if (line == NULL || PyList_Append(lines, line) < 0) {
            Py_CLEAR(lines);
        }
        Py_XDECREF(line);
    }
    return lines;
}

PyObject *
mp_ambient_state(const mp_ambient *a)
{
    PyObject *state = PyTuple_New(N_ROWS);
    for (int i = 0; i < N_ROWS && state != NULL; i++) {
        PyTuple_SET_ITEM(state, i,
                         Py_NewRef(a->answers[i] != NULL ? a->answers[i] : Py_None));
    }
    return state;
}

/* -- Restoring ------------------------------------------------------------------- */

/* Two rows, one setter: f(mode, warn_only=...). */
static PyObject *
restore_deterministic(const mp_ambient *a, PyObject *set)
{
    PyObject *warn = a->answers[ROW_DETERMINISTIC_WARN];
    PyObject *args[2] = {a->answers[ROW_DETERMINISTIC], warn};
    PyObject *names = warn == NULL ? NULL : Py_BuildValue("(s)", "warn_only");
    if (names == NULL) {
        return PyErr_Occurred() ? NULL : PyObject_CallOneArg(set, args[0]);
    }
    PyObject *done = PyObject_Vectorcall(set, args, 1, names);
    Py_DECREF(names);
    return done;
}

/* Step by step back to the recorded depth. */
static PyObject *
restore_nesting(const mp_ambient *a, int i, PyObject *now)
{
    long wanted = PyLong_AsLong(a->answers[i]), at = PyLong_AsLong(now);
    PyObject *depth = Py_NewRef(now);
    while (at != wanted && depth != NULL) {
        PyObject *step =
            at < wanted ? mp_ambient_found[i].getter : mp_ambient_found[i].setter;
        Py_SETREF(depth, PyObject_CallNoArgs(step));
        at += at < wanted ? 1 : -1;
    }
    return depth;
}

static PyObject *
restore_call(const mp_ambient *a, int i, PyObject *now)
{
    if (mp_ambient_rows[i].reader == READ_NESTING) {
        return restore_nesting(a, i, now);
    }
    if (i == ROW_DETERMINISTIC || i == ROW_DETERMINISTIC_WARN) {
        return restore_deterministic(a, mp_ambient_found[i].setter);
    }
    PyObject *args[2] = {mp_ambient_found[i].arg, a->answers[i]};
    size_t first = mp_ambient_found[i].arg == NULL;
    return PyObject_Vectorcall(mp_ambient_found[i].setter, args + first, 2 - first,
                               NULL);
}

static int
restore_row(const mp_ambient *a, int i)
{
    if (i == ROW_FUNCTION_MODE) {
        return mp_modes_restore(a->answers[i]);
    }
    if (mp_ambient_found[i].setter == NULL || a->answers[i] == NULL
        || a->answers[i] == Py_None) {
        return 0;
    }
    PyObject *now = mp_ambient_answer(i);
    if (now == NULL) {
        return -1;
    }
    PyObject *done = Py_None;
    if (!mp_ambient_equal(now, a->answers[i])) {
        done = restore_call(a, i, now);
        Py_XDECREF(done);
    }
    Py_DECREF(now);
    return done == NULL ? -1 : 0;
}

int
mp_ambient_restore(const mp_ambient *a)
{
    for (int i = 0; i < N_ROWS; i++) {
        if (mp_ambient_found[i].active && restore_row(a, i) < 0) {
            return -1;
        }
    }
    return 0;
}

bool
mp_ambient_can_restore(const mp_ambient *a, const mp_ambient *from)
{
    bool can = true;
    for (int i = 0; i < N_ROWS && can; i++) {
        // Dispatch keys follow from the rows of autocast and inference mode.
        can = !mp_ambient_found[i].active || mp_ambient_found[i].setter != NULL
              || mp_ambient_rows[i].reader == READ_KEYS || i == ROW_FUNCTION_MODE
              || mp_ambient_equal(a->answers[i], from->answers[i]);
    }
    return can;
}
