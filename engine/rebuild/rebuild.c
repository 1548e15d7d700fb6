/* rebuild/rebuild.c - what outlives the run: the result and the values of the journal.
 *
 * The run is over and the real objects are there, so a recipe is read off the live object:
 * constants as they are, external objects by source, tensors as inputs or outputs of the
 * graph, fresh objects by layout (rebuild/shape.c).  Two passes visit each object once, so
 * what is shared in the run is shared on a hit: `scan` finds sources, graph outputs and
 * whether there are cycles (registers are numbered by their counts), `make` emits.
 *
 * 1 All values are built before the first write: it could change what a build reads.
 * 2 If something reaches itself, whatever can be filled later is made empty first and
 *   filled when all objects are there; tuples and the like find what they hold made.
 * 3 Filling runs no code of the program: keys that would are refused (check_keys). */
#include "rebuild/rebuild.h"

#include <string.h>

#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "python/python.h"
#include "read/read.h"
#include "rebuild/rebuilder.h"
#include "rebuild/shape.h"

enum { SEEN_OPEN = 1, SEEN_DONE = 2, SEEN_BUILDING = 3, SEEN_ATTRS = 4 };

/* -- Bookkeeping ------------------------------------------------------------------------------ */

/* Both passes keep a number for each object: what the scan knows of it (SEEN_...), later
 * its register + REG_BASE. -1: none; -2: exception. */
static int
mark_get(mp_rebuilder *b, PyObject *obj)
{
    PyObject *key = PyLong_FromVoidPtr(obj);
    PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError(b->regs, key);
    Py_XDECREF(key);
    return value == NULL ? (PyErr_Occurred() ? -2 : -1) : (int)PyLong_AsLong(value);
}

int
mp_rebuild_mark(mp_rebuilder *b, PyObject *obj, int mark)
{
    PyObject *key = PyLong_FromVoidPtr(obj), *value = PyLong_FromLong(mark);
    int rc = key == NULL || value == NULL ? -1 : PyDict_SetItem(b->regs, key, value);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return rc;
}

/* The object is loaded by the guards: a hit gathers this register. */
mp_rc
mp_rebuild_source_add(mp_rebuilder *b, int32_t reg)
{
    assert(reg < b->T->guards->n_regs);
    mp_replay *p = b->p;
    for (int32_t i = 0; i < p->n_sources; i++) {
        if (p->source_regs[i] == reg) {
            return MP_OK;
        }
    }
    if (mp_grow(&p->source_regs, &p->cap_sources, p->n_sources + 1,
                sizeof(*p->source_regs))
        < 0) {
        return MP_ERR;
    }
    p->source_regs[p->n_sources++] = reg;
    return MP_OK;
}

int32_t
mp_rebuild_source(mp_rebuilder *b, int32_t reg)
{
    for (int32_t i = 0; i < b->p->n_sources; i++) {
        if (b->p->source_regs[i] == reg) {
            return i;
        }
    }
    assert(false);  // the scan added it
    return -2;
}

static Py_ssize_t
output_index(mp_rebuilder *b, PyObject *leaf)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(b->outputs); i++) {
        if (PyList_GET_ITEM(b->outputs, i) == leaf) {
            return i;
        }
    }
    return -1;
}

/* -- First pass -------------------------------------------------------------------------------- */

mp_rc
mp_rebuild_scan_all(mp_rebuilder *b, PyObject **vec, int count, int step)
{
    mp_rc rc = MP_OK;
    for (int i = step - 1; i < count && rc == MP_OK; i += step) {
        rc = vec[i] == NULL ? MP_OK : mp_rebuild_scan(b, vec[i]);
    }
    return rc;
}

/* A new object comes with an instance dict of its own, so the dict itself cannot be in the
 * result beside it. */
