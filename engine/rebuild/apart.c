/* rebuild/apart.c - objects that the run has changed are none of the others that it read.
 *
 * In the recording these objects were different ones.  A later call may reach a changed
 * object under the name of another one, or through its memory; then it must miss. */
#include "guard/cover.h"
#include "rebuild/rebuild.h"

/* Guards that two objects differ: what a hit may spend on them. */
enum { MAX_PAIRS = 100000 };

/* R: what is written must not be reachable under another name that was not looked at. */
static mp_rc
guard_distinct_objects(mp_trace *T)
{
    int32_t pairs = 0;
    for (int i = 0; i < T->n_writes; i++) {
        mp_node *w = T->writes[i].node;
        int first =
            T->writes[i].dead ? 0 : mp_refgraph_first(&T->graph, MP_G_NOT_SAME, w, 0);
        if (first <= 0) {
            if (first < 0) {
                return MP_ERR;
            }
            continue;
        }
        for (int32_t j = 0; j < T->graph.n_nodes; j++) {
            mp_node *n = T->graph.nodes[j];
            if (n == w || n->kind != MP_NODE_EXTERNAL || (n->pinned && w->pinned)
                || n->type != w->type
                || (!n->released && (mp_is_identity(n->obj) || n->obj == w->obj))) {
                continue;
            }
            if (++pairs > MAX_PAIRS) {
                return mp_trace_abort(T, MP_AB_LIMIT,
                                      "a guard for each two of %d objects",
                                      T->graph.n_nodes);
            }
            if (mp_refgraph_test(&T->graph, MP_G_NOT_SAME, n->reg, w->reg, NULL, 0)
                < 0) {
                return MP_ERR;
            }
        }
    }
    return MP_OK;
}

static bool
writes_key(const mp_write *w, PyObject *key)
{
    if (w->dead || w->node->reg < 0 || !PyType_IsSubtype(w->node->type, &PyDict_Type)) {
        return false;
    }
    return w->kind == MP_W_CONTENT
           || ((w->kind == MP_W_KEY_SET || w->kind == MP_W_KEY_DEL)
               && (!PyUnicode_CheckExact(w->key) || mp_guard_same(w->key, key)));
}

/* Was the dict in reg loaded as the one of the object in owner? */
static bool
is_dict_at(const mp_trace *T, int32_t reg, int32_t owner)
{
    const mp_guard *load = &T->guards->ops[T->guards->def[reg]];
    return load->kind == MP_G_LOAD_DICT && load->a == owner;
}

/* An object without a dict, or whose dict was not loaded: it may have got one that the run
 * writes.  (No register stands for it: NOT_SAME cannot be asked.) */
static mp_rc
guard_distinct_dicts(mp_trace *T)
{
    int32_t n_ops = T->guards->n_ops, pairs = 0;
    for (int32_t i = 0; T->n_writes > 0 && i < n_ops; i++) {
        mp_guard op = T->guards->ops[i];  // the ops may move
        for (int k = 0; op.kind == MP_G_NO_DICT && k < T->n_writes; k++) {
            const mp_write *w = &T->writes[k];
            if (!writes_key(w, op.obj) || is_dict_at(T, w->node->reg, op.a)) {
                continue;
            }
            if (++pairs > MAX_PAIRS) {
                return mp_trace_abort(T, MP_AB_LIMIT, "a guard for each dict");
            }
            if (mp_refgraph_test(&T->graph, MP_G_NO_DICT, op.a, w->node->reg, op.obj, 0)
                < 0) {
                return MP_ERR;
            }
        }
    }
    return MP_OK;
}

/* The same of tensors: one that the run made another tensor of, or put attributes on. */
static mp_rc
guard_distinct_tensors(mp_trace *T)
{
    for (int32_t i = 0; i < T->graph.n_nodes; i++) {
        mp_node *w = T->graph.nodes[i];
        for (int32_t j = 0; w->distinct && j < T->graph.n_nodes; j++) {
            mp_node *n = T->graph.nodes[j];
            if (n == w || !is_tensor_node(n) || n->reg < 0 || n->type != w->type) {
                continue;
            }
            if (mp_refgraph_test(&T->graph, MP_G_NOT_SAME, n->reg, w->reg, NULL, 0)
                < 0) {
                return MP_ERR;
            }
        }
    }
    return MP_OK;
}

/* Registers of external tensors, those whose requires_grad the run has changed first; in
 * `alive` those that still live.  Their numbers. */
typedef struct {
    int32_t *regs;
    PyObject **objs;
    Py_ssize_t n, n_alive, changed, changed_alive;
} apart_list;

