/* rebuild/shape.h - how live objects are put together; private to rebuild*.c. */
#ifndef MP_REBUILD_SHAPE_H
#define MP_REBUILD_SHAPE_H

#include "trace/trace.h"

/* How one fresh object is put together.  Owned references; NULL stands for "none". */
typedef struct {
    mp_effect_kind kind;
    PyObject *type;  // borrowed from the object: obj of the builder, or NULL; an array
    PyObject **items;  // content
    int n_items, cap_items;
    PyObject *dict;    // borrowed from the object: its instance dict, or NULL
    bool shows_dict;   // others can tell that it is there, even if it is empty
    PyObject **attrs;  // name, value, ... of the instance dict
    int n_attrs, cap_attrs;
    PyObject **slots;  // member descriptor, value, ...
    int n_slots, cap_slots;
    PyObject *extra;  // default_factory, maxlen
} mp_shape;

/* The layout of a fresh object, read off the live one.  Aborts if it has no layout row.
 * mp_shape_fini even after a failure. */
mp_rc mp_shape_of(mp_trace *T, mp_shape *s, PyObject *obj);
/* Build it once from its parts: is that the object?  Aborts if not. */
mp_rc mp_shape_prove(mp_trace *T, const mp_shape *s, PyObject *obj);
/* Content only: key, value, ... of a dict; items of a list, tuple, set or deque. */
mp_rc mp_shape_pairs(mp_shape *s, PyObject *dict);
mp_rc mp_shape_sequence(mp_shape *s, PyObject *obj);
void mp_shape_fini(mp_shape *s);

/* Keys (rebuild/keys.c).  Those that obj, of shape s, would get: abort if hashing one runs code.
 * May a set get this key, or all in this tuple? */
mp_rc mp_rebuild_check_keys(mp_trace *T, const mp_shape *s, PyObject *obj);
bool mp_rebuild_set_takes(PyObject *operand);
/* Has a set the table that it gets when its members are added one by one?  Abort if not. */
mp_rc mp_rebuild_check_table(mp_trace *T, PyObject *set);
/* The table of a set whose content is assigned: the entry keeps it as its key.  Abort if its
 * members have no order. */
mp_rc mp_rebuild_keep_table(mp_trace *T, mp_write *w);

#endif
