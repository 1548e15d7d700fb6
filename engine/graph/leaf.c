/* graph/leaf.c - state of a tensor other than its memory, and how programs change it.
 *
 * Whether a tensor is a leaf follows from metadata of the inputs if it is the result of
 * an operation; for an input it is guarded.  A replay cannot make nodes of the autograd
 * graph: grad_fn is None, or that of a tensor that the graph makes (graph/hook.c).
 *
 * `t.grad` of a leaf from outside is a place like any other, until the run sets it.
 * `t.data = x`, `t.requires_grad = True` and `t.grad = x` are operations of the graph,
 * setattr(t, ...).
 * R: a graph with one runs as recorded (graph.py), so it does to the real tensors what
 * the program did; guards on metadata describe the entry, and later metadata follows.
 * R: a tensor whose state changed is none of the other tensors that the run has read.
 *
 * Attributes that programs set on tensors are keys of the tensor's dict, like those of
 * any instance: writes to an external tensor are in the journal, a new tensor gets what
 * its dict holds at the end (rebuild/rebuild.c).  The second R holds for them, too. */
#include "graph/graph.h"
#include "objects/names.h"
#include "objects/operators.h"
#include "torch/tensor_state.h"

/* Is this what the attribute says already, as guarded metadata tells? */
static bool
tensor_keeps(PyObject *tensor, PyObject *name, PyObject *value)
{
    if (!mp_name_is(name, "requires_grad") || value == NULL || !PyBool_Check(value)) {
        return false;
    }
    PyObject *now = PyObject_GetAttr(tensor, name);  // a C getter
    bool same = now == value;
    Py_XDECREF(now);
    mp_err_drop();  // what cannot be read is not the same
    return same;
}

bool
mp_keeps_requires_grad(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    bool keeps =
        nargs > 0 && count <= 2 && mp_tensor_is(args[0])
        && tensor_keeps(args[0], MP_NAME(REQUIRES_GRAD), count > 1 ? args[1] : Py_True);
    mp_err_drop();  // what cannot be read counts as another value
    return keeps;
}

/* Will t.data = x leave all metadata of t as it is? */
static mp_rc
data_fits(mp_trace *T, PyObject *tensor, PyObject *data, bool *fits)
{
    mp_tensor_meta *old = mp_tensor_meta_new(tensor);
    mp_tensor_meta *new = old == NULL ? NULL : mp_tensor_meta_new(data);
    mp_rc rc = MP_OK;
    *fits = false;
    if (new == NULL) {
        mp_err_drop();  // no dense description: not for a graph
        rc = mp_trace_abort(T, MP_AB_TENSOR_STATE, "attribute data");
    }
    else {
        Py_SETREF(new->type, (PyTypeObject *)Py_NewRef(old->type));
        new->requires_grad = old->requires_grad;
        *fits = mp_tensor_meta_equal(old, new);
    }
    mp_tensor_meta_free(new);
    mp_tensor_meta_free(old);
    return rc;
}

static mp_rc
store_state(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name,
            PyObject *value)
{
    PyObject *args[3] = {owner, name, value};
    bool fits = false;
    mp_rc rc = MP_OK;
    const mp_node *given = mp_refgraph_find(&T->graph, value);
    if (given != NULL && given->dynamic) {
        return mp_trace_abort(T, MP_AB_DYNAMIC_SHAPE, "attribute data");
    }
    if (mp_name_is(name, "data") && mp_tensor_is(value)) {
        rc = data_fits(T, owner, value, &fits);
    }
    n->distinct = n->distinct || (n->reg >= 0 && !fits);
    rc = rc != MP_OK ? rc
                     : mp_op_begin(T, s, mp_operator_borrow("setattr"), args, 3, NULL,
                                   MP_TORCH_CALL | MP_TORCH_STATE);
    s->post = MP_POST_STORE;
    return rc;
}

mp_rc
mp_record_tensor_store(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                       PyObject *name, PyObject *value, bool *done)
{
    assert(mp_tensor_is_any(owner));
    *done = true;
    if (tensor_keeps(owner, name, value)
        || (value == owner && mp_name_is(name, "data"))) {
        return MP_OK;
    }
    PyObject *descr = mp_type_lookup_borrow(Py_TYPE(owner), name);
    mp_rc rc = mp_guard_type_attr(T, Py_TYPE(owner), name, descr);
    if (rc != MP_OK) {
        return rc;
    }
    if (value != NULL && descr != NULL && Py_IS_TYPE(descr, &PyGetSetDescr_Type)
        && (mp_name_is(name, "data") || mp_name_is(name, "requires_grad")
            || (mp_name_is(name, "grad") && n->reg >= 0))) {
        return store_state(T, s, owner, n, name, value);
    }
    *done = descr != NULL && Py_TYPE(descr)->tp_descr_set != NULL;
    if (*done) {
        return mp_trace_abort(T, MP_AB_TENSOR_STATE, "attribute %U", name);
    }
    n->distinct = n->distinct || n->reg >= 0;
    n->attrs = n->reg < 0;
    return MP_OK;
}

/* t.grad, a tensor like any other that is reached through t. */
static mp_rc
read_grad(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    PyObject *grad = mp_tensor_grad_borrow(owner);
    if (grad == NULL || n == NULL || n->reg < 0 || n->restated
        || T->apply.cls != NULL) {
        return mp_trace_abort(T, MP_AB_TENSOR_STATE, "attribute %U", name);
    }
    mp_rc rc = mp_test(T, MP_G_LEAF, n, Py_True, 0);
    s->post = MP_POST_RESULT;
    return rc != MP_OK ? rc
                       : mp_load(T, MP_G_LOAD_FIELD, n->reg, name, MP_F_GRAD, grad);
}

mp_rc
mp_record_leaf_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                    PyObject *name)
{
    assert(mp_tensor_is_any(owner));
    if (mp_name_is(name, "grad")) {
        return read_grad(T, s, owner, n, name);
    }
    bool is_leaf = PyUnicode_CompareWithASCIIString(name, "is_leaf") == 0;
    bool grad_fn = PyUnicode_CompareWithASCIIString(name, "grad_fn") == 0;
    if (grad_fn && mp_hook_can_read(T, owner, n)) {
        return mp_hook_read(T, s, owner);
    }
    int leaf = is_leaf || grad_fn ? mp_tensor_is_leaf(owner) : -1;
    if (leaf < 0 || n == NULL || n->changed || (grad_fn && leaf == 0)) {
        return mp_trace_abort(T, MP_AB_TENSOR_STATE, "attribute %U", name);
    }
    s->post = MP_POST_CONST;
    if (n->reg < 0) {
        return MP_OK;
    }
    return mp_test(T, MP_G_LEAF, n, leaf ? Py_True : Py_False, 0);
}
