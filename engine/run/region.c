/* run/region.c - calls of operators with bodies, while they are recorded.
 *
 * The region (graph/region.c) stands on the stack in the place of its callee.  When the
 * interpreter calls it, it calls the callee, unwatched, and hands its result on; then it
 * runs each body, watched, on copies.  Where the program has not asked for the call, the
 * bodies come first.  A body that cannot be recorded ends at once: its frames are left
 * (mp_watch_abandon), the recording is over, and the next one breaks before the call. */
#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "run/run.h"

/* A step in a callback, and whether the recording goes on. */
static bool
step(mp_trace *T, mp_rc (*what)(mp_trace *, mp_shadow *, void *), void *arg)
{
    mp_record_step(T, what, arg);
    return T->state == MP_TRACE_RECORDING;
}

typedef struct {
    mp_region *region;
    PyObject *function, *body, *args, *fresh;  // owned
    PyObject *result;                          // owned; NULL: it raised
} body_run;

static mp_rc
step_begin(mp_trace *T, mp_shadow *s, void *arg)
{
    body_run *b = arg;
    mp_rc rc = mp_load_const(T, b->function);
    rc = rc != MP_OK ? rc : mp_pass(T, b->body);
    rc = rc != MP_OK ? rc : mp_body_begin(T, s, b->region, b->fresh);
    return rc != MP_OK ? rc : mp_post_nested(T, b->args);
}

static mp_rc
step_end(mp_trace *T, mp_shadow *s, void *arg)
{
    body_run *b = arg;
    s->below = MP_BELOW_TRUSTED;
    if (b->result == NULL) {
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "a body raises");
    }
    return mp_body_end(T, b->region, b->result);
}

/* What a body is given: 0 / -1 with an exception. */
static int
body_prepare(body_run *b, Py_ssize_t k)
{
    PyObject *module = mp_region_module_borrow();
    PyObject *bodies = PyObject_GetAttrString(b->region->call, "bodies");
    PyObject *sample =
        bodies == NULL ? NULL : PyObject_CallMethod(b->region->call, "sample", "n", k);
    b->function = PyObject_GetAttrString(module, "run_body");
    if (sample != NULL && b->function != NULL) {
        b->body = Py_NewRef(PyTuple_GET_ITEM(bodies, k));
        b->args = Py_NewRef(PyTuple_GET_ITEM(sample, 0));
        b->fresh = Py_NewRef(PyTuple_GET_ITEM(sample, 1));
    }
    Py_XDECREF(sample);
    Py_XDECREF(bodies);
    return b->fresh == NULL ? -1 : 0;
}

static void
body_clear(body_run *b)
{
    Py_CLEAR(b->function);
    Py_CLEAR(b->body);
    Py_CLEAR(b->args);
    Py_CLEAR(b->fresh);
    Py_CLEAR(b->result);
}

static bool
run_body(mp_trace *T, mp_region *r, Py_ssize_t k)
{
    body_run b = {.region = r};
    mp_watch_pause();
    int ready = body_prepare(&b, k);
    mp_watch_unpause();
    bool goes_on = ready == 0 && step(T, step_begin, &b);
    if (goes_on) {
        PyObject *args[2] = {b.body, b.args};
        b.result = PyObject_Vectorcall(b.function, args, 2, NULL);
        mp_err_drop();  // the program never sees what else a body raises here
        goes_on = T->state == MP_TRACE_RECORDING && step(T, step_end, &b);
    }
    mp_err_drop();  // without memory for the copies nothing is recorded
    body_clear(&b);
    return goes_on;
}

PyObject *
mp_call_whole(PyObject *function, PyObject *arg)
{
    PyObject *signal = NULL, *result;  // owned
    mp_watch_pause();
    while ((result = arg == NULL ? PyObject_CallNoArgs(function)
                                 : PyObject_CallOneArg(function, arg))
               == NULL
           && mp_err_is_signal()) {
        Py_XSETREF(signal, mp_err_take());
    }
    mp_watch_unpause();
    if (signal != NULL) {
        mp_err_drop();
        mp_err_defer_steal(signal);
    }
    return result;
}

