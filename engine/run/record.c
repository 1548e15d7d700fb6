/* run/record.c - events of a recording: each instruction; frames stand in run/enter.c.
 *
 * An event comes before each instruction of a watched frame:
 *
 *   event            take in the result of the instruction before (mp_frame_result), then
 *   record_or_break  call the handler (mp_record_instr); if it aborts, try to end the segment
 *                    before the instruction (mp_segment_break)
 *
 * The handler guards what the instruction is about to read and journals what it is about
 * to write.  Nothing here calls code of the program, and nothing is changed in its
 * frames. */
#include "run/record.h"

#include <string.h>

#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "objects/operators.h"
#include "python/python.h"
#include "read/read.h"
#include "run/run.h"
#include "torch/levels.h"
#include "trace/check.h"

enum { COLLECT_EVERY = 1024 };

/* -- Events --------------------------------------------------------------------------------------------- */

/* `not` tells True and False by their addresses from 3.13 on: it gets one of these for the box
 * of a bool. */
static void
hand_out_singleton(mp_shadow *s, const mp_instr *in)
{
    PyObject *value = mp_frame_stack_borrow(s->f, in->depth - 1);
    if (PyBool_Check(value) && value != Py_True && value != Py_False) {
        PyObject *truth = PyBool_FromLong(PyObject_IsTrue(value));
        mp_frame_stack_set_steal(s->f, in->depth - 1, truth);
    }
}

/* Record the instruction, or end the segment before it. */
static mp_rc
record_or_break(mp_trace *T, mp_shadow *s, const mp_instr *in, int index)
{
    assert(s == mp_shadow_top(T) && !s->owns_op);
    int n_writes = T->n_writes;
    mp_rc rc = MP_OK;
    s->pending = index;
    s->rebuilt = s->waits = false;
    s->below = MP_BELOW_NOTHING;
    s->post = MP_POST_NONE;
    s->makes = s->applies = NULL;
    s->callee = s->alone = NULL;
    s->raw = s->passes = false;
    s->execs = false;
    s->looks = s->through_c = s->hashes = s->spreads = s->calls = false;
    Py_CLEAR(s->summands);
    Py_CLEAR(s->folded);
    Py_CLEAR(s->cached);
    Py_CLEAR(s->cached_key);
    Py_CLEAR(s->answered);
    Py_CLEAR(s->dirty);
    s->answers_grad = 0;
    s->yields = 0;
    T->holds = T->host != NULL;
    PyObject *avoided =
        T->holds ? T->host->avoids(T->host_ctx, s->info->code, index) : NULL;
    T->n_guards = T->guards->n_ops;
    T->avoids = avoided != NULL;
    if (T->avoids) {
        rc = mp_trace_abort(T, (mp_abort_id)PyLong_AsLong(PyTuple_GET_ITEM(avoided, 1)),
                            "%U", PyTuple_GET_ITEM(avoided, 2));
    }
    rc = rc != MP_OK || !mp_in_arm(T) ? rc : mp_body_check_instr(T, s, in);
    rc = rc != MP_OK ? rc : mp_record_instr(T, s, in);
    rc = rc != MP_OK ? rc : mp_symbols_settle(T);
    T->ends = rc == MP_OK && T->holds && T->host->ends(T->host_ctx);
    if (T->ends) {
        rc = mp_trace_abort(T, MP_AB_OPCODE, "the entry ends here");
    }
    bool stays = rc != MP_ABORTED || !T->holds || mp_segment_break(T, s, n_writes);
    T->holds = false;
    if (!stays) {
        mp_watch_stop();
    }
    if (rc == MP_OK && in->op == MP_OP_UNARY_NOT) {
        hand_out_singleton(s, in);
    }
    if (rc == MP_OK && s->post == MP_POST_BRANCH) {
        return mp_branch_install(T, s, in->depth);
    }
    if (rc == MP_OK && s->post == MP_POST_REGION) {
        rc = mp_region_install(T, s, in->depth);
    }
    return rc;
}

/* The instruction `before` has ended, or the frame begins, or an exception has led to a
 * handler at index. */
