/* guard/holds.c - state that is no attribute: memory of tensors, bytes, files.
 *
 * Nothing here runs Python code, allocates an object of the collector or leaves an exception.
 */
#include "guard/holds.h"

#include <stdlib.h>
#include <string.h>

#include "objects/array.h"
#include "objects/file.h"

/* -- Memory of tensors ------------------------------------------------------------- */

typedef struct {
    uintptr_t lo, hi;
    bool written;
} extent;

static int
extent_order(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static bool
value_extent(PyObject *o, uintptr_t *lo, uintptr_t *hi)
{
    return mp_is_array(o) ? mp_array_span(o, lo, hi) && *lo < *hi
                          : mp_tensor_extent(o, lo, hi) > 0;
}

/* Where a storage begins stands for all of it.  False: it cannot be told. */
static bool
value_storage(PyObject *o, extent *out)
{
    bool told = mp_tensor_storage(o, &out->lo);
    out->hi = out->lo + 1;
    return told;
}

bool
mp_guard_are_apart(PyObject *const *tensors, Py_ssize_t written, Py_ssize_t count,
                   bool alone)
{
    assert(written >= 0 && written <= count);
    extent *all = PyMem_Malloc((size_t)count * sizeof(*all));
    Py_ssize_t used = 0;
    bool apart = all != NULL;
    for (Py_ssize_t i = 0; i < count && apart; i++) {
        all[used].written = i < written;
        if (alone) {
            apart = value_storage(tensors[i], &all[used++]);
        }
        else {
            used += value_extent(tensors[i], &all[used].lo, &all[used].hi);
        }
    }
    if (apart) {
        qsort(all, (size_t)used, sizeof(*all), extent_order);
    }
    // Sweep: the furthest ends so far, of any tensor and of a written one.
    uintptr_t end = 0, written_end = 0;
    for (Py_ssize_t i = 0; i < used && apart; i++) {
        apart = all[i].lo >= (all[i].written ? end : written_end);
        end = Py_MAX(end, all[i].hi);
        written_end = all[i].written ? Py_MAX(written_end, all[i].hi) : written_end;
    }
    PyMem_Free(all);
    return apart;
}

/* -- Objects whose state is no attribute ------------------------------------------- */

/* An exact bytearray that shares no memory, with these bytes. */
static bool
value_bytearray_equal(PyObject *o, PyObject *bytes)
{
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    return PyByteArray_CheckExact(o) && ((PyByteArrayObject *)o)->ob_exports == 0
           && PyByteArray_GET_SIZE(o) == size
           && memcmp(PyByteArray_AS_STRING(o), PyBytes_AS_STRING(bytes), (size_t)size)
                  == 0;
}

/* What the buffer protocol raises is taken back, so the exception in flight is put aside. */
static bool
value_array_equal(PyObject *o, PyObject *frozen)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    bool same = mp_is_array(o) && mp_array_same(o, frozen);
    PyErr_Restore(type, value, trace);
    return same;
}

int
mp_guard_object_holds(mp_guard_kind kind, PyObject *o, PyObject *obj)
{
    switch (kind) {
    case MP_G_BYTES:
        return value_bytearray_equal(o, obj);
    case MP_G_ARRAY:
        return value_array_equal(o, obj);
    case MP_G_LEAF:
        return mp_tensor_is(o) && mp_tensor_is_leaf(o) == (obj == Py_True);
    default:  // MP_G_FILE
        return mp_file_takes(o, PyUnicode_READ_CHAR(obj, 0) == 'a');
    }
}
