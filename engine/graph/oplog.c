/* graph/oplog.c - tensor operations of a run, in order, at the level at which users
 * wrote them.
 *
 *   mp_op_begin   before the call: resolve the flags of the row, copy the arguments
 *   (CPython runs the operation)
 *   mp_op_end     after it: did it write? what did it return? append an entry
 *
 * An entry is (target, args, kwargs, result): trees of Python containers and constants,
 * with a Value in place of each tensor.  Trees are copied before the call, so a list
 * that changes later does no harm.  The log owns no tensor; the operation in progress
 * (T->op) holds its inputs until it ends.
 *
 * R: a result that is a known tensor object is that tensor; the call is kept only if it
 * changed something. */
#include "graph/graph.h"

#include <string.h>

#include "objects/operators.h"
#include "objects/rows.h"
#include "plan/value.h"
#include "read/read.h"

/* -- Begin and end of an operation ----------------------------------------------------------- */

/* No operation is in progress. */
void
mp_op_drop(mp_trace *T)
{
    Py_CLEAR(T->op.target);
    Py_CLEAR(T->op.args);
    Py_CLEAR(T->op.kwargs);
    Py_CLEAR(T->op.arrays);
    Py_CLEAR(T->op.effects);
    T->op.array_use = MP_ARRAY_REFUSED;
    T->op.blind = T->op.odd = false;
    T->op.dynamic = T->op.sized = T->op.takes_numbers = false;
    T->op.n_parts = -1;
    T->op.late = MP_LATE_NONE;
    T->op.takes_late = T->op.late_first = T->op.late_slice = T->op.late_bool = false;
    while (T->op.n_inputs > 0) {
        Py_DECREF(T->op.inputs[--T->op.n_inputs]);
    }
}

/* Python is about to use the shape of `tensor`.  Guards cover the metadata of inputs, and
 * that of results follows from it, unless it depends on values. */
mp_rc
mp_tensor_observe(mp_trace *T, PyObject *tensor)
{
    mp_node *n = mp_refgraph_find(&T->graph, tensor);
    if (is_tensor_node(n) && n->dynamic && mp_selection_settle(T, n) != MP_OK) {
        return MP_ERR;
    }
    if (is_tensor_node(n) && n->dynamic) {
        return mp_trace_abort(T, MP_AB_DYNAMIC_SHAPE, "the shape of a selection");
    }
    return is_tensor_node(n) && n->sized ? mp_pin_everything(T) : MP_OK;
}

/* Asked of torch, whose answer a Python function or a mode may have changed.  Yes on
 * doubt. */
bool
mp_grad_is_enabled(void)
{
    static PyObject *is_enabled;  // torch.is_grad_enabled, kept for the process
    if (is_enabled == NULL) {
        PyObject *torch = PyImport_ImportModule("torch");
        is_enabled =
            torch == NULL ? NULL : PyObject_GetAttrString(torch, "is_grad_enabled");
        Py_XDECREF(torch);
    }
    PyObject *r = is_enabled == NULL ? NULL : PyObject_CallNoArgs(is_enabled);
    bool on = r != Py_False;  // on doubt: yes
    Py_XDECREF(r);
    mp_err_drop();
    return on;
}

/* Methods are called by name, so that the graph reads as users write. */
static mp_rc
op_target(mp_trace *T, PyObject *callee, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs > 0 && mp_is_graph_object(args[0]) && PyCFunction_Check(callee)) {
        T->op.target =
            PyUnicode_FromString(((PyCFunctionObject *)callee)->m_ml->ml_name);
        return T->op.target == NULL ? MP_ERR : MP_OK;
    }
    return mp_op_call_name(T, callee, args, nargs, &T->op.target);
}

