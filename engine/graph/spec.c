/* graph/spec.c - the finished log, as plain data for the Python half (plan/plan.h). */
#include "graph/graph.h"
#include "plan/value.h"
#include "torch/hooks.h"

/* The inputs of which the run changes more than what they hold: new tuple of positions. */
static PyObject *
spec_restated(mp_trace *T)
{
    PyObject *restated = PyList_New(0);
    for (int i = 0; restated != NULL && i < T->n_inputs; i++) {
        PyObject *index =
            T->inputs[i]->restated ? PyLong_FromLong(i) : Py_NewRef(Py_None);
        if (index == NULL || (index != Py_None && PyList_Append(restated, index) < 0)) {
            Py_CLEAR(restated);
        }
        Py_XDECREF(index);
    }
    PyObject *tuple = restated == NULL ? NULL : PyList_AsTuple(restated);
    Py_XDECREF(restated);
    return tuple;
}

/* The inputs that the run changes: new list of their positions, and a list of the positions
 * of the operations that do it first. */
static PyObject *
spec_mutated(mp_trace *T, PyObject *written)
{
    PyObject *mutated = PyList_New(0);
    for (int i = 0; mutated != NULL && i < T->n_inputs; i++) {
        const mp_node *n = T->inputs[i];
        if (!n->changed && !n->restated) {
            continue;
        }
        PyObject *index = PyLong_FromLong(i);
        PyObject *at = PyLong_FromLong(n->changed && !n->restated ? n->wrote_at : 0);
        if (index == NULL || at == NULL || PyList_Append(mutated, index) < 0
            || PyList_Append(written, at) < 0) {
            Py_CLEAR(mutated);
        }
        Py_XDECREF(index);
        Py_XDECREF(at);
    }
    return mutated;
}

