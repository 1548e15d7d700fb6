/* read/write.c - the journal: writes to objects that existed before the run.
 *
 * Entries are primitive writes in program order.  Values are not stored: the last value
 * of a key is read from the live object when the run has ended, so an overwritten value
 * dies when it dies in eager mode.  A write that does not depend on the old value adds no
 * guard.
 * Invariant: an entry that is not dead says what must happen to its key (or content); a
 * key has at most one live SET after its last DEL. */
#include "objects/equal.h"
#include "read/read.h"

#include <structmember.h>

/* The **kwargs of the call: the interpreter makes a dict for each call. */
static bool
is_made_by_call(mp_trace *T, const mp_node *n)
{
    const mp_guard *load = &T->guards->ops[T->guards->def[n->reg]];
    const PyCodeObject *code =
        (const PyCodeObject *)((PyFunctionObject *)T->root_function)->func_code;
    int named = code->co_argcount + code->co_kwonlyargcount
                + ((code->co_flags & CO_VARARGS) != 0);
    return load->kind == MP_G_LOAD_ARG && (code->co_flags & CO_VARKEYWORDS)
           && load->n == named;
}

/* A trial can put back what a name, or an int as a key, stood for: a new one goes to the end
 * of its dict. */
static mp_rc
trial_wrote(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key)
{
    if (is_made_by_call(T, n)) {
        return MP_OK;
    }
    if (kind != MP_W_KEY_SET || !PyDict_CheckExact(n->obj)
        || !(PyUnicode_CheckExact(key) || PyLong_CheckExact(key))) {
        return mp_trace_abort(T, MP_AB_MUTATION, "in a trial");
    }
    PyObject *old = PyDict_GetItemWithError(n->obj, key);
    if ((old == NULL && PyErr_Occurred())
        || (T->undo == NULL && (T->undo = PyList_New(0)) == NULL)) {
        return MP_ERR;
    }
    PyObject *row =
        old == NULL ? PyTuple_Pack(2, n->obj, key) : PyTuple_Pack(3, n->obj, key, old);
    int rc = row == NULL ? -1 : PyList_Append(T->undo, row);
    Py_XDECREF(row);
    return rc < 0 ? MP_ERR : MP_OK;
}

static mp_rc
journal_add(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key,
            Py_ssize_t index)
{
    assert(T->state == MP_TRACE_RECORDING);
    assert(n->reg >= 0 && !n->released);
    T->lets_go |= mp_write_lets_go(kind);
    mp_rc rc = T->inside > 0 ? mp_trace_abort(T, MP_AB_MUTATION, "in a body")
               : T->trial    ? trial_wrote(T, kind, n, key)
                             : MP_OK;
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_grow(&T->writes, &T->cap_writes, T->n_writes + 1, sizeof(*T->writes)) < 0) {
        return MP_ERR;
    }
    T->writes[T->n_writes++] =
        (mp_write){.kind = kind, .node = n, .key = Py_XNewRef(key), .index = index};
    return MP_OK;
}

void
mp_writes_fini(mp_trace *T)
{
    for (int i = 0; i < T->n_writes; i++) {
        Py_XDECREF(T->writes[i].key);
    }
    PyMem_Free(T->writes);
    T->writes = NULL;
    T->n_writes = T->cap_writes = 0;
}

/* The newest entry of this node and key, which is alive, or NULL.  The dict of written keys
 * finds it: they are scalars or identity-hashed, so no user code runs. */
static mp_write *
journal_find(mp_trace *T, mp_node *n, PyObject *key)
{
    int at = mp_node_written_at(n, key);
    assert(at < T->n_writes);
    return at < 0 ? NULL : &T->writes[at];
}

/* An entry for a key, which is the newest one from here on. */
static mp_rc
journal_add_key(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key)
{
    return mp_node_mark_written(n, key, T->n_writes) < 0
               ? MP_ERR
               : journal_add(T, kind, n, key, 0);
}