static mp_rc
op_take_args(mp_trace *T, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    assert(T->op.args == NULL && T->op.kwargs == NULL && nargs >= 0);
    mp_pending_op *op = &T->op;
    op->args = PyTuple_New(nargs);
    op->kwargs = PyDict_New();
    mp_rc rc = op->args == NULL || op->kwargs == NULL ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0; i < nargs && rc == MP_OK; i++) {
        PyObject *tree = NULL;
        rc = mp_op_tree(T, args[i], &tree);
        if (rc == MP_OK) {
            PyTuple_SET_ITEM(op->args, i, tree);
        }
        op->late_first = op->takes_late && i == 0 ? true : op->late_first;
    }
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < nkw && rc == MP_OK; i++) {
        PyObject *tree = NULL, *name = PyTuple_GET_ITEM(kwnames, i);
        bool before = op->takes_late;
        op->takes_late = false;
        rc = mp_op_tree(T, args[nargs + i], &tree);
        // (`size` of full(), by its name)
        op->late_first =
            op->late_first || (op->takes_late && !mp_name_is(name, "fill_value"));
        op->takes_late = op->takes_late || before;
        if (rc == MP_OK && PyDict_SetItem(op->kwargs, name, tree) < 0) {
            rc = MP_ERR;
        }
        Py_XDECREF(tree);
    }
    return rc;
}

PyObject *
mp_op_target_name(PyObject *target)
{
    if (PyUnicode_Check(target)) {
        return Py_NewRef(target);
    }
    bool is_script = Py_IS_TYPE(target, mp_op_types.script_function);
    PyObject *name = PyObject_GetAttrString(target, is_script ? "name" : "__name__");
    if (name == NULL) {
        mp_err_drop();  // an operation without a name is described by its type
        return PyUnicode_FromString(mp_type_name(target));
    }
    return name;
}

static bool
inputs_are_constant(mp_trace *T)
{
    for (int i = 0; i < T->op.n_inputs; i++) {
        const mp_node *n = mp_refgraph_find(&T->graph, T->op.inputs[i]);
        if (!is_tensor_node(n) || n->constant != T->n_mutations + 1) {
            return false;
        }
    }
    return true;
}

/* Is the result of the pending operation no function of its arguments?  Yes on doubt:
 * an operation whose effects are unknown may draw. */
static bool
op_is_random(const mp_pending_op *op)
{
    return op->effects == NULL
           || PyLong_AsLong(PyTuple_GET_ITEM(op->effects, 0)) & MP_OP_RANDOM;
}

static bool
op_is_either(int flags)
{
    return flags == MP_TORCH_EITHER || flags == MP_TORCH_SIZED;
}

/* Can the result be read while recording?  Numbers only: reading is cheap and exact.
 * Returns 0 for no, else 1 + the number of in-place writes so far: a later write may go to
 * memory that the result shares, and after it the answer no longer counts. */
static int32_t
result_constant(mp_trace *T, PyObject *obj)
{
    PyObject *dim = PyObject_GetAttrString(obj, "ndim");
    bool is_number = dim != NULL && PyLong_AsLong(dim) == 0;
    Py_XDECREF(dim);
    mp_err_drop();  // a tensor has ndim; without it the value is not read
    bool known = T->op.flags == MP_TORCH_SIZED || inputs_are_constant(T);
    return is_number && !T->op.dynamic && known && !PyMethod_Check(T->op.target)
                   && !op_is_random(&T->op)
               ? T->n_mutations + 1
               : 0;
}

/* An object of a class in Python, which such a row may ask for anything. */
bool
mp_op_asks_object(PyObject *arg)
{
    return mp_c_base(Py_TYPE(arg)) != Py_TYPE(arg) && !mp_is_identity(arg)
           && !mp_tensor_is_any(arg) && !mp_is_constant(arg);
}

static bool
is_sized(mp_trace *T, PyObject *obj)
{
    const mp_node *n = mp_tensor_is_any(obj) ? mp_refgraph_find(&T->graph, obj) : NULL;
    return is_tensor_node(n) && n->sized;
}

/* Rows that log nothing: the answer follows from guarded state. */
static mp_rc
op_constant(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count,
            int flags)
{
    bool has_tensor = false;
    s->below = flags & MP_TORCH_TRUSTED ? MP_BELOW_TRUSTED : MP_BELOW_SKIP;
    uint8_t post = flags == MP_TORCH_GROUPS ? MP_POST_NESTED
                   : flags & MP_TORCH_PURE  ? MP_POST_RESULT
                                            : MP_POST_CONST;
    for (Py_ssize_t i = 0; i < count; i++) {
        mp_rc rc = mp_read_deep(T, args[i], &has_tensor);
        rc = rc != MP_OK ? rc : mp_odd_ask(T, s, args[i]);
        if (rc == MP_OK && flags & MP_TORCH_METADATA) {
            rc = mp_tensor_observe(T, args[i]);
        }
        else if (rc == MP_OK && is_sized(T, args[i])) {
            rc = mp_pin_everything(T);
        }
        if (rc == MP_OK && flags != MP_TORCH_ASKS && mp_op_asks_object(args[i])
            && !mp_apply_is_context(T, args[i])) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a question about a %s",
                                mp_type_name(args[i]));
        }
        if (rc != MP_OK) {
            return rc;
        }
    }
    s->post = post;
    return MP_OK;
}

