/* testing_tensor.c - what the tests see of torch/tensor.h and torch/ambient.h.
 *
 * Blocks of metadata and snapshots travel as capsules, which own them.
 */
#include "torch/ambient.h"

#include <time.h>

#include "torch/tensor.h"

static const char meta_name[] = "magpy.tensor_meta";
static const char snapshot_name[] = "magpy.ambient";

static double
testing_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
meta_capsule_free(PyObject *capsule)
{
    mp_tensor_meta_free(PyCapsule_GetPointer(capsule, meta_name));
}

static void
snapshot_capsule_free(PyObject *capsule)
{
    mp_ambient_free(PyCapsule_GetPointer(capsule, snapshot_name));
}

static PyObject *
testing_tensor_init(PyObject *module, PyObject *none)
{
    if (mp_tensor_init() < 0) {
        return NULL;
    }
    return PyUnicode_FromString(mp_tensor_path());
}

static PyObject *
testing_tensor_path(PyObject *module, PyObject *none)
{
    return PyUnicode_FromString(mp_tensor_path());
}

static PyObject *
testing_tensor_use_shim(PyObject *module, PyObject *on)
{
    int yes = PyObject_IsTrue(on);
    return yes < 0 ? NULL : PyBool_FromLong(mp_tensor_use_shim(yes));
}

static PyObject *
testing_tensor_is(PyObject *module, PyObject *o)
{
    return Py_BuildValue("ii", (int)mp_tensor_is(o), (int)mp_tensor_is_any(o));
}

static PyObject *
testing_tensor_meta(PyObject *module, PyObject *o)
{
    mp_tensor_meta *m = mp_tensor_meta_new(o);
    PyObject *capsule = NULL;
    if (m != NULL) {
        capsule = PyCapsule_New(m, meta_name, meta_capsule_free);
    }
    if (capsule == NULL) {
        mp_tensor_meta_free(m);
    }
    return capsule;
}

static PyObject *
meta_dims(const int64_t *dims, int32_t n)
{
    PyObject *tuple = PyTuple_New(n);
    for (int32_t i = 0; i < n && tuple != NULL; i++) {
        PyObject *item = PyLong_FromLongLong(dims[i]);
        if (item == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, item);
    }
    return tuple;
}

/* tensor_open(meta, sizes, small, strides): bits of dimensions; the links. */
static PyObject *
testing_tensor_open(PyObject *module, PyObject *args)
{
    PyObject *capsule;
    unsigned long long sizes, small, strides;
    if (!PyArg_ParseTuple(args, "OKKK", &capsule, &sizes, &small, &strides)) {
        return NULL;
    }
    mp_tensor_meta *m = PyCapsule_GetPointer(capsule, meta_name);
    if (m == NULL) {
        return NULL;
    }
    mp_tensor_meta_open(m, sizes, small, strides);
    return meta_dims(m->dims + 2 * m->ndim, m->ndim);
}

static PyObject *
testing_tensor_fields(PyObject *module, PyObject *capsule)
{
    const mp_tensor_meta *m = PyCapsule_GetPointer(capsule, meta_name);
    if (m == NULL) {
        return NULL;
    }
    PyObject *sizes = meta_dims(m->dims, m->ndim);
    PyObject *strides = meta_dims(m->dims + m->ndim, m->ndim);
    PyObject *fields = NULL;
    if (sizes != NULL && strides != NULL) {
        fields = Py_BuildValue(
            "{sOsOsOsisisKsNsOsO}", "type", m->type, "dtype", m->dtype, "layout",
            m->layout, "device_type", (int)m->device_type, "device_index",
            (int)m->device_index, "key_set", (unsigned long long)m->key_set,
            "requires_grad", PyBool_FromLong(m->requires_grad), "sizes", sizes,
            "strides", strides);
    }
    Py_XDECREF(strides);
    Py_XDECREF(sizes);
    return fields;
}

/* (tensor, capsule) of the argument tuple. */
static const mp_tensor_meta *
meta_args(PyObject *args, PyObject **o, int *times)
{
    PyObject *capsule;
    *times = 1;
    if (!PyArg_ParseTuple(args, "OO|i", o, &capsule, times)) {
        return NULL;
    }
    return PyCapsule_GetPointer(capsule, meta_name);
}

static PyObject *
testing_tensor_check(PyObject *module, PyObject *args)
{
    PyObject *o;
    int times;
    const mp_tensor_meta *m = meta_args(args, &o, &times);
    return m == NULL ? NULL : PyBool_FromLong(mp_tensor_meta_check(o, m));
}

/* Nanoseconds per check. */
static PyObject *
testing_tensor_time(PyObject *module, PyObject *args)
{
    PyObject *o;
    int times, hits = 0;
    const mp_tensor_meta *m = meta_args(args, &o, &times);
    if (m == NULL) {
        return NULL;
    }
    double start = testing_clock();
    for (int i = 0; i < times; i++) {
        hits += mp_tensor_meta_check(o, m);
    }
    double spent = testing_clock() - start;
    if (hits != times) {
        PyErr_SetString(PyExc_AssertionError, "the tensor does not match");
        return NULL;
    }
    return PyFloat_FromDouble(spent / times);
}

static PyObject *
testing_tensor_text(PyObject *module, PyObject *capsule)
{
    const mp_tensor_meta *m = PyCapsule_GetPointer(capsule, meta_name);
    return m == NULL ? NULL : mp_tensor_meta_text(m);
}

