/* guard/weak.c - objects that guards compare with but do not keep alive.
 *
 * What the program lets go of, a function, a class, an instance, would live as long as the
 * entry.  When it has died nothing can bring it again, so the entry is dead, too.
 *
 * (1) What is let go of: all such objects that guards compare a register or a key with, or
 *     that classes have under a name, and what functions among them own for good (closure
 *     and cells).
 * (2) Each of the former has a weak reference whose callback marks the program dead; it
 *     comes before the memory is used again.  A dead program is never looked into.
 * (3) The weak references are not visited: the collector takes them for reachable, and so
 *     calls back even when the whole compiled object goes with the object.
 * (4) A tuple with borrowed items is not tracked, and mp_guards_visit visits the others. */
#include "guard/weak.h"

#include <structmember.h>

enum { WEAK_ITEMS = 63 };  // of a tuple that can be borrowed

typedef struct {
    PyObject **at;  // borrowed
    int32_t n, cap;
    int32_t *slots;   // where at[i] is, as i + 1; 0: free
    int32_t n_slots;  // a power of two, or 0
} weak_list;

static int32_t *
weak_slot(const weak_list *list, PyObject *obj)
{
    uint32_t mask = (uint32_t)list->n_slots - 1;
    uint32_t at = mp_hash(obj) & mask;
    while (list->slots[at] != 0 && list->at[list->slots[at] - 1] != obj) {
        at = (at + 1) & mask;
    }
    return &list->slots[at];
}

static bool
weak_has(const weak_list *list, PyObject *obj)
{
    return list->n > 0 && *weak_slot(list, obj) != 0;
}

static int
weak_grow(weak_list *list)
{
    int32_t n = list->n_slots == 0 ? 32 : 2 * list->n_slots;
    int32_t *slots = PyMem_Calloc((size_t)n, sizeof(*slots));
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyMem_Free(list->slots);
    list->slots = slots;
    list->n_slots = n;
    for (int32_t i = 0; i < list->n; i++) {
        *weak_slot(list, list->at[i]) = i + 1;
    }
    return 0;
}

static int
weak_add(weak_list *list, PyObject *obj)
{
    if (weak_has(list, obj)) {
        return 0;
    }
    if (mp_grow(&list->at, &list->cap, list->n + 1, sizeof(*list->at)) < 0
        || (2 * (list->n + 1) > list->n_slots && weak_grow(list) < 0)) {
        return -1;
    }
    *weak_slot(list, obj) = list->n + 1;
    list->at[list->n++] = obj;
    return 0;
}

static void
weak_free(weak_list *list)
{
    PyMem_Free(list->at);
    PyMem_Free(list->slots);
}

/* -- What can be let go of --------------------------------------------------------------- */

static bool
weak_can_be(PyObject *obj)
{
    if (PyFunction_Check(obj)) {
        return true;
    }
    if (PyType_Check(obj)) {
        PyTypeObject *type = (PyTypeObject *)obj;
        return (type->tp_flags & Py_TPFLAGS_HEAPTYPE)
               && !(type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE);
    }
    if (PyCFunction_Check(obj)) {  // a method (`log.append`), or a function of a module
        PyObject *self = PyCFunction_GET_SELF(obj);
        return self != NULL && !PyModule_Check(self) && !PyType_Check(self);
    }
    return PyType_SUPPORTS_WEAKREFS(Py_TYPE(obj)) && !PyModule_Check(obj)
           && !mp_tensor_is_any(obj);
}

static int
weak_add_keys(weak_list *list, PyObject *keys)
{
    assert(PyTuple_Check(keys));
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyTuple_GET_SIZE(keys); i++) {
        PyObject *key = PyTuple_GET_ITEM(keys, i);
        rc = weak_can_be(key) ? weak_add(list, key) : 0;
    }
    return rc;
}

static int
weak_find(const mp_guards *g, weak_list *list)
{
    int rc = 0;
    for (int32_t i = 0; rc == 0 && i < g->n_ops; i++) {
        PyObject *obj = g->ops[i].obj;
        switch (obj == NULL ? MP_G_TYPE_IS : g->ops[i].kind) {
        case MP_G_TYPE_ATTR:
        case MP_G_SUPER_ATTR:
            obj = PyTuple_GET_ITEM(obj, PyTuple_GET_SIZE(obj) - 1);  // what is found
            rc = weak_can_be(obj) ? weak_add(list, obj) : 0;
            break;
        case MP_G_IS:
        case MP_G_LOAD_KEY:
        case MP_G_HAS_KEY:
        case MP_G_NO_KEY:
            rc = weak_can_be(obj) ? weak_add(list, obj) : 0;
            break;
        case MP_G_KEYS:
            rc = weak_add_keys(list, obj);
            break;
        default:
            break;
        }
    }
    return rc;
}

