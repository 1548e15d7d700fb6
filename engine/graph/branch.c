/* graph/branch.c - a jump that a tensor decides becomes an operation of the graph.
 *
 *   if t: y = f(x)          y = branch(t, graph of f(x), graph of g(x))
 *   else: y = g(x)
 *
 * The arms meet at one instruction of the same frame.  The one that the program does not take
 * is recorded first, in a copy of the frame (run/arm.c); then the program takes the other one,
 * watched as ever.  Where they meet, each local and each value on the stack is compared
 * (mp_branch_join): what both have left as it was stays, tensors become results.
 * R: a result is known by the address of the tensor that the program has.  So nothing else may
 * hold a tensor that was there before and is a result of an arm, nor share its memory: on a
 * hit the result may be a copy, or the other arm's.
 * R: neither arm changes what was there before (python/body.c). */
#include "graph/graph.h"

#include <string.h>

#include "objects/equal.h"
#include "objects/operators.h"
#include "plan/value.h"

enum { MAX_NESTED = 64 };

static mp_rc
branch_refuse(mp_trace *T, const char *why)
{
    return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "%s", why);
}

bool
mp_is_undecided(mp_trace *T, PyObject *obj)
{
    const mp_node *n = T->compiling->flow && mp_tensor_is_any(obj)
                           ? mp_refgraph_find(&T->graph, obj)
                           : NULL;
    return is_tensor_node(n) && mp_tensor_is(obj) && !mp_tensor_is_constant(T, obj);
}

/* May the frame be copied? */
static bool
frame_can_branch(const mp_shadow *s)
{
    int flags = s->info->code->co_flags;
    PyObject *func = mp_frame_func_borrow(s->f);
    return (flags & CO_OPTIMIZED) && s->started && s->fresh && s->names == NULL
           && !(flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR))
           && s->handling == 0 && s->kwnames == NULL && PyFunction_Check(func)
           && ((PyFunctionObject *)func)->func_code == (PyObject *)s->info->code;
}

/* Does the instruction leave on the stack whether something is true? */
static bool
leaves_truth(const mp_instr *in)
{
    return in->op == MP_OP_CALL || in->op == MP_OP_TO_BOOL
           || (in->op == MP_OP_COMPARE_OP && in->flag);
}

bool
mp_branch_is_tested(const mp_shadow *s)
{
    if (s->pending < 0 || !leaves_truth(&s->info->at[s->pending])) {
        return false;
    }
    PyObject *tests = mp_region_module_borrow() == NULL
                          ? NULL
                          : PyObject_CallMethod(mp_region_module_borrow(), "is_tested",
                                                "Oi", s->info->code, s->pending);
    mp_err_drop();  // on doubt, not
    Py_XDECREF(tests);
    return tests == Py_True;
}

/* Where the arms are: from magpy.regions. */
static mp_rc
ask_shape(mp_trace *T, const mp_shadow *s, mp_region *r)
{
    r->call = PyObject_CallMethod(mp_region_module_borrow(), "branch_shape", "Oi",
                                  s->info->code, s->pending);
    if (r->call == NULL) {
        return MP_ERR;
    }
    if (PyUnicode_Check(r->call)) {
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "%U", r->call);
    }
    const mp_instr *in = &s->info->at[s->pending];
    r->calls = in->op == MP_OP_CALL;
    r->answers = leaves_truth(in);
    r->below = r->answers ? s->info->at[in->next].depth - 1 : in->depth - 1;
    r->others[0] = (int32_t)PyLong_AsLong(PyTuple_GET_ITEM(r->call, 0));
    r->others[1] = (int32_t)PyLong_AsLong(PyTuple_GET_ITEM(r->call, 1));
    PyObject *meets = PyTuple_GET_ITEM(r->call, 2);
    const char *all = PyBytes_AS_STRING(meets);
    const char *first = memchr(all, true, (size_t)PyBytes_GET_SIZE(meets));
    r->join = first == NULL ? MP_JOIN_RETURNS : (int32_t)(first - all);
    return MP_OK;
}

