/* graph/region.c - operators that have graphs inside: torch.cond(p, f, g, xs).
 *
 * The call is one operation.  Its Python bodies are recorded once each, when the call has
 * been made, on copies of what they are given (run/region.c runs them): what they log is
 * taken out of the log of the run and becomes a graph of its own.
 * R: the program must not notice that a body ran.  So what was there before it must not be
 * written (mp_body_made; `trial` in trace/abort.c ends a body before that), and it draws its
 * random numbers from generators that are put back.
 * R: a body is called again by the operator itself, as often as it likes and on other
 * tensors.  So its sizes and numbers are pinned. */
#include "graph/graph.h"

#include <stddef.h>
#include <string.h>

#include "objects/operators.h"
#include "plan/value.h"
#include "read/read.h"
#include "torch/hooks.h"

static PyObject *regions;  // owned: magpy.regions; NULL without torch

PyObject *
mp_region_module_borrow(void)
{
    return regions;
}

int
mp_region_setup(PyObject *setup)
{
    PyObject *module = mp_dict_text_borrow(setup, "regions");
    Py_XSETREF(regions, Py_XNewRef(module));
    return 0;
}

/* -- The object ------------------------------------------------------------------------ */

static void
op_clear(mp_pending_op *op)
{
    Py_CLEAR(op->target);
    Py_CLEAR(op->args);
    Py_CLEAR(op->kwargs);
    Py_CLEAR(op->arrays);
    Py_CLEAR(op->effects);
    while (op->n_inputs > 0) {
        Py_DECREF(op->inputs[--op->n_inputs]);
    }
    PyMem_Free(op->inputs);
    PyMem_Free(op->versions);
    *op = (mp_pending_op){.target = NULL};
}

static void
region_clear(mp_region *r)
{
    for (int32_t i = 0; i < r->n_slots; i++) {
        Py_CLEAR(r->slots[i]);
        Py_CLEAR(r->leaves[i]);
    }
    PyMem_Free(r->slots);
    PyMem_Free(r->leaves);
    r->slots = r->leaves = NULL;
    r->n_slots = 0;
    op_clear(&r->op);
    Py_CLEAR(r->call);
    Py_CLEAR(r->written);
    Py_CLEAR(r->bodies);
    Py_CLEAR(r->params);
    Py_CLEAR(r->outer);
}

static void
region_dealloc(PyObject *self)
{
    mp_region *r = (mp_region *)self;
    region_clear(r);
    Py_CLEAR(r->callee);
    Py_CLEAR(((mp_region *)self)->undo);
    Py_TYPE(self)->tp_free(self);
}

static int
region_bool(PyObject *self)
{
    mp_region *r = (mp_region *)self;
    return r->decide == NULL ? 1 : r->decide(self);
}

/* It stands for both operands of a comparison that asks for the truth of the answer. */
static PyObject *
region_compare(PyObject *self, PyObject *other, int op)
{
    bool decides = self == other && ((mp_region *)self)->decide != NULL;
    return Py_NewRef(decides ? self : Py_NotImplemented);
}

static PyNumberMethods region_number = {.nb_bool = region_bool};

static PyTypeObject region_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "magpy._engine.Region",
    .tp_basicsize = sizeof(mp_region),
    .tp_dealloc = region_dealloc,
    .tp_vectorcall_offset = offsetof(mp_region, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_as_number = &region_number,
    .tp_richcompare = region_compare,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION
                | Py_TPFLAGS_HAVE_VECTORCALL,
};

/* A region within those in progress: new reference. */
mp_region *
mp_region_new(mp_trace *T, PyObject *callee)
{
    mp_region *r = PyType_Ready(&region_type) < 0
                       ? NULL
                       : (mp_region *)region_type.tp_alloc(&region_type, 0);
    if (r == NULL) {
        return NULL;
    }
    r->T = T;
    r->callee = Py_NewRef(callee);
    r->site = T->graph.at;
    r->depth = T->n_stack - 1;
    r->join = MP_JOIN_NONE;
    r->bodies = PyList_New(0);
    if (r->bodies == NULL) {
        Py_DECREF(r);
        return NULL;
    }
    return r;
}

void
mp_region_drop(mp_trace *T)
{
    while (T->region != NULL) {
        mp_region *r = T->region;
        T->region = (mp_region *)Py_XNewRef((PyObject *)r->outer);
        r->T = NULL;
        region_clear(r);
        Py_DECREF(r);
    }
    T->inside = T->body = 0;
    T->arm_end = 0;
}