static mp_rc
take_in(mp_trace *T, mp_shadow *s, int before, int index)
{
    const mp_code_info *info = s->info;
    bool handles = info->is_handler[index], computed = T->computes;
    mp_rc rc = computed ? mp_array_check_floats(T) : MP_OK;
    if (rc == MP_OK && computed && before >= 0) {
        rc = mp_warn_check_quiet(T, info->at[before].op);
    }
    if (rc == MP_OK && T->symbols.n_waiting > 0) {
        rc = s->started && !handles ? mp_frame_take_number(T, s, index)
                                    : mp_symbols_give_up(T);
    }
    if (rc != MP_OK) {
        return rc;
    }
    if (!s->started) {
        mp_sites_note(T);
        s->pending = index;
        return mp_frame_start(T, s);
    }
    if (before >= 0 && !handles) {
        return mp_frame_result(T, s, &info->at[before], index);
    }
    return s->owns_op ? mp_trace_abort(T, MP_AB_OP_RAISED, "in a try block") : MP_OK;
}

/* Between two instructions: what nobody has any more dies; limits hold. */
static mp_rc
tidy_up(mp_trace *T)
{
    mp_sites_note(T);
    if (T->graph.n_loose > 0) {
        T->releases = true;
        mp_refgraph_release(&T->graph);
        T->releases = false;
    }
    if (T->n_instr % COLLECT_EVERY == 0) {
        mp_collect_garbage(T);
    }
    if (T->died) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "something dies");
    }
    if (++T->n_instr > T->max_instr) {
        return mp_trace_abort(T, MP_AB_LIMIT, "%lld instructions",
                              (long long)T->max_instr);
    }
    if (T->arm_end > 0 && T->n_instr > T->arm_end) {
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "an arm without an end in sight");
    }
    return MP_OK;
}

/* Branches whose arms meet at index, from the innermost on.  *ends: the arm that runs in
 * a copy of the frame has arrived, and the copy ends. */
static mp_rc
meet_arms(mp_trace *T, mp_shadow *s, int index, bool *ends)
{
    mp_rc rc = MP_OK;
    mp_region *branch;
    *ends = false;
    while (rc == MP_OK && T->region != NULL
           && (branch = mp_branch_at(T, s, index)) != NULL) {
        s->pending = index;
        if (!branch->arrived) {
            *ends = true;
            rc = mp_arm_arrive(T, s, branch, index);
            if (rc == MP_OK) {
                mp_watch_abandon();
            }
            return rc;
        }
        rc = mp_branch_join(T, s, branch, index);
    }
    return rc;
}

/* Instruction `index` of the frame is about to run. */
static mp_rc
event(mp_trace *T, mp_shadow *s, const mp_code_info *info, int index)
{
    int before = s->pending;
    s->info = info;
    T->graph.at = (mp_site){s->code_no, before};
    if (before >= 0 && info->at[before].op == MP_OP_CALL) {
        s->kwnames = NULL;
    }
    if (info->is_handler[index] && !T->unwinding) {
        T->raised = T->graph.at;
    }
    T->unwinding = false;
    bool ends = false;
    mp_rc rc = take_in(T, s, before, index);
    rc = rc != MP_OK ? rc : tidy_up(T);
    if (rc == MP_OK) {
        T->graph.at.index = index;
        rc = meet_arms(T, s, index, &ends);
    }
    return rc != MP_OK || ends ? rc : record_or_break(T, s, &info->at[index], index);
}

/* The same between two segments: may one begin here? */
static void
gap_event(mp_trace *T, mp_shadow *s, const mp_code_info *info, int index)
{
    bool begun;
    mp_rc rc = mp_segment_gap(T, s, info, index, &begun);
    if (rc == MP_ERR && T->state == MP_TRACE_GAP) {
        mp_err_drop();  // no memory for the next segment: the call ends in eager
        T->state = MP_TRACE_ABORTED;
        mp_watch_stop();
        return;
    }
    mp_trace_settle(T, rc);
    if (begun && T->state == MP_TRACE_RECORDING) {
        s->pending = -1;  // what came before is no concern of this segment
        mp_trace_settle(T, event(T, s, info, index));
    }
}