bool
mp_branch_may_begin(const mp_trace *T, const mp_shadow *s)
{
    return mp_region_module_borrow() != NULL && T->apply.cls == NULL
           && !T->compiling->trial && T->in_mode == MP_MODE_OFF && frame_can_branch(s)
           && !T->follows && T->n_levels == 0;
}

mp_rc
mp_branch_begin(mp_trace *T, mp_shadow *s, PyObject *tensor)
{
    if (!mp_branch_may_begin(T, s)) {
        return branch_refuse(T, "a branch in a place of this kind");
    }
    int depth = 0;
    for (const mp_region *outer = T->region; outer != NULL; outer = outer->outer) {
        depth++;
    }
    if (depth >= MAX_NESTED) {
        return branch_refuse(T, "branches that are nested too deeply");
    }
    mp_region *r = mp_region_new(T, (PyObject *)&PyBool_Type);
    if (r == NULL) {
        return MP_ERR;
    }
    mp_rc rc = ask_shape(T, s, r);
    rc = rc != MP_OK ? rc : mp_op_take(T, r->callee, &tensor, 1, NULL, MP_TORCH_CALL);
    if (rc == MP_OK && T->op.sized) {
        rc = mp_pin_everything(T);
    }
    if (rc == MP_OK && T->op.dynamic) {
        rc = branch_refuse(T, "a condition whose shape depends on data");
    }
    if (rc != MP_OK) {
        mp_op_drop(T);
        Py_DECREF(r);
        return rc;
    }
    r->op = T->op;
    memset(&T->op, 0, sizeof(T->op));
    T->op_caught = T->op_caught || mp_shadow_catches(s);
    mp_op_note_clash(T);
    r->outer = T->region;
    T->region = r;
    s->below = MP_BELOW_ARM;
    s->post = MP_POST_BRANCH;
    return MP_OK;
}

/* -- Arms ------------------------------------------------------------------------------ */

void
mp_arm_begin(mp_trace *T, mp_region *r, bool trial)
{
    r->n_ops = PyList_GET_SIZE(T->ops);
    T->trial = trial;
    T->inside = T->graph.n_nodes + 1;
    T->body = ++T->n_bodies;
}

static bool
returns(const mp_code_info *info, int index)
{
    int op = info->at[index].op;
    return op == MP_OP_RETURN_VALUE || op == MP_OP_RETURN_CONST;
}

mp_region *
mp_branch_at(const mp_trace *T, const mp_shadow *s, int index)
{
    mp_region *r = T->region;
    if (r == NULL || !mp_is_branch(r) || T->inside == 0) {
        return NULL;
    }
    bool here = r->arrived ? T->n_stack - 1 == r->depth
                           : s->arm && T->n_stack - 1 == r->depth + 1;
    const char *meets = PyBytes_AS_STRING(PyTuple_GET_ITEM(r->call, 2));
    bool ends = r->join == MP_JOIN_RETURNS ? returns(s->info, index) : meets[index];
    return here && (ends || s->info->is_handler[index]) ? r : NULL;
}

/* How many variables and values on the stack there are where an arm ends; a constant that is
 * returned is on top of the stack. */
static int32_t
count_slots(const mp_shadow *s, int index)
{
    const mp_instr *in = &s->info->at[index];
    return s->info->code->co_nlocalsplus + in->depth + (in->op == MP_OP_RETURN_CONST);
}

static PyObject *
frame_slot(const mp_shadow *s, int index, int32_t i)
{
    const mp_instr *in = &s->info->at[index];
    int n = s->info->code->co_nlocalsplus;
    if (in->op == MP_OP_RETURN_CONST && i == n + in->depth) {
        return PyTuple_GET_ITEM(s->info->code->co_consts, in->arg);
    }
    return i < n ? mp_frame_local_borrow(s->f, i) : mp_frame_stack_borrow(s->f, i - n);
}

