/* graph/tree.c - the arguments of an operation, as its entry in the log holds them.
 *
 * A tree has the shape of the argument: builtin containers and constants, with a leaf in
 * place of what a hit will have others of: a Value for a tensor, a number that varies or is
 * read late, an object that an earlier operation has made.
 *
 * What must hold:
 * (1) A tree is a copy, made before the operation runs: what the program does to a list
 *     afterwards does not change the log.
 * (2) All that is copied is guarded: the content of containers (mp_read_all), constants and
 *     identities (mp_load_const).
 * (3) What a graph cannot hold ends the recording.  Objects that it may look into are none of
 *     its arguments. */
#include "graph/graph.h"

#include "objects/operators.h"
#include "plan/value.h"
#include "read/read.h"

mp_rc
mp_op_value(mp_trace *T, mp_node *n, PyObject **leaf)
{
    assert(n->kind == MP_NODE_TENSOR);
    if (n->leaf == NULL) {
        assert(n->reg >= 0);  // results of operations got theirs when they were made
        if (mp_grow(&T->inputs, &T->cap_inputs, T->n_inputs + 1, sizeof(*T->inputs))
            < 0) {
            return MP_ERR;
        }
        n->leaf = mp_value_new(T->n_inputs);
        if (n->leaf == NULL) {
            return MP_ERR;
        }
        T->inputs[T->n_inputs++] = n;
        if ((T->symbols.n_open > 0 || T->selects) && mp_shape_tell_input(T) != MP_OK) {
            return MP_ERR;
        }
    }
    assert(mp_value_check(n->leaf));
    *leaf = Py_NewRef(n->leaf);
    return MP_OK;
}

/* A tensor among the arguments: note its version, to see afterwards whether the
 * operation wrote to it. */
static mp_rc
op_input(mp_trace *T, PyObject *tensor, mp_node *n, PyObject **leaf)
{
    assert(n->kind == MP_NODE_TENSOR && n->obj == tensor);
    mp_pending_op *op = &T->op;
    if (T->apply.cls != NULL && !mp_apply_may_use(T, tensor, n)) {
        return mp_apply_refuse_input(T);
    }
    int32_t cap = op->cap_inputs;  // of both arrays
    if (mp_grow(&op->versions, &cap, op->n_inputs + 1, sizeof(*op->versions)) < 0
        || mp_grow(&op->inputs, &op->cap_inputs, op->n_inputs + 1, sizeof(*op->inputs))
               < 0) {
        return MP_ERR;
    }
    op->inputs[op->n_inputs] = Py_NewRef(tensor);
    op->versions[op->n_inputs++] = mp_tensor_version(tensor);
    op->dynamic = op->dynamic || n->dynamic;
    op->blind = op->blind || n->blind;
    op->odd = op->odd || n->odd;
    op->sized = op->sized || n->sized;
    mp_rc rc = n->sized && T->inside > 0 ? mp_pin_everything(T) : MP_OK;
    return rc != MP_OK ? rc : mp_op_value(T, n, leaf);
}

/* An item of a container that was read; its number becomes a symbol. */
static mp_rc
item_tree(mp_trace *T, const mp_node *owner, Py_ssize_t i, PyObject *key,
          PyObject *item, PyObject **tree)
{
    PyObject *box = NULL;
    bool external = owner != NULL && owner->reg >= 0 && T->symbols.n_waiting > 0;
    mp_rc rc =
        external ? mp_symbol_take_item(T, owner->reg, i, key, item, &box) : MP_OK;
    rc = rc != MP_OK ? rc : mp_op_tree(T, box == NULL ? item : box, tree);
    Py_XDECREF(box);
    return rc;
}

static mp_rc
tree_sequence(mp_trace *T, PyObject *obj, PyObject **tree)
{
    const mp_node *n = mp_refgraph_find(&T->graph, obj);
    assert(PyList_CheckExact(obj) || PyTuple_Check(obj));
    Py_ssize_t size = PySequence_Fast_GET_SIZE(obj);
    PyObject *out = PyList_Check(obj) ? PyList_New(size) : PyTuple_New(size);
    mp_rc rc = out == NULL ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0; i < size && rc == MP_OK; i++) {
        rc = item_tree(T, n, i, NULL, PySequence_Fast_GET_ITEM(obj, i),
                       &PySequence_Fast_ITEMS(out)[i]);
    }
    if (rc != MP_OK) {
        Py_CLEAR(out);
    }
    *tree = out;
    return rc;
}

