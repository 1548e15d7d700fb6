/* run/arm.c - the arm of a branch that the program does not take.
 *
 * The region stands on the stack in the place of the condition (graph/branch.c).  When the
 * interpreter asks whether it is true, a copy of the frame runs the other arm, watched, up to
 * the place where both meet, and is left there; then the interpreter gets its answer and
 * takes the program's arm. */
#include "graph/graph.h"
#include "run/run.h"

// R: an arm that the program does not take need not end.
enum { ARM_INSTRUCTIONS = 300000 };
// Holders of an iterator that is copied: the frame, and the slots of its copy.
enum { COPIED_REFS = 2 };

static mp_rc
step_other(mp_trace *T, mp_shadow *s, void *arg)
{
    mp_region *r = arg;
    r->trial = T->trial;
    r->inside = T->inside;
    r->body = T->body;
    r->arm_end = T->arm_end;
    T->arm_end = T->arm_end > 0 ? T->arm_end : T->n_instr + ARM_INSTRUCTIONS;
    s->below = MP_BELOW_ARM;
    mp_arm_begin(T, r, true);
    return MP_OK;
}

static mp_rc
step_taken(mp_trace *T, mp_shadow *s, void *arg)
{
    mp_region *r = arg;
    s->below = MP_BELOW_NOTHING;
    T->arm_end = r->arm_end;
    mp_body_forget(T);
    mp_arm_begin(T, r, r->trial);
    return MP_OK;
}

/* The values that the copy of the frame begins with: new array of n. */
static PyObject **
copy_slots(const mp_shadow *s, int32_t n)
{
    PyObject **slots = PyMem_Calloc((size_t)n + 1, sizeof(*slots));
    int n_locals = s->info->code->co_nlocalsplus;
    for (int32_t i = 0; slots != NULL && i < n; i++) {
        slots[i] = Py_XNewRef(i < n_locals ? mp_frame_local_borrow(s->f, i)
                                           : mp_frame_stack_borrow(s->f, i - n_locals));
    }
    return slots;
}

/* An iterator like this one for the other arm: new reference; NULL without an exception: it
 * cannot be copied. */
static PyObject *
copy_iterator(mp_trace *T, PyObject *iterator)
{
    mp_node *n = mp_refgraph_find(&T->graph, iterator);
    if (n == NULL || n->kind != MP_NODE_FRESH || Py_REFCNT(iterator) != COPIED_REFS) {
        return NULL;
    }
    PyObject *copier =
        PyObject_GetAttrString(mp_region_module_borrow(), "copied_iterator");
    PyObject *copy = copier == NULL ? NULL : mp_call_whole(copier, iterator);
    Py_XDECREF(copier);
    uint8_t yields = n->yields;
    n = copy == NULL || copy == Py_None ? NULL : mp_refgraph_add_fresh(&T->graph, copy);
    if (n == NULL) {
        mp_err_drop();  // on doubt, none
        Py_XDECREF(copy);
        return NULL;
    }
    n->yields = yields;
    n->made = T->body;
    return copy;
}

/* Loops that the arms may leave: both advance the iterator, which only the stack holds, and
 * which is gone where they meet. */
static void
copy_loops(mp_trace *T, mp_region *r, const mp_shadow *s, PyObject **slots)
{
    int32_t stays = r->join == MP_JOIN_RETURNS ? 0 : s->info->at[r->join].depth;
    for (int32_t i = stays; i < r->below && i < MP_REGION_LOOPS; i++) {
        PyObject **slot = &slots[s->info->code->co_nlocalsplus + i];
        PyObject *copy = *slot == NULL ? NULL : copy_iterator(T, *slot);
        if (copy != NULL) {
            r->loops |= (uint64_t)1 << i;
            Py_SETREF(*slot, copy);
        }
    }
}

/* true: the other arm is recorded. */
static bool
run_other(mp_trace *T, mp_region *r)
{
    mp_shadow *s = &T->stack[r->depth];
    // (The condition is not on the stack of the copy.)
    int32_t n = s->info->code->co_nlocalsplus + r->below;
    PyObject **slots = copy_slots(s, n);
    if (slots == NULL) {
        return false;
    }
    copy_loops(T, r, s, slots);
    if (r->answers) {
        slots[n++] = PyBool_FromLong(!r->truth);
    }
    mp_resume_frame frame = {.func = (PyFunctionObject *)mp_frame_func_borrow(s->f),
                             .index = r->others[!r->truth],
                             .n_slots = n,
                             .slots = slots};
    PyObject *result = mp_watch_resume_below(&frame, 1);
    Py_XDECREF(result);
    mp_err_drop();
    for (int32_t i = 0; i < n; i++) {
        Py_XDECREF(slots[i]);  // none, but without memory for the frame
    }
    PyMem_Free(slots);
    return r->arrived && T->state == MP_TRACE_RECORDING;
}