/* A value that an arm has left in a variable: *leaf of a tensor, new, else NULL. */
static mp_rc
value_leaf(mp_trace *T, PyObject *value, PyObject **leaf)
{
    mp_val n;
    *leaf = NULL;
    if (value == NULL) {
        return MP_OK;
    }
    if (!mp_is_constant(value) && !mp_tensor_is_any(value)) {
        return MP_OK;  // compared by address
    }
    mp_rc rc = mp_value(T, value, &n);
    if (rc != MP_OK || !mp_val_is_tensor(n)) {
        return rc;
    }
    if (n.node->dynamic) {
        return branch_refuse(T, "a result whose shape depends on data");
    }
    return mp_op_value(T, n.node, leaf);
}

/* The operations of the arm leave the log of the run: new list. */
static PyObject *
take_ops(mp_trace *T, mp_region *r)
{
    Py_ssize_t size = PyList_GET_SIZE(T->ops);
    PyObject *ops = PyList_GetSlice(T->ops, r->n_ops, size);
    if (ops != NULL && PyList_SetSlice(T->ops, r->n_ops, size, NULL) < 0) {
        Py_CLEAR(ops);
    }
    return ops;
}

mp_rc
mp_arm_arrive(mp_trace *T, mp_shadow *s, mp_region *r, int index)
{
    if (s->info->is_handler[index]) {
        return branch_refuse(T, "an exception in a branch");
    }
    const mp_shadow *outer = &T->stack[r->depth];
    int32_t n = count_slots(s, index);
    r->slots = PyMem_Calloc((size_t)n + 1, sizeof(*r->slots));
    r->leaves = PyMem_Calloc((size_t)n + 1, sizeof(*r->leaves));
    if (r->slots == NULL || r->leaves == NULL) {
        PyErr_NoMemory();
        return MP_ERR;
    }
    r->n_slots = n;
    mp_rc rc = MP_OK;
    for (int32_t i = 0; i < n && rc == MP_OK; i++) {
        PyObject *value = frame_slot(s, index, i);
        r->slots[i] = Py_XNewRef(value);
        bool local = i < s->info->code->co_nlocalsplus;
        if (local && s->unread != NULL && s->unread[i] != 0) {
            continue;  // as it was
        }
        bool same = local && value == mp_frame_local_borrow(outer->f, i);
        rc = same ? MP_OK : value_leaf(T, value, &r->leaves[i]);
    }
    PyObject *ops = rc == MP_OK ? take_ops(T, r) : NULL;
    if (rc == MP_OK && (ops == NULL || PyList_Append(r->bodies, ops) < 0)) {
        rc = MP_ERR;
    }
    Py_XDECREF(ops);
    r->arrived = rc == MP_OK;
    return rc;
}

/* -- Writes ---------------------------------------------------------------------------------- */

/* What was there before the arm, and shares memory with a tensor: its place among the nodes, if it
 * is one and no more; -1. */
static int32_t
written_from_before(const mp_trace *T, PyObject *tensor)
{
    uintptr_t lo, hi, other_lo, other_hi;
    int32_t found = -1;
    if (mp_tensor_extent(tensor, &lo, &hi) <= 0) {
        return -1;
    }
    for (int32_t i = 0; i < T->inside - 1; i++) {
        const mp_node *n = T->graph.nodes[i];
        if (n->kind != MP_NODE_TENSOR || (n->reg < 0 && !mp_node_is_alive(n))) {
            continue;
        }
        if (!mp_node_is_alive(n)
            || mp_tensor_extent(n->obj, &other_lo, &other_hi) <= 0) {
            return -1;
        }
        if (lo < other_hi && other_lo < hi) {
            if (found >= 0 || n->reg >= 0) {
                return -1;
            }
            found = i;
        }
    }
    return found;
}

/* What the arm that is not taken writes is put back when it has ended. */
static mp_rc
keep_content(mp_trace *T, mp_region *r, PyObject *tensor)
{
    PyObject *kept =
        PyObject_CallMethod(mp_region_module_borrow(), "kept", "O", tensor);
    if (kept == NULL) {
        mp_err_drop();  // of inference mode
        return branch_refuse(T, "a tensor that cannot be put back is written");
    }
    r->undo = r->undo == NULL ? PyList_New(0) : r->undo;
    int rc = r->undo == NULL ? -1 : PyList_Append(r->undo, kept);
    Py_DECREF(kept);
    return rc < 0 ? MP_ERR : MP_OK;
}

