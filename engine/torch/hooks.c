/* torch/hooks.c - default hooks for saved tensors.
 *
 * They stand in a deque of libtorch, one for each thread.  Every hit looks, so it is looked at
 * directly where that has been shown to work: stack_shows pushes a pair and takes it off again.
 * Anywhere else torch's own getter is asked.  No hook is called. */
#include "torch/hooks.h"

#include <string.h>

#include "compat/compat.h"
#include "torch/tensor.h"

typedef const intptr_t *(*hooks_words)(void);

static PyObject *ask_top;  // owned, for the process: the getter of the hooks on top
static hooks_words stack;  // the deque of hooks of this thread; NULL: ask the getter
static _Thread_local const intptr_t *stack_here;  // what it gives in this thread

/* Push a pair of hooks and take it off again: the deque must show both. */
static bool
stack_shows(PyObject *autograd)
{
    PyObject *any = (PyObject *)&PyTuple_Type;  // it is not called
    const intptr_t *deque = stack();
    if (deque[6] != deque[2]) {  // libstdc++: finish.cur, start.cur
        return false;
    }
    PyObject *done = PyObject_CallMethod(autograd, "_push_saved_tensors_default_hooks",
                                         "OO", any, any);
    bool during = done != NULL && deque[6] != deque[2];
    if (done != NULL) {
        Py_DECREF(done);
        done = PyObject_CallMethod(autograd, "_pop_saved_tensors_default_hooks", NULL);
    }
    Py_XDECREF(done);
    return done != NULL && during && deque[6] == deque[2];
}

/* A new reference, or NULL: without torch there are no hooks. */
static PyObject *
hooks_module(void)
{
    PyObject *name = PyUnicode_FromString("torch._C._autograd");
    PyObject *module = name == NULL ? NULL : PyImport_GetModule(name);
    Py_XDECREF(name);
    return module;
}

static bool
hooks_find(PyObject *autograd)
{
    ask_top = PyObject_GetAttrString(autograd, "_top_saved_tensors_default_hooks");
    void *address = mp_torch_symbol("_ZN2at23SavedTensorDefaultHooks13get_tls_stateEv");
    memcpy(&stack, &address, sizeof stack);
    if (ask_top != NULL && stack != NULL && !stack_shows(autograd)) {
        stack = NULL;
    }
    return ask_top != NULL;
}

/* Does the function belong to the module of this name? */
static bool
is_of(PyObject *function, const char *name)
{
    PyObject *key = PyUnicode_FromString(name);
    PyObject *module = key == NULL ? NULL : PyImport_GetModule(key);
    bool is = module != NULL && function != NULL && PyFunction_Check(function)
              && PyModule_Check(module)
              && PyFunction_GET_GLOBALS(function) == PyModule_GetDict(module);
    Py_XDECREF(module);
    Py_XDECREF(key);
    return is;
}

static mp_hooks
hooks_ask(void)
{
    PyObject *top = PyObject_CallOneArg(ask_top, Py_True);
    mp_hooks found = top == Py_None ? MP_HOOKS_NONE : MP_HOOKS_OTHER;
    if (top != NULL && PyTuple_CheckExact(top) && PyTuple_GET_SIZE(top) == 2) {
        PyObject *pack = PyTuple_GET_ITEM(top, 0);
        if (is_of(pack,
                  "torch._dynamo.eval_frame")) {  // marked as none of TorchDynamo's
            PyObject *dict = ((PyFunctionObject *)pack)->func_dict;
            pack = dict == NULL
                       ? pack
                       : mp_dict_text_borrow(dict, "_torchdynamo_orig_callable");
        }
        if (is_of(pack, "torch.utils.checkpoint")
            || is_of(pack, "torch.autograd.graph")) {
            found = MP_HOOKS_OF_TORCH;
        }
    }
    Py_XDECREF(top);
    return found;
}

mp_hooks
mp_hooks_now(void)
{
    if (stack != NULL) {
        stack_here = stack_here == NULL ? stack() : stack_here;
        if (stack_here[6] == stack_here[2]) {
            return MP_HOOKS_NONE;
        }
    }
    PyObject *saved = mp_err_take();
    PyObject *autograd = hooks_module();
    mp_hooks found = MP_HOOKS_NONE;
    if (autograd != NULL || ask_top != NULL) {
        found = ask_top != NULL || hooks_find(autograd) ? hooks_ask() : MP_HOOKS_OTHER;
    }
    Py_XDECREF(autograd);
    mp_err_drop();  // what cannot be asked is no hook of torch
    mp_err_restore_steal(saved);
    return found;
}
