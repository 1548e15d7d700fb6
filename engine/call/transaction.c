/* call/transaction.c - a graph that raises has changed nothing.
 *
 *   save (if the graph may change something and then raise) -> hold warnings back -> graph
 *     returned -> show the warnings
 *     raised   -> modes, generators and inputs as they were; drop the warnings
 *
 * What has to be saved is decided once, when the graph is compiled (_transaction.py); a
 * graph that cannot raise for its values costs a test of a pointer.
 *
 * Warnings of operations belong to the program, where it runs again.  They are held back
 * at `warnings._showwarnmsg`, which C code and Python code call for each warning that the
 * filters let through.  It is replaced while some thread runs a graph that may raise; what
 * other threads warn of passes.  What must hold: `held` lists these graphs, and the
 * last one puts the original back if nobody else has put something there. */
#include "call/transaction.h"
#include "torch/hooks.h"
#include "torch/levels.h"

static mp_held_warnings *held;   // under the GIL
static PyObject *held_original;  // owned while something is held
static PyObject *held_function;  // ours, for the life of the process
static PyObject *warnings_dict;  // borrowed from the module, which is kept
static PyObject *str_show, *str_filters, *str_error;

static mp_held_warnings *
held_of_thread(void)
{
    unsigned long thread = PyThread_get_thread_ident();
    mp_held_warnings *h = held;
    while (h != NULL && h->thread != thread) {
        h = h->outer;
    }
    return h;
}

/* warnings._showwarnmsg while graphs run. */
static PyObject *
held_show(PyObject *self, PyObject *message)
{
    mp_held_warnings *h = held_of_thread();
    if (h != NULL) {
        if (h->messages == NULL && (h->messages = PyList_New(0)) == NULL) {
            return NULL;
        }
        if (PyList_Append(h->messages, message) < 0) {
            return NULL;
        }
        Py_RETURN_NONE;
    }
    if (held_original == NULL) {  // a thread had looked it up before
        PyObject *show = PyDict_GetItemWithError(warnings_dict, str_show);
        return show == NULL || show == held_function
                   ? Py_NewRef(Py_None)
                   : PyObject_CallOneArg(show, message);
    }
    PyObject *show = Py_NewRef(held_original);
    PyObject *answer = PyObject_CallOneArg(show, message);
    Py_DECREF(show);
    return answer;
}

static PyMethodDef held_method = {"_showwarnmsg", held_show, METH_O, NULL};

int
mp_transaction_init(void)
{
    if (held_function != NULL) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("warnings");  // kept for the process
    str_show = PyUnicode_InternFromString("_showwarnmsg");
    str_filters = PyUnicode_InternFromString("filters");
    str_error = PyUnicode_InternFromString("error");
    if (module == NULL || str_show == NULL || str_filters == NULL
        || str_error == NULL) {
        return -1;
    }
    warnings_dict = PyModule_GetDict(module);
    held_function = PyCFunction_New(&held_method, NULL);
    return held_function == NULL ? -1 : 0;
}

int
mp_warnings_hold(mp_held_warnings *h)
{
    h->messages = NULL;
    h->thread = PyThread_get_thread_ident();
    h->outer = held;
    h->on = false;
    if (held == NULL) {
        PyObject *show = PyDict_GetItemWithError(warnings_dict, str_show);
        if (show == NULL) {
            return PyErr_Occurred() ? -1 : 0;
        }
        held_original = Py_NewRef(show);
        if (PyDict_SetItem(warnings_dict, str_show, held_function) < 0) {
            Py_CLEAR(held_original);
            return -1;
        }
    }
    h->on = true;
    held = h;
    return 0;
}

void
mp_warnings_let_go(mp_held_warnings *h)
{
    if (!h->on) {
        return;
    }
    mp_held_warnings **at = &held;
    while (*at != h) {  // another thread's graph may have begun since
        at = &(*at)->outer;
    }
    *at = h->outer;
    h->on = false;
    if (held != NULL) {
        return;
    }
    PyObject *exc = mp_err_take(), *original = held_original;
    held_original = NULL;
    if (PyDict_GetItemWithError(warnings_dict, str_show) == held_function
        && PyDict_SetItem(warnings_dict, str_show, original) < 0) {
        mp_err_drop();  // without memory it stays, and passes every warning on
    }
    Py_DECREF(original);
    if (exc != NULL) {
        mp_err_restore_steal(exc);
    }
}