static int
weak_find_owned(const weak_list *list, weak_list *owned)
{
    int rc = 0;
    for (int32_t i = 0; rc == 0 && i < list->n; i++) {
        PyObject *closure =
            PyFunction_Check(list->at[i]) ? PyFunction_GET_CLOSURE(list->at[i]) : NULL;
        Py_ssize_t n = closure == NULL ? 0 : PyTuple_GET_SIZE(closure);
        rc = n == 0 ? 0 : weak_add(owned, closure);
        for (Py_ssize_t k = 0; rc == 0 && k < n; k++) {
            rc = weak_add(owned, PyTuple_GET_ITEM(closure, k));
        }
    }
    return rc;
}

/* -- Weak references --------------------------------------------------------------------- */

static PyObject *
weak_died(PyObject *capsule, PyObject *ref)
{
    mp_guards *g = PyCapsule_GetContext(capsule);
    if (g != NULL) {
        g->dead = true;
    }
    Py_RETURN_NONE;
}

static PyMethodDef weak_died_def = {"died", weak_died, METH_O, NULL};

bool
mp_guards_is_watch(PyObject *callback)
{
    return PyCFunction_CheckExact(callback)
           && ((PyCFunctionObject *)callback)->m_ml == &weak_died_def;
}

/* The context is the program; mp_guards_unwatch takes it away. */
static PyObject *
weak_capsule(mp_guards *g)
{
    PyObject *capsule = PyCapsule_New(&weak_died_def, NULL, NULL);
    if (capsule != NULL && PyCapsule_SetContext(capsule, g) < 0) {
        Py_CLEAR(capsule);
    }
    return capsule;
}

static int
weak_watch(mp_guards *g, const weak_list *list)
{
    assert(g->watch == NULL && g->weak == NULL);
    PyObject *callback = NULL;
    g->watch = weak_capsule(g);
    g->weak = g->watch == NULL ? NULL : PyList_New(0);
    if (g->weak != NULL) {
        callback = PyCFunction_New(&weak_died_def, g->watch);
    }
    int rc = callback == NULL ? -1 : 0;
    for (int32_t i = 0; rc == 0 && i < list->n; i++) {
        PyObject *ref = PyWeakref_NewRef(list->at[i], callback);
        rc = ref == NULL ? -1 : PyList_Append(g->weak, ref);
        Py_XDECREF(ref);
    }
    Py_XDECREF(callback);
    if (rc == 0) {
        PyObject_GC_UnTrack(g->weak);  // (3)
    }
    else {
        mp_guards_unwatch(g);
    }
    return rc;
}

void
mp_guards_unwatch(mp_guards *g)
{
    if (g->watch != NULL) {
        // It fails for no capsule only.  The program may hold the references: they are
        // found with weakref.getweakrefs.
        (void)PyCapsule_SetContext(g->watch, NULL);
    }
    Py_CLEAR(g->weak);
    Py_CLEAR(g->watch);
}

/* -- Letting go -------------------------------------------------------------------------- */

typedef struct {
    const weak_list *list, *owned;
} weak_sets;

static bool
weak_is(const weak_sets *sets, PyObject *obj)
{
    return obj != NULL && (weak_has(sets->list, obj) || weak_has(sets->owned, obj));
}

/* A tuple of the guard's own; its borrowed items are noted. */
static int
weak_release_items(mp_guard *op, const weak_sets *sets)
{
    assert(PyTuple_CheckExact(op->obj) && op->loose == 0);
    Py_ssize_t n = Py_MIN(PyTuple_GET_SIZE(op->obj), WEAK_ITEMS);
    uint64_t loose = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (weak_is(sets, PyTuple_GET_ITEM(op->obj, i))) {
            loose |= (uint64_t)2 << i;
        }
    }
    if (loose == 0) {
        return 0;
    }
    Py_ssize_t size = PyTuple_GET_SIZE(op->obj);
    PyObject *own = PyTuple_New(size);
    if (own == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *item = PyTuple_GET_ITEM(op->obj, i);
        bool borrowed = i < n && (loose & ((uint64_t)2 << i)) != 0;
        PyTuple_SET_ITEM(own, i, borrowed ? item : Py_NewRef(item));
    }
    PyObject_GC_UnTrack(own);  // (4)
    PyObject *old = op->obj;
    op->obj = own;
    op->loose = loose;
    Py_DECREF(old);
    return 0;
}