static mp_rc
scan_dict(mp_rebuilder *b, PyObject *obj, PyObject *dict)
{
    assert(dict == NULL || PyDict_Check(dict));
    int mark = dict == NULL ? -1 : mark_get(b, dict);
    if (mark >= 0 && mark != SEEN_ATTRS) {
        return mp_trace_abort(b->T, MP_AB_OUTPUT, "a new %s and its __dict__",
                              mp_type_name(obj));
    }
    return mark == -2 || (dict != NULL && mp_rebuild_mark(b, dict, SEEN_ATTRS) < 0)
               ? MP_ERR
               : MP_OK;
}

/* An object that the run made: its recipe, tried out, then its parts.  If there is none,
 * the instruction that made the object is blamed, so that the next recording breaks
 * before it. */
static mp_rc
scan_fresh(mp_rebuilder *b, PyObject *obj)
{
    mp_shape s;
    if (mp_rebuild_mark(b, obj, SEEN_OPEN) < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_shape_of(b->T, &s, obj);
    rc = rc != MP_OK ? rc : mp_rebuild_check_keys(b->T, &s, obj);
    rc = rc != MP_OK ? rc : mp_shape_prove(b->T, &s, obj);
    rc = rc != MP_OK ? rc : scan_dict(b, obj, s.dict);
    mp_node *n = rc == MP_ABORTED ? mp_refgraph_find(&b->T->graph, obj) : NULL;
    if (n != NULL) {
        mp_blame(b->T, n->born);
    }
    if (rc == MP_OK && Py_EnterRecursiveCall(" while planning a replay")) {
        mp_err_drop();  // nested beyond what can be rebuilt
        rc = mp_trace_abort(b->T, MP_AB_OUTPUT, "a value nested too deeply");
    }
    else if (rc == MP_OK) {
        rc = mp_rebuild_scan_all(b, s.items, s.n_items, 1);
        rc = rc != MP_OK ? rc : mp_rebuild_scan_all(b, s.attrs, s.n_attrs, 1);
        rc = rc != MP_OK ? rc : mp_rebuild_scan_all(b, s.slots, s.n_slots, 2);
        rc = rc != MP_OK || s.extra == NULL ? rc : mp_rebuild_scan(b, s.extra);
        Py_LeaveRecursiveCall();
    }
    mp_shape_fini(&s);
    return rc == MP_OK && mp_rebuild_mark(b, obj, SEEN_DONE) < 0 ? MP_ERR : rc;
}

/* What the run put on a tensor of its own, which then is an instance with attributes. */
static PyObject *
tensor_attrs_borrow(const mp_node *n)
{
    return n->attrs && mp_node_is_alive(n) ? mp_instance_dict_borrow(n->obj) : NULL;
}

static mp_rc
scan_tensor_attrs(mp_rebuilder *b, const mp_node *n)
{
    PyObject *dict = tensor_attrs_borrow(n), *key, *value;
    Py_ssize_t pos = 0;
    mp_rc rc = MP_OK;
    if (dict != NULL && Py_EnterRecursiveCall(" while planning a replay")) {
        mp_err_drop();  // nested beyond what can be rebuilt
        return mp_trace_abort(b->T, MP_AB_OUTPUT, "a value nested too deeply");
    }
    while (dict != NULL && rc == MP_OK && PyDict_Next(dict, &pos, &key, &value)) {
        rc = PyUnicode_CheckExact(key)
                 ? mp_rebuild_scan(b, value)
                 : mp_trace_abort(b->T, MP_AB_OUTPUT, "an attribute of type %s",
                                  mp_type_name(key));
    }
    if (dict != NULL) {
        Py_LeaveRecursiveCall();
    }
    return rc;
}

static mp_rc
scan_tensor(mp_rebuilder *b, mp_node *n)
{
    assert(n->kind == MP_NODE_TENSOR);
    if (n->reg >= 0) {
        return mp_rebuild_source_add(b, n->reg);
    }
    if (output_index(b, n->leaf) >= 0) {
        return MP_OK;
    }
    mp_rc rc = mp_check_leaving(b->T, n->obj);
    if (rc != MP_OK) {
        return rc;
    }
    if (PyList_Append(b->outputs, n->leaf) < 0
        || (b->T->outputs != NULL && PyList_Append(b->T->outputs, n->obj) < 0)) {
        return MP_ERR;
    }
    return scan_tensor_attrs(b, n);
}

/* The graph gives a late value, as it does a tensor. */
static mp_rc
scan_late(mp_rebuilder *b, const mp_node *n)
{
    if (output_index(b, n->leaf) >= 0) {
        return MP_OK;
    }
    PyObject *value = b->T->lates.all[n->number].value;
    return PyList_Append(b->outputs, n->leaf) < 0
                   || (b->T->outputs != NULL && PyList_Append(b->T->outputs, value) < 0)
               ? MP_ERR
               : MP_OK;
}

/* Tensors with attributes that only autograd holds. */
static mp_rc
scan_held_tensors(mp_rebuilder *b)
{
    mp_rc rc = MP_OK;
    for (int32_t i = 0; i < b->T->graph.n_nodes && rc == MP_OK; i++) {
        mp_node *n = b->T->graph.nodes[i];
        rc = tensor_attrs_borrow(n) == NULL ? MP_OK : scan_tensor(b, n);
    }
    return rc;
}

/* A token of the run: used, or that of the entry in the journal. */
static mp_rc
scan_token(mp_rebuilder *b, PyObject *token, const mp_node *n)
{
    assert(PyContextToken_CheckExact(token) && n->kind == MP_NODE_FRESH);
    PyObject *var = mp_token_var_borrow(token);
    if (mp_token_is_used(token)) {
        return mp_rebuild_scan(b, var);
    }
    for (int i = 0; i < b->T->n_writes; i++) {
        const mp_write *w = &b->T->writes[i];
        if (w->kind == MP_W_CONTEXT && !w->dead && w->index == (Py_ssize_t)token) {
            return MP_OK;
        }
    }
    mp_blame(b->T, n->born);
    return mp_trace_abort(b->T, MP_AB_OUTPUT, "a token of a new ContextVar");
}

mp_rc
mp_rebuild_scan(mp_rebuilder *b, PyObject *obj)
{
    mp_val v;
    if (PySlice_Check(obj)) {
        // Slices hold what the program put there; they have no node of their own.
        mp_rc rc = mp_fresh(b->T, obj);
        if (rc != MP_OK) {
            return rc;
        }
    }
    mp_rc rc = mp_value_late(b->T, obj, &v);
    if (rc == MP_OK && v.kind == MP_VAL_SYMBOL) {
        return mp_rebuild_source_add(b, ~v.node->number);
    }
    if (rc == MP_OK && v.kind == MP_VAL_LATE) {
        return scan_late(b, v.node);
    }
    if (rc == MP_ABORTED && !mp_val_is_constant(v)) {
        mp_blame(b->T, v.node->born);  // of a subclass of tensors: do not load it
    }
    if (rc == MP_OK && mp_is_fresh_id(b->T, obj)) {
        return mp_trace_abort(b->T, MP_AB_SIDE_EFFECT, "id of a new object");
    }
    if (rc != MP_OK || mp_val_is_constant(v) || v.node->of_code) {
        return rc;
    }
    if (mp_val_is_tensor(v)) {
        return scan_tensor(b, v.node);
    }
    if (mp_val_is_external(v)) {
        return mp_rebuild_source_add(b, v.node->reg);
    }
    if (PyContextToken_CheckExact(obj)) {
        return scan_token(b, obj, v.node);
    }
    int mark = mark_get(b, obj);
    if (mark == -2) {
        return MP_ERR;
    }
    if (mark == SEEN_ATTRS) {
        return mp_trace_abort(b->T, MP_AB_OUTPUT, "a new object and its __dict__");
    }
    b->cyclic = b->cyclic || mark == SEEN_OPEN;
    return mark >= 0 ? MP_OK : scan_fresh(b, obj);
}

/* -- Second pass --------------------------------------------------------------------------------- */

mp_rc
mp_rebuild_make_all(mp_rebuilder *b, PyObject **vec, int count, int32_t **regs)
{
    assert(count >= 0);
    mp_rc rc = MP_OK;
    *regs = PyMem_Malloc((size_t)(count + 1) * sizeof(**regs));
    if (*regs == NULL) {
        PyErr_NoMemory();
        return MP_ERR;
    }
    for (int i = 0; i < count && rc == MP_OK; i++) {
        (*regs)[i] = -1;
        rc = vec[i] == NULL ? MP_OK : mp_rebuild_make(b, vec[i], &(*regs)[i]);
    }
    return rc;
}

/* The recorder's view of an emit: a layout that cannot be rebuilt is a reason. */
mp_rc
mp_rebuild_emit(mp_rebuilder *b, mp_effect_kind kind, PyObject *obj, int32_t a,
                int32_t c, const int32_t *items, int count, int32_t *reg)
{
    assert((int)kind < MP_E_COUNT);
    int32_t r = mp_replay_emit(b->p, kind, obj, a, c, items, count);
    if (r == -2) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            mp_err_drop();  // the type has no layout row
            const char *name = obj != NULL && PyType_Check(obj)
                                   ? ((PyTypeObject *)obj)->tp_name
                                   : "an object";
            return mp_trace_abort(b->T, MP_AB_OUTPUT, "%s", name);
        }
        return MP_ERR;
    }
    if (reg != NULL) {
        *reg = r;
    }
    return MP_OK;
}