/* Source texts of the inputs: new tuple. */
static PyObject *
spec_names(mp_trace *T, const mp_graph_numbers *numbers)
{
    PyObject *names = PyTuple_New(T->n_inputs + numbers->n_given);
    for (int i = 0; names != NULL && i < T->n_inputs + numbers->n_given; i++) {
        PyObject *name = mp_guards_given(
            T->guards,
            i < T->n_inputs ? T->inputs[i]->reg : ~numbers->given[i - T->n_inputs]);
        if (name == NULL) {
            Py_CLEAR(names);
            break;
        }
        PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

/* Which guard registers are the first argument of some frame?  PyMem block of n_regs, or NULL
 * with an exception. */
static bool *
spec_selves(const mp_trace *T)
{
    bool *is_self = PyMem_Calloc((size_t)T->guards->n_regs + 1, sizeof(*is_self));
    if (is_self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (int32_t i = 0; i < T->sites.n_rows; i++) {
        if (T->sites.rows[i].self >= 0) {
            is_self[T->sites.rows[i].self] = true;
        }
    }
    return is_self;
}

/* Register -> (source text, weak reference to the class) of the first arguments of frames:
 * new dict. */
static PyObject *
spec_owners(const mp_trace *T)
{
    bool *is_self = spec_selves(T);
    PyObject *owners = is_self == NULL ? NULL : PyDict_New();
    for (int32_t i = 0; owners != NULL && i < T->graph.n_nodes; i++) {
        const mp_node *n = T->graph.nodes[i];
        if (n->kind != MP_NODE_EXTERNAL || n->reg < 0 || !is_self[n->reg]) {
            continue;
        }
        PyObject *reg = PyLong_FromLong(n->reg);
        PyObject *row = Py_BuildValue("(NN)", mp_guards_source(T->guards, n->reg),
                                      PyWeakref_NewRef((PyObject *)n->type, NULL));
        if (reg == NULL || row == NULL || PyDict_SetItem(owners, reg, row) < 0) {
            Py_CLEAR(owners);
        }
        Py_XDECREF(reg);
        Py_XDECREF(row);
    }
    PyMem_Free(is_self);
    return owners;
}

/* Where the operations came from, as src/magpy/places.py reads it: (codes, rows, row of each
 * operation, owners), new. */
static PyObject *
spec_sites(const mp_trace *T)
{
    Py_ssize_t n_ops = PyList_GET_SIZE(T->ops);
    PyObject *of_ops =
        PyBytes_FromStringAndSize(NULL, n_ops * (Py_ssize_t)sizeof(int32_t));
    PyObject *owners = of_ops == NULL ? NULL : spec_owners(T);
    if (owners == NULL) {
        Py_XDECREF(of_ops);
        return NULL;
    }
    int32_t *at = (int32_t *)PyBytes_AS_STRING(of_ops);
    for (Py_ssize_t i = 0; i < n_ops; i++) {
        at[i] = mp_sites_row(&T->sites.ops, (int32_t)i);
    }
    return Py_BuildValue("(Oy#NN)", T->codes, (const char *)T->sites.rows,
                         T->sites.n_rows * (Py_ssize_t)sizeof(mp_site_row), of_ops,
                         owners);
}

/* What the Python half must know of the graph besides its operations
 * (engine/plan/plan.h). */
static PyObject *
spec_notes(mp_trace *T, const mp_graph_numbers *numbers)
{
    PyObject *written = PyList_New(0), *names = NULL, *mutated = NULL, *notes = NULL;
    if (written != NULL && (names = spec_names(T, numbers)) != NULL) {
        mutated = spec_mutated(T, written);
    }
    if (mutated != NULL) {
        notes = Py_BuildValue("{s:O,s:N,s:N,s:O,s:O,s:O,s:O,s:N,s:N}", "input_names",
                              names, "mutated", PyList_AsTuple(mutated), "written",
                              PyList_AsTuple(written), "caught",
                              T->op_caught ? Py_True : Py_False, "ended",
                              T->op_ended ? Py_True : Py_False, "filtered",
                              T->op_filtered ? Py_True : Py_False, "hooked",
                              mp_hooks_now() != MP_HOOKS_NONE ? Py_True : Py_False,
                              "restated", spec_restated(T), "sites", spec_sites(T));
    }
    if (notes != NULL
        && (mp_graph_note_numbers(T, numbers, notes) < 0
            || (T->selects && PyDict_SetItemString(notes, "selects", Py_True) < 0)
            || (mp_hooks_tap(T) && PyDict_SetItemString(notes, "tapped", Py_True) < 0)
            || (T->odd && PyDict_SetItemString(notes, "odd", Py_True) < 0))) {
        Py_CLEAR(notes);
    }
    PyObject *late = notes != NULL && T->n_late_ops > 0 ? mp_late_note(T) : NULL;
    if (notes != NULL && T->n_late_ops > 0
        && (late == NULL || PyDict_SetItemString(notes, "late", late) < 0)) {
        Py_CLEAR(notes);
    }
    Py_XDECREF(late);
    Py_XDECREF(mutated);
    Py_XDECREF(names);
    Py_XDECREF(written);
    return notes;
}

/* outputs: list of Values.  Result Values were numbered from 0; placeholders come first. */
PyObject *
mp_op_spec(mp_trace *T, PyObject *outputs, const mp_graph_numbers *numbers)
{
    int n_inputs = T->n_inputs + numbers->n_given;
    assert(PyList_CheckExact(outputs));
    PyObject *indices = PyTuple_New(PyList_GET_SIZE(outputs)), *notes = NULL,
             *spec = NULL;
    if (indices == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < T->graph.n_nodes; i++) {
        if (T->graph.nodes[i]->leaf != NULL) {
            mp_value_finish(T->graph.nodes[i]->leaf, n_inputs);
        }
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(outputs); i++) {
        PyObject *index =
            PyLong_FromSsize_t(mp_value_index(PyList_GET_ITEM(outputs, i)));
        if (index == NULL) {
            goto done;
        }
        PyTuple_SET_ITEM(indices, i, index);
    }
    notes = spec_notes(T, numbers);
    if (notes != NULL) {
        spec = Py_BuildValue("(OiOO)", T->ops, n_inputs, indices, notes);
    }
done:
    Py_XDECREF(notes);
    Py_DECREF(indices);
    return spec;
}
