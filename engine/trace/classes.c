/* trace/classes.c - what is found through a class: its attributes and its MRO.
 *
 * A new class is a fresh object.  No guard may speak of it: what is found through its MRO
 * is the run's own up to the first class that existed before, and from there on each such
 * class is guarded.
 */
#include "trace/trace.h"

#include "objects/names.h"

/* TYPE_ATTR: a look-up of the name through the MRO of the type finds this object, or
 * nothing (found == NULL).  Types that cannot be changed need no guard, nor does a name
 * that the run has set. */
mp_rc
mp_guard_type_attr(mp_trace *T, PyTypeObject *type, PyObject *name, PyObject *found)
{
    assert(PyUnicode_Check(name));
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE)
        || (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE)) {
        return MP_OK;  // such types cannot be changed
    }
    if (mp_is_new_class(T, (PyObject *)type)) {
        return mp_guard_new_class(T, type, NULL, name);
    }
    mp_node *written = mp_refgraph_find(&T->graph, (PyObject *)type);
    if (written != NULL && written->written != NULL && mp_node_wrote(written, name)) {
        return MP_OK;  // the run's own value
    }
    int first =
        mp_refgraph_first(&T->graph, MP_G_TYPE_ATTR, name, (int64_t)(intptr_t)type);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    PyObject *absent = mp_guard_absent();
    PyObject *row = PyTuple_Pack(3, (PyObject *)type, name, found ? found : absent);
    if (row == NULL) {
        return MP_ERR;
    }
    int r = mp_guards_test(T->guards, MP_G_TYPE_ATTR, -1, -1, row, 0, NULL);
    Py_DECREF(row);
    return r < 0 ? MP_ERR : MP_OK;
}

bool
mp_is_new_class(mp_trace *T, PyObject *obj)
{
    if (!T->makes_classes || !PyType_Check(obj)) {
        return false;
    }
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    return n != NULL && n->kind == MP_NODE_FRESH;
}

mp_rc
mp_guard_new_class(mp_trace *T, PyTypeObject *type, PyTypeObject *after, PyObject *name)
{
    assert(mp_is_new_class(T, (PyObject *)type));
    PyObject *mro = type->tp_mro;
    Py_ssize_t i = 0, count = mro == NULL ? 0 : PyTuple_GET_SIZE(mro);
    while (after != NULL && i < count
           && PyTuple_GET_ITEM(mro, i) != (PyObject *)after) {
        i++;
    }
    for (i += after != NULL; i < count; i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        PyObject *dict = mp_type_dict_borrow(base);
        PyObject *own = dict == NULL ? NULL : PyDict_GetItemWithError(dict, name);
        if (own == NULL && PyErr_Occurred()) {
            return MP_ERR;
        }
        mp_rc rc = MP_OK;
        if (!mp_is_new_class(T, (PyObject *)base)) {
            rc = mp_guard_type_attr(T, base, name, mp_type_lookup_borrow(base, name));
        }
        else if (own != NULL && mp_refgraph_find(&T->graph, own) == NULL) {
            rc = mp_fresh(T, own);  // type.__new__ wrapped it, or made it
        }
        if (rc != MP_OK || own != NULL) {
            return rc;
        }
    }
    return MP_OK;
}

static mp_rc
guard_old_mro(mp_trace *T, PyTypeObject *type)
{
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE)
        || (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) || type->tp_mro == NULL) {
        return MP_OK;
    }
    int first = mp_refgraph_first(&T->graph, MP_G_LOAD_FIELD, type, MP_F_TYPE_MRO);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    mp_rc rc = mp_load_const(T, (PyObject *)type);
    mp_node *n = mp_refgraph_find(&T->graph, (PyObject *)type);
    if (rc != MP_OK) {
        return rc;
    }
    rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, MP_NAME(MRO), MP_F_TYPE_MRO, type->tp_mro);
    return rc != MP_OK ? rc : mp_load_const(T, type->tp_mro);
}

mp_rc
mp_guard_mro(mp_trace *T, PyTypeObject *type)
{
    if (!mp_is_new_class(T, (PyObject *)type)) {
        return guard_old_mro(T, type);
    }
    PyObject *mro = type->tp_mro;
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro) && rc == MP_OK;
         i++) {
        PyObject *base = PyTuple_GET_ITEM(mro, i);
        rc = mp_is_new_class(T, base) ? MP_OK : guard_old_mro(T, (PyTypeObject *)base);
    }
    return rc;
}

mp_rc
mp_guard_mro_of(mp_trace *T, PyObject *obj)
{
    mp_rc rc = mp_guard_mro(T, Py_TYPE(obj));
    return rc == MP_OK && PyType_Check(obj) ? mp_guard_mro(T, (PyTypeObject *)obj) : rc;
}
