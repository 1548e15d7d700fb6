/* objects/array.h - arrays of numpy, through the buffer protocol. */
#ifndef MP_ARRAY_H
#define MP_ARRAY_H

#include "engine.h"

enum {
    MP_ARRAY_LIMIT = 1 << 26,    // bytes of an array that a graph or a recipe may hold
    MP_ARRAY_GUARDED = 1 << 16,  // and of one that is compared at every call
};

bool mp_is_array(PyObject *o);  // exactly numpy.ndarray
/* A dtype of plain numbers: a single object, which never changes. */
bool mp_is_dtype(PyObject *o);
/* Fill in *view, which the caller releases; false, without an exception: not an array of
 * plain numbers (objects, dates, texts, records). */
bool mp_array_view(PyObject *a, Py_buffer *view);
/* From the lowest byte to behind the highest one that an item takes; empty without items. */
void mp_array_extent(const Py_buffer *view, uintptr_t *lo, uintptr_t *hi);
/* The same of an array; false if it has no view. */
bool mp_array_span(PyObject *a, uintptr_t *lo, uintptr_t *hi);
/* Is there an order of the dimensions in which the items fill the memory without gaps? */
bool mp_array_is_dense(const Py_buffer *view);
/* The array whose memory it is: new, or NULL, without an exception, if that is no array's
 * (bytes, a tensor's). */
PyObject *mp_array_root(PyObject *a);
/* A new array in the same layout, over memory that only it knows. */
PyObject *mp_array_freeze(PyObject *a, const Py_buffer *view);
/* A new array that owns its memory, dense, with its dimensions in the same order. */
PyObject *mp_array_copy(PyObject *a);
/* What makes the view a of root again: new tuple (shape, dtype, offset, strides,
 * writeable).  NULL with an exception. */
PyObject *mp_array_view_spec(PyObject *a, PyObject *root);
PyObject *mp_array_view_make(PyObject *root, PyObject *spec);
/* The same dtype, layout and bytes?  Frozen arrays, or such that are dense. */
bool mp_array_same(PyObject *a, PyObject *b);

#endif
