/* resume.c - rebuild frames of functions and run them from the middle.
 *
 * A real frame comes from a call of the function with arguments that nobody looks at: the
 * evaluator that stands in the hook for that moment gets it, fills it and runs it.  Frames
 * that called others run those first, as callees in C, and then go on behind the call with
 * the result, or at the call with the exception.
 *
 * Nothing of the program runs between the call and the filling, but what a collection on
 * 3.11 runs: those frames are none of ours and are passed on.
 */
#include "compat/private.h"

#if MP_CAN_WATCH

static _Thread_local struct {
    mp_resume *chain;            // its next frame is being called for; NULL: none
    _PyFrameEvalFunction outer;  // what the hook held before
} resume_self;

static PyObject *
take(PyObject **from)
{
    PyObject *value = *from;
    *from = NULL;
    return value;
}

static void
resume_fill(mp_frame *f, const mp_resume_frame *from, bool innermost)
{
    int n_locals = mp_frame_code(f)->co_nlocalsplus;

    for (int i = 0; i < n_locals; i++) {
        mp_slot_set_steal(&f->localsplus[i], take(&from->slots[i]));
    }
    for (int i = n_locals; i < from->n_slots; i++) {
        f->localsplus[i] = mp_slot_steal(take(&from->slots[i]));
    }
    mp_frame_set_top(f, from->n_slots);
    if (innermost) {
        mp_frame_go_on_at(f, from->index);
    }
    else {
        mp_frame_stand_at(f, from->index);
    }
}

static PyObject *
resume_eval(PyThreadState *ts, mp_frame *f, int throwflag)
{
    mp_resume *r = resume_self.chain;
    _PyFrameEvalFunction outer = resume_self.outer;

    if (r == NULL || throwflag || mp_frame_lasti(f) >= 0
        || mp_frame_func_borrow(f) != (PyObject *)r->frames[r->i].func) {
        return (outer != NULL ? outer : _PyEval_EvalFrameDefault)(ts, f, throwflag);
    }
    _PyInterpreterState_SetEvalFrameFunc(PyInterpreterState_Get(), outer);
    resume_self.chain = NULL;
    resume_fill(f, &r->frames[r->i], r->i == r->n - 1);
    r->i++;
    return mp_watch_run_rebuilt(ts, f, r);
}

/* A call that any signature accepts. */
static PyObject *
resume_call(PyFunctionObject *func)
{
    PyCodeObject *code = (PyCodeObject *)func->func_code;
    int n = code->co_argcount, n_names = code->co_kwonlyargcount;
    PyObject *result = NULL, *names = NULL;  // owned
    PyObject **args = PyMem_New(PyObject *, (size_t)(n + n_names) + 1);

    if (args == NULL) {
        return PyErr_NoMemory();
    }
    for (int i = 0; i < n + n_names; i++) {
        args[i] = Py_None;
    }
    if (n_names > 0) {
        names = PyTuple_GetSlice(code->co_localsplusnames, n, n + n_names);
    }
    if (n_names == 0 || names != NULL) {
        result = PyObject_Vectorcall((PyObject *)func, args, (size_t)n, names);
    }
    Py_XDECREF(names);
    PyMem_Free(args);
    return result;
}

PyObject *
mp_resume_chain(mp_resume *r)
{
    PyInterpreterState *interp = PyInterpreterState_Get();

    resume_self.chain = r;
    resume_self.outer = _PyInterpreterState_GetEvalFrameFunc(interp);
    _PyInterpreterState_SetEvalFrameFunc(interp, resume_eval);
    PyObject *result = resume_call(r->frames[r->i].func);
    if (resume_self.chain == r) {  // no memory for the call
        resume_self.chain = NULL;
        _PyInterpreterState_SetEvalFrameFunc(interp, resume_self.outer);
    }
    return result;
}

/* What `__init__` answers is not the result of the call. */
static PyObject *
resume_init(PyObject *result, PyObject *made)
{
    if (result == Py_None) {
        Py_DECREF(result);
        return Py_NewRef(made);
    }
    PyErr_Format(PyExc_TypeError, "__init__() should return None, not '%.200s'",
                 Py_TYPE(result)->tp_name);
    Py_DECREF(result);
    return NULL;
}

/* A property of obj has raised: as the slot of a class with __getattr__ does. */
static PyObject *
resume_getattr(PyObject *obj, PyObject *name)
{
    PyObject *key = PyUnicode_InternFromString("__getattr__");
    PyObject *func = key == NULL ? NULL : _PyType_Lookup(Py_TYPE(obj), key);
    Py_XDECREF(key);
    if (func == NULL || !PyFunction_Check(func)
        || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return NULL;
    }
    PyErr_Clear();  // mp-ok: as the slot does
    Py_INCREF(func);
    PyObject *result = PyObject_CallFunctionObjArgs(func, obj, name, NULL);
    Py_DECREF(func);
    return result;
}

void
mp_resume_callees(PyThreadState *ts, mp_frame *f, mp_resume *r, int *throwflag)
{
    if (r->i == r->n) {
        return;
    }
    const mp_resume_frame *from = &r->frames[r->i - 1];
    int index = from->index, how = from->how;
    PyObject *made = from->made == NULL ? NULL : take(from->made);
    mp_frame *outer = *mp_thread_frame(ts);

    f->previous = outer;
    *mp_thread_frame(ts) = f;
    PyObject *result = mp_resume_chain(r);
    if (result != NULL && how == MP_RESUME_INIT) {
        result = resume_init(result, made);
    }
    else if (result == NULL && how == MP_RESUME_ATTR) {
        int name = mp_code_info_get(mp_frame_code(f))->at[index].arg;
        result =
            resume_getattr(made, PyTuple_GET_ITEM(mp_frame_code(f)->co_names, name));
    }
    *mp_thread_frame(ts) = outer;
    Py_XDECREF(made);
    const mp_instr *in = &mp_code_info_get(mp_frame_code(f))->at[index];
    int next;
    *throwflag = !mp_answer_finish(f, in, how, result, &next);
    if (*throwflag) {
        mp_frame_raise_at(f, index);
    }
    else {
        mp_frame_go_on_at(f, next);
    }
}

PyObject *
mp_resume_run(const mp_resume_frame *frames, int32_t n)
{
    assert(n > 0);
    mp_resume r = {.frames = frames, .n = n};

    return mp_resume_chain(&r);
}

PyObject *
mp_watch_resume_below(const mp_resume_frame *frames, int32_t n)
{
    mp_resume r = {.frames = frames, .n = n, .told = true};

    return mp_resume_chain(&r);
}

#else

PyObject *
mp_watch_resume_below(const mp_resume_frame *frames, int32_t n)
{
    return mp_resume_run(frames, n);
}

PyObject *
mp_resume_run(const mp_resume_frame *frames, int32_t n)
{
    PyErr_SetString(PyExc_RuntimeError, "magpy: frames are not known here");
    return NULL;
}

PyObject *
mp_watch_resume(const mp_watch_ops *ops, void *ctx, const mp_resume_frame *frames,
                int32_t n)
{
    assert(n > 0 && ops != NULL);
    return mp_resume_run(frames, n);
}

#endif
