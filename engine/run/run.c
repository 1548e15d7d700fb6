/* run/run.c - a whole recording: its begin and end, and the set-up of the recorder.
 *
 * A trace lives on the C stack of its call.  Its segments (run/segment.c) come and go; each
 * owns its guards, its reference graph and its logs until the plan takes them over.
 */
#include "run/run.h"

#include <string.h>

#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "guard/weak.h"
#include "objects/operators.h"
#include "read/read.h"
#include "rebuild/rebuild.h"
#include "run/record.h"
#include "torch/hooks.h"
#include "trace/check.h"

static _Thread_local mp_trace *recording;  // this thread's innermost recording
bool
mp_recording(void)
{
    return recording != NULL && recording->state == MP_TRACE_RECORDING;
}

/* -- A whole recording -------------------------------------------------------------------------------------- */

/* What belongs to one segment: guards, reference graph, log, ambient state. */
static int
segment_init(mp_trace *T)
{
    assert(T->guards == NULL && T->n_writes == 0 && T->n_inputs == 0);
    T->locked = T->wrote = T->clash = T->raised = T->warned = T->blamed = MP_NO_SITE;
    T->lent_at = T->known_at = T->opened = MP_NO_SITE;
    T->raises_at = -1;
    T->guards = mp_guards_new();
    T->ops = PyList_New(0);
    if (T->guards == NULL || T->ops == NULL
        || mp_refgraph_init(&T->graph, T->guards) < 0) {
        return -1;
    }
    return 0;
}

static void
segment_fini(mp_trace *T)
{
    mp_op_drop(T);
    if (T->apply.cls != NULL) {
        mp_apply_take_back(T);
        mp_op_drop(T);
    }
    mp_region_drop(T);
    PyMem_Free(T->op.inputs);
    PyMem_Free(T->op.versions);
    T->op = (mp_pending_op){.target = NULL};
    mp_writes_fini(T);
    mp_symbols_fini(&T->symbols);
    mp_lates_fini(&T->lates);
    PyMem_Free(T->late_ops);
    T->late_ops = NULL;
    T->n_late_ops = T->cap_late_ops = 0;
    mp_hooks_drop(T);
    mp_refgraph_fini(&T->graph);
    mp_guards_free(T->guards);
    T->guards = NULL;
    mp_sites_fini(&T->sites);
    PyMem_Free(T->inputs);
    T->inputs = NULL;
    T->n_inputs = T->cap_inputs = 0;
    Py_CLEAR(T->ops);
    Py_CLEAR(T->fresh_ids);
    Py_CLEAR(T->id_hashes);
    PyMem_Free(T->pins);
    T->pins = NULL;
    PyMem_Free(T->stores);
    T->stores = NULL;
    Py_CLEAR(T->sizes);
    Py_CLEAR(T->recorder);
    Py_CLEAR(T->read_of);
    Py_CLEAR(T->read_by);
    Py_CLEAR(T->input_rows);
    Py_CLEAR(T->number_rows);
    Py_CLEAR(T->warn_view);
    Py_CLEAR(T->lent);
    Py_CLEAR(T->exposed);
    Py_CLEAR(T->holders);
    Py_CLEAR(T->known);
    Py_CLEAR(T->frozen);
    mp_ambient_free(T->ambient);
    T->ambient = NULL;
}

/* The segment has ended, or was given up: let go of all that it holds, so that objects
 * die when eager mode frees them. */
void
mp_trace_drop(mp_trace *T)
{
    assert(T->state == MP_TRACE_ABORTED || T->state == MP_TRACE_GAP);
    segment_fini(T);
}

/* The next segment begins: everything is new but the frames, the counters and the
 * settings of the recording. */
mp_rc
mp_trace_again(mp_trace *T)
{
    assert(T->n_stack > 0 && T->host != NULL);
    const char *text = NULL;
    mp_trace old = *T;
    memset(T, 0, sizeof(*T));
    T->state = MP_TRACE_RECORDING;
    T->why = old.why;
    T->root_function = old.root_function;
    T->root_seen = true;
    T->stack = old.stack;
    T->n_stack = old.n_stack;
    T->cap_stack = old.cap_stack;
    T->n_instr = T->n_begin = old.n_instr;
    T->max_instr = old.max_instr;
    T->n_reads = old.n_reads;
    T->outputs = old.outputs;
    T->compiling = old.compiling;
    T->host = old.host;
    T->host_ctx = old.host_ctx;
    T->codes = old.codes;
    T->handled = old.handled;
    T->busy = old.busy;
    T->postpones = old.postpones;
    T->collects = old.collects;
    T->overdue = old.overdue;
    segment_fini(&old);
    mp_sites_forget(T);
    mp_abort_clear(T->why);
    if (segment_init(T) < 0) {
        return MP_ERR;
    }
    T->ambient = mp_ambient_take(&text);
    return T->ambient == NULL && text != NULL
               ? mp_trace_abort(T, MP_AB_AMBIENT, "%s", text)
           : PyErr_Occurred() ? MP_ERR
                              : MP_OK;
}