/* What a profiler is told (`record_function`): nothing is logged, nothing is read. */
static mp_rc
op_label(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count)
{
    bool has_tensor = false;
    s->below = MP_BELOW_SKIP;
    s->post = MP_POST_LABEL;
    for (Py_ssize_t i = 0; i < count; i++) {
        mp_val n;
        mp_rc rc = PyUnicode_Check(args[i]) ? mp_read_deep(T, args[i], &has_tensor)
                                            : mp_value(T, args[i], &n);
        if (rc != MP_OK) {
            return rc;
        }
    }
    return MP_OK;
}

mp_rc
mp_post_label(mp_trace *T, PyObject *handle)
{
    const mp_node *n = mp_refgraph_find(&T->graph, handle);
    if (mp_is_constant(handle) || (n != NULL && n->kind == MP_NODE_FRESH)) {
        return mp_result(T, handle);
    }
    return mp_load_const(T, handle);
}

/* Abort with the name of the operation as detail. */
static mp_rc
op_refuse(mp_trace *T, mp_abort_id id, PyObject *callee)
{
    PyObject *name = mp_op_target_name(callee);
    if (name == NULL) {
        return MP_ERR;
    }
    mp_rc rc = mp_trace_abort(T, id, "%S", name);
    Py_DECREF(name);
    return rc;
}

/* A host read of tensors whose values are known from constants; not of their memory. */
static bool
reads_constants(mp_trace *T, PyObject *callee, PyObject *const *args, Py_ssize_t count)
{
    bool any = false;
    PyObject *name = mp_op_target_name(callee);
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    bool memory = text == NULL || strstr(text, "numpy") != NULL
                  || strstr(text, "data_ptr") != NULL || strstr(text, "array") != NULL
                  || strstr(text, "dlpack") != NULL;
    mp_err_drop();  // a read without a usable name is refused
    Py_XDECREF(name);
    if (memory) {
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (mp_tensor_is_any(args[i])) {
            if (!mp_tensor_is_constant(T, args[i])) {
                return false;
            }
            any = true;
        }
        else if (mp_op_holds_tensor(args[i], false)) {
            return false;
        }
    }
    return any;
}

/* Copy the arguments of an operation that is about to run. */
mp_rc
mp_op_take(mp_trace *T, PyObject *callee, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames, int flags)
{
    assert(T->state == MP_TRACE_RECORDING);
    mp_op_drop(T);
    T->op.flags = flags;
    T->op.effects = mp_op_effects(callee);
    T->op.array_use = mp_op_array_use(callee, args, nargs);
    T->op.dynamic = (flags & MP_TORCH_DYNAMIC) != 0;
    mp_rc rc = op_take_args(T, args, nargs, kwnames);
    if (rc != MP_OK) {
        mp_op_drop(T);
    }
    return rc;
}

/* What no graph holds, or not here. */
static mp_rc
op_refuse_row(mp_trace *T, PyObject *callee, int flags)
{
    if (flags & MP_TORCH_HOST_READ) {
        return op_refuse(T, MP_AB_HOST_READ, callee);
    }
    if (PyFunction_Check(callee) && flags == MP_TORCH_METADATA
        && mp_is_known(callee, MP_K_TORCH_HASH)) {
        return op_refuse(T, MP_AB_SIDE_EFFECT, callee);  // an address, as a number
    }
    if (flags & MP_TORCH_REFUSE) {
        return op_refuse(T, MP_AB_SIDE_EFFECT, callee);
    }
    if (flags & MP_TORCH_TRUSTED && T->trial && mp_in_arm(T)) {
        return op_refuse(T, MP_AB_CONTROL_FLOW, callee);  // it may do more than it says
    }
    if (flags & MP_TORCH_SETS_STATE && mp_in_arm(T)) {
        return op_refuse(T, MP_AB_CONTROL_FLOW, callee);  // it would stay set
    }
    return MP_OK;
}

