/* graph/odd.c - operations on tensors that sizes and strides alone do not describe
 * (torch/odd.c): sparse, quantised, nested ones, and those of subclasses.
 *
 * They are inputs and results of operations as they are, and the graph runs as recorded: what a
 * subclass does below an operation, a hit does again.  By the contract of __tensor_flatten__ an
 * operation on such a subclass is a function of the tensors in it and of its other attributes;
 * so these are guarded, and the Python code of the class runs unwatched.  Of any other class it
 * may be code of torch alone.
 *
 * R: what an operation answers must not depend on data where Python looks at it.  Of nested
 * tensors nobody tells the sizes ahead, nor how many elements a sparse one holds: such results
 * are `blind`, and who looks at their shape ends the segment.
 * R: no graph writes to one of them from outside: counters do not tell what was written. */
#include "graph/graph.h"

#include <string.h>

#include "objects/names.h"
#include "read/read.h"

enum { ODD_DEPTH = 8 };

static mp_rc know_object(mp_trace *T, PyObject *obj, int depth);

static bool
was_changed(const mp_node *n)
{
    return n != NULL
           && (n->written != NULL || n->rewritten || n->appended
               || (n->kind == MP_NODE_TENSOR && n->attrs));
}

/* All items of a dict: they and its keys are guarded.  some: only what is a tensor or a constant,
 * as in a nested tensor, which keeps sizes that depend on data there, and what it has worked
 * out. */
static mp_rc
know_dict(mp_trace *T, PyObject *dict, bool some, int depth)
{
    mp_node *n = mp_refgraph_find(&T->graph, dict);
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    if (was_changed(n)) {
        return mp_trace_abort(T, MP_AB_SUBCLASS, "what the run has put into a tensor");
    }
    mp_rc rc = some ? MP_OK : mp_read_all(T, dict);
    while (rc == MP_OK && PyDict_Next(dict, &pos, &key, &value)) {
        bool skip = some && !mp_tensor_is_any(value) && !mp_is_constant(value);
        if (some && !skip) {
            PyObject *found;
            bool before = T->loads_open;
            T->loads_open = true;
            rc = mp_read_key(T, dict, n, key, &found);
            T->loads_open = before;
        }
        rc = rc != MP_OK || skip ? rc : know_object(T, value, depth);
    }
    return rc;
}

static mp_rc
know_attributes(mp_trace *T, PyObject *obj, mp_node *n, bool some, int depth)
{
    PyObject *dict = mp_instance_dict_borrow(obj);
    if (dict == NULL) {
        return PyErr_Occurred() ? MP_ERR
                                : mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                                                 "a %s in a tensor", mp_type_name(obj));
    }
    mp_rc rc = n->reg < 0 ? MP_OK : mp_load(T, MP_G_LOAD_DICT, n->reg, NULL, 0, dict);
    return rc != MP_OK || n->reg < 0 ? rc : know_dict(T, dict, some, depth);
}

/* A tensor from outside, and all that a subclass keeps in it. */
static mp_rc
know_tensor(mp_trace *T, PyObject *obj, mp_node *n, int depth)
{
    mp_odd kind = n->odd ? mp_tensor_odd(obj) : MP_ODD_NOT;
    if (kind == MP_ODD_REFUSED || n->changed || n->restated || was_changed(n)) {
        return mp_trace_abort(T, MP_AB_SUBCLASS, "%s", mp_type_name(obj));
    }
    return mp_tensor_is(obj) || kind == MP_ODD_DENSE || n->reg < 0
               ? MP_OK
               : know_attributes(T, obj, n, kind == MP_ODD_NESTED, depth);
}

static mp_rc
know_items(mp_trace *T, PyObject *obj, int depth)
{
    mp_rc rc = mp_read_all(T, obj);
    for (Py_ssize_t i = 0; rc == MP_OK && i < PySequence_Fast_GET_SIZE(obj); i++) {
        rc = know_object(T, PySequence_Fast_GET_ITEM(obj, i), depth);
    }
    return rc;
}