static mp_rc
tree_dict(mp_trace *T, PyObject *obj, PyObject **tree)
{
    assert(PyDict_Check(obj));
    const mp_node *n = mp_refgraph_find(&T->graph, obj);
    PyObject *out = PyDict_New(), *key, *value;
    mp_rc rc = out == NULL ? MP_ERR : MP_OK;
    Py_ssize_t pos = 0;
    while (rc == MP_OK && PyDict_Next(obj, &pos, &key, &value)) {
        PyObject *item = NULL;
        if (!mp_is_constant(key)) {
            rc = mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a dict key of type %s",
                                mp_type_name(key));
            break;
        }
        rc = item_tree(T, n, -1, key, value, &item);
        if (rc == MP_OK && PyDict_SetItem(out, key, item) < 0) {
            rc = MP_ERR;
        }
        Py_XDECREF(item);
    }
    if (rc != MP_OK) {
        Py_CLEAR(out);
    }
    *tree = out;
    return rc;
}

/* Of a slice: a 0-dimensional tensor with a value that is known is a number. */
static mp_rc
slice_bound(mp_trace *T, PyObject *obj, PyObject **tree)
{
    if (is_tensor_node(mp_refgraph_find(&T->graph, obj))) {
        if (!mp_tensor_is_constant(T, obj)) {
            return mp_trace_abort(T, MP_AB_HOST_READ, "a tensor as a slice bound");
        }
        *tree = PyNumber_Index(obj);
        return *tree == NULL ? MP_ERR : MP_OK;
    }
    bool before = T->op.takes_late;
    T->op.takes_late = false;
    mp_rc rc = mp_op_tree(T, obj, tree);
    T->op.late_slice = T->op.late_slice || T->op.takes_late;
    T->op.takes_late = T->op.takes_late || before;
    return rc;
}

static mp_rc
tree_slice(mp_trace *T, PyObject *obj, PyObject **tree)
{
    assert(PySlice_Check(obj));
    const PySliceObject *sl = (PySliceObject *)obj;
    PyObject *start = NULL, *stop = NULL, *step = NULL;  // owned
    mp_rc rc = mp_fresh(T, obj);
    rc = rc != MP_OK ? rc : mp_read_c_object(T, obj, mp_refgraph_find(&T->graph, obj));
    rc = rc != MP_OK ? rc : slice_bound(T, sl->start, &start);
    rc = rc != MP_OK ? rc : slice_bound(T, sl->stop, &stop);
    rc = rc != MP_OK ? rc : slice_bound(T, sl->step, &step);
    if (rc == MP_OK) {
        *tree = PySlice_New(start, stop, step);
        rc = *tree == NULL ? MP_ERR : MP_OK;
    }
    Py_XDECREF(start);
    Py_XDECREF(stop);
    Py_XDECREF(step);
    return rc;
}

/* Late values and symbols, as they count here: a body has numbers that are known. */
static mp_rc
tree_value(mp_trace *T, PyObject *obj, mp_val *n)
{
    mp_rc rc = mp_value_late(T, obj, n);
    if (rc == MP_OK && n->kind == MP_VAL_LATE && T->inside > 0) {
        rc = mp_late_refuse(T, obj);
        *n = MP_NO_VALUE;
    }
    if (rc == MP_OK && n->kind == MP_VAL_SYMBOL && T->inside > 0) {
        rc = mp_value(T, obj, n);
    }
    return rc;
}

/* A number, a constant, a tensor, a mode.  *tree stays NULL: it is something else. */
static mp_rc
tree_leaf(mp_trace *T, PyObject *obj, mp_val n, PyObject **tree)
{
    if (n.kind == MP_VAL_LATE) {
        T->op.takes_late = true;
        T->op.late_bool = T->op.late_bool || PyBool_Check(obj);
        *tree = Py_NewRef(n.node->leaf);
    }
    else if (n.kind == MP_VAL_SYMBOL) {
        T->op.sized = T->op.takes_numbers = true;
        *tree = mp_number_leaf_new(n.node->number);
        return *tree == NULL ? MP_ERR : MP_OK;
    }
    else if (mp_val_is_constant(n)) {
        if (mp_is_fresh_id(T, obj)) {
            return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "id of a new object");
        }
        *tree = Py_NewRef(obj);
    }
    else if (mp_val_is_tensor(n)) {
        return op_input(T, obj, n.node, tree);
    }
    else if (mp_is_graph_object(obj) && n.node->leaf != NULL) {
        *tree = Py_NewRef(n.node->leaf);
    }
    return MP_OK;
}

