/* graph/shape.c - sizes of tensors that follow from symbols: `x.shape`, `x.size(0)`, `len(x)`.
 *
 * Sizes of inputs are sources of the guard program (MP_N_SIZE).  Those of results are asked
 * of Python (src/magpy/shapes/recorder.py), which runs the operations on fakes; the answer is
 * noted and proven when the graph is compiled, so a wrong one makes no wrong result.  Whoever
 * reads anything else of such a tensor pins all numbers (mp_tensor_observe). */
#include "graph/graph.h"
#include "objects/callables.h"
#include "objects/types.h"

/* -- Sizes as numbers -------------------------------------------------------------------- */

typedef struct {
    int32_t ndim;
    int32_t size[MP_MAX_READ];  // numbers, NOW: what it is now, DATA: depends on data
} sizes;

enum { NOW = -1, DATA = -2 };

/* An input: open sizes are sources of the guard program, the others are constants. */
static mp_rc
sizes_of_input(mp_trace *T, const mp_node *n, sizes *out, bool *known)
{
    const mp_tensor_meta *m = mp_guards_tensor_borrow(T->guards, n->reg);
    *known = m != NULL && m->ndim <= MP_MAX_READ;
    out->ndim = *known ? m->ndim : 0;
    for (int32_t d = 0; d < out->ndim; d++) {
        out->size[d] = NOW;
        if (!mp_tensor_meta_is_open(m, d)) {
            continue;
        }
        out->size[d] = mp_guards_number(T->guards, MP_N_SIZE, n->reg, -1, d, 0.0);
        if (out->size[d] < 0) {
            return MP_ERR;
        }
    }
    return MP_OK;
}

static int32_t number_of_term(mp_trace *T, PyObject *term);

/* A row in Python's form, as a number of this program. */
static int32_t
number_of_tuple(mp_trace *T, PyObject *term)
{
    const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(term, 0));
    int op = name == NULL ? -1 : mp_number_find(name);
    Py_ssize_t count = PyTuple_GET_SIZE(term);
    if (op < 0 || count < 2 || op == MP_N_FLOAT) {
        return MP_NUMBER_NONE;
    }
    if (op == MP_N_INT) {  // (one that leaves int64 has no number)
        return mp_guards_number_const(T->guards, PyTuple_GET_ITEM(term, 1));
    }
    if (mp_number_is_source(op)) {
        long long input = PyLong_AsLongLong(PyTuple_GET_ITEM(term, 1));
        long long dim = count > 2 ? PyLong_AsLongLong(PyTuple_GET_ITEM(term, 2)) : 0;
        bool fits =
            input >= 0 && dim >= 0 && input < T->n_inputs && T->inputs[input]->reg >= 0;
        return PyErr_Occurred() ? -1
               : fits           ? mp_guards_number(T->guards, (mp_number_op)op,
                                                   T->inputs[input]->reg, -1, dim, 0.0)
                                : MP_NUMBER_NONE;
    }
    int32_t a = number_of_term(T, PyTuple_GET_ITEM(term, 1));
    int32_t b = a >= 0 && mp_number_has_b(op)
                    ? (count > 2 ? number_of_term(T, PyTuple_GET_ITEM(term, 2))
                                 : MP_NUMBER_NONE)
                    : -1;
    if (a < 0 || (mp_number_has_b(op) && b < 0)) {
        return a < 0 ? a : b;
    }
    return mp_guards_number(T->guards, (mp_number_op)op, a, b, 0, 0.0);
}

/* MP_NUMBER_NONE, or -1 with an exception. */
static int32_t
number_of_term(mp_trace *T, PyObject *term)
{
    if (PyLong_Check(term)) {
        long k = PyLong_AsLong(term);
        return k >= 0 && k < T->guards->numbers.n ? (int32_t)k : MP_NUMBER_NONE;
    }
    return PyTuple_Check(term) && PyTuple_GET_SIZE(term) > 0
                   && PyUnicode_Check(PyTuple_GET_ITEM(term, 0))
               ? number_of_tuple(T, term)
               : MP_NUMBER_NONE;
}

/* -- Sizes of results ---------------------------------------------------------------------- */

/* All numbers of the segment, for the recorder of sizes: borrowed list of rows, which
 * grows. */
