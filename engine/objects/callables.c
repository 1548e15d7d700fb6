/* objects/callables.c - the registry of callables: one row for each of which anything is
 * known.  It holds them for the life of the process, so a key is never the address of
 * something else. */
#include "objects/callables.h"

#include "compat/compat.h"

enum { CALLABLES_FIRST = 16384 };  // slots: twice what the tables name, torch aside

static mp_callable *rows;  // open addressing; lives as long as the engine
static uint32_t n_rows, used_rows;

bool
mp_is_new(PyObject *callable)
{
    static const PyMethodDef *new_def;  // the __new__ of all C types have the same
    if (new_def == NULL) {
        PyObject *f =
            mp_dict_text_borrow(mp_type_dict_borrow(&PyBaseObject_Type), "__new__");
        assert(f != NULL && PyCFunction_Check(f));
        new_def = ((PyCFunctionObject *)f)->m_ml;
    }
    return PyCFunction_Check(callable)
           && ((PyCFunctionObject *)callable)->m_ml == new_def;
}

const void *
mp_callable_key(PyObject *callable)
{
    if (PyCFunction_Check(callable)) {
        return mp_is_new(callable) ? (const void *)callable
                                   : ((PyCFunctionObject *)callable)->m_ml;
    }
    if (Py_TYPE(callable) == &PyMethodDescr_Type
        || Py_TYPE(callable) == &PyClassMethodDescr_Type) {
        return ((PyMethodDescrObject *)callable)->d_method;
    }
    return callable;
}

static mp_callable *
row_find(mp_callable *in, uint32_t count, const void *key)
{
    assert((count & (count - 1)) == 0);
    uint32_t i = mp_hash(key) & (count - 1);
    while (in[i].key != NULL && in[i].key != key) {
        i = (i + 1) & (count - 1);
    }
    return &in[i];
}

const mp_callable *
mp_callable_find(const void *key)
{
    static mp_callable nothing;
    return n_rows == 0 ? &nothing : row_find(rows, n_rows, key);
}

static int
rows_grow(void)
{
    uint32_t count = n_rows != 0 ? n_rows * 2 : CALLABLES_FIRST;
    mp_callable *more = PyMem_Calloc(count, sizeof(*more));
    if (more == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < n_rows; i++) {
        if (rows[i].key != NULL) {
            *row_find(more, count, rows[i].key) = rows[i];
        }
    }
    PyMem_Free(rows);
    rows = more;
    n_rows = count;
    return 0;
}

mp_callable *
mp_callable_add(const void *key, PyObject *holder)
{
    if (used_rows * 2 >= n_rows && rows_grow() < 0) {
        return NULL;
    }
    mp_callable *row = row_find(rows, n_rows, key);
    if (row->key == NULL) {
        row->key = key;
        Py_INCREF(holder);
        used_rows++;
    }
    return row;
}