/* The op that adds to an empty object of this shape; COUNT: it is made whole. */
static mp_effect_kind
fill_kind(const mp_shape *s)
{
    switch (s->kind) {
    case MP_E_DICT:
    case MP_E_DICT_LIKE:
        return MP_E_FILL_DICT;
    case MP_E_LIST_LIKE:
        return PyType_IsSubtype((PyTypeObject *)s->type, &PyFrozenSet_Type)
                   ? MP_E_COUNT
                   : MP_E_FILL_LIST;
    case MP_E_LIST:
    case MP_E_SET:
        return MP_E_FILL_LIST;
    case MP_E_CELL:
        return MP_E_FILL_CELL;
    default:
        return MP_E_COUNT;
    }
}

/* An array of numpy: the plan owns a copy, or the description of a view. */
static mp_rc
make_array(mp_rebuilder *b, const mp_shape *s, const int32_t *items, int32_t *reg)
{
    assert(mp_is_array(s->type));
    bool is_view = s->kind == MP_E_ARRAY_VIEW;
    PyObject *obj =
        is_view ? mp_array_view_spec(s->type, s->items[0]) : mp_array_copy(s->type);
    mp_rc rc = obj == NULL ? MP_ERR
                           : mp_rebuild_emit(b, s->kind, obj, is_view ? items[0] : -1,
                                             -1, NULL, 0, reg);
    Py_XDECREF(obj);
    return rc;
}