static PyObject *
rows_of_numbers_borrow(mp_trace *T)
{
    if (T->number_rows == NULL && (T->number_rows = PyList_New(0)) == NULL) {
        return NULL;
    }
    PyObject *rows = T->number_rows;
    for (int32_t k = (int32_t)PyList_GET_SIZE(rows); k < T->guards->numbers.n; k++) {
        PyObject *row = mp_graph_number_row(T, k);
        int rc = row == NULL ? -1 : PyList_Append(rows, row);
        Py_XDECREF(row);
        if (rc < 0) {
            return NULL;
        }
    }
    return rows;
}

/* The session of the compiled object, whose method the compiler is, answers. */
static PyObject *
recorder_borrow(mp_trace *T)
{
    PyObject *compiler = T->compiling == NULL ? NULL : T->compiling->compiler;
    if (T->recorder == NULL && compiler != NULL && PyMethod_Check(compiler)) {
        T->recorder =
            PyObject_CallMethod(PyMethod_GET_SELF(compiler), "recorder", NULL);
    }
    return T->recorder;
}

/* (what is known, dims, sizes, strides, offset, links) of a tensor that lives: new tuple. */
static PyObject *
told_of_input(mp_trace *T, mp_node *n)
{
    PyObject *known = mp_graph_known(T, n), *recorder;
    if (known == NULL && !PyErr_Occurred() && (recorder = recorder_borrow(T)) != NULL) {
        known = PyObject_CallMethod(recorder, "known", "O", n->obj);
    }
    PyObject *layout = known == NULL ? NULL : mp_graph_layout(T, n), *row = NULL;
    if (layout != NULL) {
        PyObject *first = PyTuple_Pack(1, known);
        row = first == NULL ? NULL : PySequence_Concat(first, layout);
        Py_XDECREF(first);
    }
    else if (known != NULL && !PyErr_Occurred()) {
        row = Py_BuildValue("(O())", known);
    }
    Py_XDECREF(known);
    Py_XDECREF(layout);
    return row;
}

/* The rows of all inputs, None for one that was never asked about and has died. */
static int
tell_inputs(mp_trace *T)
{
    if (T->input_rows == NULL && (T->input_rows = PyList_New(0)) == NULL) {
        return -1;
    }
    int rc = 0;
    while (rc == 0 && PyList_GET_SIZE(T->input_rows) < T->n_inputs) {
        mp_node *n = T->inputs[PyList_GET_SIZE(T->input_rows)];
        PyObject *row = mp_node_is_alive(n) ? told_of_input(T, n) : Py_NewRef(Py_None);
        rc = row == NULL ? -1 : PyList_Append(T->input_rows, row);
        Py_XDECREF(row);
    }
    return rc;
}

mp_rc
mp_shape_tell_input(mp_trace *T)
{
    if (tell_inputs(T) < 0 && PyErr_Occurred()) {
        if (mp_err_is_signal()) {
            return MP_ERR;
        }
        mp_err_drop();  // it is asked again when a size is read
    }
    return MP_OK;
}

/* Rows of all inputs: new reference.  NULL, without an exception if some tensor is gone. */
static PyObject *
rows_of_inputs(mp_trace *T)
{
    if (tell_inputs(T) < 0) {
        return NULL;
    }
    for (int i = 0; i < T->n_inputs; i++) {
        if (PyList_GET_ITEM(T->input_rows, i) == Py_None) {
            return NULL;
        }
    }
    return Py_NewRef(T->input_rows);
}

PyObject *
mp_shape_ask(mp_trace *T, const char *question, PyObject *what)
{
    if (T->all_static || T->odd) {
        return NULL;  // fakes run single operations: there are no levels around them
    }
    PyObject *recorder = recorder_borrow(T), *answer = NULL;
    PyObject *inputs = recorder == NULL ? NULL : rows_of_inputs(T);
    PyObject *numbers = inputs == NULL ? NULL : rows_of_numbers_borrow(T);
    if (numbers != NULL) {
        answer = PyObject_CallMethod(recorder, question, "OOOO", T->ops, inputs,
                                     numbers, what);
    }
    if (PyErr_Occurred() && !mp_err_is_signal()) {
        mp_err_drop();  // who cannot be asked does not know
    }
    Py_XDECREF(inputs);
    return answer;
}

