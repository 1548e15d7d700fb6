/* run/record.c - events of a recording: frames that begin and end, and each instruction.
 *
 * An event comes before each instruction of a watched frame:
 *
 *   event            take in the result of the instruction before (mp_frame_result), then
 *   record_or_break  call the handler (mp_record_instr); if it aborts, try to end the segment
 *                    before the instruction (mp_segment_break)
 *
 * The handler guards what the instruction is about to read and journals what it is about
 * to write.  Nothing here calls code of the program, and nothing is changed in its
 * frames.
 *
 * What must hold:
 *
 *  1 A failure in here is a reason (INTERNAL), never an exception of the program
 *    (mp_trace_settle); the exception state is as it was when a callback returns.
 *  2 While a callback runs, the garbage collector is off and `busy` keeps frames that a
 *    finalizer starts away from the recording.
 *  3 T->stack has a shadow for each watched frame of the call; T->skip counts frames below
 *    the top one that are not watched. */
#include "run/record.h"

#include <string.h>

#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "objects/operators.h"
#include "python/python.h"
#include "read/read.h"
#include "run/run.h"
#include "torch/levels.h"
#include "torch/modes.h"
#include "trace/check.h"

enum { RECENT_CODES = 16, COLLECT_EVERY = 1024 };

/* -- Frames -------------------------------------------------------------------------------- */

/* The innermost watched frame, or NULL. */
static mp_shadow *
shadow_top(mp_trace *T)
{
    return T->n_stack == 0 ? NULL : &T->stack[T->n_stack - 1];
}

/* Sites name code by numbers, which loops of calls share. */
static int32_t
code_number(mp_trace *T, PyCodeObject *code)
{
    assert(code != NULL);
    Py_ssize_t n = PyList_GET_SIZE(T->codes);
    for (Py_ssize_t i = n; i > 0 && i > n - RECENT_CODES; i--) {
        if (PyList_GET_ITEM(T->codes, i - 1) == (PyObject *)code) {
            return (int32_t)(i - 1);
        }
    }
    return PyList_Append(T->codes, (PyObject *)code) < 0 ? -1 : (int32_t)n;
}

/* A frame that is watched from here on. */
static mp_rc
shadow_push(mp_trace *T, mp_frame *f, bool fresh)
{
    assert(f != NULL);
    if (mp_grow(&T->stack, &T->cap_stack, T->n_stack + 1, sizeof(*T->stack)) < 0) {
        return MP_ERR;
    }
    mp_shadow s = {
        .f = f, .pending = -1, .names_at = -1, .root = T->n_stack == 0, .fresh = fresh};
    s.code_no = code_number(T, mp_frame_code_borrow(f));
    if (s.code_no < 0) {
        return MP_ERR;
    }
    s.caught = T->n_stack > 0 && mp_shadow_catches(&T->stack[T->n_stack - 1]);
    T->stack[T->n_stack++] = s;
    return MP_OK;
}

void
mp_shadow_fini(mp_shadow *s)
{
    Py_CLEAR(s->summands);
    Py_CLEAR(s->cached);
    Py_CLEAR(s->cached_key);
    Py_CLEAR(s->answered);
    Py_CLEAR(s->dirty);
    PyMem_Free(s->unread);
}

static void
shadow_pop(mp_trace *T)
{
    assert(T->n_stack > 0);
    T->n_stack--;
    mp_shadow_fini(&T->stack[T->n_stack]);
}

/* Torch, numpy, the standard library: by the module that owns the frame's globals. */
static bool
is_library_frame(mp_frame *f)
{
    return mp_is_library(mp_frame_globals_borrow(f));
}

/* A warning is shown: a hit, which does not call numpy, would not show it. */
static bool
is_warning(mp_frame *f)
{
    PyObject *name = mp_dict_text_borrow(mp_frame_globals_borrow(f), "__name__");
    return name != NULL && PyUnicode_Check(name) && mp_name_is(name, "warnings");
}

/* C code and Python code call this for each warning that the filters let through. */
static bool
shows_warning(mp_frame *f)
{
    return is_warning(f)
           && mp_dict_text_borrow(mp_frame_globals_borrow(f), "_showwarnmsg")
                  == mp_frame_func_borrow(f);
}

/* While the recorder releases objects, only finalizers of these run. */
static void
on_missed(void *ctx, mp_frame *f)
{
    mp_trace *T = ctx;
    T->died = T->died || (T->releases && !mp_death_is_harmless(f));
}

/* A finalizer of library code: frames below it are not watched. */
static mp_rc
enter_finalizer(mp_trace *T)
{
    assert(T->outside <= T->skip);
    T->skip++;
    if (T->outside == 0) {
        T->outside = T->skip;
    }
    return MP_OK;
}

