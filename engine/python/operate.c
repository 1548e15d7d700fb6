/* python/operate.c - C functions of Python that work on tensors: sum(), abs(), operator.*.
 *
 * With tensors among the arguments such a call is one operation of the graph.  sum() over
 * a generator is one as well: what the generator yields is taken down as its frame leaves
 * (mp_sum_take), and the operation is logged when the sum is there.
 * R: nothing may be written meanwhile, since the graph adds up at the end.
 */
#include "python/python.h"

#include <string.h>

#include "graph/graph.h"
#include "objects/operators.h"
#include "objects/rows.h"

static PyObject *sum_function;  // builtins.sum, once it was called

/* -- sum() over a generator ---------------------------------------------------------------- */

/* Append what stands for a number or tensor in the log; anything else ends the taking. */
static mp_rc
sum_append(mp_trace *T, mp_shadow *s, PyObject *item)
{
    mp_node *n = mp_refgraph_find(&T->graph, item);
    PyObject *leaf = NULL;
    if (n != NULL && n->kind == MP_NODE_TENSOR) {
        mp_rc rc = mp_op_value(T, n, &leaf);
        if (rc != MP_OK) {
            return rc;
        }
        s->sums_tensors = true;
        s->sums_dynamic = s->sums_dynamic || n->dynamic;
    }
    else if (PyLong_Check(item) || PyFloat_Check(item)) {
        leaf = Py_NewRef(item);
    }
    else {
        Py_CLEAR(s->summands);
        return MP_OK;
    }
    int rc = PyList_Append(s->summands, leaf);
    Py_DECREF(leaf);
    return rc < 0 ? MP_ERR : MP_OK;
}

static mp_rc
sum_begin(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
          Py_ssize_t count)
{
    Py_XSETREF(sum_function, Py_NewRef(callee));
    s->summands = PyList_New(0);
    s->sums_tensors = s->sums_dynamic = false;
    s->sum_writes = T->n_mutations;
    s->post = MP_POST_SUM;
    if (s->summands == NULL) {
        return MP_ERR;
    }
    PyObject *zero = PyLong_FromLong(0);
    mp_rc rc = zero == NULL ? MP_ERR : sum_append(T, s, count > 1 ? args[1] : zero);
    Py_XDECREF(zero);
    return rc;
}

mp_rc
mp_sum_take(mp_trace *T, mp_shadow *s, const mp_shadow *left, PyObject *item)
{
    if (left->fresh) {
        Py_CLEAR(s->summands);  // no generator: an object's own __add__
        return MP_OK;
    }
    return item == NULL || !mp_shadow_yields(left) ? MP_OK : sum_append(T, s, item);
}

mp_rc
mp_sum_end(mp_trace *T, mp_shadow *s, PyObject *result)
{
    if (s->summands == NULL || !s->sums_tensors) {
        return mp_result(T, result);
    }
    if (T->n_mutations != s->sum_writes) {
        return mp_trace_abort(T, MP_AB_MUTATION, "a write by what sum() iterates over");
    }
    PyObject *start = Py_NewRef(PyList_GET_ITEM(s->summands, 0));
    PyObject *args = NULL;
    if (PyList_SetSlice(s->summands, 0, 1, NULL) == 0) {
        args = PyTuple_Pack(2, s->summands, start);
    }
    mp_rc rc = args == NULL ? MP_ERR
                            : mp_op_log(T, sum_function, args, s->sums_dynamic, result);
    Py_XDECREF(args);
    Py_DECREF(start);
    return rc;
}

/* -- Operations ---------------------------------------------------------------------------- */

/* sum(d.values()): the view is no argument for a graph, its items are. */
static mp_rc
sum_of_view(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *all[4];
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject *items = count > 4 ? NULL : PySequence_List(args[0]);
    if (items == NULL) {
        return MP_ERR;
    }
    memcpy(all, args, (size_t)count * sizeof(*all));
    all[0] = items;
    mp_rc rc = mp_fresh(T, items);
    rc = rc != MP_OK ? rc
                     : mp_op_begin(T, s, callee, all, nargs, kwnames, MP_TORCH_CALL);
    mp_refgraph_forget(&T->graph, items);
    Py_DECREF(items);
    return rc;
}

/* A C function that computes with its arguments (sum, max, operator.add,
 * functools.reduce): an operation of the graph if one of them is or holds a tensor.
 * Where operations have no argument trees, because an iterator or a callback makes them,
 * the mode logs each (s->calls). */
mp_rc
mp_record_operate(mp_trace *T, mp_shadow *s, const mp_call *c, bool has_tensor)
{
    bool is_sum = (c->traits & MP_TRAIT_SUMS) != 0;
    if (is_sum && c->nargs > 0 && PyGen_CheckExact(c->args[0])) {
        return sum_begin(T, s, c->callee, c->args, c->count);
    }
    for (Py_ssize_t i = 0; i < c->count; i++) {
        if (PyFunction_Check(c->args[i]) || PyMethod_Check(c->args[i])) {
            return MP_OK;  // reduce(f, tensors): its frames do the work and are watched
        }
        if (PyIter_Check(c->args[i]) || mp_op_flags_of(c->args[i]) != 0) {
            s->calls = true;  // what comes out, or what is called, has no argument tree
        }
    }
    if (PyType_Check(c->callee)) {
        s->calls = T->lazy_calls = true;  // accumulate() adds when it is asked
    }
    if (!has_tensor || s->calls) {
        return MP_OK;
    }
    if (is_sum && c->nargs > 0 && Py_IS_TYPE(c->args[0], &PyDictValues_Type)) {
        return sum_of_view(T, s, c->callee, c->args, c->nargs, c->kwnames);
    }
    return mp_op_begin(T, s, c->callee, c->args, c->nargs, c->kwnames, MP_TORCH_CALL);
}

/* operator.iadd(a, b) and its kin do what `a += b` does. */
mp_rc
mp_record_inplace(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    return c->nargs != 2
               ? MP_OK  // TypeError
               : mp_record_binary(T, s, c->args[0], c->args[1], mp_data_of(c->callee));
}