/* New reference to a tuple of terms; NULL without an exception: nobody knows. */
static PyObject *
ask(mp_trace *T, mp_node *n)
{
    if (n->dynamic) {
        PyObject *answer = mp_selection_ask(T, n);
        PyObject *terms =
            answer == NULL ? NULL : Py_NewRef(PyTuple_GET_ITEM(answer, 0));
        Py_XDECREF(answer);
        return terms;
    }
    PyObject *terms = mp_shape_ask(T, "sizes", n->leaf);
    if (terms != NULL && !PyTuple_Check(terms)) {
        Py_CLEAR(terms);
    }
    return terms;
}

/* The terms of this tensor were used: they are proven when the graph is compiled.  strides: or
 * None. */
static int
note_terms(mp_trace *T, const mp_node *n, PyObject *terms, PyObject *strides)
{
    if (T->sizes == NULL && (T->sizes = PyList_New(0)) == NULL) {
        return -1;
    }
    PyObject *row = PyTuple_Pack(3, n->leaf, terms, strides);
    int rc = row == NULL ? -1 : PyList_Append(T->sizes, row);
    Py_XDECREF(row);
    return rc;
}

/* A result: the terms of the recorder of sizes are taken if each has the value that the
 * tensor really has.  A wrong term that passes is found by the proof when the graph is
 * compiled. */