static mp_rc
remember_keys(mp_node *n)
{
    if (n->entry_keys != NULL || n->rewritten || !PyDict_Check(n->obj)) {
        return MP_OK;
    }
    n->entry_keys = mp_dict_keys(n->obj);
    return n->entry_keys == NULL ? MP_ERR : MP_OK;
}

mp_rc
mp_write_key(mp_trace *T, mp_node *dict, PyObject *key, bool is_delete)
{
    if (dict == NULL || dict->reg < 0 || dict->rewritten) {
        return MP_OK;
    }
    assert(PyDict_Check(dict->obj));
    if (mp_guard_is_weak_key(key)) {
        // (functools.singledispatch notes what it has found for a class)
        return mp_trace_abort(T, MP_AB_FILLED, "a dict of weak references");
    }
    if (!mp_key_is_safe(key)) {
        return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
    }
    mp_rc rc = mp_pin_key(T, key);
    rc = rc != MP_OK ? rc : remember_keys(dict);
    if (rc != MP_OK) {
        return rc;
    }
    mp_write *last = journal_find(T, dict, key);
    mp_refgraph_loosen(&T->graph, PyDict_GetItemWithError(dict->obj, key));
    if (PyErr_Occurred()) {
        return MP_ERR;
    }
    if (last != NULL && last->kind == MP_W_KEY_SET) {
        if (!is_delete) {
            return MP_OK;  // the value is read at the end, the place in the order stays
        }
        last->dead = true;
    }
    return journal_add_key(T, is_delete ? MP_W_KEY_DEL : MP_W_KEY_SET, dict, key);
}

mp_rc
mp_write_slot(mp_trace *T, mp_node *n, PyObject *descr, bool is_delete)
{
    assert(Py_IS_TYPE(descr, &PyMemberDescr_Type));
    mp_write *last = journal_find(T, n, descr);
    if (last != NULL) {
        last->dead = true;
    }
    PyMemberDef *m = ((PyMemberDescrObject *)descr)->d_member;
    mp_refgraph_loosen(&T->graph, *(PyObject **)((char *)n->obj + m->offset));
    return journal_add_key(T, is_delete ? MP_W_SLOT_DEL : MP_W_SLOT_SET, n, descr);
}

mp_rc
mp_write_cell(mp_trace *T, mp_node *cell)
{
    assert(PyCell_Check(cell->obj));
    if (cell->rewritten) {
        return MP_OK;
    }
    cell->rewritten = true;
    mp_refgraph_loosen(&T->graph, PyCell_GET(cell->obj));
    return journal_add(T, MP_W_CELL, cell, NULL, 0);
}

mp_rc
mp_write_type(mp_trace *T, mp_node *cls, PyObject *name)
{
    assert(PyType_Check(cls->obj) && PyUnicode_Check(name));
    PyTypeObject *type = (PyTypeObject *)cls->obj;
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
        || PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE)) {
        return mp_trace_abort(T, MP_AB_MUTATION, "attribute of the class %s",
                              type->tp_name);  // a TypeError in a moment
    }
    if (mp_node_wrote(cls, name)) {
        return MP_OK;
    }
    PyObject *dict = mp_type_dict_borrow(type);
    mp_refgraph_loosen(&T->graph,
                       dict == NULL ? NULL : PyDict_GetItemWithError(dict, name));
    return PyErr_Occurred() ? MP_ERR : journal_add_key(T, MP_W_TYPE, cls, name);
}

mp_rc
mp_write_append(mp_trace *T, mp_node *list)
{
    assert(PyList_Check(list->obj));
    if (list->reg < 0 || list->rewritten) {
        return MP_OK;
    }
    Py_ssize_t size = PyList_GET_SIZE(list->obj);
    if (!list->appended) {
        list->appended = true;
        list->entry_len = size;
    }
    assert(list->entry_len >= 0 && size >= list->entry_len);
    return journal_add(T, MP_W_APPEND, list, NULL, size - list->entry_len);
}

bool
mp_extends_by_items(PyObject *list, PyObject *more)
{
    enum { MAX_APPENDS = 64 };  // more are not worth a row each
    return PyList_Check(list) && list != more
           && (PyList_CheckExact(more) || PyTuple_CheckExact(more))
           && PySequence_Fast_GET_SIZE(more) <= MAX_APPENDS;
}

