/* run/enter.c - frames that begin and end during a recording.
 *
 * A frame that begins is watched as a part of the run, skipped as a part of a C function or of
 * a library, or a reason to stop: `below` of the instruction in progress says what is expected
 * there (mp_below).
 *
 * What must hold: T->stack has a shadow for each watched frame of the call, innermost last;
 * T->skip counts frames below the top one that are not watched, T->outside those of them from
 * which on the program is not the recorded one (finalizers, hooks). */
#include "run/run.h"

#include <string.h>

#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "objects/operators.h"
#include "python/python.h"
#include "read/read.h"

enum { RECENT_CODES = 16 };

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
    Py_CLEAR(s->folded);
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
void
mp_on_missed(void *ctx, mp_frame *f)
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
    mp_shadow *parent = mp_shadow_top(T);
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
    mp_shadow *parent = mp_shadow_top(T);
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
        mp_shadow_top(T)->skip = skip;
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
    mp_shadow *s = mp_shadow_top(T);
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

/* Does the frame run below an instruction that says nothing of what is below it? */
static bool
is_skipped(const mp_trace *T, const mp_shadow *parent)
{
    return T->skip > 0
           || (parent != NULL
               && (parent->below == MP_BELOW_SKIP || parent->below == MP_BELOW_TRUSTED
                   || parent->below == MP_BELOW_ONE));
}

/* A frame of the run; *watch: its instructions are part of it. */
static mp_rc
enter_frame(mp_trace *T, mp_shadow *parent, mp_frame *f, bool fresh, bool *watch)
{
    mp_rc rc = mp_symbols_give_up(T);
    *watch = false;
    if (rc != MP_OK) {
        return rc;
    }
    if (is_forward(T, parent, f)) {
        *watch = true;
        return enter_forward(T, f);
    }
    if (mp_is_arm(T, parent, f)) {
        *watch = true;
        rc = shadow_push(T, f, true);
        return rc != MP_OK ? rc : mp_arm_enter(T, mp_shadow_top(T));
    }
    if (T->computes && T->outside == 0 && is_warning(f)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "a warning of numpy");
    }
    if (is_skipped(T, parent)) {
        return enter_skipped(T, f, fresh);
    }
    if (mp_is_known(mp_frame_func_borrow(f), MP_K_DEVICE_MODE)) {
        T->skip++;  // torch asks it for each of its functions and getters
        return MP_OK;
    }
    PyObject *name = mp_frame_code_borrow(f)->co_qualname;
    if (mp_runs_as_it_dies(T, f, fresh)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "something dies: %U", name);
    }
    if (parent != NULL && mp_is_finalizer(T, f)) {
        return enter_finalizer(T);
    }
    if (parent != NULL && parent->below == MP_BELOW_NOTHING && fresh) {
        rc = mp_trace_abort(T, MP_AB_UNKNOWN_FRAME, "%U", name);
        if (parent->rebuilt) {  // (__getattr__, after a property that has raised)
            mp_trace_avoid(T, T->raised, true);
        }
        return rc;
    }
    rc = enter_watched(T, f, fresh);
    *watch = T->skip == 0;
    return rc;
}

/* A Python frame begins or goes on. true: its instructions are to be watched. */
bool
mp_on_enter(void *ctx, mp_frame *f, bool fresh)
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
        mp_on_missed(T, f);
    }
    if (T->busy || T->state != MP_TRACE_RECORDING) {
        return false;
    }
    mp_callback saved = mp_callback_begin(T);
    bool watch;
    mp_rc rc = enter_frame(T, mp_shadow_top(T), f, fresh, &watch);
    mp_trace_settle(T, rc);
    mp_unbox_callers(T, saved);
    mp_callback_end(T, saved);
    return rc == MP_OK && watch && T->state == MP_TRACE_RECORDING;
}

/* An arm of a branch ends where its arms should meet, instead of there. */
static mp_rc
refuse_end_of_arm(mp_trace *T, const PyObject *result)
{
    const mp_region *r = T->region;
    bool arm = r != NULL && mp_is_branch(r) && T->inside > 0
               && T->n_stack - 1 == r->depth + !r->arrived;
    return arm ? mp_trace_abort(T, MP_AB_CONTROL_FLOW,
                                result == NULL ? "an arm that ends by an exception"
                                               : "an arm that returns a constant")
               : MP_OK;
}

/* The innermost watched frame ends, as part of the recording. */
static void
leave_frame(mp_trace *T, mp_shadow *s, PyObject *result)
{
    bool root = s->root;
    mp_frame *f = s->f;
    mp_shadow left = *s;
    T->skip = s->skip;
    shadow_pop(T);
    T->stale = T->n_stack < T->stale ? 0 : T->stale;
    if (T->trial && result != NULL) {
        mp_trace_settle(T, mp_trial_yielded(T, f));
    }
    mp_trace_settle(T, mp_symbols_give_up(T));
    if (!root) {
        mp_apply_note_answer(mp_shadow_top(T), &left, result);
        mp_rc rc = mp_look_at_answer(T, mp_shadow_top(T), &left, result);
        bool ends_class = rc == MP_OK && result != NULL && left.names != NULL;
        mp_trace_settle(T, ends_class ? mp_class_names_end(T, left.names) : rc);
    }
    if (root && T->state == MP_TRACE_RECORDING) {
        T->state = result != NULL ? MP_TRACE_DONE : T->state;
    }
}

/* A frame that is not watched ends. */
static void
leave_unwatched(mp_trace *T)
{
    T->skip -= T->skip > 0;
    if (T->skip < T->outside) {
        T->outside = 0;
    }
    if (T->skip == 0 && T->n_stack > 0) {
        mp_mode_on(T, mp_shadow_top(T));
    }
}

/* A frame ends; result == NULL: with an exception. */
void
mp_on_leave(void *ctx, mp_frame *f, bool watched, PyObject *result)
{
    mp_trace *T = ctx;
    mp_mode_off(T);
    if (!T->busy && T->state == MP_TRACE_GAP) {
        leave_gap(T, watched);
        return;
    }
    if (mp_ended_in_mode(T) && watched && mp_shadow_top(T) != NULL
        && mp_shadow_top(T)->f == f) {
        shadow_pop(T);
        mp_stop_after_mode(T, MP_DEPTH_CALLS);
    }
    if (T->busy || T->state != MP_TRACE_RECORDING) {
        return;
    }
    if (!watched) {
        leave_unwatched(T);
        return;
    }
    mp_callback saved = mp_callback_begin(T);
    mp_shadow *s = mp_shadow_top(T);
    assert(s != NULL && s->f == f);
    s->ended = true;
    mp_sites_note(T);
    if (result == NULL && !T->unwinding) {
        T->raised = (mp_site){s->code_no, s->pending};
    }
    T->unwinding = result == NULL;
    bool owns_op = s->owns_op;
    mp_trace_settle(T, refuse_end_of_arm(T, result));
    if (T->state != MP_TRACE_RECORDING) {
        shadow_pop(T);
        owns_op = false;
    }
    else if (owns_op) {
        mp_trace_settle(T, mp_trace_abort(T, MP_AB_OP_RAISED, "at the end of a frame"));
    }
    else {
        leave_frame(T, s, result);
    }
    T->n_stack -= owns_op;  // the frame that ends is gone, though still in the list
    mp_unbox_callers(T, saved);
    T->n_stack += owns_op;
    mp_callback_end(T, saved);
    if (T->state == MP_TRACE_RECORDING && T->n_stack > 0) {
        mp_mode_on(T, mp_shadow_top(T));
    }
}
