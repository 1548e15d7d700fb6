/* read/process.c - state that no object of the program carries, read by few runs: the
 * exception that the caller is handling, classes registered with ABCs.
 *
 * Ambient rows (torch/ambient.def) are compared at every hit; these are guarded only by the
 * runs that asked.
 */
#include "read/read.h"

/* The exception that is being handled shows in sys.exc_info(), in a bare `raise` and in
 * the __context__ of whatever is raised.  A run under one is not recorded from there on:
 * the next call may come with another, or with none. */
mp_rc
mp_read_handled(mp_trace *T)
{
    // Under one the guard keeps the broken run from answering where a whole one could.
    PyObject *handles = T->handled == NULL ? Py_False : Py_True;
    mp_rc rc = mp_refgraph_test(&T->graph, MP_G_HANDLING, -1, -1, handles, 0);
    return rc != MP_OK || T->handled == NULL
               ? rc
               : mp_trace_abort(T, MP_AB_SIDE_EFFECT,
                                "the exception that the caller is handling");
}

/* An ABC caches its answer for a class: "yes" for good, "no" until some class is
 * registered with some ABC. So the token covers registries, hooks and subclasses. */
mp_rc
mp_guard_abc(mp_trace *T)
{
    PyObject *token = mp_guard_abc_token();  // owned
    mp_rc rc = token == NULL
                   ? MP_ERR
                   : mp_refgraph_test(&T->graph, MP_G_ABC_TOKEN, -1, -1, token, 0);
    Py_XDECREF(token);
    return rc;
}

/* Could the metaclass of one of these classes answer from registries? */
static bool
has_metaclass(PyObject *classes, int depth)
{
    if (!PyTuple_Check(classes)) {
        return !PyType_CheckExact(classes);
    }
    bool found = depth > 16;
    for (Py_ssize_t i = 0; !found && i < PyTuple_GET_SIZE(classes); i++) {
        found = has_metaclass(PyTuple_GET_ITEM(classes, i), depth + 1);
    }
    return found;
}

mp_rc
mp_guard_subclass_hooks(mp_trace *T, PyObject *classes)
{
    return has_metaclass(classes, 0) ? mp_guard_abc(T) : MP_OK;
}
