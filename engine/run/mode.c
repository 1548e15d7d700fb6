/* run/mode.c - torch operations that C code of Python calls: map(torch.relu, xs).
 *
 * Such a call has no instruction of its own, so a torch-function mode stands on torch's
 * stack while the C code runs; its __torch_function__ logs each call as an operation.
 * R: no Python frame ever sees the mode.  It is taken off before a frame starts
 * (mp_on_enter) and put back when the frame has left; torch itself hides it inside
 * __torch_function__.
 * R: an abort in there must not stop the watch, or the next frame would see the mode
 * (mp_trace_abort looks at T->in_mode); the next callback stops it.
 */
#include "graph/graph.h"
#include "objects/operators.h"
#include "run/run.h"

static PyObject *mode_push, *mode_pop, *mode_object;  // owned; NULL without torch
static _Thread_local mp_trace *mode_trace;  // the recording whose mode is on the stack

/* -- One call ------------------------------------------------------------------------------ */

typedef struct {
    PyObject *func, *args, *kwargs;  // borrowed; kwargs may be NULL
    PyObject *result;                // borrowed; NULL: it raised
    bool logged;
} mode_call;

/* The operation is about to run. */
static mp_rc
mode_begin(mp_trace *T, mp_shadow *s, void *arg)
{
    mode_call *c = arg;
    PyObject *all[255], *names = NULL, *key, *value;
    Py_ssize_t nargs = PyTuple_GET_SIZE(c->args), count = nargs, pos = 0;
    Py_ssize_t nkw = c->kwargs == NULL ? 0 : PyDict_GET_SIZE(c->kwargs);
    int flags = mp_op_flags_of(c->func);
    if (flags == 0 || nargs + nkw > (Py_ssize_t)Py_ARRAY_LENGTH(all)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "C code calls a %s",
                              mp_type_name(c->func));
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        all[i] = PyTuple_GET_ITEM(c->args, i);
    }
    if (nkw > 0 && (names = PyTuple_New(nkw)) == NULL) {
        return MP_ERR;
    }
    while (nkw > 0 && PyDict_Next(c->kwargs, &pos, &key, &value)) {
        PyTuple_SET_ITEM(names, count - nargs, Py_NewRef(key));
        all[count++] = value;
    }
    mp_rc rc = mp_op_begin(T, s, c->func, all, nargs, names, flags);
    Py_XDECREF(names);
    c->logged = s->owns_op;
    if (rc == MP_OK && s->post == MP_POST_COMPILING) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "C code asks is_compiling()");
    }
    return rc;
}

/* It has run. */
static mp_rc
mode_end(mp_trace *T, mp_shadow *s, void *arg)
{
    mode_call *c = arg;
    if (c->result == NULL) {
        mp_op_drop(T);
        return mp_trace_abort(T, MP_AB_OP_RAISED, "in C code");
    }
    if (c->logged) {
        return mp_op_end(T, c->result);
    }
    return mp_is_constant(c->result) ? MP_OK : mp_result(T, c->result);
}

static PyObject *
mode_run(mp_trace *T, PyObject *func, PyObject *args, PyObject *kwargs)
{
    mode_call c = {.func = func, .args = args, .kwargs = kwargs};
    int at = T->n_stack - 1;
    mp_shadow saved = T->stack[at];  // of the instruction that runs the C code
    T->in_mode = MP_MODE_INSIDE;
    mp_record_step(T, mode_begin, &c);
    bool given_up = T->trial && T->state == MP_TRACE_ABORTED;
    PyObject *result = c.result =
        given_up ? mp_watch_raise() : PyObject_Call(func, args, kwargs);
    mp_record_step(T, mode_end, &c);
    T->stack[at].below = saved.below;
    T->stack[at].post = saved.post;
    T->stack[at].owns_op = saved.owns_op;
    T->in_mode = MP_MODE_ON;
    return result;
}

/* __torch_function__(func, types, args, kwargs) */
static PyObject *
mode_function(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    mp_trace *T = mode_trace;
    PyObject *kwargs = nargs > 3 && PyDict_Check(args[3]) ? args[3] : NULL;
    if (nargs < 3 || !PyTuple_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "__torch_function__ takes a function, types, "
                                         "arguments and keywords");
        return NULL;
    }
    if (T == NULL || T->state != MP_TRACE_RECORDING || T->in_mode != MP_MODE_ON
        || T->n_stack == 0) {
        return PyObject_Call(args[0], args[2], kwargs);
    }
    return mode_run(T, args[0], args[2], kwargs);
}

static PyMethodDef mode_methods[] = {
    {"__torch_function__", (PyCFunction)(void (*)(void))mode_function, METH_FASTCALL,
     "Log an operation that C code calls."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject mode_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "magpy._engine.OperationLog",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_methods = mode_methods,
};

/* -- On and off the stack ------------------------------------------------------------------- */

void
mp_mode_off(mp_trace *T)
{
    if (T->in_mode != MP_MODE_ON) {
        return;
    }
    PyObject *saved = mp_err_take();
    T->in_mode = MP_MODE_OFF;  // first: a finalizer's frame comes here as well
    mode_trace = NULL;
    PyObject *popped = PyObject_CallNoArgs(mode_pop);
    mp_err_drop();  // (unreachable: what was pushed is there)
    Py_XDECREF(popped);
    mp_err_restore_steal(saved);
}

void
mp_mode_on(mp_trace *T, const mp_shadow *s)
{
    assert(T->state == MP_TRACE_RECORDING);
    if (!(s->calls || T->lazy_calls) || s->owns_op || s->below != MP_BELOW_WATCH
        || mode_object == NULL || T->in_mode != MP_MODE_OFF) {
        return;
    }
    PyObject *saved = mp_err_take();
    PyObject *done = PyObject_CallOneArg(mode_push, mode_object);
    if (done != NULL) {
        T->in_mode = MP_MODE_ON;
        mode_trace = T;
    }
    mp_err_drop();  // without the mode the results are unknown, and that is noticed
    Py_XDECREF(done);
    mp_err_restore_steal(saved);
}

int
mp_mode_init(void)
{
    if (mode_object != NULL) {
        return 0;
    }
    PyObject *m = PyImport_ImportModule("torch._C");
    if (m == NULL || PyType_Ready(&mode_type) < 0) {
        Py_XDECREF(m);
        return -1;
    }
    Py_XSETREF(mode_push, PyObject_GetAttrString(m, "_push_on_torch_function_stack"));
    Py_XSETREF(mode_pop, PyObject_GetAttrString(m, "_pop_torch_function_stack"));
    Py_DECREF(m);
    if (mode_push != NULL && mode_pop != NULL) {
        mode_object = mode_type.tp_alloc(&mode_type, 0);
    }
    return mode_object == NULL ? -1 : 0;
}