/* With the table of the live set, but for one that is filled later. */
static mp_rc
make_set(mp_rebuilder *b, const mp_shape *s, PyObject *obj, const int32_t *items,
         int count, int32_t *reg)
{
    if (!mp_set_has_order(b->T, obj)) {
        return mp_rebuild_emit(b, s->kind, NULL, -1, -1, items, count, reg);
    }
    if (count < s->n_items) {
        mp_rc rc = mp_rebuild_check_table(b->T, obj);
        return rc != MP_OK
                   ? rc
                   : mp_rebuild_emit(b, s->kind, NULL, -1, -1, items, count, reg);
    }
    PyObject *layout = mp_set_layout(obj);
    mp_rc rc = layout == NULL
                   ? MP_ERR
                   : mp_rebuild_emit(b, s->kind, layout, -1, -1, items, count, reg);
    Py_XDECREF(layout);
    return rc;
}

/* The operation that makes the object itself, full or, on a cycle, empty. */
static mp_rc
make_base(mp_rebuilder *b, mp_shape *s, PyObject *obj, const int32_t *items, int count,
          int32_t *reg)
{
    int32_t extra = -1;
    if (s->extra != NULL && s->extra != Py_None) {
        mp_rc rc = mp_rebuild_make(b, s->extra, &extra);
        if (rc != MP_OK) {
            return rc;
        }
    }
    switch (s->kind) {
    case MP_E_CELL:
        return mp_rebuild_emit(b, MP_E_CELL, NULL, count > 0 ? items[0] : -1, -1, NULL,
                               0, reg);
    case MP_E_HOOK:
        return mp_rebuild_emit_hook(b, obj, s, items, reg);
    case MP_E_GRAD_FN:
    case MP_E_WEAKREF:
    case MP_E_PROXY:
    case MP_E_BYTEARRAY:
        return mp_rebuild_emit(b, s->kind, NULL, items[0], -1, NULL, 0, reg);
    case MP_E_BOUND:
    case MP_E_EXCEPTION:
    case MP_E_SCALAR:
        return mp_rebuild_emit(b, s->kind, s->type, items[0], -1, NULL, 0, reg);
    case MP_E_ARRAY:
    case MP_E_ARRAY_VIEW:
        return make_array(b, s, items, reg);
    case MP_E_METHOD:
        return mp_rebuild_emit(b, MP_E_METHOD, NULL, items[0], items[1], NULL, 0, reg);
    case MP_E_SET:
    case MP_E_FROZENSET:
        return make_set(b, s, obj, items, count, reg);
    case MP_E_LIST_LIKE:
        if (PyAnySet_Check(obj) && mp_set_has_order(b->T, obj)) {
            mp_rc rc = mp_rebuild_check_table(b->T, obj);
            if (rc != MP_OK) {
                return rc;
            }
        }
        return mp_rebuild_emit(b, s->kind, s->type, extra, -1, items, count, reg);
    default:
        return mp_rebuild_emit(b, s->kind, s->type, extra, -1, items, count, reg);
    }
}