bool
mp_body_made(const mp_trace *T, const mp_node *n)
{
    assert(T->inside > 0);
    if (mp_in_arm(T) && (n->reg >= 0 || n->kind == MP_NODE_FRESH)) {
        // (C code may have made one long ago that is only seen now.)
        return n->reg < 0 && n->made >= T->body;
    }
    for (int32_t i = T->graph.n_nodes; i-- > T->inside - 1;) {
        if (T->graph.nodes[i] == n) {
            return true;
        }
    }
    return false;
}

/* -- The call ---------------------------------------------------------------------------- */

/* What magpy.regions says of the call: new reference in *call. */
static mp_rc
region_plan(mp_trace *T, PyObject *callee, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames, PyObject **call)
{
    PyObject *given = PyTuple_New(nargs), *kwargs = PyDict_New();
    for (Py_ssize_t i = 0; given != NULL && i < nargs; i++) {
        PyTuple_SET_ITEM(given, i, Py_NewRef(args[i]));
    }
    int rc = given == NULL || kwargs == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; kwnames != NULL && rc == 0 && i < PyTuple_GET_SIZE(kwnames);
         i++) {
        rc = PyDict_SetItem(kwargs, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]);
    }
    *call = rc < 0 ? NULL
                   : PyObject_CallMethod(regions, "plan", "OOO", callee, given, kwargs);
    Py_XDECREF(given);
    Py_XDECREF(kwargs);
    if (*call == NULL) {
        return MP_ERR;
    }
    if (PyUnicode_Check(*call)) {
        mp_rc done = mp_trace_abort(T, MP_AB_CONTROL_FLOW, "%U", *call);
        Py_CLEAR(*call);
        return done;
    }
    return MP_OK;
}

/* Containers among the arguments are read as far as operands stand in them. */
static mp_rc
know_args(mp_trace *T, PyObject *const *args, Py_ssize_t count)
{
    bool has_tensor = false;  // (nobody asks)
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = PyTuple_Check(args[i]) || PyList_Check(args[i])
                 ? mp_read_deep(T, args[i], &has_tensor)
                 : mp_know(T, args[i]);
    }
    return rc;
}

/* What the operator is given becomes the pending operation of the region. */
static mp_rc
take_values(mp_trace *T, mp_region *r)
{
    PyObject *values = PyObject_GetAttrString(r->call, "values");
    if (values == NULL) {
        return MP_ERR;
    }
    mp_rc rc =
        mp_op_take(T, r->callee, ((PyTupleObject *)values)->ob_item,
                   PyTuple_GET_SIZE(values), NULL, MP_TORCH_CALL | MP_TORCH_TRUSTED);
    Py_DECREF(values);
    if (rc == MP_OK && T->op.dynamic) {
        rc = mp_trace_abort(T, MP_AB_DYNAMIC_SHAPE, "the shape of a selection");
    }
    rc = rc == MP_OK && T->op.sized ? mp_pin_everything(T) : rc;
    if (rc != MP_OK) {
        mp_op_drop(T);
        return rc;
    }
    r->op = T->op;
    memset(&T->op, 0, sizeof(T->op));  // it belongs to the region now
    return MP_OK;
}

mp_rc
mp_region_begin(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (regions == NULL || T->apply.cls != NULL || T->compiling->trial
        || T->in_mode != MP_MODE_OFF || T->n_levels > 0
        || mp_hooks_now() != MP_HOOKS_NONE) {  // (they would count what bodies save)
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "not here");
    }
    mp_rc rc = know_args(T, args, count);
    if (rc != MP_OK) {
        return rc;
    }
    mp_region *r = mp_region_new(T, callee);
    if (r == NULL) {
        return MP_ERR;
    }
    rc = region_plan(T, callee, args, nargs, kwnames, &r->call);
    rc = rc != MP_OK ? rc : take_values(T, r);
    if (rc != MP_OK) {
        Py_DECREF(r);
        return rc;
    }
    T->op_caught = T->op_caught || mp_shadow_catches(s);
    mp_op_note_clash(T);
    r->outer = T->region;
    T->region = r;
    s->owns_op = true;
    s->below = MP_BELOW_TRUSTED;
    s->post = MP_POST_REGION;
    return MP_OK;
}

/* -- Bodies ------------------------------------------------------------------------------ */

/* A tensor that the body is given. */
static int
add_param(mp_trace *T, mp_region *r, PyObject *tensor)
{
    mp_node *n = mp_refgraph_add_tensor(&T->graph, tensor, -1);
    if (n == NULL || (n->leaf = mp_value_new(-1 - T->n_values)) == NULL) {
        return -1;
    }
    T->n_values++;
    return PyList_Append(r->params, n->leaf);
}