PyObject *
mp_aside_begin(void)
{
    mp_watch_pause();
    PyObject *state =
        PyObject_CallMethod(mp_region_module_borrow(), "begin_aside", NULL);
    mp_watch_unpause();
    return state;
}

void
mp_aside_end(mp_trace *T, PyObject *state)
{
    PyObject *warned = mp_call_whole(state, NULL);
    mp_err_drop();  // (unreachable: the states were taken from there)
    if (warned != Py_False && T->state == MP_TRACE_RECORDING) {
        mp_callback saved = mp_callback_begin(T);
        (void)mp_trace_abort(T, MP_AB_CONTROL_FLOW, "a warning in a body");
        mp_callback_end(T, saved);
    }
    Py_XDECREF(warned);
}

/* A body could not be recorded: break before the call from now on. */
void
mp_region_fail(mp_trace *T, const mp_region *r, bool outermost)
{
    if (T->state == MP_TRACE_RECORDING) {
        mp_callback saved = mp_callback_begin(T);
        (void)mp_trace_abort(T, MP_AB_CONTROL_FLOW, "no memory");
        mp_callback_end(T, saved);
    }
    if (!outermost) {
        return;  // the body around it is being left, too
    }
    T->trial = false;
    mp_watch_recover();
    mp_abort_of_body(T->why);
    mp_trace_avoid(T, r->site, true);
    mp_watch_stop();
}

/* The bodies, in order; false: the recording is over. */
static bool
run_bodies(mp_trace *T, mp_region *r)
{
    PyObject *bodies = PyObject_GetAttrString(r->call, "bodies");
    PyObject *state = bodies == NULL ? NULL : mp_aside_begin();
    Py_ssize_t n = bodies == NULL ? 0 : PyTuple_GET_SIZE(bodies);
    bool goes_on = state != NULL;
    for (Py_ssize_t k = 0; k < n && goes_on; k++) {
        goes_on = run_body(T, r, k);
    }
    if (state != NULL) {
        mp_aside_end(T, state);
        goes_on = goes_on && T->state == MP_TRACE_RECORDING;
    }
    mp_err_drop();  // without memory nothing is recorded
    Py_XDECREF(state);
    Py_XDECREF(bodies);
    return goes_on;
}

/* Record the bodies; false: the frame is being left, with an exception. */
static bool
record_bodies(mp_region *r)
{
    mp_trace *T = r->T;
    if (T == NULL || T->region != r || T->state != MP_TRACE_RECORDING) {
        return true;
    }
    bool outermost = !T->trial;
    if (run_bodies(T, r)) {
        return true;
    }
    mp_region_fail(T, r, outermost);
    if (!outermost) {
        (void)mp_watch_raise();
    }
    return outermost;
}

/* R: the callee runs the program's bodies unwatched.  Where the program has not asked for the
 * call, they have been recorded by then: they change nothing. */
static PyObject *
region_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    mp_region *r = (mp_region *)Py_NewRef(self);
    bool aside = r->T != NULL && r->T->trial;
    PyObject *result = NULL;
    if (!aside || record_bodies(r)) {
        result = PyObject_Vectorcall(r->callee, args, nargsf, kwnames);
    }
    if (result != NULL && !aside && !record_bodies(r)) {
        Py_CLEAR(result);
    }
    Py_DECREF(r);
    return result;
}

mp_rc
mp_region_install(mp_trace *T, mp_shadow *s, int depth)
{
    mp_region *r = T->region;
    int at = -1;
    for (int i = 0; i < depth; i++) {
        if (mp_frame_stack_borrow(s->f, i) == r->callee) {
            at = i;
        }
    }
    if (at < 0) {  // behind a partial, or called by C code
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "%s is called indirectly",
                              "the operator");
    }
    r->vectorcall = region_call;
    mp_frame_stack_set_steal(s->f, at, Py_NewRef((PyObject *)r));
    return MP_OK;
}
