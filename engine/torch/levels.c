/* torch/levels.c - levels of torch.func and of forward differentiation.
 *
 * torch is asked only after a run has opened a level (mp_levels_expect); until then no tensor
 * is taken for a wrapper, and nothing is imported.
 *
 * What must hold: a question raises nothing and keeps an exception that is set, for graphs that
 * have raised ask, too. */
#include "torch/levels.h"

#include "compat/compat.h"

/* Owned, for the process; NULL until a run has opened a level. */
static PyObject *is_wrapped, *unwrapped;
static PyObject *close_levels;  // owned, from setup

int
mp_levels_init(PyObject *setup)
{
    PyObject *close = mp_dict_text_borrow(setup, "close_levels");
    if (close != NULL) {
        Py_XSETREF(close_levels, Py_NewRef(close));
    }
    return 0;
}

int
mp_levels_expect(void)
{
    if (unwrapped != NULL) {
        return 0;
    }
    PyObject *functorch = PyImport_ImportModule("torch._C._functorch");
    PyObject *is =
        functorch == NULL
            ? NULL
            : PyObject_GetAttrString(functorch, "is_functorch_wrapped_tensor");
    PyObject *get =
        is == NULL ? NULL : PyObject_GetAttrString(functorch, "get_unwrapped");
    Py_XDECREF(functorch);
    if (get == NULL) {
        Py_XDECREF(is);
        return -1;
    }
    is_wrapped = is;
    unwrapped = get;
    return 0;
}

static bool
wraps(PyObject *tensor)
{
    PyObject *answer = PyObject_CallOneArg(is_wrapped, tensor);
    bool yes = answer == Py_True;
    Py_XDECREF(answer);
    mp_err_drop();  // what is no tensor wraps none
    return yes;
}

bool
mp_level_wraps(PyObject *tensor)
{
    if (unwrapped == NULL) {
        return false;
    }
    PyObject *saved = mp_err_take();
    bool yes = wraps(tensor);
    mp_err_restore_steal(saved);
    return yes;
}

PyObject *
mp_level_bare(PyObject *tensor)
{
    PyObject *at = Py_NewRef(tensor);
    if (unwrapped == NULL) {
        return at;
    }
    PyObject *saved = mp_err_take();
    while (wraps(at)) {
        PyObject *below = PyObject_CallOneArg(unwrapped, at);
        if (below == NULL || below == at) {
            Py_XDECREF(below);
            break;
        }
        Py_SETREF(at, below);
    }
    mp_err_drop();  // the wrapper stands for what it does not show
    mp_err_restore_steal(saved);
    return at;
}

int
mp_levels_close(void)
{
    if (unwrapped == NULL || close_levels == NULL) {
        return 0;
    }
    PyObject *saved = mp_err_take();
    PyObject *done = PyObject_CallNoArgs(close_levels);
    if (done == NULL) {
        Py_XDECREF(saved);
        return -1;
    }
    Py_DECREF(done);
    mp_err_restore_steal(saved);
    return 0;
}
