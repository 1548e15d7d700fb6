/* run/trial.c - trial recordings.
 *
 * A trial (call/trial.h) is a recording in which is_compiling() may answer True.  It must
 * leave no trace, because the real call comes after it.  R: it is given up before it
 * changes anything outside, and before anything of which it cannot know that: each abort
 * is an mp_watch_abandon. Objects that it made go away without running any code, so
 * generators that wait in a block are known, and are closed with their handlers muted. */
#include "run/run.h"

mp_rc
mp_trial_yielded(mp_trace *T, mp_frame *f)
{
    assert(T->trial);
    PyObject *gen = mp_frame_generator_borrow(f);
    if (gen == NULL || !mp_gen_runs_code(gen)) {
        return MP_OK;
    }
    if (T->generators == NULL && (T->generators = PyList_New(0)) == NULL) {
        return MP_ERR;
    }
    for (Py_ssize_t i = PyList_GET_SIZE(T->generators); i-- > 0;) {
        if (mp_weakref_borrow(PyList_GET_ITEM(T->generators, i)) == gen) {
            return MP_OK;
        }
    }
    PyObject *weak = PyWeakref_NewRef(gen, NULL);
    int rc = weak == NULL ? -1 : PyList_Append(T->generators, weak);
    Py_XDECREF(weak);
    return rc < 0 ? MP_ERR : MP_OK;
}

/* The key as it was before the run: row is (dict, key, value), without a value if it was not
 * there. */
static int
trial_put_back(PyObject *row)
{
    PyObject *const *at = ((PyTupleObject *)row)->ob_item;
    if (PyTuple_GET_SIZE(row) == 3) {
        return PyDict_SetItem(at[0], at[1], at[2]);
    }
    return PyDict_GetItemWithError(at[0], at[1]) == NULL ? 0
                                                         : PyDict_DelItem(at[0], at[1]);
}

/* All keys that the run has set are as they were. */
void
mp_trial_undo(mp_trace *T)
{
    for (Py_ssize_t i = T->undo == NULL ? 0 : PyList_GET_SIZE(T->undo); i-- > 0;) {
        (void)trial_put_back(PyList_GET_ITEM(T->undo, i));  // (keys are exact strings)
    }
    mp_err_drop();
    Py_CLEAR(T->undo);
}

enum { DEEP = 3 };

/* Can code of the program run when this dies?  A hit lets go of it after the graph. */
static int
runs_as_it_dies(PyObject *v, void *deep)
{
    int left = *(int *)deep - 1;
    PyTypeObject *tp = Py_TYPE(v);
    if (mp_is_constant(v) || mp_is_identity(v) || mp_tensor_is(v)) {
        return 0;
    }
    bool holds = tp == &PyList_Type || tp == &PyTuple_Type || tp == &PyDict_Type;
    return !holds || left == 0 || tp->tp_traverse(v, runs_as_it_dies, &left);
}

/* What the key of this write holds by now: borrowed; NULL if that is what it was. */
static PyObject *
trial_change_borrow(PyObject *row)
{
    PyObject *const *at = ((PyTupleObject *)row)->ob_item;
    PyObject *now = PyDict_GetItemWithError(at[0], at[1]);
    return PyTuple_GET_SIZE(row) == 3 && now == at[2] ? NULL : now;
}

/* May code of the program run when a hit lets go of what a write has replaced? */
static bool
trial_lets_go(mp_trace *T)
{
    bool runs = false;
    for (Py_ssize_t i = T->undo == NULL ? 0 : PyList_GET_SIZE(T->undo); i-- > 0;) {
        PyObject *row = PyList_GET_ITEM(T->undo, i);
        int deep = DEEP;
        runs = runs
               || (PyTuple_GET_SIZE(row) == 3 && trial_change_borrow(row) != NULL
                   && runs_as_it_dies(PyTuple_GET_ITEM(row, 2), &deep) != 0);
    }
    return runs;
}

void
mp_trial_end(mp_trace *T)
{
    bool left = false;
    T->trial = false;
    for (Py_ssize_t i = 0; T->generators != NULL && i < PyList_GET_SIZE(T->generators);
         i++) {
        PyObject *gen = Py_NewRef(mp_weakref_borrow(PyList_GET_ITEM(T->generators, i)));
        if (gen != Py_None && mp_gen_runs_code(gen)) {
            mp_gen_discard(gen);
            left = true;
        }
        Py_DECREF(gen);
    }
    if ((trial_lets_go(T) || left) && T->state == MP_TRACE_DONE) {
        T->state = MP_TRACE_RECORDING;
        (void)mp_trace_abort(T, MP_AB_MUTATION, "in a trial");
    }
}

/* What a key holds by now, as (dict, key, value). */
static int
trial_tell(PyObject *left, PyObject *row)
{
    PyObject *const *at = ((PyTupleObject *)row)->ob_item;
    PyObject *now = trial_change_borrow(row);
    PyObject *told = now == NULL ? NULL : PyTuple_Pack(3, at[0], at[1], now);
    int rc = told != NULL ? PyList_Append(left, told) : PyErr_Occurred() ? -1 : 0;
    Py_XDECREF(told);
    return rc;
}

int
mp_trial_left(mp_trace *T)
{
    Py_ssize_t n = T->undo == NULL ? 0 : PyList_GET_SIZE(T->undo);
    PyObject *left = n == 0 ? NULL : PyList_New(0);
    int rc = n > 0 && left == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; i < n && rc == 0; i++) {
        rc = trial_tell(left, PyList_GET_ITEM(T->undo, i));
    }
    if (rc < 0) {
        Py_CLEAR(left);
    }
    Py_XSETREF(T->compiling->left, left);
    return rc;
}