/* Are the items what this guard asks for?  (A class's MRO is a tuple that may be another
 * one with the same items.) */
static bool
weak_splits(const mp_guard *op)
{
    return op->kind == MP_G_FUNCTION || op->kind == MP_G_KEYS
           || op->kind == MP_G_TYPE_ATTR || op->kind == MP_G_SUPER_ATTR
           || op->kind == MP_G_IS;
}

bool
mp_guard_has_items(PyObject *o, const mp_guard *op)
{
    assert(PyTuple_CheckExact(op->obj));
    if (!PyTuple_CheckExact(o) || PyTuple_GET_SIZE(o) != PyTuple_GET_SIZE(op->obj)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); i++) {
        if (PyTuple_GET_ITEM(o, i) != PyTuple_GET_ITEM(op->obj, i)) {
            return false;
        }
    }
    return true;
}

static int
weak_release(mp_guards *g, const weak_sets *sets)
{
    int rc = 0;
    for (int32_t i = 0; rc == 0 && i < g->n_ops; i++) {
        mp_guard *op = &g->ops[i];
        if (op->obj == NULL) {
            continue;
        }
        if (weak_is(sets, op->obj)) {
            op->loose = 1;
            Py_DECREF(op->obj);
        }
        else if (PyTuple_CheckExact(op->obj) && weak_splits(op)) {
            rc = weak_release_items(op, sets);
        }
    }
    return rc;
}

int
mp_guards_weaken(mp_guards *g,
                 void (*also)(void *ctx, PyObject *const *objects, int32_t count),
                 void *ctx)
{
    weak_list list = {0}, owned = {0};
    weak_sets sets = {&list, &owned};
    int rc = weak_find(g, &list);
    rc = rc < 0 ? rc : weak_find_owned(&list, &owned);
    int32_t n_held = rc == 0 ? list.n : 0;
    // What dies must not die while the guards are walked.
    for (int32_t i = 0; i < n_held; i++) {
        Py_INCREF(list.at[i]);
    }
    if (n_held > 0) {
        rc = weak_watch(g, &list);
        rc = rc < 0 ? rc : weak_release(g, &sets);
        if (rc == 0) {
            also(ctx, list.at, list.n);
        }
    }
    for (int32_t i = 0; i < n_held; i++) {
        Py_DECREF(list.at[i]);
    }
    weak_free(&list);
    weak_free(&owned);
    return rc;
}

/* -- Life -------------------------------------------------------------------------------- */

void
mp_guard_release(mp_guard *op)
{
    PyObject *obj = op->obj;
    op->obj = NULL;
    if (obj == NULL || (op->loose & 1) != 0) {
        return;
    }
    for (Py_ssize_t i = 0; op->loose != 0 && i < WEAK_ITEMS; i++) {
        if ((op->loose & ((uint64_t)2 << i)) != 0) {
            PyTuple_SET_ITEM(obj, i, NULL);
        }
    }
    Py_DECREF(obj);
}

static int
weak_visit_op(const mp_guard *op, visitproc visit, void *arg)
{
    if (op->obj == NULL || (op->loose & 1) != 0) {
        return 0;
    }
    Py_VISIT(op->obj);
    if (op->loose != 0) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(op->obj); i++) {
            if (i >= WEAK_ITEMS || (op->loose & ((uint64_t)2 << i)) == 0) {
                Py_VISIT(PyTuple_GET_ITEM(op->obj, i));
            }
        }
    }
    return 0;
}

int
mp_guards_visit(mp_guards *g, visitproc visit, void *arg)
{
    for (int32_t i = 0; i < g->n_ops; i++) {
        int rc = weak_visit_op(&g->ops[i], visit, arg);
        if (rc != 0) {
            return rc;
        }
        if (g->ops[i].meta != NULL) {
            Py_VISIT(g->ops[i].meta->type);
        }
    }
    return 0;
}
