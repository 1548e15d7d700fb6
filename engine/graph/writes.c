/* graph/writes.c - which inputs the operations of a run write to, and what follows from
 * that.
 *
 * Torch counts writes per memory (`_version`), so a write through a view shows on its
 * base.  Not all writes count: inference tensors have no counter, some kernels do not
 * increment it (running statistics), and some memory has several counters (t.data,
 * unsafe_chunk).  There the schema of the operation decides (_effects.py), and overlap of
 * memory.
 * R: an operation that may raise for the values of its tensors may stand in a `try` block
 * that would end its exception only if everything that the graph writes can be undone: the
 * handler runs in eager mode, from the entry on. */
#include "graph/graph.h"

#include <string.h>

#include "objects/operators.h"
#include "plan/value.h"
#include "torch/levels.h"

/* Of the memory that a tensor has, or the one that it wraps. */
static int
bare_extent(PyObject *tensor, uintptr_t *lo, uintptr_t *hi)
{
    PyObject *bare = mp_level_bare(tensor);
    int found = mp_tensor_extent(bare, lo, hi);
    Py_DECREF(bare);
    return found;
}

static bool
tensors_overlap(PyObject *a, PyObject *b)
{
    uintptr_t lo, hi, other_lo, other_hi;
    return bare_extent(a, &lo, &hi) > 0 && bare_extent(b, &other_lo, &other_hi) > 0
           && lo < other_hi && other_lo < hi;
}

/* Argument `at` of the operation, or the keyword: borrowed, or NULL. */
static PyObject *
op_argument(const mp_pending_op *op, Py_ssize_t at, PyObject *name)
{
    assert(op->args != NULL && op->kwargs != NULL);
    PyObject *value = PyDict_GetItemWithError(op->kwargs, name);
    mp_err_drop();  // texts compare without errors
    return value == NULL && at < PyTuple_GET_SIZE(op->args)
               ? PyTuple_GET_ITEM(op->args, at)
               : value;
}

static int
is_leaf(void *leaf, PyObject *part)
{
    return part == leaf;
}

/* Is the tensor with this leaf in an argument tree? */
static bool
tree_holds(PyObject *tree, PyObject *leaf)
{
    return mp_tree_walk(tree, is_leaf, leaf) != 0;
}

/* `training`, `inplace`, `max_norm`: (position, name, default), or None: always. */
static bool
write_happens(const mp_pending_op *op, PyObject *unless)
{
    if (unless == Py_None) {
        return true;
    }
    PyObject *value = op_argument(op, PyLong_AsSsize_t(PyTuple_GET_ITEM(unless, 0)),
                                  PyTuple_GET_ITEM(unless, 1));
    value = value == NULL ? PyTuple_GET_ITEM(unless, 2) : value;
    return value != Py_False && value != Py_None;
}

/* One of `writes`: (unless, ((position, name), ...)). */
static bool
write_has(const mp_pending_op *op, PyObject *write, PyObject *leaf)
{
    PyObject *places = PyTuple_GET_ITEM(write, 1);
    if (!write_happens(op, PyTuple_GET_ITEM(write, 0))) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(places); i++) {
        PyObject *place = PyTuple_GET_ITEM(places, i);
        Py_ssize_t at = PyLong_AsSsize_t(PyTuple_GET_ITEM(place, 0));
        if (tree_holds(op_argument(op, at, PyTuple_GET_ITEM(place, 1)), leaf)) {
            return true;
        }
    }
    return false;
}

/* Does torch say that the operation writes to input i? */
static bool
op_says_written(mp_trace *T, const mp_pending_op *op, int i)
{
    assert(i >= 0 && i < op->n_inputs);
    mp_node *n = mp_refgraph_find(&T->graph, op->inputs[i]);
    if (n == NULL || n->leaf == NULL) {
        return false;
    }
    if (tree_holds(mp_dict_text_borrow(op->kwargs, "out"), n->leaf)) {
        return true;
    }
    PyObject *writes = op->effects == NULL ? NULL : PyTuple_GET_ITEM(op->effects, 1);
    for (Py_ssize_t k = 0; writes != NULL && k < PyTuple_GET_SIZE(writes); k++) {
        if (write_has(op, PyTuple_GET_ITEM(writes, k), n->leaf)) {
            return true;
        }
    }
    return false;
}

/* Was input i written in place? */
static bool
op_input_changed(mp_trace *T, const mp_pending_op *op, int i, bool has_old)
{
    assert(i >= 0 && i < op->n_inputs);
    int64_t now = mp_tensor_version(op->inputs[i]);
    if (op->flags & MP_TORCH_WRITES) {
        return true;  // a kernel of its own: which one is not told
    }
    return now != op->versions[i] || (now < 0 && has_old) || op_says_written(T, op, i);
}

