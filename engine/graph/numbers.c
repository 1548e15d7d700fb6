/* graph/numbers.c - what a graph spec says of numbers that are symbols.
 *
 * The graph computes with the sizes of its tensors and with ints that follow from them.  All
 * other numbers that an operation is given are inputs of the graph, which a hit computes as
 * CPython does (graph/graph.h: mp_graph_numbers). */
#include "graph/graph.h"
#include "plan/value.h"

static void
numbers_fini(mp_graph_numbers *g)
{
    PyMem_Free(g->given);
    Py_CLEAR(g->rows);
    *g = (mp_graph_numbers){NULL, 0, NULL};
}

/* Does a graph compute such a number itself? */
static bool
is_for_graphs(const mp_number *k)
{
    switch (k->op) {
    case MP_N_ADD:
    case MP_N_SUB:
    case MP_N_MUL:
    case MP_N_FLOORDIV:
    case MP_N_MOD:
    case MP_N_NEG:
    case MP_N_POS:
    case MP_N_MIN:
    case MP_N_MAX:
        return !k->is_float;
    default:
        return false;
    }
}

/* Which input of the graph the register holds; -1: none. */
static int
input_of(const mp_trace *T, int32_t reg)
{
    for (int i = 0; i < T->n_inputs; i++) {
        if (T->inputs[i]->reg == reg) {
            return i;
        }
    }
    return -1;
}

/* A number that the graph is given. */
static PyObject *
row_of_input(mp_trace *T, mp_graph_numbers *g, int32_t number)
{
    PyObject *value = mp_symbol_number_value_borrow(T, number);
    int32_t *given =
        PyMem_Realloc(g->given, (size_t)(g->n_given + 1) * sizeof(*g->given));
    if (given == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    g->given = given;
    g->given[g->n_given] = number;
    assert(value != NULL);  // only what is in a box gets here
    return Py_BuildValue("(siO)", "INPUT", T->n_inputs + g->n_given++, value);
}

static mp_rc add_row(mp_trace *T, mp_graph_numbers *g, int32_t number);

/* The row of a number that the graph needs: INT or FLOAT if it is constant, SIZE and its
 * like of an input, an operation on rows, or INPUT if the hit computes it.  New; NULL:
 * exception. */
static PyObject *
graph_row(mp_trace *T, mp_graph_numbers *g, int32_t number)
{
    const mp_number k = T->guards->numbers.ops[number];
    PyObject *value = mp_symbol_number_value_borrow(T, number);
    bool pinned = mp_symbol_number_is_pinned(T, number);
    if (k.op == MP_N_INT || k.op == MP_N_FLOAT) {
        return k.op == MP_N_INT ? Py_BuildValue("(sL)", "INT", (long long)k.n)
                                : Py_BuildValue("(sd)", "FLOAT", k.f);
    }
    if (pinned) {
        return Py_BuildValue("(sO)", k.is_float ? "FLOAT" : "INT", value);
    }
    if (k.op == MP_N_SIZE || k.op == MP_N_STRIDE || k.op == MP_N_OFFSET) {
        int i = input_of(T, k.a);
        return i < 0 ? row_of_input(T, g, number)
               : k.op == MP_N_OFFSET
                   ? Py_BuildValue("(si)", "OFFSET", i)
                   : Py_BuildValue("(siL)", mp_number_id(k.op), i, (long long)k.n);
    }
    if (!is_for_graphs(&k)) {
        return row_of_input(T, g, number);
    }
    bool two = mp_number_has_b(k.op);
    if (add_row(T, g, k.a) != MP_OK || (two && add_row(T, g, k.b) != MP_OK)) {
        return NULL;
    }
    return two ? Py_BuildValue("(sii)", mp_number_id(k.op), k.a, k.b)
               : Py_BuildValue("(si)", mp_number_id(k.op), k.a);
}

/* The row of any number of the segment, for the recorder of sizes.  VALUE is one whose
 * value only is known. */
PyObject *
mp_graph_number_row(mp_trace *T, int32_t number)
{
    const mp_number k = T->guards->numbers.ops[number];
    PyObject *value = NULL, *row;
    int i = k.op == MP_N_SIZE || k.op == MP_N_STRIDE ? input_of(T, k.a) : -1;
    if (i >= 0 && !mp_symbol_number_is_pinned(T, number)) {
        return Py_BuildValue("(siL)", mp_number_id(k.op), i, (long long)k.n);
    }
    if (is_for_graphs(&k)) {
        return mp_number_has_b(k.op)
                   ? Py_BuildValue("(sii)", mp_number_id(k.op), k.a, k.b)
                   : Py_BuildValue("(si)", mp_number_id(k.op), k.a);
    }
    value = mp_symbol_number_now(T, number);
    if (value == NULL) {
        return PyErr_Occurred() ? NULL : Py_BuildValue("(si)", "INT", 0);  // of nobody
    }
    bool fixed =
        k.op == MP_N_INT || k.op == MP_N_FLOAT || mp_symbol_number_is_pinned(T, number);
    row = Py_BuildValue("(sO)", !fixed ? "VALUE" : k.is_float ? "FLOAT" : "INT", value);
    Py_DECREF(value);
    return row;
}

/* Rows stand behind those of their operands. */
static mp_rc
add_row(mp_trace *T, mp_graph_numbers *g, int32_t number)
{
    PyObject *key = PyLong_FromLong(number);
    int there = key == NULL ? -1 : PyDict_Contains(g->rows, key);
    PyObject *row = there == 0 ? graph_row(T, g, number) : NULL;
    if (there == 0 && (row == NULL || PyDict_SetItem(g->rows, key, row) < 0)) {
        there = -1;
    }
    Py_XDECREF(row);
    Py_XDECREF(key);
    return there < 0 ? MP_ERR : MP_OK;
}

typedef struct {
    mp_trace *T;
    mp_graph_numbers *g;
} adding;

static int
add_leaf(void *ctx, PyObject *leaf)
{
    const adding *to = ctx;
    return mp_number_leaf_check(leaf)
               ? add_row(to->T, to->g, (int32_t)mp_number_leaf_index(leaf))
               : MP_OK;
}

/* All rows that the arguments of the log's operations need. */
static mp_rc
numbers_collect(mp_trace *T, mp_graph_numbers *g)
{
    *g = (mp_graph_numbers){NULL, 0, PyDict_New()};
    adding to = {T, g};
    int rc = g->rows == NULL ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0;
         T->symbols.cap > 0 && rc == MP_OK && i < PyList_GET_SIZE(T->ops); i++) {
        PyObject *op = PyList_GET_ITEM(T->ops, i);
        rc = mp_tree_walk(PyTuple_GET_ITEM(op, 1), add_leaf, &to);
        rc = rc != MP_OK ? rc : mp_tree_walk(PyTuple_GET_ITEM(op, 2), add_leaf, &to);
    }
    return (mp_rc)rc;
}

