/* trace/late.c - see trace/late.h.
 *
 * Invariants
 *   (1) A box is in the hands of the program as long as the segment is recorded, and leaves it
 *       when that ends (run/unbox.c).
 *   (2) A late value is never pinned: no guard could say what it is.  Of a text that shows
 *       nothing but symbols the guards of these say it: then it is `known`, and found no more.
 * Ownership: a row owns its value; the node owns the box and the leaf. */
#include "trace/late.h"

#include "compat/compat.h"
#include "plan/value.h"
#include "trace/trace.h"

void
mp_lates_fini(mp_lates *all)
{
    for (int32_t i = 0; i < all->n; i++) {
        Py_DECREF(all->all[i].value);
    }
    PyMem_Free(all->all);
    *all = (mp_lates){NULL, 0, 0};
}

/* Of a box, also of one whose value is known by now. */
static mp_node *
node_of_box(const mp_trace *T, PyObject *obj)
{
    if (T->lates.n == 0 || !mp_is_constant(obj)) {
        return NULL;
    }
    mp_node *n = mp_refgraph_at(&T->graph, obj);
    return n != NULL && n->kind == MP_NODE_LATE ? n : NULL;
}

mp_node *
mp_late_find(const mp_trace *T, PyObject *obj)
{
    mp_node *n = node_of_box(T, obj);
    return n != NULL && !T->lates.all[n->number].known ? n : NULL;
}

bool
mp_late_is_of_numbers(const mp_trace *T, const mp_node *late)
{
    return T->lates.all[late->number].of_numbers;
}

bool
mp_late_any(const mp_trace *T, PyObject *const *objs, Py_ssize_t count)
{
    bool any = false;
    for (Py_ssize_t i = 0; i < count && !any && T->lates.n > 0; i++) {
        any = mp_late_find(T, objs[i]) != NULL;
    }
    return any;
}

PyObject *
mp_late_value_borrow(const mp_trace *T, PyObject *obj)
{
    const mp_node *n = node_of_box(T, obj);
    return n == NULL ? NULL : T->lates.all[n->number].value;
}

mp_rc
mp_late_make(mp_trace *T, PyObject *value, PyObject *leaf, PyObject **box)
{
    mp_lates *l = &T->lates;
    PyObject *plain = mp_symbol_value_borrow(T, value);  // max(a, b) answers with a
    value = plain == NULL ? value : plain;
    *box = NULL;
    if (mp_grow(&l->all, &l->cap, l->n + 1, sizeof(*l->all)) < 0) {
        return MP_ERR;
    }
    PyObject *made = mp_value_box(value);
    mp_node *n = made == NULL ? NULL : mp_refgraph_add_late(&T->graph, made, l->n);
    if (n == NULL) {
        if (made != NULL) {
            mp_value_box_end(made);
            Py_DECREF(made);
        }
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    n->leaf = Py_NewRef(leaf);
    l->all[l->n++] = (mp_late){.value = Py_NewRef(value), .box = made, .at = -1};
    *box = made;
    return MP_OK;
}

/* -- Texts of symbols, when they are looked at ------------------------------------------- */

static mp_rc know_text(mp_trace *T, mp_late *l);

/* The late value that this leaf of the log stands for. */
static mp_late *
row_of_leaf(mp_trace *T, PyObject *leaf)
{
    mp_late *found = NULL;
    for (int32_t i = 0; i < T->lates.n && found == NULL; i++) {
        const mp_node *n = mp_refgraph_at(&T->graph, T->lates.all[i].box);
        found = n->leaf == leaf ? &T->lates.all[i] : NULL;
    }
    return found;
}

/* Pin what a part of an argument of the entry shows. */
static int
know_part(void *ctx, PyObject *leaf)
{
    mp_trace *T = ctx;
    if (mp_number_leaf_check(leaf)) {
        return mp_pin_number(T, (int32_t)mp_number_leaf_index(leaf));
    }
    if (!mp_value_check(leaf)) {
        return MP_OK;
    }
    mp_late *part = row_of_leaf(T, leaf);
    assert(part != NULL && part->of_numbers);
    return know_text(T, part);
}

/* Its entry stays in the log; nobody asks for the result. */
static mp_rc
know_text(mp_trace *T, mp_late *l)
{
    assert(l->of_numbers && l->at >= 0 && l->at < PyList_GET_SIZE(T->ops));
    if (l->known) {
        return MP_OK;
    }
    l->known = true;
    PyObject *entry = PyList_GET_ITEM(T->ops, l->at);
    return (mp_rc)mp_tree_walk(PyTuple_GET_ITEM(entry, 1), know_part, T);
}

mp_rc
mp_late_refuse(mp_trace *T, PyObject *obj)
{
    const mp_node *n = obj == NULL ? NULL : mp_late_find(T, obj);
    assert(obj == NULL || n != NULL);
    if (n != NULL && T->lates.all[n->number].of_numbers) {
        return know_text(T, &T->lates.all[n->number]);
    }
    return mp_trace_abort(T, MP_AB_HOST_READ, "a number that was read from a tensor");
}