mp_rc
mp_arm_write(mp_trace *T, PyObject *tensor)
{
    int32_t at = written_from_before(T, tensor), inside = T->inside;
    mp_node *n = at < 0 ? NULL : T->graph.nodes[at];
    if (n == NULL || !mp_tensor_is(n->obj) || n->dynamic || n->sized || T->uncounted
        || mp_tensor_requires_grad(n->obj) || mp_tensor_requires_grad(tensor)) {
        return branch_refuse(T, "a tensor from outside is written");
    }
    // R: what autograd notes of a write is not put back.
    for (int i = 0; mp_grad_is_enabled() && i < T->op.n_inputs; i++) {
        if (mp_tensor_requires_grad(T->op.inputs[i])) {
            return branch_refuse(T, "a write with gradients");
        }
    }
    PyObject *leaf = NULL;
    mp_region *aside =
        NULL;  // the innermost arm that is not taken, and does not own it
    mp_rc rc = mp_op_value(T, n, &leaf);
    for (mp_region *r = T->region; rc == MP_OK && r != NULL && at < inside - 1;
         r = r->outer) {
        if (!mp_is_branch(r)) {
            rc = branch_refuse(T, "a tensor from outside is written");
            break;
        }
        r->written = r->written == NULL ? PyList_New(0) : r->written;
        rc = r->written == NULL || PyList_Append(r->written, leaf) < 0 ? MP_ERR : MP_OK;
        aside = aside == NULL && !r->arrived ? r : aside;
        inside = r->inside;
    }
    Py_XDECREF(leaf);
    return rc != MP_OK || aside == NULL ? rc : keep_content(T, aside, tensor);
}

/* -- Where they meet --------------------------------------------------------------------- */

typedef struct {
    mp_trace *T;
    mp_region *r;
    mp_shadow *s;
    int index;
    const char *live;         // by local
    PyObject *ours, *theirs;  // owned lists of leaves: the arm taken, the other
    PyObject *grads;          // owned list of bools
    mp_node **nodes;          // owned: those of the results
    int32_t *at;              // owned: a slot of each
    int32_t n;
    bool
        stale;  // a variable that is not read any more holds what one arm has put there
} meeting;

static bool
is_live(const meeting *m, int32_t i)
{
    bool local = i < m->s->info->code->co_nlocalsplus;
    if (m->r->join == MP_JOIN_RETURNS) {
        return i == m->r->n_slots - 1;  // what is returned
    }
    return !local || m->live[i] != 0;
}

/* Has the arm in progress made this tensor? */
static bool
is_arms(const mp_trace *T, const mp_node *n)
{
    for (int32_t i = T->graph.n_nodes; i-- > T->inside - 1;) {
        if (T->graph.nodes[i] == n) {
            return n->reg < 0;
        }
    }
    return false;
}

/* Does a tensor that was there before share its memory? */
static bool
shares(const mp_trace *T, PyObject *tensor)
{
    uintptr_t lo, hi, other_lo, other_hi;
    if (mp_tensor_extent(tensor, &lo, &hi) <= 0) {
        return true;
    }
    for (int32_t i = 0; i < T->inside - 1; i++) {
        const mp_node *n = T->graph.nodes[i];
        if (n->kind != MP_NODE_TENSOR || (n->reg < 0 && !mp_node_is_alive(n))
            || n->obj == tensor) {
            continue;
        }
        if (!mp_node_is_alive(n)  // what it was a view of, nobody knows
            || mp_tensor_extent(n->obj, &other_lo, &other_hi) <= 0
            || (lo < other_hi && other_lo < hi)) {
            return true;
        }
    }
    return false;
}

/* How often do the variables of the frame and those of the other arm hold it?  -1: in a
 * variable that will be read, and holds another one in the other arm. */
