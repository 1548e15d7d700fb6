/* objects/callables.h - the registry: what is known of a callable, by address.
 *
 * objects/builtins.def, objects/types.def and Python's table of torch fill it, and read
 * their own column through rows.h, types.h and operators.h. */
#ifndef MP_CALLABLES_H
#define MP_CALLABLES_H

#include "engine.h"

typedef struct {
    const void *key;    // NULL: the slot is empty
    PyObject *effects;  // owned answer of _effects.py, NULL: not asked yet
    int32_t op_flags;   // mp_torch_flags; 0: no torch callable
    uint32_t marks;     // mp_mark
    uint32_t traits;    // mp_trait of its own, and data
    uint8_t rule;       // mp_rule
} mp_callable;

/* What identifies a callable in tables: C functions and methods share their PyMethodDef. */
const void *mp_callable_key(PyObject *callable);
/* Is it the __new__ of a C type? */
bool mp_is_new(PyObject *callable);

/* Its row; one that says nothing if there is none.  Rows move when one is added. */
const mp_callable *mp_callable_find(const void *key);
/* The same, added if there is none; holder, which keeps the key unique, is held for the
 * process.  NULL: exception set. */
mp_callable *mp_callable_add(const void *key, PyObject *holder);

#endif