/* Show what was held back, where it goes now.  0 / -1. */
static int
hold_show(mp_held_warnings *h)
{
    int rc = 0;
    PyObject *messages = h->messages;
    h->messages = NULL;
    for (Py_ssize_t i = 0; messages != NULL && rc == 0 && i < PyList_GET_SIZE(messages);
         i++) {
        PyObject *show = Py_XNewRef(PyDict_GetItemWithError(warnings_dict, str_show));
        PyObject *answer =
            show == NULL ? NULL
                         : PyObject_CallOneArg(show, PyList_GET_ITEM(messages, i));
        rc = answer == NULL && PyErr_Occurred() ? -1 : 0;
        Py_XDECREF(answer);
        Py_XDECREF(show);
    }
    Py_XDECREF(messages);
    return rc;
}

/* -- Saving and putting back -------------------------------------------------------- */

int
mp_transaction_take(mp_entry *entry, PyObject *undo)
{
    assert(entry->undo == NULL);
    if (undo == Py_None) {
        return 0;
    }
    if (!PyTuple_Check(undo) || PyTuple_GET_SIZE(undo) != 3) {
        PyErr_SetString(PyExc_TypeError, "undo must be (save, restore, flags)");
        return -1;
    }
    entry->undo_flags = (int)PyLong_AsLong(PyTuple_GET_ITEM(undo, 2));
    if (PyErr_Occurred()) {
        return -1;
    }
    Py_XSETREF(entry->undo, Py_NewRef(undo));
    return 0;
}

/* May a warning raise?  Then any operation that warns may. */
static bool
filters_raise(void)
{
    PyObject *filters = PyDict_GetItemWithError(warnings_dict, str_filters);
    bool raises = filters == NULL || !PyList_CheckExact(filters);
    for (Py_ssize_t i = 0; !raises && i < PyList_GET_SIZE(filters); i++) {
        PyObject *filter = PyList_GET_ITEM(filters, i);
        PyObject *action = PyTuple_CheckExact(filter) && PyTuple_GET_SIZE(filter) > 0
                               ? PyTuple_GET_ITEM(filter, 0)
                               : Py_None;
        raises = action == str_error || !PyUnicode_CheckExact(action)
                 || PyUnicode_Compare(action, str_error) == 0;
    }
    return raises;
}

/* save(how, *inputs): new token.  how: 0; 1: a first run; 2: warnings raise. */
static PyObject *
transaction_save(const mp_hit *hit, bool strict)
{
    const mp_entry *entry = hit->entry;
    int32_t n = entry->undo_flags & MP_UNDO_INPUTS ? entry->plan->n_inputs : 0;
    PyObject *args = PyTuple_New(n + 1);
    if (args == NULL) {
        return NULL;
    }
    PyObject *how = PyLong_FromLong(entry->hits == 0 ? 1 : strict ? 2 : 0);
    if (how == NULL) {
        Py_DECREF(args);
        return NULL;
    }
    PyTuple_SET_ITEM(args, 0, how);
    for (int32_t i = 0; i < n; i++) {
        PyObject *input = hit->held[entry->plan->replay->n_sources + i];
        PyTuple_SET_ITEM(args, i + 1, Py_NewRef(input));
    }
    PyObject *token = PyObject_CallObject(PyTuple_GET_ITEM(entry->undo, 0), args);
    Py_DECREF(args);
    return token;
}

enum { RESTORE_TRIES = 4 };  // signals may come while everything is put back

