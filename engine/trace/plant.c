/* trace/plant.c - planted damage, see plant.h; empty without MP_TESTING.
 *
 * tests/unit/test_invariants.py plants each invariant of trace/invariants.def in turn
 * and expects that the check of a debug build stops the process and names it.  So each
 * invariant has a case here that breaks it in the smallest way, one that does no other
 * harm before the check runs.  Nothing is repaired: the process ends.
 *
 * A case answers false where the trace has nothing to break yet (no node of the wanted
 * kind, no write); the next check tries again. */
#include "trace/plant.h"

#ifdef MP_TESTING

#include <string.h>

#include "plan/value.h"

static int planted = -1;  // mp_invariant, -1: none

int
mp_plant_set_invariant(const char *id)
{
    static const char *const ids[] = {
#define INVARIANT(name, part, text) #name,
#include "trace/invariants.def"
#undef INVARIANT
    };
    planted = -1;
    for (int i = 0; id != NULL && i < MP_I_COUNT; i++) {
        if (strcmp(ids[i], id) == 0) {  // mp-ok: the table's own ids
            planted = i;
        }
    }
    if (id != NULL && planted < 0) {
        PyErr_Format(PyExc_ValueError, "no invariant %s", id);
        return -1;
    }
    return 0;
}

/* -- Where ---------------------------------------------------------------------------- */

/* The first node of the graph for which `wanted` holds, or NULL. */
static mp_node *
node_where(const mp_trace *T, bool (*wanted)(const mp_trace *, const mp_node *))
{
    for (int32_t i = 0; i < T->graph.n_nodes; i++) {
        if (wanted(T, T->graph.nodes[i])) {
            return T->graph.nodes[i];
        }
    }
    return NULL;
}

static bool
is_fresh(const mp_trace *T, const mp_node *n)
{
    return n->kind == MP_NODE_FRESH;
}

static bool
is_external(const mp_trace *T, const mp_node *n)
{
    return n->kind == MP_NODE_EXTERNAL && !n->released;
}

static bool
is_loose_end(const mp_trace *T, const mp_node *n)  // only its type is guarded
{
    return is_external(T, n) && !n->pinned
           && T->guards->ops[T->guards->def[n->reg]].kind != MP_G_LOAD_CONST;
}

static bool
has_child(const mp_trace *T, const mp_node *n)
{
    return n->child != NULL;
}

static bool
is_written(const mp_trace *T, const mp_node *n)
{
    return is_external(T, n) && n->written != NULL;
}

static bool
is_result(const mp_trace *T, const mp_node *n)
{
    return n->kind == MP_NODE_TENSOR && n->reg < 0 && n->leaf != NULL;
}

static bool
is_input(const mp_trace *T, const mp_node *n)
{
    return n->kind == MP_NODE_TENSOR && n->reg >= 0 && n->leaf != NULL;
}

/* The first valid entry of the journal of this kind, or NULL. */
static mp_write *
write_where(mp_trace *T, mp_write_kind kind)
{
    for (int i = 0; i < T->n_writes; i++) {
        if (T->writes[i].kind == kind && !T->writes[i].dead) {
            return &T->writes[i];
        }
    }
    return NULL;
}

/* The guard that tests the type of n's object, or NULL. */
static mp_guard *
type_test_of(mp_trace *T, const mp_node *n)
{
    for (int32_t i = 0; n != NULL && i < T->guards->n_ops; i++) {
        mp_guard *op = &T->guards->ops[i];
        if (op->kind == MP_G_TYPE_IS && op->a == n->reg) {
            return op;
        }
    }
    return NULL;
}

/* -- Breaking, by part: true if it was there ------------------------------------------- */

