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

/* Are names set that were not set back?  They are now. */
static bool
trial_undo(mp_trace *T)
{
    bool changed = false;
    for (Py_ssize_t i = T->undo == NULL ? 0 : PyList_GET_SIZE(T->undo); i-- > 0;) {
        PyObject *const *row = ((PyTupleObject *)PyList_GET_ITEM(T->undo, i))->ob_item;
        PyObject *now = PyDict_GetItemWithError(row[0], row[1]);
        if (now != row[2]) {
            changed = true;
            (void)PyDict_SetItem(row[0], row[1], row[2]);  // the key is there
        }
    }
    mp_err_drop();
    return changed;
}

void
mp_trial_end(mp_trace *T)
{
    bool left = false, was = T->trial;
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
    left = (was && trial_undo(T)) || left;
    if (left && T->state == MP_TRACE_DONE) {
        T->state = MP_TRACE_RECORDING;
        (void)mp_trace_abort(T, MP_AB_MUTATION, "in a trial");
    }
}