static mp_rc
emit_fill(mp_rebuilder *b, const mp_shape *s, int32_t reg, const int32_t *items)
{
    assert(fill_kind(s) != MP_E_COUNT && reg >= 0);
    mp_effect_kind fill = fill_kind(s);
    if (fill != MP_E_FILL_CELL) {
        return mp_rebuild_emit(b, fill, NULL, reg, -1, items, s->n_items, NULL);
    }
    return items[0] < 0 ? MP_OK
                        : mp_rebuild_emit(b, fill, NULL, reg, items[0], NULL, 0, NULL);
}

static mp_rc
fill_attrs(mp_rebuilder *b, const mp_shape *s, int32_t reg)
{
    assert(reg >= 0 && s->n_slots % 2 == 0);
    int32_t *attrs = NULL;
    mp_rc rc = MP_OK;
    if (s->n_attrs > 0 || s->shows_dict) {
        rc = mp_rebuild_make_all(b, s->attrs, s->n_attrs, &attrs);
        rc = rc != MP_OK ? rc
                         : mp_rebuild_emit(b, MP_E_FILL_ATTRS, NULL, reg, -1, attrs,
                                           s->n_attrs, NULL);
        PyMem_Free(attrs);
    }
    for (int i = 0; i < s->n_slots && rc == MP_OK; i += 2) {
        int32_t value;
        rc = mp_rebuild_make(b, s->slots[i + 1], &value);
        rc = rc != MP_OK ? rc
                         : mp_rebuild_emit(b, MP_E_FILL_SLOT, s->slots[i], reg, value,
                                           NULL, 0, NULL);
    }
    return rc;
}

static mp_rc
fill_later(mp_rebuilder *b, PyObject *obj)
{
    assert(b->cyclic && b->n_later <= b->cap_later);
    if (mp_grow(&b->later, &b->cap_later, b->n_later + 1, sizeof(*b->later)) < 0) {
        return MP_ERR;
    }
    b->later[b->n_later++] = obj;
    return MP_OK;
}