mp_rc
mp_write_extend(mp_trace *T, mp_node *list, PyObject *more)
{
    assert(mp_extends_by_items(list->obj, more));
    if (list->reg < 0 || list->rewritten) {
        return MP_OK;
    }
    Py_ssize_t count = PySequence_Fast_GET_SIZE(more);
    Py_ssize_t size = PyList_GET_SIZE(list->obj);
    mp_rc rc = mp_read_all(T, more);
    if (rc == MP_OK && !list->appended) {
        list->appended = true;
        list->entry_len = size;
    }
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = journal_add(T, MP_W_APPEND, list, NULL, size + i - list->entry_len);
    }
    return rc;
}

/* What pop() would take, from either end. */
static void
loosen_ends(mp_trace *T, PyObject *obj)
{
    if (PyList_Check(obj) && PyList_GET_SIZE(obj) > 0) {
        mp_refgraph_loosen(&T->graph, PyList_GET_ITEM(obj, 0));
        mp_refgraph_loosen(&T->graph, PyList_GET_ITEM(obj, PyList_GET_SIZE(obj) - 1));
    }
}

/* Iterators over a deque notice what is done to it, but not that an item is set. */
static mp_rc
note_iterators(mp_node *n)
{
    if (!mp_is_instance(n->obj, MP_K_DEQUE)) {
        return MP_OK;
    }
    // Its own slot: a subclass may have an __iter__ in Python.
    PyTypeObject *deque = (PyTypeObject *)mp_known[MP_K_DEQUE];
    n->entry_iterator = deque->tp_iter(n->obj);
    return n->entry_iterator == NULL ? MP_ERR : MP_OK;
}

mp_rc
mp_write_content(mp_trace *T, mp_node *n)
{
    return n != NULL && n->reg >= 0 && PySet_Check(n->obj) ? mp_write_set_whole(T, n)
                                                           : mp_write_whole(T, n);
}

mp_rc
mp_write_whole(mp_trace *T, mp_node *n)
{
    if (n == NULL || n->reg < 0) {
        return MP_OK;
    }
    if (n->rewritten) {
        loosen_ends(T, n->obj);
        return MP_OK;
    }
    mp_rc rc = mp_read_all(T, n->obj);
    rc = rc != MP_OK ? rc : note_iterators(n);
    if (rc == MP_OK && PySet_Check(n->obj)) {
        n->entry_layout = mp_set_layout(n->obj);
        rc = n->entry_layout == NULL ? MP_ERR : MP_OK;
    }
    if (rc != MP_OK) {
        return rc;
    }
    mp_refgraph_loosen_items(&T->graph, n);
    loosen_ends(T, n->obj);
    bool has_entries = n->written != NULL || n->appended;
    for (int i = 0; has_entries && i < T->n_writes; i++) {
        mp_write *w = &T->writes[i];
        if (w->node == n && w->kind != MP_W_SLOT_SET && w->kind != MP_W_SLOT_DEL) {
            w->dead = true;
        }
    }
    n->rewritten = true;
    return journal_add(T, MP_W_CONTENT, n, NULL, 0);
}

/* An entry whose node stays alive until the end. */
static mp_rc
journal_keep(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key)
{
    if (mp_node_mark_written(n, Py_None, -1) < 0) {
        return MP_ERR;
    }
    return journal_add(T, kind, n, key, 0);
}

mp_rc
mp_write_advance(mp_trace *T, mp_node *iterator)
{
    return journal_keep(T, MP_W_ADVANCE, iterator, NULL);
}

mp_rc
mp_write_late(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key)
{
    assert(n != NULL);
    return journal_keep(T, kind, n, key);
}

mp_rc
mp_write_file(mp_trace *T, mp_node *file, PyObject *text)
{
    assert(text == NULL || PyUnicode_Check(text));
    return mp_write_late(T, text == NULL ? MP_W_FLUSH : MP_W_WRITE, file, text);
}