/* -- Layouts of inputs ------------------------------------------------------------------ */

/* New tuple of ints. */
static PyObject *
tuple_of(const int64_t *values, int32_t n)
{
    PyObject *t = PyTuple_New(n);
    for (int32_t i = 0; t != NULL && i < n; i++) {
        PyObject *v = PyLong_FromLongLong(values[i]);
        if (v == NULL) {
            Py_CLEAR(t);
            break;
        }
        PyTuple_SET_ITEM(t, i, v);
    }
    return t;
}

/* Dimensions whose size is a symbol still: new tuple. */
static PyObject *
open_dims(mp_trace *T, int32_t reg, const mp_tensor_meta *m)
{
    int64_t dims[64];
    int32_t n = 0;
    for (int32_t d = 0; d < m->ndim && d < 64; d++) {
        int32_t number = mp_tensor_meta_is_open(m, d)
                             ? mp_guards_number(T->guards, MP_N_SIZE, reg, -1, d, 0.0)
                             : -1;
        if (number >= 0 && !mp_symbol_number_is_pinned(T, number)) {
            dims[n++] = d;
        }
    }
    return tuple_of(dims, n);
}

/* (dims, sizes, strides, offset, links), as src/magpy/shapes/world.py takes it; NULL without
 * an exception: nothing is open. */