/* Invariants of the graph of objects: nodes, registers, guards. */
static bool
break_graph(mp_trace *T)
{
    mp_refgraph *g = &T->graph;
    mp_node *n = node_where(T, is_external);
    switch (planted) {
    case MP_I_SLOTS:
        g->used_slots++;
        return true;
    case MP_I_SEEN:
        g->used_seen++;
        return true;
    case MP_I_NODE_KIND:
        if ((n = node_where(T, is_fresh)) != NULL) {
            n->reg = 0;
        }
        return n != NULL;
    case MP_I_NODE_FOUND:
        mp_refgraph_forget(g, n->obj);
        return true;
    case MP_I_NODE_REGISTER:
        g->by_reg[n->reg] = NULL;
        return true;
    case MP_I_NODE_GUARDED: {
        mp_guard *op = type_test_of(T, node_where(T, is_loose_end));
        if (op != NULL) {
            op->kind = MP_G_SLOT_EMPTY;
        }
        return op != NULL;
    }
    case MP_I_NODE_PINNED:
        if ((n = node_where(T, is_loose_end)) != NULL) {
            n->pinned = true;
        }
        return n != NULL;
    case MP_I_NODE_CHILDREN:
        if ((n = node_where(T, has_child)) != NULL) {
            n->child->sibling = n->child;
        }
        return n != NULL;
    case MP_I_NODE_RELEASED:
        if ((n = node_where(T, is_written)) != NULL) {
            n->released = true;
        }
        return n != NULL;
    case MP_I_LOOSE:
        g->n_loose = g->cap_loose + 1;
        return true;
    default:
        T->guards->ops[T->guards->n_ops - 1].a = T->guards->n_regs;
        return planted == MP_I_GUARD_ORDER;
    }
}

/* Invariants of the journal of writes. */
static bool
break_journal(mp_trace *T)
{
    mp_write *w = write_where(T, planted == MP_I_WRITE_APPEND    ? MP_W_APPEND
                                 : planted == MP_I_WRITE_CONTENT ? MP_W_CONTENT
                                                                 : MP_W_KEY_SET);
    mp_node *fresh = node_where(T, is_fresh);
    if (w == NULL || fresh == NULL) {
        return false;
    }
    switch (planted) {
    case MP_I_WRITE_NODE:
        w->node = fresh;
        break;
    case MP_I_WRITE_PLACE:
        w->kind = MP_W_CELL;
        break;
    case MP_I_WRITE_NEWEST:
        return mp_node_mark_written(w->node, w->key, -1) == 0;
    case MP_I_WRITE_APPEND:
        w->index++;
        break;
    case MP_I_WRITE_CONTENT:
        w->dead = true;
        break;
    default:
        T->lets_go = false;
        break;
    }
    return true;
}

/* An instruction that comes with another depth of the stack becomes the one in progress. */
static bool
break_depth(mp_shadow *s)
{
    const mp_code_info *info = s->info;
    for (int i = 0; i < info->count && mp_frame_depth_saved(s->f) >= 0; i++) {
        if (info->at[i].op >= 0 && info->at[i].depth > info->at[s->pending].depth) {
            s->pending = i;
            return true;
        }
    }
    return false;
}

/* A value on the stack loses its node. */
static bool
break_values(mp_trace *T, const mp_shadow *s)
{
    for (int i = 0; i < s->info->at[s->pending].depth; i++) {
        PyObject *v = mp_frame_stack_borrow(s->f, i);
        const mp_node *n = v == NULL ? NULL : mp_refgraph_at(&T->graph, v);
        if (n != NULL && n->kind == MP_NODE_FRESH && !PyTuple_Check(v)) {
            mp_refgraph_forget(&T->graph, v);
            return true;
        }
    }
    return false;
}

/* An empty local is noted as a constant that is not loaded yet. */
static bool
break_unread(mp_shadow *s)
{
    int n = s->info->code->co_nlocalsplus;
    if (s->unread == NULL) {
        s->unread = PyMem_Calloc((size_t)n + 1, 1);
    }
    for (int i = 0; s->unread != NULL && i < n; i++) {
        if (mp_frame_local_borrow(s->f, i) == NULL) {
            s->unread[i] = 1;
            return true;
        }
    }
    return false;
}