static mp_rc
sizes_of_result(mp_trace *T, mp_node *n, sizes *out, bool *known)
{
    *known = false;
    if (n->leaf == NULL || T->apply.cls != NULL) {
        return MP_OK;
    }
    PyObject *terms = ask(T, n);
    if (terms == NULL || PyTuple_GET_SIZE(terms) > MP_MAX_READ) {
        Py_XDECREF(terms);
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    out->ndim = (int32_t)PyTuple_GET_SIZE(terms);
    *known = true;
    for (int32_t d = 0; d < out->ndim && *known; d++) {
        int64_t now;
        if (PyTuple_GET_ITEM(terms, d) == Py_None) {
            out->size[d] = DATA;
            continue;
        }
        int32_t k = number_of_term(T, PyTuple_GET_ITEM(terms, d));
        PyObject *value = k < 0 ? NULL : mp_symbol_number_now(T, k);
        *known = value != NULL && PyLong_Check(value)
                 && mp_tensor_size(n->obj, d, &now) == 1
                 && PyLong_AsLongLong(value) == now;
        Py_XDECREF(value);
        out->size[d] = *known && T->guards->numbers.ops[k].op == MP_N_INT ? NOW : k;
    }
    int64_t more;
    *known = *known && mp_tensor_size(n->obj, out->ndim, &more) != 1;
    bool noted = !*known || note_terms(T, n, terms, Py_None) == 0;
    Py_DECREF(terms);
    return PyErr_Occurred() || !noted ? MP_ERR : MP_OK;
}

static mp_rc
refuse_selection(mp_trace *T)
{
    return mp_trace_abort(T, MP_AB_DYNAMIC_SHAPE, "the shape of a selection");
}

/* Else *known is false, and every number is pinned. */
static mp_rc
read_sizes(mp_trace *T, mp_node *n, sizes *out, bool *known)
{
    mp_rc rc = n->reg >= 0 ? sizes_of_input(T, n, out, known)
                           : sizes_of_result(T, n, out, known);
    return rc != MP_OK || *known ? rc
           : n->dynamic          ? refuse_selection(T)
                                 : mp_pin_everything(T);
}

static bool
depends_on_data(const sizes *found)
{
    bool depends = false;
    for (int32_t d = 0; d < found->ndim; d++) {
        depends = depends || found->size[d] == DATA;
    }
    return depends;
}

/* -- What reads them --------------------------------------------------------------------- */

/* A size that depends on data is a late value: the log reads it when the graph runs. */
static mp_rc
answer_late(mp_trace *T, mp_shadow *s, mp_known_id method, PyObject *const *args,
            Py_ssize_t nargs)
{
    PyObject *callee = mp_known[method], *target = NULL;
    if (callee == NULL || !mp_late_may(T)) {
        return refuse_selection(T);
    }
    mp_rc rc = mp_op_call_name(T, callee, args, nargs, &target);
    rc = rc != MP_OK ? rc : mp_late_begin(T, s, callee, target, args, nargs, false);
    Py_XDECREF(target);
    s->below = MP_BELOW_SKIP;
    return rc;
}

static mp_rc
answer_late_size(mp_trace *T, mp_shadow *s, PyObject *tensor, int64_t dim)
{
    PyObject *args[2] = {tensor, PyLong_FromLongLong(dim)};
    mp_rc rc = args[1] == NULL ? MP_ERR : answer_late(T, s, MP_K_TENSOR_SIZE, args, 2);
    Py_XDECREF(args[1]);
    return rc;
}

/* The same of an item of x.shape, when that is there. */
static mp_rc
make_late_size(mp_trace *T, int32_t dim, PyObject *size, PyObject **box)
{
    mp_op_drop(T);
    T->op.target = Py_NewRef(T->read_by);
    T->op.args = Py_BuildValue("(Oi)", T->read_of, (int)dim);
    T->op.kwargs = PyDict_New();
    T->op.late = MP_LATE_READS;
    *box = NULL;
    return T->op.args == NULL || T->op.kwargs == NULL ? MP_ERR
                                                      : mp_late_end(T, size, box);
}

/* x.shape: mp_shape_result puts boxes into the torch.Size when it is there. */
mp_rc
mp_shape_attr(mp_trace *T, mp_shadow *s, mp_node *n)
{
    sizes found;
    bool known;
    mp_rc rc = read_sizes(T, n, &found, &known);
    s->post = MP_POST_CONST;
    if (rc == MP_OK && known && depends_on_data(&found)) {
        PyObject *callee = mp_known[MP_K_TENSOR_SIZE];
        if (callee == NULL || !mp_late_may(T)) {
            return refuse_selection(T);
        }
        Py_CLEAR(T->read_by);
        rc = mp_op_call_name(T, callee, &n->obj, 1, &T->read_by);
        Py_XSETREF(T->read_of, Py_NewRef(n->leaf));
    }
    if (rc == MP_OK && known) {
        T->n_read = found.ndim;
        memcpy(T->read, found.size, (size_t)found.ndim * sizeof(*T->read));
        s->post = MP_POST_SHAPE;
    }
    return rc;
}

/* Guarded for an input; of a result it is proven with the sizes. */
mp_rc
mp_shape_ndim(mp_trace *T, mp_shadow *s, mp_node *n)
{
    sizes found;
    bool known;
    s->post = MP_POST_CONST;
    return n->reg >= 0 ? MP_OK : read_sizes(T, n, &found, &known);
}

/* One size, or the product of all: what the instruction answers. */
static mp_rc
answer_size(mp_trace *T, mp_shadow *s, const mp_node *n, const sizes *found,
            int64_t dim)
{
    s->post = MP_POST_CONST;
    if (dim >= -found->ndim && dim < found->ndim) {
        int32_t k = found->size[dim < 0 ? dim + found->ndim : dim];
        if (k == DATA) {
            return answer_late_size(T, s, n->obj, dim);
        }
        s->number = k;
        s->post = k < 0 ? MP_POST_CONST : MP_POST_NUMBER;
    }
    return MP_OK;  // (else IndexError)
}

/* x.numel(): all sizes multiplied. */
static mp_rc
answer_product(mp_trace *T, mp_shadow *s, mp_node *n, const sizes *found)
{
    int32_t product = -1;
    if (depends_on_data(found)) {
        return answer_late(T, s, MP_K_TENSOR_NUMEL, &n->obj, 1);
    }
    for (int32_t d = 0; d < found->ndim; d++) {
        int64_t now = 0;
        int32_t k = found->size[d];
        if (k < 0 && mp_tensor_size(n->obj, d, &now) == 1) {
            k = mp_guards_number(T->guards, MP_N_INT, -1, -1, now, 0.0);
        }
        if (k >= 0 && product >= 0) {
            k = mp_guards_number(T->guards, MP_N_MUL, product, k, 0, 0.0);
        }
        if (k < 0) {
            return k == MP_NUMBER_NONE ? mp_pin_everything(T) : MP_ERR;
        }
        product = k;
    }
    s->number = product;
    s->post = product < 0 ? MP_POST_CONST : MP_POST_NUMBER;
    return MP_OK;
}

mp_rc
mp_shape_len(mp_trace *T, mp_shadow *s, mp_node *n)
{
    sizes found;
    bool known;
    mp_rc rc = read_sizes(T, n, &found, &known);
    return rc != MP_OK || !known ? rc : answer_size(T, s, n, &found, 0);
}

mp_rc
mp_shape_rows(mp_trace *T, mp_node *n)
{
    sizes found;
    bool known;
    if (!n->dynamic) {
        return n->sized ? mp_pin_everything(T) : MP_OK;
    }
    mp_rc rc = read_sizes(T, n, &found, &known);
    if (rc != MP_OK || !known) {
        return rc;
    }
    return found.ndim > 0 && found.size[0] == DATA ? refuse_selection(T)
           : n->sized                              ? mp_pin_everything(T)
                                                   : MP_OK;
}

/* Is it this method of tensors, also bound to one? */
static bool
is_method(PyObject *callee, mp_known_id id)
{
    PyObject *known = mp_known[id];
    return known != NULL && mp_callable_key(callee) == mp_callable_key(known);
}

/* What does not depend on sizes, though it is metadata. */
static bool
is_fixed(PyObject *callee)
{
    static const mp_known_id ids[] = {MP_K_TENSOR_IS_FLOAT, MP_K_TENSOR_IS_COMPLEX,
                                      MP_K_TENSOR_IS_SIGNED, MP_K_TENSOR_ELEMENT_SIZE,
                                      MP_K_TENSOR_GET_DEVICE};
    bool found = false;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(ids) && !found; i++) {
        found = is_method(callee, ids[i]);
    }
    return found;
}