static mp_rc
know_object(mp_trace *T, PyObject *obj, int depth)
{
    mp_val v;
    mp_rc rc = mp_value(T, obj, &v);
    if (rc != MP_OK || mp_val_is_constant(v)) {
        return rc;
    }
    if (mp_val_is_tensor(v)) {
        return know_tensor(T, obj, v.node, depth - 1);
    }
    if (depth == 0 || was_changed(v.node)) {
        return mp_trace_abort(T, MP_AB_SUBCLASS, "a %s in a tensor", mp_type_name(obj));
    }
    if (v.node->pinned && (mp_is_identity(obj) || mp_is_enum_member(obj))) {
        return MP_OK;
    }
    if (PyDict_CheckExact(obj)) {
        return know_dict(T, obj, false, depth - 1);
    }
    if (PyList_CheckExact(obj) || PyTuple_CheckExact(obj)) {
        return know_items(T, obj, depth - 1);
    }
    return mp_is_enum_member(obj) ? mp_load_const(T, obj)
                                  : know_attributes(T, obj, v.node, false, depth - 1);
}

/* What decides whether, and which, code of the class runs. */
static mp_rc
guard_class(mp_trace *T, PyTypeObject *type)
{
    PyObject *const names[] = {MP_NAME(TORCH_FUNCTION), MP_NAME(TORCH_DISPATCH)};
    mp_rc rc = MP_OK;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && rc == MP_OK; i++) {
        rc = mp_guard_type_attr(T, type, names[i],
                                mp_type_lookup_borrow(type, names[i]));
    }
    return rc;
}

mp_rc
mp_odd_ask(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    mp_node *n = mp_tensor_is_any(obj) ? mp_refgraph_find(&T->graph, obj) : NULL;
    if (!is_tensor_node(n) || !n->odd) {
        return MP_OK;
    }
    mp_rc rc = know_tensor(T, obj, n, ODD_DEPTH);
    rc = rc != MP_OK || mp_tensor_is(obj) ? rc : guard_class(T, Py_TYPE(obj));
    s->below = mp_tensor_odd(obj) == MP_ODD_DENSE ? MP_BELOW_SKIP : MP_BELOW_TRUSTED;
    return rc;
}

/* How many elements a sparse tensor holds is data. */
static int
asks_for_elements(mp_trace *T)
{
    static const char *const words[] = {"values", "indices", "coalesce", "crow",
                                        "row",    "col",     "nnz",      "to_sparse"};
    PyObject *name = mp_op_target_name(T->op.target);
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    int found = text == NULL ? -1 : 0;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(words) && found == 0; i++) {
        found = strstr(text, words[i]) != NULL;
    }
    Py_XDECREF(name);
    return found;
}

mp_rc
mp_odd_begin(mp_trace *T, mp_shadow *s)
{
    assert(T->op.odd && T->op.target != NULL);
    bool trusted = true, sparse = false;
    if (T->apply.cls != NULL || T->n_levels > 0 || T->inside > 0) {
        return mp_trace_abort(T, MP_AB_SUBCLASS, "inside a function of its own");
    }
    mp_rc rc = T->symbols.cap > 0 ? mp_pin_everything(T) : MP_OK;
    for (int i = 0; i < T->op.n_inputs && rc == MP_OK; i++) {
        PyObject *obj = T->op.inputs[i];
        const mp_node *n = mp_refgraph_find(&T->graph, obj);
        if (n == NULL || !n->odd) {
            continue;
        }
        rc = mp_odd_ask(T, s, obj);
        trusted = trusted && s->below == MP_BELOW_TRUSTED;
        sparse = sparse || mp_tensor_odd(obj) == MP_ODD_SPARSE;
    }
    int elements = rc == MP_OK && sparse ? asks_for_elements(T) : 0;
    if (elements > 0) {
        T->op.blind = T->op.dynamic = true;
    }
    T->odd = true;
    s->below = trusted ? MP_BELOW_TRUSTED : MP_BELOW_SKIP;
    return elements < 0 ? MP_ERR : rc;
}

mp_rc
mp_odd_end(mp_trace *T)
{
    for (int i = 0; i < T->op.n_inputs; i++) {
        const mp_node *n = mp_refgraph_find(&T->graph, T->op.inputs[i]);
        if (n != NULL && n->odd && n->reg >= 0
            && (n->changed || n->restated || n->regraded)) {
            return mp_trace_abort(T, MP_AB_SUBCLASS, "a write to a %s",
                                  mp_type_name(T->op.inputs[i]));
        }
    }
    return MP_OK;
}
