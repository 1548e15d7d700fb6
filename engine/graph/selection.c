/* graph/selection.c - tensors whose sizes depend on data: what of them is known before the
 * data is there.
 *
 * `x[mask]` has as many rows as the mask has, but its number of dimensions and the other
 * sizes follow from those of x, and `x[mask].chunk(2, dim=-1)` are two tensors.  Python
 * (src/magpy/shapes/selections.py) runs the operations on fakes and tells.  What it does not
 * know ends the segment, as all did that looks at such a tensor. */
#include <string.h>

#include "graph/graph.h"
#include "objects/operators.h"

/* Answers (sizes, all): the terms of the sizes that are known, None for others, and whether
 * nothing of the tensor depends on data.  New; NULL without an exception: nobody knows. */
PyObject *
mp_selection_ask(mp_trace *T, mp_node *n)
{
    if (n->leaf == NULL || n->blind || T->apply.cls != NULL) {
        return NULL;
    }
    PyObject *answer = mp_shape_ask(T, "selected", n->leaf);
    if (answer != NULL
        && (!PyTuple_Check(answer) || PyTuple_GET_SIZE(answer) != 2
            || !PyTuple_Check(PyTuple_GET_ITEM(answer, 0)))) {
        Py_CLEAR(answer);
    }
    if (answer != NULL && PyTuple_GET_ITEM(answer, 1) == Py_True) {
        n->sized = n->sized || T->symbols.cap > 0;
        n->dynamic = false;
    }
    return answer;
}

mp_rc
mp_selection_settle(mp_trace *T, mp_node *n)
{
    PyObject *answer = mp_selection_ask(T, n);
    Py_XDECREF(answer);
    return PyErr_Occurred() ? MP_ERR : MP_OK;
}

mp_rc
mp_selection_begin(mp_trace *T)
{
    if (T->selects) {
        return MP_OK;
    }
    T->selects = true;  // from here on, inputs are told of when they come
    return T->n_inputs > 0 ? mp_shape_tell_input(T) : MP_OK;
}

/* The operation in progress as Python takes it. */
static PyObject *
ask_of_op(mp_trace *T, const char *question)
{
    PyObject *call = T->apply.cls != NULL
                         ? NULL
                         : PyTuple_Pack(3, T->op.target, T->op.args, T->op.kwargs);
    PyObject *answer = call == NULL ? NULL : mp_shape_ask(T, question, call);
    Py_XDECREF(call);
    return answer;
}

static mp_rc
refuse(mp_trace *T)
{
    PyObject *name = PyErr_Occurred() ? NULL : mp_op_target_name(T->op.target);
    if (name == NULL) {
        return MP_ERR;
    }
    mp_rc rc = mp_trace_abort(T, MP_AB_DYNAMIC_SHAPE, "%U of a selection", name);
    Py_DECREF(name);
    return rc;
}

/* Does the name of the pending operation contain one of these? */
static int
is_named(mp_trace *T, const char *const *words, size_t n, bool whole)
{
    PyObject *name = mp_op_target_name(T->op.target);
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    int found = text == NULL ? -1 : 0;
    for (size_t i = 0; i < n && found == 0; i++) {
        found = whole ? strcmp(text, words[i]) == 0  // mp-ok: torch's operations
                      : strstr(text, words[i]) != NULL;
    }
    Py_XDECREF(name);
    return found;
}

static bool
takes_selection(mp_trace *T)
{
    bool found = false;
    for (int i = 0; i < T->op.n_inputs && !found; i++) {
        const mp_node *n = mp_refgraph_find(&T->graph, T->op.inputs[i]);
        found = is_tensor_node(n) && n->dynamic;
    }
    return found;
}

/* Does the pending operation answer with as many tensors as its operands' sizes, or numbers
 * of dimensions, say? */
static int
has_parts(mp_trace *T)
{
    static const char *const parts[] = {"split", "chunk", "unbind", "gradient"};
    static const char *const tuples[] = {"where", "nonzero"};
    int named = is_named(T, parts, Py_ARRAY_LENGTH(parts), false);
    bool one = PyTuple_GET_SIZE(T->op.args) == 1;
    if (named != 0 || !(T->op.flags & MP_TORCH_DYNAMIC) || !one) {
        return named;
    }
    named = is_named(T, tuples, Py_ARRAY_LENGTH(tuples), true);
    // (x.nonzero() is one tensor, x.nonzero(as_tuple=True) are some)
    bool pair = PyDict_GET_SIZE(T->op.kwargs) > 0;
    return named <= 0 || pair ? named : is_named(T, tuples, 1, true);
}

mp_rc
mp_selection_check(mp_trace *T)
{
    T->op.n_parts = -1;
    if (!T->op.dynamic || !(T->op.takes_late || takes_selection(T))) {
        return MP_OK;
    }
    int parts = has_parts(T);
    if (parts <= 0) {
        return parts < 0 ? MP_ERR : MP_OK;
    }
    PyObject *answer = T->op.blind ? NULL : ask_of_op(T, "parts");
    long n = answer != NULL && PyLong_Check(answer) ? PyLong_AsLong(answer) : -1;
    Py_XDECREF(answer);
    T->op.n_parts = (Py_ssize_t)n;
    return n >= 0 ? MP_OK : refuse(T);
}

mp_rc
mp_selection_check_result(mp_trace *T, PyObject *result, bool has_old)
{
    static const char *const keeps[] = {"contiguous", "to"};
    const mp_pending_op *op = &T->op;
    bool is_list = PyTuple_CheckExact(result) || PyList_CheckExact(result);
    if (!op->dynamic) {
        return MP_OK;
    }
    if (op->n_parts >= 0
        && (!is_list || PySequence_Fast_GET_SIZE(result) != op->n_parts)) {
        return refuse(T);
    }
    bool is_one = mp_tensor_is(result);
    int asks = is_one ? is_named(T, keeps, Py_ARRAY_LENGTH(keeps), true) : 0;
    if (asks <= 0) {
        return asks < 0 ? MP_ERR : MP_OK;
    }
    if (!has_old) {
        mp_refgraph_find(&T->graph, result)->unsure = true;
        return MP_OK;
    }
    PyObject *answer = op->blind ? NULL : ask_of_op(T, "keeps");
    bool always = answer == Py_True;
    Py_XDECREF(answer);
    return always ? MP_OK : refuse(T);
}