/* The answer follows from guarded state, or from sizes that are symbols. */
static mp_rc
op_answer(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, int flags)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    bool done = false;
    mp_rc rc = T->symbols.cap == 0 && !T->selects
                   ? MP_OK
                   : mp_shape_call(T, s, callee, args, nargs, kwnames, &done);
    return rc != MP_OK || done ? rc : op_constant(T, s, args, count, flags);
}

/* An entry of the log, but for the result. */
static mp_rc
op_log_begin(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames, int flags)
{
    // Now, not when it has run: the program may change a list of arguments meanwhile.
    mp_rc rc = mp_op_take(T, callee, args, nargs, kwnames, flags);
    rc = rc != MP_OK || !T->op.takes_late ? rc : mp_late_operand(T, callee);
    if (rc == MP_OK) {
        // x[mask]: the table has one row for every kind of index.
        T->op.dynamic = T->op.dynamic
                        || (callee == mp_operator_borrow("getitem")
                            && mp_op_index_is_dynamic(args[1]));
        s->below = flags & MP_TORCH_TRUSTED ? MP_BELOW_TRUSTED : MP_BELOW_SKIP;
        rc = op_target(T, callee, args, nargs);
    }
    rc = rc != MP_OK ? rc : mp_selection_check(T);
    if (rc == MP_OK && (T->trial || T->inside > 0)) {
        rc = mp_op_check_trial(T);
    }
    rc = rc != MP_OK || !T->op.odd ? rc : mp_odd_begin(T, s);
    if (rc != MP_OK) {
        mp_op_drop(T);
        return rc;
    }
    mp_op_note_caught(T, s);
    s->owns_op = true;
    s->post = MP_POST_OP;
    return MP_OK;
}

/* A torch callable with a row is about to be called: refuse it, take its result for a
 * constant, or log it. */
mp_rc
mp_op_begin(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames, int flags)
{
    assert(!s->owns_op && nargs >= 0);
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    flags = mp_op_resolve_flags(flags, args, nargs, kwnames);
    if (flags & MP_TORCH_COMPILING) {
        return mp_record_compiling(T, s);
    }
    // The order matters: what is refused must not be logged, and what is answered as a
    // constant must not keep its arguments.
    if ((flags & MP_TORCH_HOST_READ) && reads_constants(T, callee, args, count)) {
        flags = MP_TORCH_METADATA;
    }
    if (flags & MP_TORCH_LATE && mp_late_can_read(T, args, count)) {
        return mp_late_read(T, s, callee, args[0]);
    }
    mp_rc rc = op_refuse_row(T, callee, flags);
    rc = rc != MP_OK ? rc : mp_level_begin(T, flags);
    if (rc != MP_OK || flags == MP_TORCH_LABEL) {
        return rc != MP_OK ? rc : op_label(T, s, args, count);
    }
    if ((flags & MP_TORCH_LATER) && mp_grad_is_enabled()) {
        return op_refuse(T, MP_AB_GRAD_LATER, callee);
    }
    if (flags & MP_TORCH_STATE && mp_keeps_requires_grad(args, nargs, kwnames)) {
        flags = MP_TORCH_PURE;
    }
    bool logs = op_is_either(flags)
                || !(flags & (MP_TORCH_METADATA | MP_TORCH_AMBIENT | MP_TORCH_PURE));
    return logs ? op_log_begin(T, s, callee, args, nargs, kwnames, flags)
                : op_answer(T, s, callee, args, nargs, kwnames, flags);
}

/* A mode object that an operation made. */
static mp_rc
result_object(mp_trace *T, PyObject *obj, PyObject **tree, bool *has_new)
{
    assert(mp_is_graph_object(obj));
    mp_node *n = mp_refgraph_add_fresh(&T->graph, obj);
    if (n == NULL) {
        return MP_ERR;
    }
    Py_XSETREF(n->leaf, mp_value_new(-1 - T->n_values));
    if (n->leaf == NULL) {
        return MP_ERR;
    }
    T->n_values++;
    *has_new = true;
    *tree = Py_NewRef(n->leaf);
    return MP_OK;
}