/* A frame below a logged operation, or below another one that is skipped.  Library code
 * may run there; what it looks up is guarded if it is a part of the operation
 * (mp_op_guard_frame). */
static mp_rc
enter_skipped(mp_trace *T, mp_frame *f, bool fresh)
{
    mp_shadow *parent = shadow_top(T);
    if (T->outside > 0 || (parent != NULL && mp_is_finalizer(T, f))) {
        return enter_finalizer(T);
    }
    T->skip++;
    if (parent != NULL && parent->post == MP_POST_NUMPY
        && mp_warn_frame_has_warned(f)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "numpy may have warned there");
    }
    if (parent != NULL && parent->below == MP_BELOW_TRUSTED) {
        return MP_OK;
    }
    if (T->filters_change && parent != NULL && parent->below == MP_BELOW_SKIP
        && shows_warning(f)) {  // a hit would show it under other filters
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "an operation that warns");
    }
    if (is_library_frame(f)) {
        // (`catch_warnings` puts other functions into that module for a while.)
        bool is_part =
            fresh && parent != NULL && parent->below == MP_BELOW_SKIP && !is_warning(f);
        return is_part ? mp_op_guard_frame(T, f) : MP_OK;
    }
    return mp_trace_abort(T, MP_AB_UNKNOWN_FRAME, "%U below a library call",
                          mp_frame_code_borrow(f)->co_qualname);
}

/* A frame of the program: the root function, a function that is known, or a generator
 * that the run made. */
static mp_rc
enter_watched(mp_trace *T, mp_frame *f, bool fresh)
{
    assert(T->skip == 0);
    PyObject *func = mp_frame_func_borrow(f);
    PyCodeObject *code = mp_frame_code_borrow(f);
    mp_shadow *parent = shadow_top(T);
    if (!(code->co_flags & CO_OPTIMIZED)
        && (parent == NULL || (parent->makes != &PyType_Type && !parent->execs))) {
        return mp_trace_abort(T, MP_AB_OPCODE, "exec");
    }
    if (code->co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR)) {
        return mp_trace_abort(T, MP_AB_GENERATOR, "%U is a coroutine",
                              code->co_qualname);
    }
    if (T->n_stack == 0) {
        if (func != T->root_function || T->root_seen) {
            return mp_trace_abort(T, MP_AB_UNKNOWN_FRAME, "%U", code->co_qualname);
        }
        if (code->co_flags & CO_GENERATOR) {
            return mp_trace_abort(T, MP_AB_GENERATOR, "%U", code->co_qualname);
        }
        T->root_seen = true;
        mp_rc rc = mp_load_const(T, func);
        rc = rc != MP_OK ? rc : mp_guard_function(T, func);
        return rc != MP_OK ? rc : shadow_push(T, f, fresh);
    }
    PyObject *gen = fresh ? NULL : mp_frame_generator_borrow(f);
    mp_node *made = gen == NULL ? NULL : mp_refgraph_find(&T->graph, gen);
    if (gen != NULL && (made == NULL || made->kind != MP_NODE_FRESH)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                              "an external generator is advanced");
    }
    if (gen != NULL && mp_in_arm(T)) {
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "a generator in a body");
    }
    if (fresh) {
        PyObject *self = code->co_argcount > 0 ? mp_frame_local_borrow(f, 0) : NULL;
        int flags = mp_apply_note_flags(T, mp_op_flags_of(func), self);
        if (self != NULL && mp_is_known(func, MP_K_MARK_DIRTY) && T->apply.cls == NULL
            && mp_apply_is_context(T, self)) {
            return mp_trace_abort(T, MP_AB_UNKNOWN_FRAME, "mark_dirty called from C");
        }
        if (mp_op_is_whole(flags) && !(flags & (MP_TORCH_CALL | MP_TORCH_HOST_READ))
            && !(flags & MP_TORCH_REFUSE)) {
            T->skip++;  // hash(tensor) and the like: nothing to watch, nothing to log
            return self == NULL ? MP_OK : mp_note_identity(T, self);
        }
        if (mp_op_is_whole(flags)) {
            return mp_trace_abort(T, MP_AB_UNKNOWN_FRAME, "operation %U called from C",
                                  code->co_qualname);
        }
        bool is_new = parent->execs && !(code->co_flags & CO_OPTIMIZED);
        mp_rc rc = is_new ? mp_fresh(T, func) : mp_guard_function(T, func);
        if (rc != MP_OK) {
            return rc;
        }
    }
    return shadow_push(T, f, fresh);
}