static void
list_tensors(mp_trace *T, apart_list *list, bool changed)
{
    for (int32_t i = 0; i < T->graph.n_nodes; i++) {
        mp_node *n = T->graph.nodes[i];
        if (!is_tensor_node(n) || n->reg < 0 || n->regraded != changed) {
            continue;
        }
        if (mp_node_is_alive(n)) {
            list->objs[list->n_alive++] = n->obj;
        }
        list->regs[list->n++] = n->reg;
    }
}

static mp_rc
guard_alone(mp_trace *T, apart_list *list)
{
    list_tensors(T, list, true);
    list->changed = list->n;
    list->changed_alive = list->n_alive;
    list_tensors(T, list, false);
    if (list->changed == 0 || list->n < 2) {
        return MP_OK;
    }
    if (!mp_guard_are_apart(list->objs, list->changed_alive, list->n_alive, true)) {
        return mp_trace_abort(T, MP_AB_ALIASED, "a tensor that is to require grad");
    }
    PyObject *row = PyBytes_FromStringAndSize((char *)list->regs,
                                              list->n * (Py_ssize_t)sizeof(int32_t));
    int r = row == NULL ? -1
                        : mp_guards_test(T->guards, MP_G_ALONE, -1, -1, row,
                                         list->changed, NULL);
    Py_XDECREF(row);
    return r < 0 ? MP_ERR : MP_OK;
}

/* When a tensor begins to require grad, so do its views, whatever they are used for: what
 * the run read of another tensor must not depend on that. */
static mp_rc
guard_alone_tensors(mp_trace *T)
{
    size_t n = (size_t)T->graph.n_nodes + 1;
    apart_list list = {.regs = PyMem_New(int32_t, n), .objs = PyMem_New(PyObject *, n)};
    mp_rc rc = MP_ERR;
    if (list.regs == NULL || list.objs == NULL) {
        PyErr_NoMemory();
    }
    else {
        rc = guard_alone(T, &list);
    }
    PyMem_Free(list.regs);
    PyMem_Free(list.objs);
    return rc;
}

mp_rc
mp_guard_distinct(mp_trace *T)
{
    mp_rc rc = guard_distinct_objects(T);
    rc = rc != MP_OK ? rc : guard_distinct_dicts(T);
    rc = rc != MP_OK ? rc : guard_distinct_tensors(T);
    return rc != MP_OK || !T->wrote_input ? rc : guard_alone_tensors(T);
}

/* A written input must not share memory with another one, nor with an array whose content
 * is guarded: the graph was recorded with them apart. */
mp_rc
mp_guard_apart(mp_trace *T)
{
    assert(T->guards != NULL);
    Py_ssize_t known = T->known == NULL ? 0 : PyList_GET_SIZE(T->known);
    int32_t *regs = PyMem_Malloc((size_t)(T->n_inputs + known + 1) * sizeof(*regs));
    PyObject **objs = PyMem_Malloc((size_t)(T->n_inputs + known + 1) * sizeof(*objs));
    int written = 0, count = 0, alive = 0, alive_written = 0;
    mp_rc rc = regs == NULL || objs == NULL ? MP_ERR : MP_OK;
    if (rc == MP_ERR) {
        PyErr_NoMemory();
    }
    for (int pass = 0; pass < 2 && rc == MP_OK; pass++) {
        for (int i = 0; i < T->n_inputs && rc == MP_OK; i++) {
            if (T->inputs[i]->changed != (pass == 0)) {
                continue;
            }
            if (mp_node_is_alive(T->inputs[i])) {
                objs[alive++] = T->inputs[i]->obj;  // others are compared at hits only
            }
            regs[count++] = T->inputs[i]->reg;
        }
        written = pass == 0 ? count : written;
        alive_written = pass == 0 ? alive : alive_written;
    }
    for (Py_ssize_t i = 0; i < known && rc == MP_OK; i++) {  // arrays that were read
        objs[alive++] = PyList_GET_ITEM(T->known, i);
        regs[count++] = mp_refgraph_find(&T->graph, objs[alive - 1])->reg;
    }
    if (rc == MP_OK && alive_written > 0
        && !mp_guard_are_apart(objs, alive_written, alive, false)) {
        mp_blame(T, T->wrote);
        rc = mp_trace_abort(T, MP_AB_ALIASED, "an input written in place");
    }
    if (rc == MP_OK && written > 0) {
        PyObject *row =
            PyBytes_FromStringAndSize((char *)regs, count * (Py_ssize_t)sizeof(*regs));
        if (row == NULL
            || mp_guards_test(T->guards, MP_G_APART, -1, -1, row, written, NULL) < 0) {
            rc = MP_ERR;
        }
        Py_XDECREF(row);
    }
    PyMem_Free(objs);
    PyMem_Free(regs);
    return rc;
}