PyObject *
mp_graph_layout(mp_trace *T, const mp_node *n)
{
    const mp_tensor_meta *m =
        n->sized && n->reg >= 0 ? mp_guards_tensor_borrow(T->guards, n->reg) : NULL;
    int64_t offset = 0;
    if (m == NULL || !m->opened) {
        return NULL;
    }
    if (mp_node_is_alive(n)) {
        (void)mp_tensor_offset(n->obj, &offset);
    }
    return Py_BuildValue("(NNNLN)", open_dims(T, n->reg, m), tuple_of(m->dims, m->ndim),
                         tuple_of(m->dims + m->ndim, m->ndim), (long long)offset,
                         tuple_of(m->dims + 2 * m->ndim, m->ndim));
}

PyObject *
mp_graph_known(mp_trace *T, const mp_node *n)
{
    const mp_tensor_meta *m =
        n->sized && n->reg >= 0 ? mp_guards_tensor_borrow(T->guards, n->reg) : NULL;
    PyObject *device = m == NULL ? NULL : PyObject_GetAttrString(n->obj, "device");
    return device == NULL ? NULL
                          : Py_BuildValue("(NNOON)", tuple_of(m->dims, m->ndim),
                                          tuple_of(m->dims + m->ndim, m->ndim),
                                          m->dtype, m->layout, device);
}

/* Input index -> layout, of inputs with open sizes: new dict. */
static PyObject *
layouts_of_inputs(mp_trace *T)
{
    PyObject *layouts = PyDict_New();
    for (int i = 0; layouts != NULL && i < T->n_inputs; i++) {
        PyObject *layout = mp_graph_layout(T, T->inputs[i]);
        PyObject *key = layout == NULL ? NULL : PyLong_FromLong(i);
        if (PyErr_Occurred()
            || (layout != NULL
                && (key == NULL || PyDict_SetItem(layouts, key, layout) < 0))) {
            Py_CLEAR(layouts);
        }
        Py_XDECREF(key);
        Py_XDECREF(layout);
    }
    return layouts;
}

int
mp_graph_note_numbers(mp_trace *T, const mp_graph_numbers *numbers, PyObject *notes)
{
    PyObject *layouts = layouts_of_inputs(T);
    int rc = layouts == NULL ? -1 : 0;
    if (rc == 0 && PyDict_GET_SIZE(numbers->rows) > 0) {
        rc = PyDict_SetItemString(notes, "numbers", numbers->rows);
    }
    if (rc == 0 && PyDict_GET_SIZE(layouts) > 0) {
        rc = PyDict_SetItemString(notes, "dynamic", layouts);
    }
    PyObject *sizes = rc < 0 || T->sizes == NULL ? NULL : PyList_New(0);
    for (Py_ssize_t i = 0; sizes != NULL && i < PyList_GET_SIZE(T->sizes); i++) {
        // (Its Value has its number now.)
        PyObject *row = PyList_GET_ITEM(T->sizes, i);
        PyObject *made =
            Py_BuildValue("(nOO)", mp_value_index(PyTuple_GET_ITEM(row, 0)),
                          PyTuple_GET_ITEM(row, 1), PyTuple_GET_ITEM(row, 2));
        if (made == NULL || PyList_Append(sizes, made) < 0) {
            Py_CLEAR(sizes);
        }
        Py_XDECREF(made);
    }
    if (rc == 0 && T->sizes != NULL) {
        rc = sizes == NULL ? -1 : PyDict_SetItemString(notes, "sizes", sizes);
    }
    Py_XDECREF(sizes);
    Py_XDECREF(layouts);
    return rc;
}

mp_rc
mp_graph_spec(mp_trace *T, PyObject *outputs, mp_plan *plan)
{
    mp_graph_numbers numbers;
    mp_rc rc = numbers_collect(T, &numbers);
    int n_inputs = T->n_inputs + numbers.n_given;
    plan->graph = rc == MP_OK ? mp_op_spec(T, outputs, &numbers) : NULL;
    plan->inputs = PyMem_Malloc((size_t)(n_inputs + 1) * sizeof(*plan->inputs));
    if (plan->graph != NULL && plan->inputs == NULL) {
        PyErr_NoMemory();
    }
    rc = plan->graph == NULL || plan->inputs == NULL ? MP_ERR : MP_OK;
    for (int i = 0; i < n_inputs && rc == MP_OK; i++) {
        plan->inputs[i] =
            i < T->n_inputs ? T->inputs[i]->reg : ~numbers.given[i - T->n_inputs];
    }
    plan->n_inputs = rc == MP_OK ? n_inputs : 0;
    numbers_fini(&numbers);
    return rc;
}