/* MP_ERR inside a callback is our failure, never the user's: the recording ends with
 * reason INTERNAL. What a signal handler raised is raised again in the program. */
void
mp_trace_settle(mp_trace *T, mp_rc rc)
{
    assert((rc == MP_ERR) == (PyErr_Occurred() != NULL));
    if (rc != MP_ERR && !PyErr_Occurred()) {
        return;
    }
    bool interrupted = mp_err_is_signal();
    PyObject *exc = mp_err_take();
    const char *type = exc == NULL ? "unknown error" : Py_TYPE(exc)->tp_name;
    PyObject *text = exc == NULL ? NULL : PyObject_Str(exc);
    (void)mp_trace_abort(T, MP_AB_INTERNAL, "%s: %S", type, text ? text : Py_None);
    mp_err_drop();  // an exception's text that cannot be made is left out
    Py_XDECREF(text);
    if (interrupted) {
        mp_err_defer_steal(exc);
        return;
    }
    Py_XDECREF(exc);
}

/* No event may be lost or seen twice while the recorder works: the exception state is
 * put aside, the collector goes off. */
mp_callback
mp_callback_begin(mp_trace *T)
{
    assert(!T->busy);
    T->busy = true;
    int collects = PyGC_Disable();
    return (mp_callback){.exc = mp_err_take(),
                         .calm = mp_modes_on() ? mp_calm_begin() : -1,
                         .collects = collects || (T->postpones && T->collects)};
}

/* Undo mp_callback_begin.  A segment that has ended lets go of its objects here, before
 * the program goes on. */
void
mp_callback_end(mp_trace *T, mp_callback saved)
{
    assert(T->busy);
    mp_calm_end(saved.calm);
    if ((T->state == MP_TRACE_ABORTED || T->state == MP_TRACE_GAP)
        && T->graph.slots != NULL && T->in_mode == MP_MODE_OFF) {
        mp_unbox(T, NULL, saved.exc, MP_DEPTH_GONE);
        mp_trace_drop(T);
    }
    T->postpones = T->state == MP_TRACE_RECORDING;
    T->collects = saved.collects;
    bool scheduled = T->postpones && mp_gc_take_scheduled();
    T->overdue = T->overdue || scheduled || (T->collects && mp_gc_is_due());
    if (saved.collects && !T->postpones) {
        PyGC_Enable();
    }
    T->busy = false;
    mp_err_restore_steal(saved.exc);
}

static bool
has_made_boxes(const mp_trace *T)
{
    return T->symbols.cap > 0 || T->lates.n > 0;
}

/* At the begin or the end of a frame: if the recording ends there, the frames around it, which
 * wait for a call, go on without boxes. */
static void
unbox_callers(mp_trace *T, mp_callback saved)
{
    if (T->state == MP_TRACE_ABORTED && has_made_boxes(T)) {
        mp_unbox(T, NULL, saved.exc, MP_DEPTH_CALLS);
    }
}

/* The recording was given up in __torch_function__, below the innermost frame (trace/abort.c). */
static bool
ended_in_mode(const mp_trace *T)
{
    return !T->busy && T->state == MP_TRACE_ABORTED && !T->trial;
}

/* Then the program goes on without boxes from here on. */
static void
stop_after_mode(mp_trace *T, int depth)
{
    mp_watch_stop();
    if (has_made_boxes(T)) {
        mp_callback saved = mp_callback_begin(T);
        mp_unbox(T, NULL, saved.exc, depth);
        mp_callback_end(T, saved);
    }
}

/* Is the frame the `forward` of the autograd function that is being applied? */
static bool
is_forward(mp_trace *T, const mp_shadow *parent, mp_frame *f)
{
    return parent != NULL && parent->below == MP_BELOW_ONE && T->outside == 0
           && mp_apply_watches(T, parent, mp_frame_func_borrow(f));
}

static mp_rc
enter_forward(mp_trace *T, mp_frame *f)
{
    int skip = T->skip;
    T->skip = 0;
    mp_rc rc = enter_watched(T, f, true);
    if (rc == MP_OK) {
        shadow_top(T)->skip = skip;
    }
    return rc;
}

/* Between segments: frames of the break that are being rebuilt, or whatever the gap calls,
 * which runs unwatched.  A finalizer may run while frames are rebuilt; its frames begin
 * at their beginning, or are generators'. */