static Py_ssize_t
count_holders(const meeting *m, PyObject *tensor, int32_t at)
{
    Py_ssize_t found = 0;
    for (int32_t i = 0; i < m->r->n_slots; i++) {
        PyObject *ours = frame_slot(m->s, m->index, i);
        found += m->r->slots[i] == tensor;
        if (ours != tensor) {
            continue;
        }
        found++;
        if (is_live(m, i)
            && (ours != frame_slot(m->s, m->index, at)
                || m->r->slots[i] != m->r->slots[at])) {
            return -1;
        }
    }
    for (int i = 0; i < m->r->op.n_inputs; i++) {
        found += m->r->op.inputs[i] == tensor;
    }
    return found;
}

/* How many of its references are torch's: autograd has saved it, or it has a view. */
static int
held_by_torch(PyObject *tensor)
{
    PyObject *count = PyObject_CallMethod(tensor, "_use_count", NULL);
    int held = count != NULL && PyLong_AsLong(count) > 1;
    mp_err_drop();  // on doubt, none
    Py_XDECREF(count);
    return held;
}

/* A tensor that was there before the branch, and is what an arm ends with: nobody else may
 * have it. */
static bool
is_private(const meeting *m, PyObject *tensor, int32_t at)
{
    const mp_node *n = mp_refgraph_find(&m->T->graph, tensor);
    return n != NULL && n->reg < 0 && !n->attrs
           && count_holders(m, tensor, at) == Py_REFCNT(tensor) - held_by_torch(tensor)
           && !shares(m->T, tensor);
}

static bool
is_leaf_with_grad(PyObject *tensor)
{
    PyObject *leaf = PyObject_GetAttrString(tensor, "is_leaf");
    PyObject *asks = PyObject_GetAttrString(tensor, "requires_grad");
    bool both = leaf != Py_False && asks != Py_False;
    Py_XDECREF(leaf);
    Py_XDECREF(asks);
    mp_err_drop();  // on doubt, yes
    return both;
}

/* 1: both look alike to the program; 0; -1 with an exception */
static int
look_alike(PyObject *a, PyObject *b)
{
    PyObject *same =
        PyObject_CallMethod(mp_region_module_borrow(), "look_alike", "OO", a, b);
    int rc = same == NULL ? -1 : same == Py_True;
    Py_XDECREF(same);
    return rc;
}

static mp_rc
add_result(meeting *m, int32_t i, PyObject *ours, PyObject *theirs, PyObject *leaf)
{
    mp_trace *T = m->T;
    mp_node *n = mp_refgraph_find(&T->graph, ours);
    int alike = look_alike(ours, theirs);
    if (alike <= 0) {
        return alike < 0
                   ? MP_ERR
                   : branch_refuse(T, "a tensor of another kind in the other arm");
    }
    for (int32_t k = 0; k < m->n; k++) {
        bool same = frame_slot(m->s, m->index, m->at[k]) == ours;
        if (same != (m->r->slots[m->at[k]] == theirs)) {
            return branch_refuse(T, "two variables with one tensor, in one arm");
        }
        if (same) {
            return MP_OK;
        }
    }
    PyObject *other = m->r->leaves[i];
    bool theirs_is_new = mp_refgraph_find(&T->graph, theirs) == NULL;
    if (other == NULL) {  // the other arm has left it as it was
        mp_node *before = mp_refgraph_find(&T->graph, theirs);
        mp_rc rc = is_tensor_node(before)
                       ? mp_op_value(T, before, &m->r->leaves[i])
                       : branch_refuse(T, "a tensor that is not known");
        if (rc != MP_OK) {
            return rc;
        }
        other = m->r->leaves[i];
    }
    bool apart = (is_arms(T, n) ? !shares(T, ours) : is_private(m, ours, i))
                 && (theirs_is_new ? !shares(T, theirs) : is_private(m, theirs, i));
    if (!apart || is_leaf_with_grad(ours) || is_leaf_with_grad(theirs)) {
        return branch_refuse(T, "a result that is also somewhere else");
    }
    PyObject *asks = PyObject_GetAttrString(ours, "requires_grad");
    int rc = asks == NULL ? -1 : PyList_Append(m->ours, leaf);
    rc = rc < 0 ? rc : PyList_Append(m->theirs, other);
    rc = rc < 0 ? rc : PyList_Append(m->grads, asks);
    Py_XDECREF(asks);
    if (rc < 0) {
        return MP_ERR;
    }
    m->nodes[m->n] = n;
    m->at[m->n++] = i;
    return MP_OK;
}

