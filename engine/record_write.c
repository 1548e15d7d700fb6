/* record_write.c - the journal: writes to objects that existed before the run.
 *
 * Entries are primitive mutations in program order.  Values are not kept: the last value
 * of a key is read from the live object when the run has ended, so a dead store frees its
 * value when eager would.  A blind write adds no read guard.
 * Invariant: an entry that is not dead tells what must happen to its key (or content); a
 * key has at most one live SET after its last DEL.
 */
#include "trace.h"

/* What a write replaced may still be on the stack for some instructions. */
enum { SWEEP_EVENTS = 4 };

static mp_rc
journal_add(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key,
            Py_ssize_t index)
{
    if (T->n_writes == T->cap_writes) {
        int cap = T->cap_writes ? T->cap_writes * 2 : 32;
        mp_write *w = PyMem_Realloc(T->writes, (size_t)cap * sizeof(*w));
        if (w == NULL) {
            PyErr_NoMemory();
            return MP_ERR;
        }
        T->writes = w;
        T->cap_writes = cap;
    }
    T->sweep = SWEEP_EVENTS;
    T->writes[T->n_writes++] = (mp_write){kind, n, Py_XNewRef(key), index, false};
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

/* The newest live entry of this node and key, or NULL.  Keys are compared as the dict
 * would: they are scalars or identity-hashed, so no user code runs. */
static mp_write *
journal_find(mp_trace *T, mp_node *n, PyObject *key)
{
    for (int i = T->n_writes - 1; i >= 0; i--) {
        mp_write *w = &T->writes[i];
        if (w->node != n || w->dead) {
            continue;
        }
        if (w->key == key) {
            return w;
        }
        if (w->key != NULL && key != NULL && Py_TYPE(key) == Py_TYPE(w->key)
            && PyObject_RichCompareBool(w->key, key, Py_EQ) == 1) {
            return w;
        }
    }
    return NULL;
}

static mp_rc
remember_keys(mp_node *n)
{
    if (n->entry_keys != NULL || n->rewritten || !PyDict_Check(n->obj)) {
        return MP_OK;
    }
    PyObject *keys = PyDict_Keys(n->obj);
    if (keys == NULL) {
        return MP_ERR;
    }
    n->entry_keys = PyList_AsTuple(keys);
    Py_DECREF(keys);
    return n->entry_keys == NULL ? MP_ERR : MP_OK;
}

mp_rc
mp_write_key(mp_trace *T, mp_node *dict, PyObject *key, bool is_delete)
{
    if (dict == NULL || dict->reg < 0 || dict->rewritten) {
        return MP_OK;
    }
    if (!mp_key_is_safe(key)) {
        return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
    }
    mp_rc rc = mp_pin_key(T, key);
    rc = rc != MP_OK ? rc : remember_keys(dict);
    if (rc != MP_OK) {
        return rc;
    }
    mp_write *last = mp_node_wrote(dict, key) ? journal_find(T, dict, key) : NULL;
    if (mp_node_mark_written(dict, key) < 0) {
        return MP_ERR;
    }
    if (last != NULL && last->kind == MP_W_KEY_SET) {
        T->sweep = SWEEP_EVENTS;
        if (!is_delete) {
            return MP_OK;  // the value is read at the end, the place in the order stays
        }
        last->dead = true;
    }
    return journal_add(T, is_delete ? MP_W_KEY_DEL : MP_W_KEY_SET, dict, key, 0);
}

mp_rc
mp_write_slot(mp_trace *T, mp_node *n, PyObject *descr, bool is_delete)
{
    mp_write *last = mp_node_wrote(n, descr) ? journal_find(T, n, descr) : NULL;
    if (last != NULL) {
        last->dead = true;
    }
    if (mp_node_mark_written(n, descr) < 0) {
        return MP_ERR;
    }
    return journal_add(T, is_delete ? MP_W_SLOT_DEL : MP_W_SLOT_SET, n, descr, 0);
}

mp_rc
mp_write_cell(mp_trace *T, mp_node *cell)
{
    if (cell->rewritten) {
        return MP_OK;
    }
    cell->rewritten = true;
    return journal_add(T, MP_W_CELL, cell, NULL, 0);
}

mp_rc
mp_write_type(mp_trace *T, mp_node *cls, PyObject *name)
{
    if (mp_node_wrote(cls, name)) {
        return MP_OK;
    }
    if (mp_node_mark_written(cls, name) < 0) {
        return MP_ERR;
    }
    return journal_add(T, MP_W_TYPE, cls, name, 0);
}

mp_rc
mp_write_append(mp_trace *T, mp_node *list)
{
    if (list->reg < 0 || list->rewritten) {
        return MP_OK;
    }
    Py_ssize_t size = PyList_GET_SIZE(list->obj);
    if (!list->appended) {
        list->appended = true;
        list->entry_len = size;
    }
    return journal_add(T, MP_W_APPEND, list, NULL, size - list->entry_len);
}

mp_rc
mp_write_content(mp_trace *T, mp_node *n)
{
    T->sweep = SWEEP_EVENTS;
    if (n == NULL || n->reg < 0 || n->rewritten) {
        return MP_OK;
    }
    mp_rc rc = mp_read_all(T, n->obj);
    if (rc != MP_OK) {
        return rc;
    }
    for (int i = 0; i < T->n_writes; i++) {
        if (T->writes[i].node == n) {
            T->writes[i].dead = true;
        }
    }
    n->rewritten = true;
    return journal_add(T, MP_W_CONTENT, n, NULL, 0);
}

mp_rc
mp_write_file(mp_trace *T, mp_node *file, PyObject *text)
{
    if (mp_node_mark_written(file, Py_None) < 0) {  // it stays alive until the end
        return MP_ERR;
    }
    return journal_add(T, text == NULL ? MP_W_FLUSH : MP_W_WRITE, file, text, 0);
}