/* x.size(dim), x.size(dim=1): *dim; false: it is another call. */
static bool
takes_dim(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, int64_t *dim)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    int overflow;
    bool named = kwnames == NULL
                 || (PyTuple_GET_SIZE(kwnames) == 1
                     && mp_name_is(PyTuple_GET_ITEM(kwnames, 0), "dim"));
    if (count != 2 || !named || !PyLong_CheckExact(args[1])) {
        return false;
    }
    *dim = PyLong_AsLongLongAndOverflow(args[1], &overflow);
    return overflow == 0;
}

/* -- Strides ------------------------------------------------------------------------------- */

/* All sizes and strides of a tensor, as numbers; constants, too. */
typedef struct {
    int32_t ndim;
    int32_t size[MP_MAX_READ], stride[MP_MAX_READ];
} layout;

/* MP_NUMBER_NONE, or -1 with an exception. */
static int32_t
number_of_int(mp_trace *T, int64_t value)
{
    return mp_guards_number(T->guards, MP_N_INT, -1, -1, value, 0.0);
}

static int32_t
input_size(mp_trace *T, const mp_node *n, const mp_tensor_meta *m, int32_t dim)
{
    return mp_tensor_meta_is_open(m, dim)
               ? mp_guards_number(T->guards, MP_N_SIZE, n->reg, -1, dim, 0.0)
               : number_of_int(T, m->dims[dim]);
}

/* As its guard knows it. */
static int32_t
input_stride(mp_trace *T, const mp_node *n, const mp_tensor_meta *m, int32_t dim)
{
    int32_t link = mp_tensor_meta_link(m, dim);
    if (link == MP_STRIDE_FIXED) {
        return number_of_int(T, m->dims[m->ndim + dim]);
    }
    if (link == MP_STRIDE_FREE) {
        return mp_guards_number(T->guards, MP_N_STRIDE, n->reg, -1, dim, 0.0);
    }
    int32_t size = input_size(T, n, m, link);
    int32_t inner = size < 0 ? size : input_stride(T, n, m, link);
    return inner < 0 ? inner
                     : mp_guards_number(T->guards, MP_N_MUL, size, inner, 0, 0.0);
}

/* *known is false if one of them is no number. */
static mp_rc
layout_of_input(mp_trace *T, const mp_node *n, layout *out, bool *known)
{
    const mp_tensor_meta *m = mp_guards_tensor_borrow(T->guards, n->reg);
    *known = m != NULL && m->ndim <= MP_MAX_READ;
    out->ndim = *known ? m->ndim : 0;
    for (int32_t d = 0; d < out->ndim && *known; d++) {
        out->size[d] = input_size(T, n, m, d);
        out->stride[d] = out->size[d] < 0 ? -1 : input_stride(T, n, m, d);
        *known = out->size[d] >= 0 && out->stride[d] >= 0;
    }
    return PyErr_Occurred() ? MP_ERR : MP_OK;
}