/* begins: with a segment.  A gap has none, and needs none until the next one begins. */
static int
trace_init(mp_trace *T, PyObject *root, int64_t max_instr, mp_abort_info *why,
           bool begins)
{
    memset(T, 0, sizeof(*T));
    T->why = why;
    T->root_function = root;
    T->max_instr = max_instr;
    T->is_root = true;
    T->codes = PyList_New(0);
    T->handled = PyErr_GetHandledException();
    Py_XDECREF(T->handled);  // only compared
    return T->codes == NULL || (begins && segment_init(T) < 0) || mp_rows_init() < 0
                   || mp_objects_init() < 0 || mp_warn_init() < 0
                   || mp_oplog_init(NULL) < 0
               ? -1
               : 0;
}

static void
trace_fini(mp_trace *T)
{
    PyObject *exc = mp_err_take();
    mp_collector_restore(T);
    mp_err_restore_steal(exc);
    segment_fini(T);
    Py_CLEAR(T->generators);
    Py_CLEAR(T->undo);
    Py_CLEAR(T->codes);
    for (int i = 0; i < T->n_stack; i++) {
        mp_shadow_fini(&T->stack[i]);
    }
    PyMem_Free(T->stack);
}

/* Torch's state may be another one by now, if a hit can make it so: *after. */
static mp_rc
plan_ambient(mp_trace *T, mp_ambient **after)
{
    const char *text = NULL;
    if (T->ambient == NULL || mp_ambient_check(T->ambient)) {
        return MP_OK;
    }
    *after = mp_ambient_take(&text);
    if (*after == NULL && text == NULL) {
        return MP_ERR;
    }
    return *after != NULL && mp_ambient_can_restore(*after, T->ambient)
               ? MP_OK
               : mp_trace_abort(T, MP_AB_AMBIENT, "torch is left in another mode");
}

/* The guards no longer own these objects; neither does the replay. */
static void
replay_loosen(void *ctx, PyObject *const *objects, int32_t count)
{
    mp_replay *replay = ctx;
    for (int32_t i = 0; replay != NULL && i < replay->n_ops; i++) {
        mp_effect *op = &replay->ops[i];
        for (int32_t k = 0; op->obj != NULL && !op->loose && k < count; k++) {
            if (op->obj == objects[k]) {
                op->loose = true;
                replay->n_loose++;
                Py_DECREF(op->obj);
            }
        }
    }
}

/* R: a graph that raises below hooks for saved tensors cannot be run again: they have counted
 * what it saved.  So the exception must be what the program would get, and there must be nothing
 * that it would have done before. */
static mp_rc
check_hooked(mp_trace *T, const mp_replay *replay)
{
    bool hooked = PyList_GET_SIZE(T->ops) > 0 && mp_hooks_now() != MP_HOOKS_NONE;
    return hooked && (T->op_caught || mp_replay_writes(replay))
               ? mp_trace_abort(T, MP_AB_AMBIENT, "default hooks for saved tensors")
               : MP_OK;
}

/* The run or the segment has ended.  Takes guards and ambient state over into a plan, or
 * aborts with the reason why what it left cannot be replayed. */
mp_plan *
mp_plan_make(mp_trace *T, PyObject *result)
{
    assert(result != NULL && T->guards != NULL);
    mp_plan *plan = PyMem_Calloc(1, sizeof(*plan));
    if (plan == NULL) {
        PyErr_NoMemory();
        mp_trace_settle(T, MP_ERR);
        return NULL;
    }
    mp_trace_check_all(T);
    mp_sites_note(T);
    T->state = MP_TRACE_RECORDING;  // planning may still abort, with a reason
    T->result = result;
    mp_rc rc = mp_check_levels(T);
    rc = rc != MP_OK ? rc : plan_ambient(T, &plan->after);
    if (rc == MP_OK && T->n_locks > 0) {
        mp_blame(T, T->locked);
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a lock that is held");
    }
    rc = rc != MP_OK ? rc : mp_rebuild(T, plan);
    rc = rc != MP_OK ? rc : check_hooked(T, plan->replay);
    mp_trace_settle(T, rc);
    if (rc != MP_OK || T->state != MP_TRACE_RECORDING) {
        mp_trace_avoid(T, T->blamed, true);
        mp_plan_free(plan);
        return NULL;
    }
    mp_trace_check_plan(T, plan);
    T->state = MP_TRACE_DONE;
    if (mp_guards_weaken(T->guards, replay_loosen, plan->replay) < 0) {
        mp_err_drop();  // without memory they keep more objects alive
    }
    if (T->n_pins > 0 && (plan->pins = mp_pins_rows(T)) == NULL) {
        mp_err_drop();  // without memory nobody is told
    }
    if (T->op_filtered && T->filtered.code >= 0 && T->filtered.index >= 0) {
        PyObject *code = PyList_GET_ITEM(T->codes, T->filtered.code);
        plan->filtered = (PyCodeObject *)Py_NewRef(code);
        plan->filtered_at = T->filtered.index;
    }
    plan->branches = T->branches;
    plan->guards = T->guards;
    plan->ambient = T->ambient;
    plan->stores = T->stores;
    plan->n_stores = T->n_stores;
    T->stores = NULL;
    T->n_stores = T->cap_stores = 0;
    T->guards = NULL;
    T->ambient = NULL;
    plan->sites = T->sites;
    plan->sites.codes = Py_NewRef(T->codes);
    T->sites = (mp_sites){.codes = NULL};
    mp_sites_forget(T);
    int64_t n_instr = T->n_instr - T->n_begin;
    plan->n_instr = (int32_t)(n_instr > INT32_MAX ? INT32_MAX : n_instr);
    return plan;
}