static PyObject *
testing_tensor_diff(PyObject *module, PyObject *args)
{
    PyObject *o;
    int times;
    const mp_tensor_meta *m = meta_args(args, &o, &times);
    return m == NULL ? NULL : mp_tensor_meta_diff(o, m);
}

static PyObject *
testing_tensor_version(PyObject *module, PyObject *o)
{
    return PyLong_FromLongLong(mp_tensor_version(o));
}

/* (lo, hi), or None. */
static PyObject *
testing_tensor_extent(PyObject *module, PyObject *o)
{
    uintptr_t lo, hi;
    if (!mp_tensor_extent(o, &lo, &hi)) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("KK", (unsigned long long)lo, (unsigned long long)hi);
}

static PyObject *
testing_ambient_init(PyObject *module, PyObject *none)
{
    if (mp_ambient_init() < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* A capsule, or the text of what refuses. */
static PyObject *
testing_ambient_take(PyObject *module, PyObject *none)
{
    const char *refused;
    mp_ambient *a = mp_ambient_take(&refused);
    if (a == NULL) {
        return refused == NULL ? NULL : PyUnicode_FromString(refused);
    }
    PyObject *capsule = PyCapsule_New(a, snapshot_name, snapshot_capsule_free);
    if (capsule == NULL) {
        mp_ambient_free(a);
    }
    return capsule;
}

static PyObject *
testing_ambient_check(PyObject *module, PyObject *capsule)
{
    const mp_ambient *a = PyCapsule_GetPointer(capsule, snapshot_name);
    return a == NULL ? NULL : PyBool_FromLong(mp_ambient_check(a));
}

static PyObject *
testing_ambient_text(PyObject *module, PyObject *capsule)
{
    const mp_ambient *a = PyCapsule_GetPointer(capsule, snapshot_name);
    return a == NULL ? NULL : mp_ambient_text(a);
}

static PyObject *
testing_ambient_restore(PyObject *module, PyObject *capsule)
{
    const mp_ambient *a = PyCapsule_GetPointer(capsule, snapshot_name);
    if (a == NULL || mp_ambient_restore(a) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
testing_ambient_plant(PyObject *module, PyObject *id)
{
    const char *name = id == Py_None ? NULL : PyUnicode_AsUTF8(id);
    if ((name == NULL && id != Py_None) || mp_ambient_plant(name) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
testing_ambient_words(PyObject *module, PyObject *on)
{
    return PyBool_FromLong(mp_ambient_use_words(on == Py_True));
}

static PyObject *
testing_ambient_asked(PyObject *module, PyObject *none)
{
    return mp_ambient_asked_ids();
}

/* Nanoseconds per check. */
static PyObject *
testing_ambient_time(PyObject *module, PyObject *args)
{
    PyObject *capsule;
    int times, hits = 0;
    if (!PyArg_ParseTuple(args, "Oi", &capsule, &times)) {
        return NULL;
    }
    const mp_ambient *a = PyCapsule_GetPointer(capsule, snapshot_name);
    if (a == NULL) {
        return NULL;
    }
    double start = testing_clock();
    for (int i = 0; i < times; i++) {
        hits += mp_ambient_check(a);
    }
    double spent = testing_clock() - start;
    if (hits != times) {
        PyErr_SetString(PyExc_AssertionError, "the snapshot does not match");
        return NULL;
    }
    return PyFloat_FromDouble(spent / times);
}

extern PyMethodDef mp_testing_tensor_methods[];
PyMethodDef mp_testing_tensor_methods[] = {
    {"tensor_init", testing_tensor_init, METH_NOARGS, NULL},
    {"tensor_path", testing_tensor_path, METH_NOARGS, NULL},
    {"tensor_use_shim", testing_tensor_use_shim, METH_O, NULL},
    {"tensor_is", testing_tensor_is, METH_O, NULL},
    {"tensor_meta", testing_tensor_meta, METH_O, NULL},
    {"tensor_fields", testing_tensor_fields, METH_O, NULL},
    {"tensor_open", testing_tensor_open, METH_VARARGS, "Open sizes of a block."},
    {"tensor_check", testing_tensor_check, METH_VARARGS, NULL},
    {"tensor_time", testing_tensor_time, METH_VARARGS, NULL},
    {"tensor_text", testing_tensor_text, METH_O, NULL},
    {"tensor_diff", testing_tensor_diff, METH_VARARGS, NULL},
    {"tensor_version", testing_tensor_version, METH_O, NULL},
    {"tensor_extent", testing_tensor_extent, METH_O, NULL},
    {"ambient_init", testing_ambient_init, METH_NOARGS, NULL},
    {"ambient_take", testing_ambient_take, METH_NOARGS, NULL},
    {"ambient_check", testing_ambient_check, METH_O, NULL},
    {"ambient_text", testing_ambient_text, METH_O, NULL},
    {"ambient_restore", testing_ambient_restore, METH_O, NULL},
    {"ambient_plant", testing_ambient_plant, METH_O,
     "Leave this row of ambient.def out of all checks; None: none."},
    {"ambient_words", testing_ambient_words, METH_O,
     "Compare words (True), or ask for each row: the last choice."},
    {"ambient_asked", testing_ambient_asked, METH_NOARGS,
     "The rows that no word tells of."},
    {"ambient_time", testing_ambient_time, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