static bool
enter_gap(mp_trace *T, mp_frame *f, bool fresh)
{
    assert(T->state == MP_TRACE_GAP);
    if (T->resumed == NULL || T->n_stack == T->resumed->n_frames || fresh
        || (mp_frame_code_borrow(f)->co_flags & CO_GENERATOR)) {
        T->skip++;
        return false;
    }
    const mp_code_info *info = mp_code_info_get(mp_frame_code_borrow(f));
    if (info == NULL || shadow_push(T, f, true) != MP_OK) {
        mp_err_drop();  // not watched; nor can its caller be resumed
        T->skip++;
        return false;
    }
    mp_shadow *s = shadow_top(T);
    s->info = info;
    s->started = true;
    const mp_point_frame *from = &T->rebuilds->frames[T->n_stack - 1];
    s->pending = from->index;
    s->rebuilt = T->n_stack < T->resumed->n_frames;
    s->how = from->how;
    s->made = T->rebuilds->values[from->first + MP_POINT_MADE];
    s->looks = mp_answer_is_tested(s->how);
    return true;
}

static void
leave_gap(mp_trace *T, bool watched)
{
    if (watched && T->n_stack > 0) {
        shadow_pop(T);
    }
    else if (!watched) {
        T->skip -= T->skip > 0;
    }
}

/* The root frame releases its objects after it has ended, and a generator inside a block
 * runs on. (An object with __del__ existed before; a hit drops it as well.) */
static void
enter_after_end(mp_trace *T, mp_frame *f)
{
    PyCodeObject *code = mp_frame_code_borrow(f);
    if (PyUnicode_CompareWithASCIIString(code->co_name, "__del__")
            == 0  // mp-ok: a suspicion
        || ((code->co_flags & CO_GENERATOR) && !mp_frame_is_in_block(f))
        || mp_death_is_harmless(f)) {
        return;
    }
    mp_callback saved = mp_callback_begin(T);
    T->state = MP_TRACE_RECORDING;
    mp_trace_settle(T, mp_trace_abort(T, MP_AB_UNKNOWN_FRAME, "%U after the end",
                                      code->co_qualname));
    mp_callback_end(T, saved);
}

/* A Python frame begins or goes on. true: its instructions are to be watched. */
static bool
on_enter(void *ctx, mp_frame *f, bool fresh)
{
    mp_trace *T = ctx;
    mp_mode_off(T);
    if (!T->busy && T->state == MP_TRACE_DONE) {
        enter_after_end(T, f);
    }
    if (!T->busy && T->state == MP_TRACE_GAP) {
        return enter_gap(T, f, fresh);
    }
    if (T->busy) {
        on_missed(T, f);
    }
    if (T->busy || T->state != MP_TRACE_RECORDING) {
        return false;
    }
    mp_callback saved = mp_callback_begin(T);
    mp_shadow *parent = shadow_top(T);
    mp_rc rc = mp_symbols_give_up(T);
    bool watch = false;
    if (rc != MP_OK) {
    }
    else if (is_forward(T, parent, f)) {
        rc = enter_forward(T, f);
        watch = rc == MP_OK;
    }
    else if (mp_is_arm(T, parent, f)) {
        rc = shadow_push(T, f, true);
        rc = rc != MP_OK ? rc : mp_arm_enter(T, shadow_top(T));
        watch = rc == MP_OK;
    }
    else if (T->computes && T->outside == 0 && is_warning(f)) {
        rc = mp_trace_abort(T, MP_AB_SIDE_EFFECT, "a warning of numpy");
    }
    else if (T->skip > 0
             || (parent != NULL
                 && (parent->below == MP_BELOW_SKIP || parent->below == MP_BELOW_TRUSTED
                     || parent->below == MP_BELOW_ONE))) {
        rc = enter_skipped(T, f, fresh);
    }
    else if (mp_is_known(mp_frame_func_borrow(f), MP_K_DEVICE_MODE)) {
        T->skip++;  // torch asks it for each of its functions and getters
    }
    else if (mp_runs_as_it_dies(T, f, fresh)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "something dies: %U",
                            mp_frame_code_borrow(f)->co_qualname);
    }
    else if (parent != NULL && mp_is_finalizer(T, f)) {
        rc = enter_finalizer(T);
    }
    else if (parent != NULL && parent->below == MP_BELOW_NOTHING && fresh) {
        rc = mp_trace_abort(T, MP_AB_UNKNOWN_FRAME, "%U",
                            mp_frame_code_borrow(f)->co_qualname);
        if (parent->rebuilt) {  // (__getattr__, after a property that has raised)
            mp_trace_avoid(T, T->raised, true);
        }
    }
    else {
        rc = enter_watched(T, f, fresh);
        watch = rc == MP_OK && T->skip == 0;
    }
    mp_trace_settle(T, rc);
    unbox_callers(T, saved);
    mp_callback_end(T, saved);
    return watch && T->state == MP_TRACE_RECORDING;
}