/* What fill_later put off; filling makes objects that may be put off in turn. */
mp_rc
mp_rebuild_make_later(mp_rebuilder *b)
{
    mp_rc rc = MP_OK;
    for (int i = 0; i < b->n_later && rc == MP_OK; i++) {
        mp_shape s;
        int32_t *items = NULL, reg;
        rc = mp_shape_of(b->T, &s, b->later[i]);
        rc = rc != MP_OK ? rc : mp_rebuild_make(b, b->later[i], &reg);  // made already
        if (rc == MP_OK && s.n_items > 0 && fill_kind(&s) != MP_E_COUNT) {
            rc = mp_rebuild_make_all(b, s.items, s.n_items, &items);
            rc = rc != MP_OK ? rc : emit_fill(b, &s, reg, items);
        }
        rc = rc != MP_OK ? rc : fill_attrs(b, &s, reg);
        PyMem_Free(items);
        mp_shape_fini(&s);
    }
    return rc;
}

/* An object that the run made, once.  On a cycle only what cannot be filled later gets
 * its parts first; an object that is met again while it is being built holds itself in
 * such a part. */
static mp_rc
make_fresh(mp_rebuilder *b, PyObject *obj, int32_t *reg)
{
    mp_shape s;
    int32_t *items = NULL;
    mp_rc rc = mp_shape_of(b->T, &s, obj);
    int count = b->cyclic && fill_kind(&s) != MP_E_COUNT ? 0 : s.n_items;
    if (rc == MP_OK && mp_rebuild_mark(b, obj, SEEN_BUILDING) < 0) {
        rc = MP_ERR;
    }
    rc = rc != MP_OK ? rc : mp_rebuild_make_all(b, s.items, count, &items);
    rc = rc != MP_OK ? rc : make_base(b, &s, obj, items, count, reg);
    if (rc == MP_OK && mp_rebuild_mark(b, obj, REG_BASE + *reg) < 0) {
        rc = MP_ERR;
    }
    if (rc == MP_OK) {
        rc = b->cyclic ? fill_later(b, obj) : fill_attrs(b, &s, *reg);
    }
    PyMem_Free(items);
    mp_shape_fini(&s);
    return rc;
}

mp_rc
mp_rebuild_make(mp_rebuilder *b, PyObject *obj, int32_t *reg)
{
    mp_val v;
    mp_rc rc = mp_value_late(b->T, obj, &v);
    if (rc != MP_OK) {
        return rc;
    }
    if (v.kind == MP_VAL_LATE) {
        assert(output_index(b, v.node->leaf) >= 0);  // the scan added it
        *reg = b->p->n_sources + (int32_t)output_index(b, v.node->leaf);
        return MP_OK;
    }
    if (v.kind == MP_VAL_SYMBOL) {
        *reg = mp_rebuild_source(b, ~v.node->number);
        return MP_OK;
    }
    if (mp_val_is_constant(v) || v.node->of_code) {
        // The box of a number that is pinned is no object of the program's.
        PyObject *plain = mp_symbol_value_borrow(b->T, obj);
        return mp_rebuild_emit(b, MP_E_CONST, plain == NULL ? obj : plain, -1, -1, NULL,
                               0, reg);
    }
    if (mp_val_is_tensor(v) && v.node->reg < 0) {
        assert(output_index(b, v.node->leaf) >= 0);  // the scan added it
        *reg = b->p->n_sources + (int32_t)output_index(b, v.node->leaf);
        return MP_OK;
    }
    if (!mp_val_is_fresh(v)) {
        *reg = mp_rebuild_source(b, v.node->reg);
        return MP_OK;
    }
    int mark = mark_get(b, obj);
    if (mark == -2) {
        return MP_ERR;
    }
    if (mark >= REG_BASE) {
        *reg = mark - REG_BASE;
        return MP_OK;
    }
    if (PyContextToken_CheckExact(obj)) {
        rc = mp_rebuild_emit(b, MP_E_TOKEN, mp_token_var_borrow(obj), -1, -1, NULL, 0,
                             reg);
        return rc == MP_OK && mp_rebuild_mark(b, obj, REG_BASE + *reg) < 0 ? MP_ERR
                                                                           : rc;
    }
    if (mark == SEEN_BUILDING) {
        return mp_trace_abort(b->T, MP_AB_OUTPUT, "a %s that holds itself",
                              mp_type_name(obj));
    }
    return make_fresh(b, obj, reg);
}