/* Ask the Python half to put everything back after this exception. */
static bool
transaction_restore(const mp_entry *entry, PyObject *token, PyObject *exc,
                    PyObject *messages)
{
    bool done = false, interrupted = true;
    for (int i = 0; i < RESTORE_TRIES && interrupted; i++) {  // (twice is as once)
        PyObject *answer = PyObject_CallFunctionObjArgs(
            PyTuple_GET_ITEM(entry->undo, 1), token == NULL ? Py_None : token, exc,
            messages == NULL ? Py_None : messages, NULL);
        done = answer == Py_True;
        Py_XDECREF(answer);
        interrupted = mp_err_drop();  // what cannot be put back is not run again
    }
    return done;
}

/* The graph has raised.  The exception stays set, or one of ours comes in its place. */
static void
transaction_undo(mp_hit *hit, PyObject *token, PyObject *messages)
{
    mp_entry *entry = hit->entry;
    bool interrupted = mp_err_is_signal();
    PyObject *exc = mp_err_take();  // owned
    bool restored =
        entry->plan->ambient == NULL
        || (mp_levels_close() == 0 && mp_ambient_restore(entry->plan->ambient) == 0);
    if (!restored) {
        Py_DECREF(exc);
        return;
    }
    if (!interrupted && mp_hooks_now() == MP_HOOKS_NONE) {
        hit->undone = entry->undo == NULL
                          ? !entry->mutates
                          : transaction_restore(entry, token, exc, messages);
    }
    mp_err_restore_steal(exc);
}

static bool
saves(const mp_entry *entry, bool strict)
{
    return entry->undo != NULL
           && (entry->undo_flags & MP_UNDO_SAVES
               || ((entry->hits == 0 || strict)
                   && entry->undo_flags & MP_UNDO_CHANGES));
}

/* The graph has returned, or raised: what becomes of its warnings?  New reference to its
 * answer, or NULL. */
static PyObject *
transaction_end(mp_hit *hit, PyObject *token, mp_held_warnings *warned,
                PyObject *answer)
{
    PyObject *unwanted = NULL;  // owned
    mp_warnings_let_go(warned);
    if (answer != NULL && hit->entry->undo_flags & MP_UNDO_WARNS
        && warned->messages != NULL) {
        unwanted = answer;
        answer = NULL;
        hit->warned = true;
        PyErr_SetString(PyExc_RuntimeError,
                        "an operation warns where the program has changed the filters");
    }
    if (answer == NULL) {
        transaction_undo(hit, token, warned->messages);
    }
    if (unwanted != NULL && !hit->undone) {  // (no memory) better than an exception
        mp_err_drop();
        hit->warned = false;
        answer = Py_NewRef(unwanted);
    }
    Py_XDECREF(unwanted);
    if (answer != NULL || !hit->undone) {
        PyObject *exc = mp_err_take();
        int rc = hold_show(warned);
        if (exc != NULL) {
            mp_err_drop();  // the graph's own exception wins
            mp_err_restore_steal(exc);
        }
        else if (rc < 0) {
            Py_CLEAR(answer);
        }
    }
    Py_CLEAR(warned->messages);
    return answer;
}

PyObject *
mp_transaction_run(mp_hit *hit)
{
    assert(hit->entry != NULL && hit->entry->plan->graph != NULL);
    mp_entry *entry = hit->entry;
    PyObject *token = NULL;  // owned
    mp_held_warnings warned = {.on = false};
    hit->undone = hit->warned = false;
    if (entry->undo == NULL) {
        PyObject *answer = mp_hit_call_graph(hit);
        if (answer == NULL) {
            transaction_undo(hit, NULL, NULL);
        }
        return answer;
    }
    bool strict = filters_raise();
    if (saves(entry, strict) && (token = transaction_save(hit, strict)) == NULL) {
        if (mp_err_is_signal()) {
            return NULL;
        }
        mp_err_drop();  // then it is not run again
    }
    bool holds = entry->undo_flags & MP_UNDO_RAISES || entry->hits == 0 || strict;
    PyObject *answer =
        holds && mp_warnings_hold(&warned) < 0 ? NULL : mp_hit_call_graph(hit);
    answer = transaction_end(hit, token, &warned, answer);
    Py_XDECREF(token);
    return answer;
}
