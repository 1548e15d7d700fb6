/* trace/late.c - see trace/late.h.
 *
 * Invariants
 *   (1) A box is in the hands of the program as long as the segment is recorded, and leaves it
 *       when that ends (run/unbox.c).
 *   (2) A late value is never pinned: no guard could say what it is.
 * Ownership: a row owns its value; the node owns the box and the leaf. */
#include "trace/late.h"

#include "compat/compat.h"
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

mp_node *
mp_late_find(const mp_trace *T, PyObject *obj)
{
    if (T->lates.n == 0 || !mp_is_constant(obj)) {
        return NULL;
    }
    mp_node *n = mp_refgraph_at(&T->graph, obj);
    return n != NULL && n->kind == MP_NODE_LATE ? n : NULL;
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
    const mp_node *n = mp_late_find(T, obj);
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
    l->all[l->n++] = (mp_late){Py_NewRef(value), made};
    *box = made;
    return MP_OK;
}

mp_rc
mp_late_refuse(mp_trace *T, PyObject *obj)
{
    assert(obj == NULL || mp_late_find(T, obj) != NULL);
    return mp_trace_abort(T, MP_AB_HOST_READ, "a number that was read from a tensor");
}