static mp_rc
tree_container(mp_trace *T, PyObject *obj, PyObject **tree)
{
    if (Py_EnterRecursiveCall(" while recording")) {
        mp_err_drop();  // a container that holds itself, or is nested too deeply
        return mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a %s nested too deeply",
                              mp_type_name(obj));
    }
    mp_rc rc =
        PyDict_Check(obj) ? tree_dict(T, obj, tree) : tree_sequence(T, obj, tree);
    Py_LeaveRecursiveCall();
    return rc;
}

static bool
is_tensor_class(PyObject *obj)
{
    return PyType_Check(obj) && mp_op_types.tensor != NULL
           && PyType_IsSubtype((PyTypeObject *)obj, (PyTypeObject *)mp_op_types.tensor);
}

/* An object that the graph holds as it is: a class, a generator, packed weights.  *tree stays
 * NULL: it is none of them. */
static mp_rc
tree_object(mp_trace *T, PyObject *obj, mp_val n, PyObject **tree)
{
    bool lasts = mp_val_is_external(n) && mp_val_has_source(n);
    mp_rc rc = MP_OK;
    if (obj == (PyObject *)&PyFloat_Type || obj == (PyObject *)&PyLong_Type
        || obj == (PyObject *)&PyBool_Type) {
        // (as a dtype)
    }
    else if (is_tensor_class(obj)) {
        rc = mp_is_new_class(T, obj)  // x.as_subclass(C)
                 ? mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a class that the run made")
                 : mp_load_const(T, obj);
    }
    else if (mp_op_types.generator != NULL && Py_IS_TYPE(obj, mp_op_types.generator)
             && lasts && !T->trial && !mp_place_is_argument(T->guards, n.node->reg)) {
        // A hit draws from this very generator; one that is an argument may be new in each
        // call.  (A trial puts only torch's own back.)
        rc = mp_load_const(T, obj);
    }
    else if (mp_op_types.script_object != NULL
             && Py_IS_TYPE(obj, mp_op_types.script_object) && lasts) {
        // Packed weights: an operator is all that looks into them.
        T->odd = true;  // there are no fakes of them
        rc = mp_load_const(T, obj);
    }
    else {
        return MP_OK;
    }
    *tree = rc == MP_OK ? Py_NewRef(obj) : NULL;
    return rc;
}

/* Does the operation leave an array alone that the graph holds? */
static bool
takes_array(const mp_trace *T, mp_val n)
{
    return T->op.array_use == MP_ARRAY_COPIED || T->op.array_use == MP_ARRAY_INDEX
           || (T->op.array_use == MP_ARRAY_SHARED && mp_val_is_fresh(n));
}

mp_rc
mp_op_tree(mp_trace *T, PyObject *obj, PyObject **tree)
{
    assert(*tree == NULL);
    mp_val n;
    if (PySlice_Check(obj)) {
        return tree_slice(T, obj, tree);
    }
    mp_rc rc = tree_value(T, obj, &n);
    rc = rc != MP_OK ? rc : tree_leaf(T, obj, n, tree);
    if (rc != MP_OK || *tree != NULL) {
        return rc;
    }
    rc = mp_read_all(T, obj);
    if (rc == MP_OK
        && (PyList_CheckExact(obj) || PyTuple_Check(obj) || PyDict_Check(obj))) {
        return tree_container(T, obj, tree);
    }
    rc = rc != MP_OK ? rc : tree_object(T, obj, n, tree);
    if (rc != MP_OK || *tree != NULL) {
        return rc;
    }
    if (mp_is_array(obj) && takes_array(T, n)) {
        rc = mp_array_read(T, obj, n.node);
        return rc != MP_OK ? rc : mp_array_leaf(T, obj, tree);
    }
    return mp_trace_abort(T, MP_AB_OP_ARGUMENT, "an argument of type %s",
                          mp_type_name(obj));
}