/* Invariants of the stack of shadow frames. */
static bool
break_frames(mp_trace *T)
{
    mp_shadow *top = &T->stack[T->n_stack - 1];
    bool called = T->n_stack > 1 && top->code_no == T->stack[T->n_stack - 2].code_no;
    switch (planted) {
    case MP_I_FRAME_ROOT:
        T->stack[0].root = false;
        return true;
    case MP_I_FRAME_CODE:
        top->code_no = -1;
        return true;
    case MP_I_FRAME_PENDING:
        T->stack[0].below = T->n_stack > 1 ? MP_BELOW_SKIP : T->stack[0].below;
        return T->n_stack > 1;
    case MP_I_FRAME_NEST:  // the function calls itself
        top->f = called ? T->stack[T->n_stack - 2].f : top->f;
        return called;
    case MP_I_FRAME_DEPTH:
        return break_depth(top);
    case MP_I_FRAME_VALUES:
        return break_values(T, top);
    case MP_I_FRAME_UNREAD:
        return break_unread(top);
    case MP_I_FRAME_OWNER:
        top->owns_op = !top->owns_op;
        return true;
    default:
        T->skip = 1;
        return planted == MP_I_FRAME_SKIP;
    }
}

/* Invariants of the log of operations and of the tensors in it. */
static bool
break_log(mp_trace *T)
{
    mp_node *result = node_where(T, is_result), *input = node_where(T, is_input);
    if (result == NULL || input == NULL || PyList_GET_SIZE(T->ops) < 2) {
        return false;
    }
    switch (planted) {
    case MP_I_LOG_ENTRY:
        return PyList_SetItem(T->ops, 0, Py_NewRef(Py_None)) == 0;
    case MP_I_LOG_ORDER:  // which of the two is found depends on the program
    case MP_I_LOG_RESULT:
        return PyList_Reverse(T->ops) == 0;
    case MP_I_LOG_LEAF:
        Py_SETREF(result->leaf, mp_value_new(mp_value_index(result->leaf)));
        return true;
    case MP_I_LOG_INPUT:
        Py_SETREF(input->leaf, mp_value_new(mp_value_index(input->leaf) + 1));
        return true;
    case MP_I_LOG_WRITTEN:
        input->changed = true;
        return true;
    default:
        input->version++;
        return planted == MP_I_LOG_VERSION;
    }
}

/* Invariants of the trace's own arrays and counters. */
static bool
break_counts(mp_trace *T)
{
    if (planted == MP_I_ARRAYS) {
        T->known = PyList_New(1);
        return T->known != NULL && PyList_SetItem(T->known, 0, Py_NewRef(Py_None)) == 0;
    }
    if (planted == MP_I_LOG_PENDING) {
        T->op.kwargs = T->op.target == NULL ? PyDict_New() : T->op.kwargs;
        return T->op.target == NULL;
    }
    T->n_locks = -1;
    return planted == MP_I_COUNTS;
}

bool
mp_plant_in_trace(mp_trace *T)
{
    if (planted < 0 || planted >= MP_I_PLAN_INPUT) {
        return false;
    }
    if (planted <= MP_I_GUARD_ORDER) {
        return break_graph(T);
    }
    if (planted <= MP_I_WRITE_LETS_GO) {
        return break_journal(T);
    }
    if (planted <= MP_I_FRAME_SKIP) {
        return break_frames(T);
    }
    return planted < MP_I_LOG_PENDING ? break_log(T) : break_counts(T);
}

void
mp_plant_in_plan(mp_trace *T, mp_plan *plan)
{
    if (planted == MP_I_PLAN_INPUT && plan->n_inputs > 0) {
        plan->inputs[0] = T->guards->n_regs;
    }
    if (planted == MP_I_PLAN_VALUE && plan->graph != NULL) {
        plan->n_outputs++;
    }
    if (planted == MP_I_PLAN_SOURCE && plan->replay->n_sources > 0) {
        plan->replay->source_regs[0] = T->guards->n_regs;
    }
}

#endif
