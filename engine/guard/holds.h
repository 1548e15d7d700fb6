/* guard/holds.h - tests of state that is no attribute.  Private to guard/. */
#ifndef MP_GUARD_HOLDS_H
#define MP_GUARD_HOLDS_H

#include "guard/guard.h"

/* BYTES, ARRAY, LEAF and FILE: 1 / 0. */
int mp_guard_object_holds(mp_guard_kind kind, PyObject *o, PyObject *obj);

#endif