/* Has the operation written to this argument? */
static bool
op_has_written(const mp_trace *T, PyObject *tensor)
{
    const mp_pending_op *op = &T->op;
    for (int i = 0; i < op->n_inputs; i++) {
        if (op->inputs[i] == tensor && op->versions[i] >= 0) {
            return mp_tensor_version(tensor) != op->versions[i];
        }
    }
    return false;
}

/* The result is a tensor that was there before: whether it is may follow from numbers that
 * the operation was given, or from sizes that it has compared.  One that it writes to is what
 * an operation in place answers. */
static mp_rc
op_pin_identity(mp_trace *T, PyObject *tensor)
{
    // (A method is logged by its name, and which function that is, is guarded.)
    bool by_type =
        PyUnicode_Check(T->op.target)
        && (mp_name_is(T->op.target, "type_as") || mp_name_is(T->op.target, "to"));
    if (T->op.takes_late && !op_has_written(T, tensor)) {
        return mp_late_refuse(T, NULL);
    }
    bool asks = T->op.takes_numbers || (T->op.sized && T->op.n_inputs > 1 && !by_type);
    return asks && !op_has_written(T, tensor) ? mp_pin_everything(T) : MP_OK;
}

/* What an operation has answered, as its entry holds it: a Value for a new tensor, None for
 * a known one and for what follows from the rest. */
typedef struct {
    bool has_new, has_old;  // tensors, or modes
} op_results;

static mp_rc
result_tensor(mp_trace *T, PyObject *obj, mp_odd kind, PyObject **tree, op_results *r)
{
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    if (is_tensor_node(n)) {
        r->has_old = true;
        *tree = Py_NewRef(Py_None);
        return op_pin_identity(T, obj);
    }
    n = mp_refgraph_add_tensor(&T->graph, obj, -1);
    if (n == NULL || (n->leaf = mp_value_new(-1 - T->n_values)) == NULL) {
        return MP_ERR;
    }
    T->n_values++;
    n->dynamic = T->op.dynamic || kind == MP_ODD_NESTED;
    n->blind = T->op.blind || kind == MP_ODD_NESTED;
    n->odd = kind > MP_ODD_REFUSED;
    T->odd = T->odd || n->odd;
    if (n->dynamic && !n->blind && mp_selection_begin(T) != MP_OK) {
        return MP_ERR;
    }
    n->sized = T->op.sized;
    n->constant = n->odd || n->blind ? 0 : result_constant(T, obj);
    mp_op_note_alias(T, obj);
    r->has_new = true;
    *tree = Py_NewRef(n->leaf);
    return MP_OK;
}

static mp_rc result_tree(mp_trace *T, PyObject *obj, PyObject **tree, op_results *r);

static mp_rc
result_sequence(mp_trace *T, PyObject *obj, PyObject **tree, op_results *r)
{
    mp_rc rc = mp_fresh(T, obj);
    // How many there are may follow from sizes; that is proven with the graph
    // (magpy/shapes/proof.py), but an operation that answers nothing is not logged.
    Py_ssize_t size = PySequence_Fast_GET_SIZE(obj);
    if (rc == MP_OK && T->op.sized && size == 0) {
        rc = mp_pin_everything(T);
    }
    PyObject *out = rc == MP_OK ? PyTuple_New(size) : NULL;
    if (rc == MP_OK && out == NULL) {
        rc = MP_ERR;
    }
    for (Py_ssize_t i = 0; i < size && rc == MP_OK; i++) {
        PyObject *item = NULL;
        rc = result_tree(T, PySequence_Fast_GET_ITEM(obj, i), &item, r);
        if (rc == MP_OK) {
            PyTuple_SET_ITEM(out, i, item);
        }
    }
    if (rc != MP_OK) {
        Py_XDECREF(out);
        return rc;
    }
    *tree = out;
    return MP_OK;
}

/* A constant that follows from the arguments, or from guarded state. */
static mp_rc
result_scalar(mp_trace *T, PyObject **tree)
{
    bool either = op_is_either(T->op.flags);
    if (either && T->op.dynamic && mp_is_op_object(T->op.target)) {
        return op_refuse(T, MP_AB_DYNAMIC_SHAPE, T->op.target);
    }
    *tree = Py_NewRef(Py_None);
    return either && T->op.sized ? mp_pin_everything(T) : MP_OK;
}

