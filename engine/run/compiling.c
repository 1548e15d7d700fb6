/* run/compiling.c - what a run is told when it asks whether a compiler is at work, and
 * runs that are only tried.
 *
 * Torch's flag is never touched: the real call answers False, as it does in eager, and
 * where the run is told True that is put in its place on the stack (run/frame.c).
 *
 * A trial (call/trial.c) is a run that may be told True and must leave no trace, because the
 * real call comes after it.  R: whatever it is about to change outside of itself, or cannot
 * know, gives it up before that happens: each abort is an mp_watch_abandon.  What it made
 * goes away without running any code, so generators that wait in a block are known and
 * are closed with their handlers muted.
 */
#include "trace/trace.h"

#include <string.h>

static mp_knob knob = MP_COMPILING_AUTO;

void
mp_compiling_set(mp_knob value)
{
    knob = value;
}

mp_knob
mp_compiling_knob(void)
{
    return knob;
}

mp_compiling
mp_compiling_plain(void)
{
    return (mp_compiling){.tells =
                              knob == MP_COMPILING_TRUE ? MP_TELL_ALL : MP_TELL_FALSE};
}

/* Torch's own modules compute other numbers under True, or raise.  (A module of the
 * program that has such a name is told what eager tells it.) */
static bool
is_of_torch(mp_frame *f)
{
    PyObject *name = mp_dict_text_borrow(mp_frame_globals_borrow(f), "__name__");
    const char *text =
        name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    mp_err_drop();  // a module without a usable name is the program's
    return text != NULL && strncmp(text, "torch", 5) == 0  // mp-ok: a module's
           && (text[5] == '.' || text[5] == '\0');
}

mp_rc
mp_record_compiling(mp_trace *T, mp_shadow *s)
{
    mp_compiling *c = T->compiling;
    bool own = is_of_torch(s->f);
    bool told = c->tells == MP_TELL_ALL || (c->tells == MP_TELL_PROGRAM && !own);
    c->asked = c->asked || !own;
    s->below = MP_BELOW_SKIP;
    s->post = told ? MP_POST_COMPILING : MP_POST_CONST;
    return MP_OK;
}

/* -- Trials -------------------------------------------------------------------------------- */

mp_rc
mp_trial_yielded(mp_trace *T, mp_frame *f)
{
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

/* What the frames hold dies when they are left: nothing of it runs. */
void
mp_trial_give_up(mp_trace *T)
{
    for (Py_ssize_t i = T->generators == NULL ? 0 : PyList_GET_SIZE(T->generators);
         i-- > 0;) {
        PyObject *gen = mp_weakref_borrow(PyList_GET_ITEM(T->generators, i));
        if (gen != Py_None && mp_gen_runs_code(gen)) {
            mp_watch_mute(gen);
        }
    }
    mp_watch_abandon();
}

/* A name that is set for the time of the call (`self.seen = x` ... `self.seen = old`) can be
 * set back: it keeps its place in the dict. */
mp_rc
mp_trial_wrote(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key)
{
    PyObject *old =
        kind == MP_W_KEY_SET && PyDict_CheckExact(n->obj) && PyUnicode_CheckExact(key)
            ? PyDict_GetItemWithError(n->obj, key)
            : NULL;
    if (old == NULL) {
        return PyErr_Occurred() ? MP_ERR
                                : mp_trace_abort(T, MP_AB_MUTATION, "in a trial");
    }
    if (T->undo == NULL && (T->undo = PyList_New(0)) == NULL) {
        return MP_ERR;
    }
    PyObject *row = PyTuple_Pack(3, n->obj, key, old);
    int rc = row == NULL ? -1 : PyList_Append(T->undo, row);
    Py_XDECREF(row);
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
