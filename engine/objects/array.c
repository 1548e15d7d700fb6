/* objects/array.c - arrays of numpy: layout, content and copies, through the buffer
 * protocol.
 *
 * The engine does not link against numpy; its types are found when the program has
 * loaded it (objects/types.h).  Only arrays of plain numbers are looked into: their
 * bytes are their whole content.  A buffer view belongs to the caller, who releases it. */
#include "objects/array.h"

#include <string.h>

#include "compat/compat.h"
#include "objects/types.h"

bool
mp_is_array(PyObject *o)
{
    return mp_type_is(o, MP_K_ARRAY);
}

/* Only dtypes of numpy itself (isbuiltin == 1): others may have code of their own. */
bool
mp_is_dtype(PyObject *o)
{
    if (!mp_is_dtype_type(Py_TYPE(o))) {
        return false;
    }
    PyObject *builtin = PyObject_GetAttrString(o, "isbuiltin");
    bool found =
        builtin != NULL && PyLong_Check(builtin) && PyLong_AsLong(builtin) == 1;
    mp_err_drop();  // a dtype says so; what does not is none
    Py_XDECREF(builtin);
    return found;
}

/* Numbers whose bytes say all: no objects, dates, texts, records. */
static bool
is_plain_format(const char *format)
{
    if (format == NULL) {
        return false;
    }
    format += *format == '<' || *format == '>' || *format == '=';
    format += *format == 'Z' && strchr("fdg", format[1]) != NULL && format[1] != '\0';
    return *format != '\0' && format[1] == '\0'
           && strchr("?bBhHiIlLqQefdg", *format) != NULL;
}

/* A view of an array of plain numbers; false: of anything else.  No exception. */
bool
mp_array_view(PyObject *a, Py_buffer *view)
{
    assert(mp_is_array(a));
    if (PyObject_GetBuffer(a, view, PyBUF_FULL_RO) < 0) {
        mp_err_drop();  // a dtype that the buffer protocol does not know
        return false;
    }
    if (is_plain_format(view->format)) {
        return true;
    }
    PyBuffer_Release(view);
    return false;
}

/* The lowest and the highest address that the array can reach. */
void
mp_array_extent(const Py_buffer *view, uintptr_t *lo, uintptr_t *hi)
{
    *lo = *hi = (uintptr_t)view->buf;
    for (int i = 0; i < view->ndim; i++) {
        Py_ssize_t reach = view->strides[i] * (view->shape[i] - 1);
        if (view->shape[i] == 0) {
            *lo = *hi = (uintptr_t)view->buf;
            return;
        }
        *(reach < 0 ? lo : hi) += (uintptr_t)reach;
    }
    *hi += (uintptr_t)view->itemsize;
}

/* Does it fill its extent without gaps or overlaps, in any order of dimensions? */
bool
mp_array_is_dense(const Py_buffer *view)
{
    Py_ssize_t next = view->itemsize;
    bool used[64] = {false};
    if (view->ndim > (int)Py_ARRAY_LENGTH(used)) {
        return false;
    }
    for (int i = 0; i < view->ndim; i++) {
        if (view->shape[i] == 0) {
            return true;
        }
    }
    for (int n = 0; n < view->ndim; n++) {
        int found = -1;
        for (int i = 0; i < view->ndim && found < 0; i++) {
            found =
                !used[i] && (view->shape[i] == 1 || view->strides[i] == next) ? i : -1;
        }
        if (found < 0) {
            return false;
        }
        used[found] = true;
        next *= view->shape[found];
    }
    return true;
}

/* The array that owns the memory: new reference; NULL: something else owns it. */
PyObject *
mp_array_root(PyObject *a)
{
    assert(mp_is_array(a));
    PyObject *root = Py_NewRef(a), *base;
    while ((base = PyObject_GetAttrString(root, "base")) != NULL && base != Py_None
           && mp_is_array(base)) {
        Py_SETREF(root, base);
    }
    bool owns = base == Py_None;
    Py_XDECREF(base);
    mp_err_drop();  // an array has a base; without it the memory is unknown
    if (!owns) {
        Py_CLEAR(root);
    }
    return root;
}

/* numpy.ndarray(shape, dtype, buffer, offset, strides), read-only or not: new reference. */
static PyObject *
array_over(PyTypeObject *type, PyObject *memory, PyObject *spec)
{
    PyObject *args =
        PyTuple_Pack(5, PyTuple_GET_ITEM(spec, 0), PyTuple_GET_ITEM(spec, 1), memory,
                     PyTuple_GET_ITEM(spec, 2), PyTuple_GET_ITEM(spec, 3));
    PyObject *made = args == NULL ? NULL : PyObject_CallObject((PyObject *)type, args);
    PyObject *none = made == NULL || PyTuple_GET_ITEM(spec, 4) == Py_True
                         ? Py_NewRef(Py_None)
                         : PyObject_CallMethod(made, "setflags", "i", 0);
    if (none == NULL) {
        Py_CLEAR(made);
    }
    Py_XDECREF(none);
    Py_XDECREF(args);
    return made;
}

