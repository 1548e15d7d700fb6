/* run/segment.c - a run in pieces: end a segment before an instruction, begin one after it.
 *
 *   RECORDING -- an instruction that cannot be recorded, at a safe point --> GAP
 *   GAP -- the instruction has run; a place to go on, no entry there ------> RECORDING
 *   GAP -- the same, and an entry there whose guards hold -----------------> LEFT
 *
 * A safe point is a state that can be rebuilt: every frame from the compiled function down
 * is watched, between C code that hands results on as they are (MP_RESUME_*), no exception
 * is being handled, and each value has a recipe.  The plan of a segment answers a tuple
 * with the values of all frames (plan/point.h).
 *
 * A segment's entry row is its frames' values.  Constants among them are guarded when they
 * are loaded, so that a loop counter that nobody looks at does no harm; a number that the
 * gap before has made is not worth a guard: the instruction that loads it is left to the
 * interpreter, and so is what follows until the number is off the stack. */
#include "run/run.h"

#include <string.h>

#include "graph/graph.h"
#include "python/python.h"
#include "read/read.h"

/* -- Where the frames stand ---------------------------------------------------------- */

static bool
frame_is_plain(const mp_shadow *s)
{
    int flags = s->info == NULL ? 0 : s->info->code->co_flags;
    PyObject *func = mp_frame_func_borrow(s->f);
    return (flags & CO_OPTIMIZED) && s->started && s->fresh && s->names == NULL
           && !(flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR))
           && !s->owns_op && s->summands == NULL && s->folded == NULL
           && s->cached == NULL && PyFunction_Check(func)
           && ((PyFunctionObject *)func)->func_code == (PyObject *)s->info->code;
}

/* how: mp_resume_how of a frame that has called another one. */
static int32_t
slot_count(const mp_shadow *s, bool top, uint8_t how)
{
    assert(s->pending >= 0);
    const mp_instr *in = &s->info->at[s->pending];
    int depth = top || mp_answer_operands(how) > 0
                    ? in->depth
                    : s->info->at[in->next].depth - mp_resume_pushes(how);
    return s->info->code->co_nlocalsplus + depth;
}

static PyObject *
frame_value(const mp_shadow *s, int32_t i)
{
    int n = s->info->code->co_nlocalsplus;
    return i < n ? mp_frame_local_borrow(s->f, i) : mp_frame_stack_borrow(s->f, i - n);
}

/* Names of a call's keywords are in no slot: go back to where they are loaded. */
static int32_t
resume_index(const mp_shadow *s)
{
    return s->kwnames != NULL && s->names_at >= 0 ? s->names_at : s->pending;
}

/* Does the calling code wait in the handler of an exception? */
static bool
handles_exception(const mp_trace *T)
{
    PyObject *handled = PyErr_GetHandledException();
    bool other = handled != T->handled;
    Py_XDECREF(handled);
    return other;
}

/* Where the run stands now, with borrowed values. 1; 0: no call can go on here, *at is
 * the frame to blame; -1: exception. */
static int
take_point(mp_trace *T, mp_point *p, int *at)
{
    int32_t n_values = 0;
    *at = T->n_stack - 1;
    if (T->n_stack == 0) {
        return 0;
    }
    for (int i = 0; i < T->n_stack; i++) {
        mp_shadow *s = &T->stack[i];
        bool top = i == T->n_stack - 1;
        uint8_t how = MP_RESUME_PUSH;
        PyObject *made;
        *at = i;
        if (!frame_is_plain(s)
            || (!top && !mp_outer_continues(s, &T->stack[i + 1], &how, &made))) {
            return 0;
        }
        n_values += MP_POINT_SLOTS + slot_count(s, top, how);
    }
    if (T->skip > 0 || T->outside > 0 || T->apply.cls != NULL
        || T->in_mode != MP_MODE_OFF || handles_exception(T)) {
        return 0;
    }
    if (mp_point_init(p, T->n_stack, n_values) < 0) {
        return -1;
    }
    int32_t next = 0;
    for (int i = 0; i < T->n_stack; i++) {
        mp_shadow *s = &T->stack[i];
        mp_point_frame *f = &p->frames[i];
        bool top = i == T->n_stack - 1;
        PyObject *made = NULL;
        if (!top) {
            (void)mp_outer_continues(s, &T->stack[i + 1], &f->how, &made);
        }
        f->code = s->info->code;
        f->index = top ? resume_index(s) : s->pending;
        f->first = next;
        f->n_slots = slot_count(s, top, f->how);
        p->values[next + MP_POINT_FUNC] = mp_frame_func_borrow(s->f);
        p->values[next + MP_POINT_MADE] = made;
        for (int32_t k = 0; k < f->n_slots; k++) {
            p->values[next + MP_POINT_SLOTS + k] = frame_value(s, k);
        }
        next += MP_POINT_SLOTS + f->n_slots;
    }
    return 1;
}