static mp_rc
result_tree(mp_trace *T, PyObject *obj, PyObject **tree, op_results *r)
{
    if (obj == Py_None) {
        *tree = Py_NewRef(Py_None);
        return MP_OK;
    }
    if (mp_late_find(T, obj) != NULL) {
        mp_rc late = mp_late_refuse(T, obj);  // (a `forward` answers with it)
        if (late != MP_OK) {
            return late;
        }
    }
    mp_odd kind = mp_tensor_is_any(obj) ? mp_tensor_odd(obj) : MP_ODD_REFUSED;
    if (mp_tensor_is(obj) || kind != MP_ODD_REFUSED) {
        return result_tensor(T, obj, kind, tree, r);
    }
    // (MP_TORCH_SETS_STATE: a nesting depth)
    if (mp_is_constant(obj)
        && (op_is_either(T->op.flags) || T->op.flags & MP_TORCH_SETS_STATE)) {
        return result_scalar(T, tree);
    }
    if (mp_is_graph_object(obj)) {
        return result_object(T, obj, tree, &r->has_new);
    }
    if (!PyTuple_Check(obj) && !PyList_CheckExact(obj)) {
        return op_refuse(T, mp_is_constant(obj) ? MP_AB_HOST_READ : MP_AB_OP_RESULT,
                         T->op.target);
    }
    return result_sequence(T, obj, tree, r);
}

/* The operation has run; `result` is what it returned. */
mp_rc
mp_op_end(mp_trace *T, PyObject *result)
{
    return mp_op_end_written(T, result, false);
}

/* wrote: it is known to have written, whatever the version counters say. */
mp_rc
mp_op_end_written(mp_trace *T, PyObject *result, bool wrote)
{
    mp_pending_op *op = &T->op;
    op_results found = {false, false};
    PyObject *tree = NULL, *entry = NULL;
    assert(op->target != NULL && op->args != NULL && op->kwargs != NULL);
    bool mutated = mp_op_mutated(T, false) || wrote,
         sets_state = op->flags & MP_TORCH_SETS_STATE;
    T->n_mutations += mutated && !sets_state;
    mp_level_end(T, op->flags);
    mp_rc rc = op->odd ? mp_odd_end(T) : MP_OK;
    rc = rc != MP_OK ? rc : result_tree(T, result, &tree, &found);
    if (rc != MP_OK) {
        mp_op_drop(T);
        return rc;
    }
    if (!mutated && mp_op_mutated(T, found.has_old)) {
        mutated = true;
        T->n_mutations += !sets_state;
    }
    rc = mp_array_lend(T, result);
    if (rc != MP_OK) {
        Py_DECREF(tree);
        mp_op_drop(T);
        return rc;
    }
    rc = mutated ? rc : mp_selection_check_result(T, result, found.has_old);
    mp_op_note_clash(T);
    if (rc == MP_OK
        && (found.has_new || mutated || (result == Py_None && op->n_inputs == 0))) {
        mp_op_note_raises(T);
        entry = PyTuple_Pack(4, op->target, op->args, op->kwargs, tree);
        if (entry == NULL || PyList_Append(T->ops, entry) < 0) {
            rc = MP_ERR;
        }
    }
    Py_XDECREF(entry);
    Py_XDECREF(tree);
    mp_op_drop(T);
    return rc;
}

/* Log an operation that has run already, with a tree of arguments that the caller made. */
mp_rc
mp_op_log(mp_trace *T, PyObject *target, PyObject *args, bool dynamic, PyObject *result)
{
    assert(PyTuple_CheckExact(args));
    mp_op_drop(T);
    T->op.target = Py_NewRef(target);
    T->op.args = Py_NewRef(args);
    T->op.kwargs = PyDict_New();
    T->op.flags = MP_TORCH_CALL;
    T->op.effects = mp_op_effects(target);
    T->op.dynamic = dynamic;
    if (T->op.kwargs == NULL) {
        mp_op_drop(T);
        return MP_ERR;
    }
    return mp_op_end(T, result);
}