/* The layout as a tuple for array_over: shape, dtype, offset, strides, writable. */
static PyObject *
array_spec(PyObject *a, Py_ssize_t offset, bool readonly)
{
    PyObject *shape = PyObject_GetAttrString(a, "shape");
    PyObject *dtype = PyObject_GetAttrString(a, "dtype");
    PyObject *strides = PyObject_GetAttrString(a, "strides");
    PyObject *spec = NULL;
    if (shape != NULL && dtype != NULL && strides != NULL) {
        spec = Py_BuildValue("(OOnOO)", shape, dtype, offset, strides,
                             readonly ? Py_False : Py_True);
    }
    Py_XDECREF(shape);
    Py_XDECREF(dtype);
    Py_XDECREF(strides);
    return spec;
}

/* A copy of the same layout over memory of its own, for guards to compare with. */
PyObject *
mp_array_freeze(PyObject *a, const Py_buffer *view)
{
    uintptr_t lo, hi;
    mp_array_extent(view, &lo, &hi);
    PyObject *memory = PyByteArray_FromStringAndSize((char *)lo, (Py_ssize_t)(hi - lo));
    PyObject *spec =
        array_spec(a, (Py_ssize_t)((uintptr_t)view->buf - lo), view->readonly);
    PyObject *frozen =
        memory == NULL || spec == NULL ? NULL : array_over(Py_TYPE(a), memory, spec);
    Py_XDECREF(memory);
    Py_XDECREF(spec);
    return frozen;
}

/* How `a` lies in the memory of `root`: new tuple. */
PyObject *
mp_array_view_spec(PyObject *a, PyObject *root)
{
    Py_buffer view, whole;
    PyObject *spec = NULL;
    if (!mp_array_view(a, &view)) {
        PyErr_SetString(PyExc_TypeError, "not an array of plain numbers");
        return NULL;
    }
    if (mp_array_view(root, &whole)) {
        spec = array_spec(a, (char *)view.buf - (char *)whole.buf, view.readonly);
        PyBuffer_Release(&whole);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "not over an array of plain numbers");
    }
    PyBuffer_Release(&view);
    return spec;
}

PyObject *
mp_array_view_make(PyObject *root, PyObject *spec)
{
    assert(PyTuple_Check(spec) && PyTuple_GET_SIZE(spec) == 5);
    if (!mp_is_array(root)) {
        PyErr_Format(PyExc_SystemError, "a view of a %.200s", Py_TYPE(root)->tp_name);
        return NULL;
    }
    return array_over(Py_TYPE(root), root, spec);
}

/* A copy in the same order of dimensions. */
PyObject *
mp_array_copy(PyObject *a)
{
    assert(mp_is_array(a));
    return PyObject_CallMethod(a, "copy", "s", "K");
}

/* The same dtype, shape, strides and flag of writing? */
static bool
same_layout(const Py_buffer *x, const Py_buffer *y)
{
    size_t size = (size_t)x->ndim * sizeof(*x->shape);
    return x->ndim == y->ndim && x->itemsize == y->itemsize
           && x->readonly == y->readonly
           && strcmp(x->format, y->format) == 0  // mp-ok: no name
           && (size == 0
               || (memcmp(x->shape, y->shape, size) == 0
                   && memcmp(x->strides, y->strides, size) == 0));
}

bool
mp_array_span(PyObject *a, uintptr_t *lo, uintptr_t *hi)
{
    Py_buffer view;
    if (!mp_array_view(a, &view)) {
        return false;
    }
    mp_array_extent(&view, lo, hi);
    PyBuffer_Release(&view);
    return true;
}

bool
mp_array_same(PyObject *a, PyObject *b)
{
    Py_buffer x, y;
    uintptr_t lo, hi, other, ignored;
    if (!mp_array_view(a, &x)) {
        return false;
    }
    bool same = mp_array_view(b, &y);
    if (same) {
        mp_array_extent(&x, &lo, &hi);
        mp_array_extent(&y, &other, &ignored);
        same = same_layout(&x, &y)
               && memcmp((void *)lo, (void *)other, (size_t)(hi - lo)) == 0;
        PyBuffer_Release(&y);
    }
    PyBuffer_Release(&x);
    return same;
}