/* -- The end of a segment -------------------------------------------------------------- */

/* An operand of the call in progress that no segment has looked at since it began: a number
 * there may be another one each time. */
static bool
is_idle(const mp_shadow *s, const mp_point_frame *f, int32_t slot, PyObject *value)
{
    return s->waits && slot >= f->n_slots - mp_answer_operands(f->how)
           && mp_is_constant(value);
}

/* The value is still what the entry row holds: how mp_exit says that. */
static int32_t
exit_from_entry(const mp_shadow *s, const mp_point_frame *f, int32_t slot,
                PyObject *value)
{
    assert(slot >= 0 && slot < f->n_slots);
    bool unread = slot < f->code->co_nlocalsplus
                      ? s->unread != NULL && s->unread[slot] != 0
                      : is_idle(s, f, slot, value);
    return unread ? MP_EXIT_ENTRY - (s->base + slot) : MP_EXIT_NULL;
}

/* Where the frames stand at the break, and how large the segment was.  Which value goes
 * into which slot is filled in by the caller (`from`). */
static mp_exit *
exit_new(mp_trace *T, const mp_point *p, bool unseen)
{
    assert(T->n_stack > 0 && p->n_frames == T->n_stack);
    mp_exit *x = PyMem_Calloc(1, sizeof(*x));
    if (x == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    x->frames = PyMem_Calloc((size_t)p->n_frames, sizeof(*x->frames));
    x->from = PyMem_Calloc((size_t)p->n_values, sizeof(*x->from));
    x->codes = mp_point_codes(p);
    if (x->frames == NULL || x->from == NULL || x->codes == NULL) {
        if (x->codes != NULL) {
            PyErr_NoMemory();
        }
        mp_exit_free(x);
        return NULL;
    }
    memcpy(x->frames, p->frames, (size_t)p->n_frames * sizeof(*p->frames));
    x->n_frames = p->n_frames;
    x->n_values = p->n_values;
    x->at = T->stack[T->n_stack - 1].pending;
    x->n_guards = T->n_guards;
    x->n_looked = T->ends ? -1 : T->n_looked;
    x->unseen = unseen;
    return x;
}

/* Which values does the replay have to answer?  New tuple of them; fills x->from. */
static PyObject *
exit_values(mp_trace *T, const mp_point *p, mp_exit *x)
{
    PyObject *list = PyList_New(0), *tuple = NULL;
    int rc = list == NULL ? -1 : 0;
    for (int32_t i = 0; i < p->n_frames && rc == 0; i++) {
        const mp_point_frame *f = &p->frames[i];
        for (int32_t k = 0; k < MP_POINT_SLOTS + f->n_slots && rc == 0; k++) {
            int32_t at = f->first + k;
            x->from[at] = k < MP_POINT_SLOTS || p->values[at] == NULL
                              ? MP_EXIT_NULL
                              : exit_from_entry(&T->stack[i], f, k - MP_POINT_SLOTS,
                                                p->values[at]);
            if (p->values[at] != NULL && x->from[at] == MP_EXIT_NULL) {
                x->from[at] = (int32_t)PyList_GET_SIZE(list);
                rc = PyList_Append(list, p->values[at]);
                // A recipe gives an equal constant; the gap may ask which one it is.
                rc = rc < 0 || mp_refuse_nan(T, p->values[at]) == MP_OK ? rc : -1;
            }
        }
    }
    tuple = rc == 0 ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return tuple;
}

/* Cells that no instruction has looked at yet are known all the same. */
static mp_rc
know_cells(mp_trace *T)
{
    mp_rc rc = MP_OK;
    for (int i = 0; i < T->n_stack; i++) {
        mp_shadow *s = &T->stack[i];
        for (int k = 0; k < s->info->code->co_nlocalsplus && rc == MP_OK; k++) {
            PyObject *cell = mp_frame_local_borrow(s->f, k);
            if (cell != NULL && PyCell_Check(cell)
                && (mp_local_kind(s->info->code, k) & (CO_FAST_CELL | CO_FAST_FREE))) {
                rc = mp_know_cell(T, s, k);
            }
        }
    }
    return rc;
}

/* No break is possible here: where can the next recording break before it gets here? */
static void
avoid_before(mp_trace *T, int at)
{
    bool at_once = !T->why->once;  // what is imported now is there the next time
    for (int i = 0; i <= at; i++) {
        if (T->stack[i].handling > 0) {
            mp_trace_avoid(T, T->stack[i].raised, at_once);
            return;
        }
    }
    if (at < T->n_stack - 1) {
        mp_trace_avoid(T, (mp_site){T->stack[at].code_no, T->stack[at].pending},
                       at_once);
    }
}

/* why: of the break. */
static mp_rc
plan_exit(mp_trace *T, const mp_abort_info *why, mp_plan **plan)
{
    assert(T->n_guards <= T->guards->n_ops);
    mp_point p = {.n_frames = 0};
    int at;
    T->n_looked = T->guards->n_ops - T->n_guards;
    mp_rc rc = know_cells(T);
    int safe = rc == MP_OK ? take_point(T, &p, &at) : 0;
    if (rc != MP_OK || safe < 0) {
        return rc != MP_OK ? rc : MP_ERR;
    }
    if (safe == 0) {
        T->why->id = why->id;
        T->why->once = why->once;
        T->why->pins = why->pins;
        T->why->detail = Py_XNewRef(why->detail);
        avoid_before(T, at);
        return mp_trace_abort(T, MP_AB_OPCODE, "no safe point");
    }
    mp_exit *x = exit_new(T, &p, T->avoids || why->id == MP_AB_VOLATILE);
    PyObject *values = x == NULL ? NULL : exit_values(T, &p, x);
    rc = values != NULL ? MP_OK : PyErr_Occurred() ? MP_ERR : MP_ABORTED;
    if (rc == MP_OK) {
        *plan = mp_plan_make(T, values);
        rc = *plan != NULL ? MP_OK : MP_ABORTED;
    }
    if (*plan != NULL) {
        (*plan)->exit = x;
        x = NULL;
    }
    Py_XDECREF(values);
    mp_exit_free(x);
    mp_point_clear(&p);
    return rc;
}

static bool
is_worth_a_plan(const mp_trace *T)
{
    return T->is_root || T->follows || T->n_writes > 0 || PyList_GET_SIZE(T->ops) > 0;
}

/* The next segment may begin here, and says then which locals it has not looked at. */
static int
make_unread(mp_trace *T)
{
    for (int i = 0; i < T->n_stack; i++) {
        mp_shadow *s = &T->stack[i];
        int n = s->info->code->co_nlocalsplus;
        if (s->unread == NULL) {
            s->unread = PyMem_Calloc((size_t)n + 1, 1);
        }
        if (s->unread == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

static bool
may_break(const mp_trace *T)
{
    mp_abort_id id = T->why->id;
    return T->host != NULL && T->inside == 0 && !T->whole_only && id != MP_AB_LIMIT
           && id != MP_AB_INTERNAL && id != MP_AB_WATCHER;
}

/* Keep the reason of the break while the plan is made, which may have others. */
static mp_abort_info
take_reason(mp_trace *T)
{
    mp_abort_info why = *T->why;
    memset(T->why, 0, sizeof(*T->why));
    return why;
}

/* The tensors of a plan are kept until it has been taken, no longer. */
static void
drop_outputs(mp_trace *T)
{
    if (T->outputs != NULL
        && PyList_SetSlice(T->outputs, 0, PyList_GET_SIZE(T->outputs), NULL) < 0) {
        mp_err_drop();  // without memory they live until the call has ended
    }
}

/* A program that asks whether a compiler is at work needs a value, and what it wrote a trial may write:
 * told True it may not need it, so a trial comes before any break. */
static bool
waits_for_trial(const mp_trace *T)
{
    const mp_compiling *c = T->compiling;
    bool may = c->hopes && c->asked && c->values && !T->wrote_input && T->is_root;
    for (int i = 0; may && i < T->n_writes; i++) {
        uint8_t kind = (uint8_t)T->writes[i].kind;
        may = T->writes[i].dead || kind == MP_W_KEY_SET || kind == MP_W_CONTEXT;
    }
    return may;
}

bool
mp_segment_break(mp_trace *T, mp_shadow *s, int n_writes)
{
    assert(T->state == MP_TRACE_ABORTED);
    if (!may_break(T) || waits_for_trial(T)) {
        return false;
    }
    if (T->stale > 0 && T->stale <= T->n_stack) {
        mp_abort_info why = *T->why;  // the branch breaks then, for its own reason
        T->why->id = MP_AB_CONTROL_FLOW;
        mp_trace_avoid(T, T->stale_at, true);
        T->why->id = why.id;
        return false;
    }
    if (T->n_writes != n_writes) {  // half journaled
        mp_trace_avoid(T, T->graph.at, true);
        return false;
    }
    mp_plan *plan = NULL;
    mp_abort_info why = take_reason(T);
    T->state = MP_TRACE_RECORDING;
    mp_op_drop(T);
    s->owns_op = false;
    mp_rc rc = is_worth_a_plan(T) ? plan_exit(T, &why, &plan) : MP_OK;
    bool worth = rc == MP_OK;
    if (worth) {
        worth = make_unread(T) == 0;
    }
    if (worth) {
        worth = T->host->depart(T->host_ctx, plan, &why) == 0;
        plan = NULL;  // taken over
    }
    mp_plan_free(plan);
    mp_err_drop();  // without memory the run stays eager
    drop_outputs(T);
    mp_abort_clear(T->why);
    *T->why = why;
    s->kwnames = NULL;
    if (!worth) {
        T->state = MP_TRACE_ABORTED;
        return false;
    }
    T->state = MP_TRACE_GAP;
    return true;
}

/* -- The gap ----------------------------------------------------------------------------- */

/* A constant that may be another one, or another object, in the next call. */
static bool
is_number(PyObject *v)
{
    return v != NULL && mp_is_constant(v) && !PyBool_Check(v)
           && Py_TYPE(v)->tp_richcompare != NULL
           && Py_TYPE(v)->tp_richcompare != PyBaseObject_Type.tp_richcompare;
}

/* Objects die when the frames release them; finalizers that run then are not recorded. */
static bool
holds_finalizers(const mp_point *p)
{
    for (int32_t i = 0; i < p->n_values; i++) {
        if (p->values[i] != NULL && mp_reaches_finalizer(p->values[i])) {
            return true;
        }
    }
    return false;
}

/* Guards would pin it, though the next call has another one: a function of this call, a C
 * method bound to an object. */
static bool
is_own(mp_trace *T, PyObject *v)
{
    return mp_is_of_call(T, v)
           || ((PyCFunction_Check(v) || mp_is_method_wrapper(v)) && !mp_is_identity(v));
}

/* Functions of this call that run now, or wait on a stack, would be in the guards. */
static bool
runs_own_functions(mp_trace *T, const mp_point *p)
{
    for (int32_t i = 0; i < p->n_frames; i++) {
        const mp_point_frame *f = &p->frames[i];
        PyObject *const *values = p->values + f->first;
        if (mp_is_of_call(T, values[MP_POINT_FUNC])) {
            return true;
        }
        for (int32_t k = f->code->co_nlocalsplus; k < f->n_slots; k++) {
            PyObject *value = values[MP_POINT_SLOTS + k];
            if (value != NULL && is_own(T, value)) {
                return true;
            }
        }
    }
    return false;
}

/* `for name, child in pairs`: the tuple is about to be taken apart.  A segment that did so
 * would guard the constants in it; behind it they are locals, which nobody has read. */
static bool
unpacks_numbers(const mp_instr *in, PyObject *top)
{
    bool unpacks = in->op == MP_OP_UNPACK_SEQUENCE || in->op == MP_OP_UNPACK_EX;
    if (!unpacks || top == NULL || !PyTuple_CheckExact(top)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(top); i++) {
        PyObject *item = PyTuple_GET_ITEM(top, i);
        if (is_number(item)
            || (PyTuple_CheckExact(item) && unpacks_numbers(in, item))) {
            return true;
        }
    }
    return false;
}

static bool
may_begin(mp_trace *T, const mp_shadow *s, const mp_code_info *info, int before,
          int index)
{
    const mp_instr *in = &info->at[index];
    int op = before >= 0 ? info->at[before].op : -1;
    if (T->skip > 0 || info->is_handler[index] || op == MP_OP_KW_NAMES
        || (op == MP_OP_PRECALL && in->op == MP_OP_CALL)) {
        return false;
    }
    for (int i = 0; i < in->depth; i++) {
        if (is_number(mp_frame_stack_borrow(s->f, i))) {
            return false;
        }
    }
    return in->depth == 0
           || !unpacks_numbers(in, mp_frame_stack_borrow(s->f, in->depth - 1));
}

/* Constants are looked at when the program does; so is what an entry that this segment is
 * compared with has found a constant there. */
static bool
waits_unread(mp_trace *T, int32_t at, PyObject *value)
{
    return mp_is_constant(value) || (T->follows && !T->host->reads(T->host_ctx, at));
}

/* The entry row of one frame. */
static mp_rc
load_frame(mp_trace *T, mp_shadow *s, const mp_point *p, const mp_point_frame *f,
           bool root)
{
    assert(s->unread != NULL);
    PyObject *func = p->values[f->first + MP_POINT_FUNC];
    PyObject *made = p->values[f->first + MP_POINT_MADE];
    mp_rc rc = mp_entry_load(T, f->first,
                             PyUnicode_FromFormat("%U", f->code->co_qualname), func);
    rc = rc != MP_OK ? rc : mp_guard_function(T, func);
    if (rc == MP_OK && made != NULL) {
        rc = mp_entry_load(T, f->first + MP_POINT_MADE, PyUnicode_FromString("new"),
                           made);
    }
    s->handling = 0;
    s->how = f->how;
    s->waits = mp_answer_operands(f->how) > 0;
    s->base = f->first + MP_POINT_SLOTS;
    for (int32_t k = 0; k < f->n_slots && rc == MP_OK; k++) {
        PyObject *value = p->values[s->base + k];
        bool local = k < f->code->co_nlocalsplus;
        if (local) {
            s->unread[k] = 0;
        }
        if (value == NULL || (!local && is_idle(s, f, k, value))) {
            continue;
        }
        if (local && is_own(T, value)) {
            s->unread[k] = MP_VOLATILE;
            continue;
        }
        if (local && waits_unread(T, s->base + k, value)) {
            s->unread[k] = MP_UNREAD;
            continue;
        }
        rc = mp_entry_load(T, s->base + k, mp_entry_name(s, k, root), value);
        mp_refgraph_loosen(&T->graph, value);  // the frame alone may hold it
    }
    return rc;
}

static mp_rc
begin(mp_trace *T, const mp_point *p, bool follows)
{
    assert(p->n_frames == T->n_stack);
    mp_rc rc = mp_trace_again(T);
    if (rc != MP_OK) {
        return rc;
    }
    T->guards->root = mp_point_hash(p);
    T->follows = follows;
    for (int i = 0; i < p->n_frames && rc == MP_OK; i++) {
        rc = load_frame(T, &T->stack[i], p, &p->frames[i], i == 0);
    }
    return rc;
}

/* The frames of the break are there again, and its instruction is about to run. */
static int
begin_resumed(mp_trace *T)
{
    assert(T->resumed != NULL);
    const mp_exit *x = T->resumed;
    T->resumed = NULL;
    T->rebuilds = NULL;
    T->host->rebuilt(T->host_ctx);
    return T->n_stack == x->n_frames ? make_unread(T) : -1;
}

mp_rc
mp_segment_gap(mp_trace *T, mp_shadow *s, const mp_code_info *info, int index,
               bool *begun)
{
    assert(T->state == MP_TRACE_GAP && T->host != NULL);
    mp_point p = {.n_frames = 0};
    int before = s->pending, at;
    *begun = false;
    s->info = info;
    s->started = true;
    s->pending = index;
    s->owns_op = s->rebuilt = s->waits = false;
    s->kwnames = NULL;  // of a call that the gap has ended
    if (T->resumed != NULL) {
        // Rebuilt frames begin with the instruction of the break.
        return begin_resumed(T) < 0 ? MP_ERR : MP_OK;
    }
    if (info->at[index].op == MP_OP_KW_NAMES) {
        s->names_at = index;
    }
    int depth = info->at[index].depth;
    int ran = before >= 0 ? (int)info->at[before].op : -1;
    if ((ran == MP_OP_CALL || ran == MP_OP_CALL_FUNCTION_EX) && depth > 0
        && mp_note_gap_made(T, mp_frame_stack_borrow(s->f, depth - 1)) < 0) {
        return MP_ERR;
    }
    if (!may_begin(T, s, info, before, index)) {
        return MP_OK;
    }
    int safe = take_point(T, &p, &at);
    if (safe <= 0) {
        return safe < 0 ? MP_ERR : MP_OK;
    }
    mp_rc rc = MP_OK;
    mp_arrival what = holds_finalizers(&p) || runs_own_functions(T, &p)
                          ? MP_ARRIVE_PASS
                          : T->host->arrive(T->host_ctx, &p);
    if (what == MP_ARRIVE_LEAVE) {
        T->state = MP_TRACE_LEFT;
    }
    else if (what == MP_ARRIVE_RECORD || what == MP_ARRIVE_FOLLOW) {
        T->state = MP_TRACE_RECORDING;
        rc = begin(T, &p, what == MP_ARRIVE_FOLLOW);
        *begun = rc == MP_OK;
    }
    else if (what == MP_ARRIVE_STOP) {
        T->state = MP_TRACE_ABORTED;
        mp_watch_stop();
    }
    mp_point_clear(&p);
    return rc;
}

/* -- Constants of the entry row ------------------------------------------------------------ */
