/* run/result.c - what instructions of a watched frame answer.
 *
 * A result is seen on the stack at the event after its instruction; the handler has said
 * before how to take it in: a row of trace/posts.def. */
#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "objects/equal.h"
#include "python/python.h"
#include "read/read.h"
#include "run/run.h"

typedef struct {
    mp_shadow *s;
    const mp_instr *before;  // the instruction
    int depth, slot;         // of the stack after it; of its result
    PyObject *top;           // borrowed; what lies there
} landing;

static mp_rc
post_none(mp_trace *T, const landing *at)
{
    (void)T;
    (void)at;
    assert(!at->s->owns_op);
    return MP_OK;
}

static mp_rc
post_fresh(mp_trace *T, const landing *at)
{
    bool is_empty = PyTuple_CheckExact(at->top) && PyTuple_GET_SIZE(at->top) == 0;
    if (mp_is_constant(at->top) || is_empty) {
        return mp_fresh(T, at->top);
    }
    mp_node *n = mp_refgraph_add_fresh(&T->graph, at->top);
    if (n == NULL) {
        return MP_ERR;
    }
    n->made = T->body;
    return MP_OK;
}

static mp_rc
post_result(mp_trace *T, const landing *at)
{
    mp_rc rc = mp_result(T, at->top);
    mp_node *n = rc == MP_OK ? mp_refgraph_find(&T->graph, at->top) : NULL;
    if (n != NULL && T->inside > 0 && at->before->op == MP_OP_GET_ITER) {
        n->made = T->body;  // (one that was there is made only if nobody has it)
    }
    if (rc == MP_OK && T->exposes) {
        rc = mp_array_expose_end(T, at->top);
    }
    if (rc == MP_OK && at->s->yields && n != NULL && n->kind == MP_NODE_FRESH) {
        n->yields = at->s->yields & ~MP_YIELDS_KNOWN;
    }
    return rc;
}

static mp_rc
post_forward(mp_trace *T, const landing *at)
{
    return mp_apply_end_inline(T, at->s, at->top);
}

static mp_rc
post_store(mp_trace *T, const landing *at)
{
    (void)at;
    return mp_op_end(T, Py_None);
}

/* The result of a function whose answer follows from guarded state. */
static mp_rc
post_const(mp_trace *T, PyObject *value)
{
    if (PyTuple_CheckExact(value) || PyList_CheckExact(value)) {
        return mp_fresh(T, value);
    }
    return mp_is_constant(value) ? MP_OK : mp_result(T, value);
}

static mp_rc
post_pair(mp_trace *T, const landing *at)
{
    PyObject *below = at->slot < at->depth - 1
                          ? NULL
                          : mp_frame_stack_borrow(at->s->f, at->depth - 2);
    mp_rc rc = below == NULL ? MP_OK : mp_result(T, below);
    return rc != MP_OK ? rc : mp_result(T, at->top);
}

/* `__enter__` of a mode of torch was an operation; below lies its `__exit__`, bound. */
static mp_rc
post_enter(mp_trace *T, const landing *at)
{
    mp_rc rc = mp_op_end(T, at->top);
    return rc != MP_OK ? rc
                       : mp_result(T, mp_frame_stack_borrow(at->s->f, at->slot - 1));
}

static mp_rc
post_unpack(mp_trace *T, const landing *at)
{
    mp_rc rc = MP_OK;
    for (int i = at->before->depth - 1; i < at->depth && rc == MP_OK; i++) {
        rc = mp_result(T, mp_frame_stack_borrow(at->s->f, i));
    }
    return rc;
}

static mp_rc
post_compiling(mp_trace *T, const landing *at)
{
    (void)T;
    if (at->top == Py_False) {
        mp_frame_stack_set_steal(at->s->f, at->slot, Py_NewRef(Py_True));
    }
    return MP_OK;
}

static mp_rc
post_cached(mp_trace *T, const landing *at)
{
    return mp_cached_end(T, at->s, at->top);
}

static mp_rc
post_hint(mp_trace *T, PyObject *hint)
{
    const mp_node *n = mp_is_typing(hint) ? mp_refgraph_find(&T->graph, hint) : NULL;
    if (mp_is_typing(hint) && (n == NULL || n->kind != MP_NODE_FRESH)) {
        return mp_load_const(T, hint);  // a hint that the cache keeps
    }
    return mp_is_constant(hint) || mp_is_identity(hint)
               ? mp_result(T, hint)
               : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a cached %s",
                                mp_type_name(hint));
}

static mp_rc
post_sum(mp_trace *T, const landing *at)
{
    return mp_sum_end(T, at->s, at->top);
}

/* The answer, which is this number, becomes a symbol. */
static mp_rc
post_number(mp_trace *T, const landing *at)
{
    PyObject *box = NULL, *now = mp_symbol_number_now(T, at->s->number);
    bool same = now != NULL && Py_TYPE(now) == Py_TYPE(at->top)
                && mp_guard_equals(now, at->top);
    assert(same || now == NULL);  // without memory
    Py_XDECREF(now);
    if (PyErr_Occurred()) {
        return MP_ERR;
    }
    mp_rc rc = same ? mp_symbol_make(T, at->s->number, at->top, &box)
                    : mp_trace_abort(T, MP_AB_UNKNOWN_VALUE,
                                     "a number that is not what it should be");
    if (rc == MP_OK && box != NULL) {
        mp_frame_stack_set_steal(at->s->f, at->slot, box);
    }
    return rc;
}

static mp_rc
post_fold(mp_trace *T, const landing *at)
{
    bool number;
    mp_rc rc = mp_fold_end(T, at->s, &number);
    return rc != MP_OK ? rc
           : number    ? post_number(T, at)
                       : mp_sum_end(T, at->s, at->top);
}

static mp_rc
post_late(mp_trace *T, const landing *at)
{
    PyObject *box;
    mp_rc rc = mp_late_end(T, at->top, &box);
    if (rc == MP_OK) {
        mp_frame_stack_set_steal(at->s->f, at->slot, box);
    }
    return rc;
}

mp_rc
mp_frame_result(mp_trace *T, mp_shadow *s, const mp_instr *before, int index)
{
    assert(s->started && before->op >= 0);
    if ((before->op == MP_OP_FOR_ITER || before->op == MP_OP_SEND)
        && index != before->next) {
        return MP_OK;  // exhausted
    }
    landing at = {.s = s, .before = before, .depth = s->info->at[index].depth};
    at.slot = at.depth > 0 ? mp_frame_result_slot(s->f, at.depth) : -1;
    at.top = at.slot < 0 ? NULL : mp_frame_stack_borrow(s->f, at.slot);
    mp_post post =
        at.top == NULL && s->post != MP_POST_STORE ? MP_POST_NONE : (mp_post)s->post;
    switch (post) {
#define POST(id, ends, function)                                                       \
    case MP_POST_##id:                                                                 \
        s->owns_op = s->owns_op && !(ends);                                            \
        return function(T, at.top);
#define POST_AT(id, ends, function)                                                    \
    case MP_POST_##id:                                                                 \
        s->owns_op = s->owns_op && !(ends);                                            \
        return function(T, &at);
#include "trace/posts.def"
#undef POST
#undef POST_AT
    }
    return MP_OK;
}