/* R: that a tensor requires grad, its views do, too, and those of its base if it is one. */
static void
note_grad(mp_node *n)
{
    n->regraded = n->regraded
                  || (n->reg >= 0
                      && (!mp_node_is_alive(n)
                          || mp_tensor_requires_grad(n->obj) != n->required));
}

static void
node_changed(mp_trace *T, mp_node *n)
{
    assert(n->reg >= 0);
    note_grad(n);
    if (!n->changed) {
        // What a `forward` did is done by one operation of the graph.
        Py_ssize_t at = T->apply.cls != NULL ? T->apply.n_ops : PyList_GET_SIZE(T->ops);
        n->wrote_at = (int32_t)at;
    }
    n->changed = true;
    T->wrote_input = true;
    T->wrote = T->wrote.code < 0 ? T->graph.at : T->wrote;
    mp_op_note_clash(T);
}

/* t.data = x, t.requires_grad_(), t.resize_(2): no memory was written, but t is another
 * tensor now. */
static void
note_state(mp_trace *T, const mp_pending_op *op)
{
    mp_node *n = op->n_inputs > 0 ? mp_refgraph_find(&T->graph, op->inputs[0]) : NULL;
    // Two tensors, whose counters are their own, may share memory from here on.
    T->uncounted = T->uncounted || op->n_inputs > 1;
    if (n == NULL) {
        return;
    }
    n->dynamic = n->dynamic || op->dynamic;
    if (n->reg >= 0) {
        note_grad(n);
        if (!n->changed && !n->restated) {
            n->wrote_at = (int32_t)PyList_GET_SIZE(T->ops);
        }
        T->wrote = T->wrote.code < 0 ? T->graph.at : T->wrote;
        n->restated = true;
        // (of t.data = x the store has told whether metadata changed)
        n->distinct = n->distinct || op->target != mp_operator_borrow("setattr");
        T->wrote_input = true;
        mp_op_note_clash(T);
    }
}

/* May a write to `written` have changed what `input` holds, although its counter does
 * not tell? */
static bool
shares_memory(mp_trace *T, PyObject *written, PyObject *input)
{
    return (T->uncounted || T->recounted) && tensors_overlap(written, input);
}

/* The run wrote to a tensor of its own that may be a view or an alias of an input. */
static void
note_indirect_write(mp_trace *T, PyObject *written)
{
    for (int i = 0; i < T->n_inputs; i++) {
        mp_node *n = T->inputs[i];
        // One that the run dropped, or that does not count, may have been meant.
        if (!n->changed
            && (!mp_node_is_alive(n) || n->version < 0
                || mp_tensor_version(n->obj) != n->version
                || shares_memory(T, written, n->obj))) {
            node_changed(T, n);
        }
    }
}

/* An input of the graph was written: itself, or through a view or an alias. */
static void
note_writes(mp_trace *T, const mp_pending_op *op, bool has_old)
{
    for (int i = 0; i < op->n_inputs; i++) {
        mp_node *n = mp_refgraph_find(&T->graph, op->inputs[i]);
        if (n == NULL || !op_input_changed(T, op, i, has_old)) {
            continue;
        }
        // The kernel does not count its writes, so only overlap of memory shows which
        // views it writes to.
        T->uncounted = T->uncounted
                       || (op->versions[i] >= 0
                           && mp_tensor_version(op->inputs[i]) == op->versions[i]);
        if (n->reg >= 0) {
            node_changed(T, n);
        }
        if (n->reg < 0 || T->uncounted) {
            note_indirect_write(T, op->inputs[i]);
        }
    }
}

bool
mp_op_mutated(mp_trace *T, bool has_old)
{
    const mp_pending_op *op = &T->op;
    bool mutated = false;
    if (op->flags & MP_TORCH_SETS_STATE) {
        return true;
    }
    if (op->flags & MP_TORCH_STATE) {
        note_state(T, op);
        return true;
    }
    for (int i = 0; i < op->n_inputs && !mutated; i++) {
        mutated = op_input_changed(T, op, i, has_old);
    }
    if (mutated) {
        note_writes(T, op, has_old);
    }
    return mutated;
}