/* One variable, where both arms are at their ends. */
static mp_rc
meet_slot(meeting *m, int32_t i)
{
    mp_trace *T = m->T;
    PyObject *ours = frame_slot(m->s, m->index, i), *theirs = m->r->slots[i], *leaf;
    if (ours == theirs) {
        return MP_OK;
    }
    if (!is_live(m, i)) {
        m->stale = true;
        return MP_OK;
    }
    if (ours == NULL || theirs == NULL) {
        return branch_refuse(T, "a variable that one arm does not set");
    }
    if (mp_tensor_is(ours) && mp_tensor_is(theirs)) {
        mp_rc rc = value_leaf(T, ours, &leaf);
        if (rc == MP_OK && leaf == NULL) {
            rc = branch_refuse(T, "a tensor that is not known");
        }
        rc = rc != MP_OK ? rc : add_result(m, i, ours, theirs, leaf);
        Py_XDECREF(leaf);
        return rc;
    }
    if (mp_is_constant(ours) && mp_is_constant(theirs)) {
        mp_rc rc = value_leaf(T, ours, &leaf);
        bool same = Py_TYPE(ours) == Py_TYPE(theirs) && mp_guard_equals(ours, theirs);
        return rc != MP_OK || same ? rc : branch_refuse(T, "a number that differs");
    }
    return branch_refuse(T, "an object that differs");
}

/* The operation that stands for the branch goes into the log. */
static mp_rc
log_branch(meeting *m, PyObject *ops)
{
    mp_trace *T = m->T;
    mp_region *r = m->r;
    PyObject *other = PyList_GET_ITEM(r->bodies, 0);
    bool truth = r->truth != 0;
    PyObject *row = PyObject_CallMethod(
        mp_region_module_borrow(), "join", "O((OO)(OO))OO", r->op.args,
        truth ? ops : other, truth ? m->ours : m->theirs, truth ? other : ops,
        truth ? m->theirs : m->ours, m->grads,
        r->written == NULL ? Py_None : r->written);
    if (row == NULL) {
        return MP_ERR;
    }
    if (PyUnicode_Check(row)) {
        mp_rc rc = mp_trace_abort(T, MP_AB_CONTROL_FLOW, "%U", row);
        Py_DECREF(row);
        return rc;
    }
    PyObject *tree = PyTuple_New(m->n), *entry = NULL;
    for (int32_t k = 0; tree != NULL && k < m->n; k++) {
        PyObject *leaf = mp_value_new(-1 - T->n_values);
        if (leaf == NULL) {
            Py_CLEAR(tree);
            break;
        }
        T->n_values++;
        PyTuple_SET_ITEM(tree, k, leaf);
    }
    PyObject *target = PyTuple_GET_ITEM(row, 0), *args = PyTuple_GET_ITEM(row, 1);
    PyObject *kwargs = PyDict_New();
    if (tree != NULL && kwargs != NULL) {
        entry = PyTuple_Pack(4, target, args, kwargs, tree);
    }
    int rc = -1;
    if (entry != NULL) {
        mp_op_drop(T);
        T->op.target = Py_NewRef(target);
        T->op.effects = mp_op_effects(target);
        mp_op_note_raises(T);
        mp_op_drop(T);
        rc = PyList_Append(T->ops, entry);
    }
    for (int32_t k = 0; rc == 0 && k < m->n; k++) {
        // A new node: the one before keeps its Value, which the log has used.
        m->nodes[k] =
            mp_refgraph_add_tensor(&T->graph, frame_slot(m->s, m->index, m->at[k]), -1);
        rc = m->nodes[k] == NULL ? -1 : 0;
        if (rc == 0) {
            m->nodes[k]->leaf = Py_NewRef(PyTuple_GET_ITEM(tree, k));
        }
    }
    Py_XDECREF(entry);
    Py_XDECREF(kwargs);
    Py_XDECREF(tree);
    Py_DECREF(row);
    return rc < 0 ? MP_ERR : MP_OK;
}