/* Put back what the arm that is not taken has written. */
static void
undo_writes(mp_region *r)
{
    if (r->undo == NULL) {
        return;
    }
    PyObject *undo = PyObject_GetAttrString(mp_region_module_borrow(), "undo");
    PyObject *done = undo == NULL ? NULL : mp_call_whole(undo, r->undo);
    mp_err_drop();  // (unreachable: the memory was copied from there)
    Py_XDECREF(done);
    Py_XDECREF(undo);
    Py_CLEAR(r->undo);
}

static int
arm_decide(PyObject *self)
{
    mp_region *r = (mp_region *)Py_NewRef(self);
    mp_trace *T = r->T;
    r->decide = NULL;
    r->vectorcall = NULL;
    PyObject *tensor = r->op.n_inputs > 0 ? Py_NewRef(r->op.inputs[0]) : NULL;
    int truth = tensor == NULL ? 1 : PyObject_IsTrue(tensor);
    Py_XDECREF(tensor);
    while (r->op.n_inputs > 0) {  // it dies as in eager mode
        Py_DECREF(r->op.inputs[--r->op.n_inputs]);
    }
    if (truth >= 0 && T != NULL && T->region == r && T->state == MP_TRACE_RECORDING) {
        bool outermost = !T->trial;
        r->truth = truth;
        PyObject *state = mp_aside_begin();
        mp_err_drop();  // without it the arm is not run
        mp_record_step(T, step_other, r);
        bool goes_on =
            state != NULL && T->state == MP_TRACE_RECORDING && run_other(T, r);
        undo_writes(r);
        if (state != NULL) {
            mp_aside_end(T, state);
            goes_on = goes_on && T->state == MP_TRACE_RECORDING;
        }
        Py_XDECREF(state);
        if (goes_on) {
            mp_watch_recover();
            T->unwinding = false;
            mp_record_step(T, step_taken, r);
        }
        else {
            mp_region_fail(T, r, outermost);
            if (!outermost) {
                (void)mp_watch_raise();
                truth = -1;
            }
        }
    }
    Py_DECREF(r);
    return truth;
}

/* In the place of bool. */
static PyObject *
arm_answer(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    int truth = arm_decide(self);
    return truth < 0 ? NULL : PyBool_FromLong(truth);
}

mp_rc
mp_branch_install(mp_trace *T, mp_shadow *s, int depth)
{
    mp_region *r = T->region;
    if (r->calls) {
        mp_rc rc = mp_region_install(T, s, depth);
        r->vectorcall = arm_answer;
        return rc;
    }
    // A comparison finds it as both operands, and answers with it.
    int n = s->info->at[s->pending].op == MP_OP_COMPARE_OP ? 2 : 1;
    r->decide = arm_decide;
    for (int i = 1; i <= n; i++) {
        PyObject *before = Py_NewRef(mp_frame_stack_borrow(s->f, depth - i));
        mp_frame_stack_set_steal(s->f, depth - i, Py_NewRef((PyObject *)r));
        Py_DECREF(before);
    }
    return MP_OK;
}

/* Is it the copy of the frame that branches? */
bool
mp_is_arm(mp_trace *T, const mp_shadow *parent, mp_frame *f)
{
    const mp_region *r = T->region;
    return parent != NULL && parent->below == MP_BELOW_ARM && r != NULL
           && mp_is_branch(r) && !r->arrived && T->n_stack - 1 == r->depth
           && T->outside == 0
           && mp_frame_func_borrow(f) == mp_frame_func_borrow(parent->f)
           && mp_frame_lasti(f) >= 0;
}

mp_rc
mp_arm_enter(mp_trace *T, mp_shadow *s)
{
    const mp_shadow *from = &T->stack[T->region->depth];
    int n = from->info->code->co_nlocalsplus;
    s->info = from->info;
    s->started = s->arm = true;
    s->caught = from->caught;
    s->base = from->base;
    s->pending = -1;
    if (from->unread == NULL) {
        return MP_OK;
    }
    s->unread = PyMem_Calloc((size_t)n + 1, 1);
    if (s->unread == NULL) {
        PyErr_NoMemory();
        return MP_ERR;
    }
    for (int i = 0; i < n; i++) {
        s->unread[i] = from->unread[i];
    }
    return MP_OK;
}