mp_rc
mp_body_begin(mp_trace *T, mp_shadow *s, mp_region *r, PyObject *fresh)
{
    assert(T->region == r && PyTuple_Check(fresh));
    r->trial = T->trial;
    r->inside = T->inside;
    r->body = T->body;
    r->n_ops = PyList_GET_SIZE(T->ops);
    Py_XSETREF(r->params, PyList_New(0));
    if (r->params == NULL) {
        return MP_ERR;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fresh); i++) {
        if (add_param(T, r, PyTuple_GET_ITEM(fresh, i)) < 0) {
            return MP_ERR;
        }
    }
    T->trial = true;
    T->inside = T->graph.n_nodes + 1;
    T->body = ++T->n_bodies;
    s->below = MP_BELOW_WATCH;
    return MP_OK;
}

/* The tensors of the body are not the run's. */
void
mp_body_forget(mp_trace *T)
{
    for (int32_t i = T->inside - 1; i < T->graph.n_nodes; i++) {
        mp_node *n = T->graph.nodes[i];
        if (n->kind == MP_NODE_TENSOR && n->reg < 0 && mp_node_is_alive(n)
            && mp_refgraph_find(&T->graph, n->obj) == n) {
            mp_refgraph_forget(&T->graph, n->obj);
        }
    }
}

/* The results of the body as leaves: new reference. */
static mp_rc
body_results(mp_trace *T, mp_region *r, PyObject *result, PyObject **tree)
{
    mp_rc rc = mp_op_take(T, r->callee, &result, 1, NULL, MP_TORCH_CALL);
    if (rc == MP_OK && T->op.dynamic) {
        rc = mp_trace_abort(T, MP_AB_DYNAMIC_SHAPE, "the result of a body");
    }
    if (rc == MP_OK) {
        *tree = Py_NewRef(PyTuple_GET_ITEM(T->op.args, 0));
    }
    mp_op_drop(T);
    return rc;
}

mp_rc
mp_body_end(mp_trace *T, mp_region *r, PyObject *result)
{
    assert(T->region == r && T->inside > 0);
    PyObject *tree = NULL, *ops = NULL, *body = NULL;
    mp_rc rc = body_results(T, r, result, &tree);
    Py_ssize_t size = PyList_GET_SIZE(T->ops);
    if (rc == MP_OK) {
        ops = PyList_GetSlice(T->ops, r->n_ops, size);
        body = ops == NULL ? NULL : PyTuple_Pack(3, r->params, ops, tree);
        rc = body == NULL || PyList_Append(r->bodies, body) < 0
                     || PyList_SetSlice(T->ops, r->n_ops, size, NULL) < 0
                 ? MP_ERR
                 : MP_OK;
    }
    Py_XDECREF(body);
    Py_XDECREF(ops);
    Py_XDECREF(tree);
    if (rc == MP_OK) {
        mp_body_forget(T);
        T->trial = r->trial;
        T->inside = r->inside;
        T->body = r->body;
    }
    return rc;
}

/* -- The operation ------------------------------------------------------------------------- */

/* The operation that stands in the log, and its operands: new pair in *row. */
static mp_rc
region_finish(mp_trace *T, mp_region *r, PyObject **row)
{
    *row = PyObject_CallMethod(r->call, "finish", "OO", r->op.args, r->bodies);
    if (*row == NULL) {
        return MP_ERR;
    }
    if (PyUnicode_Check(*row)) {
        mp_rc rc = mp_trace_abort(T, MP_AB_CONTROL_FLOW, "%U", *row);
        Py_CLEAR(*row);
        return rc;
    }
    return MP_OK;
}

mp_rc
mp_region_end(mp_trace *T, PyObject *result)
{
    mp_region *r = T->region;
    PyObject *row = NULL;
    assert(r != NULL);
    mp_rc rc = region_finish(T, r, &row);
    if (rc == MP_OK) {
        mp_op_drop(T);
        PyMem_Free(T->op.inputs);
        PyMem_Free(T->op.versions);
        T->op = r->op;
        memset(&r->op, 0, sizeof(r->op));
        Py_XSETREF(T->op.target, Py_NewRef(PyTuple_GET_ITEM(row, 0)));
        Py_XSETREF(T->op.args, Py_NewRef(PyTuple_GET_ITEM(row, 1)));
        Py_XSETREF(T->op.effects, mp_op_effects(T->op.target));
    }
    Py_XDECREF(row);
    T->region = r->outer;
    r->outer = NULL;
    r->T = NULL;
    Py_DECREF(r);
    return rc != MP_OK ? rc : mp_op_end(T, result);
}