/* Tensors of the arm that are no results mean nothing any more. */
static void
forget_others(const meeting *m)
{
    mp_trace *T = m->T;
    for (int32_t i = T->inside - 1; i < T->graph.n_nodes; i++) {
        mp_node *n = T->graph.nodes[i];
        bool keeps = n->kind != MP_NODE_TENSOR || n->reg >= 0 || !mp_node_is_alive(n);
        for (int32_t k = 0; k < m->n && !keeps; k++) {
            keeps = m->nodes[k] == n;
        }
        if (!keeps && mp_refgraph_find(&T->graph, n->obj) == n) {
            mp_refgraph_forget(&T->graph, n->obj);
        }
    }
}

static mp_rc
meet(meeting *m)
{
    mp_trace *T = m->T;
    mp_region *r = m->r;
    PyObject *ops = NULL;
    int32_t n = count_slots(m->s, m->index);
    if (m->s->info->is_handler[m->index]) {
        return branch_refuse(T, "an exception in a branch");
    }
    if (n != r->n_slots) {
        return branch_refuse(T, "arms that end in different blocks");
    }
    mp_rc rc = MP_OK;
    for (int32_t i = 0; i < n && rc == MP_OK; i++) {
        rc = meet_slot(m, i);
    }
    if (rc == MP_OK && (ops = take_ops(T, r)) == NULL) {
        rc = MP_ERR;
    }
    bool computes = rc == MP_OK
                    && (PyList_GET_SIZE(ops) > 0
                        || PyList_GET_SIZE(PyList_GET_ITEM(r->bodies, 0)) > 0);
    bool logs = m->n > 0 || r->written != NULL;
    if (computes && !logs) {  // (they may raise, or draw random numbers)
        rc = branch_refuse(T, "operations whose results nobody reads");
    }
    rc = rc != MP_OK || !logs ? rc : log_branch(m, ops);
    Py_XDECREF(ops);
    if (rc == MP_OK) {
        forget_others(m);
    }
    return rc;
}

mp_rc
mp_branch_join(mp_trace *T, mp_shadow *s, mp_region *r, int index)
{
    assert(r == T->region && r->arrived);
    size_t n = (size_t)r->n_slots + 1;
    meeting m = {.T = T,
                 .r = r,
                 .s = s,
                 .index = index,
                 .live = PyBytes_AS_STRING(PyTuple_GET_ITEM(r->call, 3)),
                 .ours = PyList_New(0),
                 .theirs = PyList_New(0),
                 .grads = PyList_New(0),
                 .nodes = PyMem_Calloc(n, sizeof(mp_node *)),
                 .at = PyMem_Calloc(n, sizeof(int32_t))};
    mp_rc rc = MP_ERR;
    if (m.ours != NULL && m.theirs != NULL && m.grads != NULL && m.nodes != NULL
        && m.at != NULL) {
        rc = meet(&m);
    }
    else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    Py_XDECREF(m.ours);
    Py_XDECREF(m.theirs);
    Py_XDECREF(m.grads);
    PyMem_Free(m.nodes);
    PyMem_Free(m.at);
    if (rc == MP_OK) {
        T->branches = true;
        T->stale_at = m.stale && T->stale == 0 ? r->site : T->stale_at;
        T->stale = m.stale && T->stale == 0 ? r->depth + 1 : T->stale;
        T->inside = r->inside;
        T->body = r->body;
        T->region = r->outer;
        r->outer = NULL;
        r->T = NULL;
        Py_DECREF(r);
    }
    return rc;
}