/* Numbers of terms that have the values that the tensor really has; false: they have not, or
 * with an exception. */
static bool
numbers_of_terms(mp_trace *T, PyObject *terms, const mp_node *n,
                 int (*read)(PyObject *, int64_t, int64_t *), int32_t *numbers)
{
    bool known = true;
    for (int32_t d = 0; d < PyTuple_GET_SIZE(terms) && known; d++) {
        int64_t now;
        numbers[d] = number_of_term(T, PyTuple_GET_ITEM(terms, d));
        PyObject *value = numbers[d] < 0 ? NULL : mp_symbol_number_now(T, numbers[d]);
        known = value != NULL && PyLong_Check(value) && read(n->obj, d, &now) == 1
                && PyLong_AsLongLong(value) == now;
        Py_XDECREF(value);
    }
    return known;
}

/* The recorder of sizes tells them, and the proof looks again. */
static mp_rc
layout_of_result(mp_trace *T, const mp_node *n, layout *out, bool *known)
{
    *known = false;
    if (n->leaf == NULL || T->apply.cls != NULL) {
        return MP_OK;
    }
    PyObject *terms = mp_shape_ask(T, "ask", n->leaf);
    if (terms == NULL || !PyTuple_Check(terms)) {
        Py_XDECREF(terms);
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    PyObject *of_sizes = PyTuple_GET_ITEM(terms, 0);
    PyObject *of_strides = PyTuple_GET_ITEM(terms, 1);
    out->ndim = (int32_t)PyTuple_GET_SIZE(of_sizes);
    *known = out->ndim <= MP_MAX_READ
             && numbers_of_terms(T, of_sizes, n, mp_tensor_size, out->size)
             && numbers_of_terms(T, of_strides, n, mp_tensor_stride, out->stride);
    bool noted = !*known || note_terms(T, n, of_sizes, of_strides) == 0;
    Py_DECREF(terms);
    return PyErr_Occurred() || !noted ? MP_ERR : MP_OK;
}

static mp_rc
read_layout(mp_trace *T, const mp_node *n, layout *out, bool *known)
{
    return n->reg >= 0 ? layout_of_input(T, n, out, known)
                       : layout_of_result(T, n, out, known);
}

/* Guard that two numbers are equal, or that they are not, as they are in this run. */
static mp_rc
hold_relation(mp_trace *T, mp_number_op op, int32_t a, int32_t b)
{
    if (a == b) {
        return MP_OK;  // (equal, that is)
    }
    int32_t test = mp_guards_number(T->guards, op, a, b, 0, 0.0);
    return test < 0 || mp_guards_hold(T->guards, test) < 0 ? MP_ERR : MP_OK;
}

/* x.is_contiguous(): each stride is the product of the sizes inside, or is not, up to the first
 * where that decides.  *done is false where a size is 0: nothing is asked of strides then. */
static mp_rc
decide_contiguous(mp_trace *T, const mp_node *n, const layout *l, bool *done)
{
    int64_t size = 1, stride = 1, dense = 1;
    for (int32_t d = 0; d < l->ndim && *done; d++) {
        *done = mp_tensor_size(n->obj, d, &size) == 1 && size > 0;
    }
    int32_t product = *done ? number_of_int(T, 1) : -1;
    int32_t one = product;
    mp_rc rc = MP_OK;
    for (int32_t d = l->ndim - 1; d >= 0 && *done && rc == MP_OK; d--) {
        (void)mp_tensor_size(n->obj, d, &size);
        (void)mp_tensor_stride(n->obj, d, &stride);
        if (size == 1) {
            rc = hold_relation(T, MP_N_EQ, l->size[d], one);
            continue;
        }
        if (stride != dense) {
            rc = hold_relation(T, MP_N_NE, l->size[d], one);
            return rc != MP_OK ? rc : hold_relation(T, MP_N_NE, l->stride[d], product);
        }
        rc = hold_relation(T, MP_N_EQ, l->stride[d], product);
        dense *= size;
        product = mp_guards_number(T->guards, MP_N_MUL, product, l->size[d], 0, 0.0);
        *done = product >= 0;
    }
    return PyErr_Occurred() ? MP_ERR : rc;
}

/* x.stride(), x.stride(0), x.is_contiguous(). */
static mp_rc
call_of_strides(mp_trace *T, mp_shadow *s, mp_node *n, PyObject *callee,
                PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, bool *done)
{
    bool strides = is_method(callee, MP_K_TENSOR_STRIDE);
    bool dense = is_method(callee, MP_K_TENSOR_IS_CONTIGUOUS);
    int64_t dim = 0;
    bool one = strides && takes_dim(args, nargs, kwnames, &dim);
    if (!(strides || dense) || !n->sized || n->dynamic
        || (!one && (nargs != 1 || kwnames != NULL))) {
        return MP_OK;
    }
    const mp_tensor_meta *m =
        n->reg >= 0 ? mp_guards_tensor_borrow(T->guards, n->reg) : NULL;
    if (dense && m != NULL && (!m->opened || mp_tensor_meta_stays_contiguous(m))) {
        *done = true;
        return MP_OK;
    }
    layout found;
    mp_rc rc = one ? mp_pin(T, args[1]) : MP_OK;
    rc = rc != MP_OK ? rc : read_layout(T, n, &found, done);
    if (rc != MP_OK || !*done) {
        return rc;
    }
    if (dense) {
        return decide_contiguous(T, n, &found, done);
    }
    sizes read = {.ndim = found.ndim};
    for (int32_t d = 0; d < found.ndim; d++) {
        bool fixed = T->guards->numbers.ops[found.stride[d]].op == MP_N_INT;
        read.size[d] = fixed ? NOW : found.stride[d];
    }
    if (one) {
        return answer_size(T, s, n, &read, dim);
    }
    T->n_read = read.ndim;
    memcpy(T->read, read.size, (size_t)read.ndim * sizeof(*T->read));
    s->post = MP_POST_SHAPE;
    return MP_OK;
}

mp_rc
mp_shape_call(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames, bool *done)
{
    mp_node *n = nargs > 0 ? mp_refgraph_find(&T->graph, args[0]) : NULL;
    sizes found;
    bool known, size = is_method(callee, MP_K_TENSOR_SIZE);
    bool numel =
        is_method(callee, MP_K_TENSOR_NUMEL) || is_method(callee, MP_K_TENSOR_NELEMENT);
    bool dim =
        is_method(callee, MP_K_TENSOR_DIM) || is_method(callee, MP_K_TENSOR_NDIMENSION);
    int64_t which = 0;
    bool one = size && takes_dim(args, nargs, kwnames, &which);
    *done = false;
    if (!is_tensor_node(n) || !(n->sized || n->dynamic)) {
        return MP_OK;
    }
    s->below = MP_BELOW_SKIP;
    s->post = MP_POST_CONST;
    if (is_fixed(callee)) {
        *done = true;
        return MP_OK;
    }
    mp_rc rc = call_of_strides(T, s, n, callee, args, nargs, kwnames, done);
    if (rc != MP_OK || *done) {
        return rc;
    }
    if (!one && (nargs != 1 || kwnames != NULL || !(size || numel || dim))) {
        return MP_OK;
    }
    rc = one ? mp_pin(T, args[1]) : MP_OK;
    rc = rc != MP_OK ? rc : read_sizes(T, n, &found, &known);
    *done = true;
    if (rc != MP_OK || !known || dim) {
        return rc;
    }
    if (one) {
        return answer_size(T, s, n, &found, which);
    }
    if (numel) {
        return answer_product(T, s, n, &found);
    }
    return mp_shape_attr(T, s, n);
}

mp_rc
mp_shape_result(mp_trace *T, PyObject *shape)
{
    assert(PyTuple_Check(shape));
    mp_rc rc = mp_fresh(T, shape);
    for (int32_t d = 0; d < T->n_read && d < PyTuple_GET_SIZE(shape) && rc == MP_OK;
         d++) {
        PyObject *box = NULL, *item = PyTuple_GET_ITEM(shape, d);
        rc = T->read[d] == DATA ? make_late_size(T, d, item, &box)
             : T->read[d] < 0   ? MP_OK
                                : mp_symbol_make(T, T->read[d], item, &box);
        if (box != NULL) {
            PyTuple_SET_ITEM(shape, d, box);  // nobody has seen the tuple yet
            Py_DECREF(item);
        }
    }
    return rc;
}