/* May writing to this tensor be seen from outside of the run? */
static bool
is_of_outside(mp_trace *T, PyObject *tensor)
{
    mp_node *n = mp_refgraph_find(&T->graph, tensor);
    if (n == NULL || n->reg >= 0 || T->uncounted) {
        return true;
    }
    uintptr_t lo, hi, other_lo, other_hi;
    bool shares =
        bare_extent(tensor, &lo, &hi) <= 0 || (T->inside > 0 && !mp_body_made(T, n));
    // (Of a body, outside is all that was there before it.)
    for (int i = 0; i < T->inside - 1 && !shares; i++) {
        const mp_node *other = T->graph.nodes[i];
        shares = other->kind == MP_NODE_TENSOR && mp_node_is_alive(other)
                 && (bare_extent(other->obj, &other_lo, &other_hi) <= 0
                     || (lo < other_hi && other_lo < hi));
    }
    for (int i = 0; i < T->n_inputs && !shares; i++) {
        const mp_node *in = T->inputs[i];
        shares = !mp_node_is_alive(in)
                 || mp_tensor_extent(in->obj, &other_lo, &other_hi) <= 0
                 || (lo < other_hi && other_lo < hi);
    }
    return shares;
}

static bool
is_on_cpu(PyObject *tensor)
{
    PyObject *answer = PyObject_GetAttrString(mp_level_bare(tensor), "is_cpu");
    bool on = answer == Py_True;
    mp_err_drop();  // on doubt, not
    Py_XDECREF(answer);
    return on;
}

mp_rc
mp_op_check_trial(mp_trace *T)
{
    assert(T->trial || T->inside > 0);
    const mp_pending_op *op = &T->op;
    bool arm = T->region != NULL && mp_is_branch(T->region) && op->effects != NULL;
    bool writes = (op->flags & (MP_TORCH_STATE | MP_TORCH_WRITES)) != 0;
    for (int i = 0; !writes && i < op->n_inputs; i++) {
        bool says = op->effects == NULL || op_says_written(T, op, i);
        if (!says || !is_of_outside(T, op->inputs[i])) {
            continue;
        }
        mp_rc rc = arm ? mp_arm_write(T, op->inputs[i]) : MP_OK;
        if (rc != MP_OK) {
            return rc;
        }
        writes = !arm;
    }
    if (writes) {
        return mp_trace_abort(T, MP_AB_MUTATION, "a tensor, in a trial");
    }
    // R: what a kernel of an accelerator finds wrong ends the process.
    bool unasked = T->trial && mp_in_arm(T) && mp_op_may_raise(T);
    for (int i = 0; unasked && i < op->n_inputs; i++) {
        if (!is_on_cpu(op->inputs[i])) {
            return mp_trace_abort(T, MP_AB_CONTROL_FLOW,
                                  "an operation that may raise, not on the CPU");
        }
    }
    return MP_OK;
}

/* -- Memory with several counters -------------------------------------------------------------- */

static PyObject *
tensor_base(PyObject *tensor)
{
    PyObject *bare = mp_level_bare(tensor);
    PyObject *base = PyObject_GetAttrString(bare, "_base");
    mp_err_drop();  // without one it is its own
    if (base == NULL || base == Py_None) {
        Py_XSETREF(base, Py_NewRef(bare));
    }
    Py_DECREF(bare);
    return base;
}

void
mp_op_note_alias(mp_trace *T, PyObject *result)
{
    assert(mp_tensor_is_any(result));
    const mp_pending_op *op = &T->op;
    for (int i = 0; i < op->n_inputs && !T->uncounted; i++) {
        if (op->versions[i] < 0 || !tensors_overlap(result, op->inputs[i])) {
            continue;
        }
        PyObject *base = tensor_base(result), *other = tensor_base(op->inputs[i]);
        T->uncounted = base != other;
        // In inference mode a view of a tensor may have a counter of its own.
        T->recounted = T->recounted || !mp_grad_is_enabled();
        Py_DECREF(base);
        Py_DECREF(other);
    }
}

/* -- Putting back ------------------------------------------------------------------------------- */

// Of all written inputs together; _transaction.py has the same number.
static const int64_t UNDO_BYTES = 16 << 20;

/* x[1:, None]: in range when it was recorded, and so for every tensor of this shape. */
static bool
is_plain_index(PyObject *key)
{
    if (PyTuple_Check(key)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
            if (!is_plain_index(PyTuple_GET_ITEM(key, i))) {
                return false;
            }
        }
        return true;
    }
    if (PySlice_Check(key)) {
        const PySliceObject *sl = (PySliceObject *)key;
        return is_plain_index(sl->start) && is_plain_index(sl->stop)
               && is_plain_index(sl->step);
    }
    return key == Py_None || key == Py_Ellipsis || PyLong_CheckExact(key);
}

