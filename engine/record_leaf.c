/* record_leaf.c - what a program may ask of a tensor's place in the autograd graph.
 *
 * Whether a tensor is a leaf follows, for the result of an operation, from metadata of the
 * inputs; of an input it is guarded.  Nodes of the autograd graph are objects that no
 * replay can make: only None is an answer. */
#include "tensor_state.h"
#include "trace.h"

bool
mp_tensor_keeps(PyObject *tensor, PyObject *name, PyObject *value)
{
    if (!mp_name_is(name, "requires_grad") || value == NULL || !PyBool_Check(value)) {
        return false;
    }
    PyObject *now = PyObject_GetAttr(tensor, name);  // a C getter
    bool same = now == value;
    Py_XDECREF(now);
    PyErr_Clear();  // what cannot be read is not the same
    return same;
}

mp_rc
mp_record_leaf_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                    PyObject *name)
{
    bool is_leaf = PyUnicode_CompareWithASCIIString(name, "is_leaf") == 0;
    bool grad_fn = PyUnicode_CompareWithASCIIString(name, "grad_fn") == 0;
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