/* What the run put on tensors of the graph, whether or not the call returns them. */
mp_rc
mp_rebuild_make_attrs(mp_rebuilder *b)
{
    mp_rc rc = MP_OK;
    for (int32_t i = 0; i < b->T->graph.n_nodes && rc == MP_OK; i++) {
        mp_node *n = b->T->graph.nodes[i];
        PyObject *dict = tensor_attrs_borrow(n);
        int32_t *pairs = NULL, reg;
        mp_shape s = {0};
        if (dict == NULL || PyDict_GET_SIZE(dict) == 0) {
            continue;
        }
        rc = mp_shape_pairs(&s, dict);
        rc = rc != MP_OK ? rc : mp_rebuild_make_all(b, s.items, s.n_items, &pairs);
        rc = rc != MP_OK ? rc : mp_rebuild_make(b, n->obj, &reg);
        rc = rc != MP_OK ? rc
                         : mp_rebuild_emit(b, MP_E_FILL_ATTRS, NULL, reg, -1, pairs,
                                           s.n_items, NULL);
        PyMem_Free(pairs);
        mp_shape_fini(&s);
    }
    return rc;
}

/* -- Inputs of the graph ---------------------------------------------------------------------------- */

static mp_rc
plan_graph(mp_rebuilder *b, mp_plan *plan)
{
    assert(plan->graph == NULL && plan->inputs == NULL);
    mp_trace *T = b->T;
    if (PyList_GET_SIZE(T->ops) == 0) {
        return MP_OK;
    }
    mp_rc rc = mp_check_writes(T);
    rc = rc != MP_OK ? rc : mp_guard_apart(T);
    if (rc != MP_OK) {
        return rc;
    }
    rc = mp_graph_spec(T, b->outputs, plan);
    plan->n_outputs = (int32_t)PyList_GET_SIZE(b->outputs);
    return rc;
}

mp_rc
mp_rebuild(mp_trace *T, mp_plan *plan)
{
    assert(plan->replay == NULL && T->result != NULL);
    mp_rebuilder b = {
        T, mp_replay_new(), PyDict_New(), PyList_New(0), false, NULL, 0, 0, 0};
    plan->replay = b.p;
    mp_rc rc = b.p == NULL || b.regs == NULL || b.outputs == NULL ? MP_ERR : MP_OK;
    for (int i = 0; i < T->n_writes && rc == MP_OK; i++) {
        if (mp_rebuild_shows(T, i)) {
            rc = mp_rebuild_scan_write(&b, &T->writes[i]);
        }
    }
    rc = rc != MP_OK ? rc : mp_rebuild_scan(&b, T->result);
    rc = rc != MP_OK ? rc : mp_rebuild_scan_hooks(&b);
    rc = rc != MP_OK ? rc : scan_held_tensors(&b);
    rc = rc != MP_OK ? rc : mp_array_check_known(T);
    rc = rc != MP_OK ? rc : mp_guard_distinct(T);
    rc = rc != MP_OK ? rc : mp_guard_compared(T);
    rc = rc != MP_OK ? rc : mp_rebuild_check_contexts(T);
    rc = rc != MP_OK ? rc : mp_check_warnings(T);
    if (rc == MP_OK) {
        b.p->n_graph = (int32_t)PyList_GET_SIZE(b.outputs);
        rc = mp_rebuild_emit_writes(&b);
    }
    rc = rc != MP_OK ? rc : plan_graph(&b, plan);
    rc = rc != MP_OK ? rc : mp_check_new_classes(T, b.p);
    Py_XDECREF(b.regs);
    Py_XDECREF(b.outputs);
    PyMem_Free(b.later);
    return rc;
}