static void
on_instr(void *ctx, mp_frame *f, const mp_code_info *info, int index)
{
    mp_trace *T = ctx;
    mp_shadow *s = mp_shadow_top(T);
    mp_mode_off(T);
    if (mp_ended_in_mode(T)) {
        bool here = s != NULL && s->f == f;
        mp_stop_after_mode(T, here ? info->at[index].depth : MP_DEPTH_GONE);
    }
    bool gap = T->state == MP_TRACE_GAP;
    if (T->busy || (T->state != MP_TRACE_RECORDING && !gap) || s == NULL || s->f != f) {
        return;
    }
    mp_callback saved = mp_callback_begin(T);
    if (gap) {
        gap_event(T, s, info, index);
    }
    else {
        mp_trace_settle(T, event(T, s, info, index));
    }
    mp_trace_check(T);
    if ((T->state == MP_TRACE_ABORTED || T->state == MP_TRACE_GAP)
        && mp_has_made_boxes(T) && T->n_stack > 0 && mp_shadow_top(T)->f == f) {
        mp_unbox(T, NULL, saved.exc, info->at[index].depth);
    }
    mp_callback_end(T, saved);
    if (T->state == MP_TRACE_LEFT && mp_watch_leave() < 0) {
        mp_err_drop();  // without memory the call continues in eager mode
        mp_watch_stop();
    }
    if (T->state == MP_TRACE_RECORDING) {
        mp_mode_on(T, mp_shadow_top(T));
    }
}

/* For what happens outside of events: a step of a torch operation that C code calls. */
void
mp_record_step(mp_trace *T, mp_rc (*step)(mp_trace *, mp_shadow *, void *), void *arg)
{
    if (T->state != MP_TRACE_RECORDING) {
        return;
    }
    mp_callback saved = mp_callback_begin(T);
    mp_shadow *s = mp_shadow_top(T);
    mp_trace_settle(T, step(T, s, arg));
    mp_callback_end(T, saved);
}

/* Another tool has taken the events away, or frames are nested too deep. */
static void
on_lost(void *ctx, const char *why, int depth)
{
    mp_trace *T = ctx;
    mp_mode_off(T);
    mp_callback saved = mp_callback_begin(T);
    (void)mp_trace_abort(T, MP_AB_WATCHER, "%s", why);
    if (depth != MP_DEPTH_GONE && mp_has_made_boxes(T)) {
        mp_unbox(T, NULL, saved.exc, depth);
    }
    mp_callback_end(T, saved);
}

const mp_watch_ops mp_record_watch = {mp_on_enter, on_instr, mp_on_leave, on_lost,
                                      mp_on_missed};

/* -- Set-up --------------------------------------------------------------------------------------------------- */

/* Now, because an import in the middle of a recording could be seen by the program. */
static int
setup_modules(void)
{
    return mp_types_init() < 0 || mp_death_init() < 0 || mp_container_types() < 0
                   || mp_rows_init() < 0 || mp_objects_init() < 0 || mp_warn_init() < 0
                   || mp_oplog_init(NULL) < 0
               ? -1
               : 0;
}

int
mp_record_setup(PyObject *setup)
{
    if (setup == NULL) {
        return setup_modules();
    }
    PyObject *types = mp_dict_text_borrow(setup, "constant_types");
    if (mp_types_later() < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; types != NULL && i < PyTuple_GET_SIZE(types); i++) {
        if (!mp_register_constant_type((PyTypeObject *)PyTuple_GET_ITEM(types, i))) {
            PyErr_SetString(PyExc_ValueError, "too many constant types");
            return -1;
        }
    }
    PyObject *prefixes = mp_dict_text_borrow(setup, "skip_prefixes");
    if (prefixes != NULL && mp_library_init(prefixes) < 0) {
        return -1;
    }
    return mp_levels_init(setup) < 0 || mp_oplog_init(setup) < 0 || mp_mode_init() < 0
                   || mp_region_setup(setup) < 0
               ? -1
               : 0;
}