/* A frame ends; result == NULL: with an exception. */
static void
on_leave(void *ctx, mp_frame *f, bool watched, PyObject *result)
{
    mp_trace *T = ctx;
    mp_mode_off(T);
    if (!T->busy && T->state == MP_TRACE_GAP) {
        leave_gap(T, watched);
        return;
    }
    if (ended_in_mode(T) && watched && shadow_top(T) != NULL && shadow_top(T)->f == f) {
        shadow_pop(T);
        stop_after_mode(T, MP_DEPTH_CALLS);
    }
    if (T->busy || T->state != MP_TRACE_RECORDING) {
        return;
    }
    if (!watched) {
        T->skip -= T->skip > 0;
        if (T->skip < T->outside) {
            T->outside = 0;
        }
        if (T->skip == 0 && T->n_stack > 0) {
            mp_mode_on(T, shadow_top(T));
        }
        return;
    }
    mp_callback saved = mp_callback_begin(T);
    mp_shadow *s = shadow_top(T);
    assert(s != NULL && s->f == f);
    mp_sites_note(T);
    if (result == NULL && !T->unwinding) {
        T->raised = (mp_site){s->code_no, s->pending};
    }
    T->unwinding = result == NULL;
    bool owns_op = s->owns_op;
    const mp_region *branch = T->region;
    if (branch != NULL && mp_is_branch(branch) && T->inside > 0
        && T->n_stack - 1 == branch->depth + !branch->arrived) {
        mp_trace_settle(T, mp_trace_abort(T, MP_AB_CONTROL_FLOW,
                                          result == NULL
                                              ? "an arm that ends by an exception"
                                              : "an arm that returns a constant"));
    }
    if (T->state != MP_TRACE_RECORDING) {
        shadow_pop(T);
        owns_op = false;
    }
    else if (owns_op) {
        mp_trace_settle(T, mp_trace_abort(T, MP_AB_OP_RAISED, "at the end of a frame"));
    }
    else {
        bool root = s->root;
        mp_shadow left = *s;
        T->skip = s->skip;
        shadow_pop(T);
        T->stale = T->n_stack < T->stale ? 0 : T->stale;
        if (T->trial && result != NULL) {
            mp_trace_settle(T, mp_trial_yielded(T, f));
        }
        mp_trace_settle(T, mp_symbols_give_up(T));
        if (!root) {
            mp_apply_note_answer(shadow_top(T), &left, result);
            mp_rc rc = mp_look_at_answer(T, shadow_top(T), &left, result);
            bool ends_class = rc == MP_OK && result != NULL && left.names != NULL;
            mp_trace_settle(T, ends_class ? mp_class_names_end(T, left.names) : rc);
        }
        if (root && T->state == MP_TRACE_RECORDING) {
            T->state = result != NULL ? MP_TRACE_DONE : T->state;
        }
    }
    T->n_stack -= owns_op;  // the frame that ends is gone, though still in the list
    unbox_callers(T, saved);
    T->n_stack += owns_op;
    mp_callback_end(T, saved);
    if (T->state == MP_TRACE_RECORDING && T->n_stack > 0) {
        mp_mode_on(T, shadow_top(T));
    }
}

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
    assert(s == shadow_top(T) && !s->owns_op);
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
    rc = rc == MP_OK ? tidy_up(T) : rc;
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
    mp_shadow *s = shadow_top(T);
    mp_mode_off(T);
    if (ended_in_mode(T)) {
        bool here = s != NULL && s->f == f;
        stop_after_mode(T, here ? info->at[index].depth : MP_DEPTH_GONE);
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
    if ((T->state == MP_TRACE_ABORTED || T->state == MP_TRACE_GAP) && has_made_boxes(T)
        && T->n_stack > 0 && shadow_top(T)->f == f) {
        mp_unbox(T, NULL, saved.exc, info->at[index].depth);
    }
    mp_callback_end(T, saved);
    if (T->state == MP_TRACE_LEFT && mp_watch_leave() < 0) {
        mp_err_drop();  // without memory the call continues in eager mode
        mp_watch_stop();
    }
    if (T->state == MP_TRACE_RECORDING) {
        mp_mode_on(T, shadow_top(T));
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
    mp_shadow *s = shadow_top(T);
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
    if (depth != MP_DEPTH_GONE && has_made_boxes(T)) {
        mp_unbox(T, NULL, saved.exc, depth);
    }
    mp_callback_end(T, saved);
}

const mp_watch_ops mp_record_watch = {on_enter, on_instr, on_leave, on_lost, on_missed};

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