/* A reason that is no abort: the call was not recorded, or not to its end. */
static void
set_reason(mp_abort_info *why, mp_abort_id id, const char *detail)
{
    mp_abort_clear(why);
    why->id = id;
    why->detail = PyUnicode_FromString(detail);
    if (why->detail == NULL) {
        mp_err_drop();  // the reason stands without its detail
    }
}

/* The watched call has ended: the plan of its last segment, or why there is none. */
static void
trace_end(mp_trace *T, PyObject **answer, mp_plan **plan)
{
    PyObject *result = *answer;
    mp_mode_off(T);
    PyObject *exc = mp_err_take();
    mp_trial_end(T);
    if (result == NULL
        && (T->state == MP_TRACE_RECORDING || T->state == MP_TRACE_DONE)) {
        set_reason(T->why, MP_AB_RAISED, exc ? Py_TYPE(exc)->tp_name : "");
    }
    else if (T->state == MP_TRACE_DONE) {
        mp_callback saved = mp_callback_begin(T);  // what finalizers change is not ours
        *plan = mp_plan_make(T, result);
        mp_unbox(T, answer, exc, MP_DEPTH_GONE);  // the end of a callback drops boxes
        T->result = *answer;
        mp_callback_end(T, saved);
    }
    else if (T->state == MP_TRACE_RECORDING) {
        set_reason(T->why, MP_AB_UNKNOWN_FRAME, "the function's frame was not seen");
    }
    mp_unbox(T, answer, exc, MP_DEPTH_GONE);
    if (*plan != NULL && mp_trial_left(T) < 0) {
        mp_err_drop();
        mp_plan_free(*plan);
        *plan = NULL;
    }
    mp_trial_undo(T);
    trace_fini(T);
    mp_err_restore_steal(exc);
}

PyObject *
mp_record_call(PyObject *callable, PyObject *const *args, size_t nargsf,
               PyObject *kwnames, PyObject *root_function, int64_t max_instructions,
               PyObject *outputs, const mp_host *host, void *ctx,
               mp_compiling *compiling, mp_plan **plan, mp_abort_info *why)
{
    const char *text = NULL;
    mp_trace T;
    *plan = NULL;
    if (mp_types_refresh() < 0) {
        mp_err_drop();  // as if numpy were not there
    }
    if (!mp_watch_available(&text)) {
        set_reason(why, MP_AB_WATCHER, text);
        why->unwatched = true;
        return PyObject_Vectorcall(callable, args, nargsf, kwnames);
    }
    mp_ambient *ambient = mp_ambient_take(&text);
    if (ambient == NULL && text != NULL) {
        set_reason(why, MP_AB_AMBIENT, text);
        why->unwatched = true;
        return PyObject_Vectorcall(callable, args, nargsf, kwnames);
    }
    if (ambient == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (trace_init(&T, root_function, max_instructions, why, true) < 0) {
        trace_fini(&T);
        mp_ambient_free(ambient);
        return NULL;
    }
    T.ambient = ambient;
    T.compiling = compiling;
    T.trial = compiling->trial;
    T.outputs = outputs;
    T.host = host;
    T.host_ctx = ctx;
    mp_trace *outer = recording;
    recording = &T;
    PyObject *result =
        mp_watch_call(&mp_record_watch, &T, callable, args, nargsf, kwnames);
    recording = outer;
    trace_end(&T, &result, plan);
    return result;
}

PyObject *
mp_record_resume(mp_point *point, const mp_exit *exit, int64_t max_instructions,
                 const mp_host *host, void *ctx, mp_compiling *compiling,
                 mp_plan **plan, mp_abort_info *why)
{
    const char *text = NULL;
    mp_trace T;
    *plan = NULL;
    if (!mp_watch_available(&text)) {
        return mp_point_run(point, NULL, NULL);
    }
    if (trace_init(&T, point->values[MP_POINT_FUNC], max_instructions, why, false)
        < 0) {
        mp_err_drop();  // without memory for watching the call continues all the same
        trace_fini(&T);
        return mp_point_run(point, NULL, NULL);
    }
    T.state = MP_TRACE_GAP;
    T.resumed = exit;
    T.rebuilds = point;
    T.compiling = compiling;
    T.root_seen = true;
    T.host = host;
    T.host_ctx = ctx;
    mp_trace *outer = recording;
    recording = &T;
    PyObject *result = mp_point_run(point, &mp_record_watch, &T);
    recording = outer;
    trace_end(&T, &result, plan);
    return result;
}