bool
mp_op_may_raise(const mp_trace *T)
{
    const mp_pending_op *op = &T->op;
    if (op->late != MP_LATE_NONE) {
        return op->late == MP_LATE_RAISES;
    }
    bool index = op->target == mp_operator_borrow("getitem")
                 || op->target == mp_operator_borrow("setitem");
    bool raises = op->effects == NULL
                  || PyLong_AsLong(PyTuple_GET_ITEM(op->effects, 0)) & MP_OP_RAISES;
    bool plain = index && is_plain_index(PyTuple_GET_ITEM(op->args, 1));
    return op->takes_late || (raises && !plain);
}

void
mp_op_note_raises(mp_trace *T)
{
    if (mp_op_may_raise(T)) {
        T->raises_at = (int32_t)PyList_GET_SIZE(T->ops);
    }
}

/* Can a written input be put back?  Adds its size. */
static bool
input_can_be_undone(const mp_node *n, int64_t *bytes)
{
    uintptr_t lo = 0, hi = 0;
    if (!mp_node_is_alive(n) || mp_tensor_extent(n->obj, &lo, &hi) < 0) {
        return false;
    }
    *bytes += (int64_t)(hi - lo);
    return true;
}

/* Has the run written to the history of an input, for gradients?  A view that has got one through
 * its base is not asked: the answer would make the grad_fn that it lacks, without which torch
 * refuses to change it. */
static bool
input_has_history(const mp_node *n)
{
    if (!mp_node_is_alive(n) || mp_tensor_requires_grad(n->obj) == 0) {
        return false;
    }
    if (!n->required && !n->restated) {
        return true;
    }
    PyObject *grad = PyObject_GetAttrString(n->obj, "grad_fn");
    bool has = grad != NULL && grad != Py_None;
    Py_XDECREF(grad);
    mp_err_drop();  // a tensor has grad_fn
    return has;
}

/* Has an operation given an input another shape, as `out=` does?  No copy of its memory puts that
 * back, and what is saved of restated inputs is not saved of others. */
static bool
was_reshaped(const mp_trace *T, const mp_node *n)
{
    const mp_tensor_meta *meta = NULL;
    for (int32_t i = 0; i < T->guards->n_ops && meta == NULL; i++) {
        const mp_guard *op = &T->guards->ops[i];
        meta = op->kind == MP_G_TENSOR && op->a == n->reg ? op->meta : NULL;
    }
    mp_tensor_meta *now =
        meta == NULL || !mp_node_is_alive(n) ? NULL : mp_tensor_meta_new(n->obj);
    bool other = now != NULL
                 && (now->ndim != meta->ndim
                     || memcmp(now->dims, meta->dims,
                               2 * (size_t)now->ndim * sizeof(now->dims[0]))
                            != 0);
    mp_tensor_meta_free(now);
    mp_err_drop();  // what has no description is judged by what was written
    return other;
}

mp_rc
mp_check_writes(mp_trace *T)
{
    int64_t bytes = 0;
    bool undone = true, history = false, state = false;
    for (int i = 0; T->wrote_input && i < T->n_inputs; i++) {
        const mp_node *n = T->inputs[i];
        if (n->changed || n->restated) {
            bool has_history = input_has_history(n);
            undone = undone && !has_history && input_can_be_undone(n, &bytes);
            history = history || (has_history && n->wrote_at <= T->raises_at);
            state =
                state
                || (!n->restated && n->wrote_at <= T->raises_at && was_reshaped(T, n));
        }
    }
    if (T->op_ended && !(undone && bytes <= UNDO_BYTES)) {
        // The handler would have to run, but the graph cannot be undone.
        mp_blame(T, T->clash);
        return mp_trace_abort(T, MP_AB_MUTATION,
                              "an input is written and an operation that may raise "
                              "stands in a try block");
    }
    if (T->op_filtered && !(undone && !state && bytes <= UNDO_BYTES)) {
        mp_blame(T, T->wrote);
        return mp_trace_abort(T, MP_AB_MUTATION,
                              "an input is written and the filters of warnings have "
                              "changed");
    }
    if (history && T->host != NULL) {  // else the exception is the graph's
        mp_blame(T, T->wrote);
        return mp_trace_abort(T, MP_AB_MUTATION,
                              "an input with gradients is written and an operation may "
                              "raise");
    }
    if (state && T->host != NULL) {
        mp_blame(T, T->wrote);
        return mp_trace_abort(T, MP_AB_MUTATION,
                              "an input gets another shape and an operation may raise");
    }
    return MP_OK;
}
