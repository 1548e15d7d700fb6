/* guard/value.h - comparisons and look-ups that run no user code.  Private to guard*.c and
 * read/identity.c.
 *
 * None of these allocates a GC object, drops a last reference or leaves an exception,
 * but for the first three. */
#ifndef MP_GUARD_VALUE_H
#define MP_GUARD_VALUE_H

#include "guard/guard.h"

/* Prove the private layouts that are used here: 0 or -1 (exception). */
int mp_guard_value_init(void);
/* Room for `need` items: the array, moved perhaps, or NULL with MemoryError set. */
void *mp_guard_reserve(void *items, int32_t *cap, int32_t need, size_t size);
/* An attribute of a module: new reference. */
PyObject *mp_guard_import(const char *module_name, const char *name);
/* The same, which must be a type. */
PyTypeObject *mp_guard_import_type(const char *module_name, const char *name);
/* Find the members of guard/fields.def (0 or -1); read one (mp_field), borrowed or NULL. */
int mp_guard_field_init(void);
PyObject *mp_guard_field_borrow(PyObject *o, int64_t field);
/* Offset of an object member of a C type; -1 with an exception set. */
Py_ssize_t mp_guard_member_offset(PyTypeObject *type, const char *name);

/* Registered as a constant type, or a static C type below such a one? */
bool mp_guard_is_registered(PyTypeObject *type);
/* A compiled pattern, which C code compares? */
bool mp_guard_is_pattern(PyObject *o);
/* Are instances equal only to themselves? */
bool mp_guard_is_identity(PyTypeObject *tp);
/* May o be the constant of EQUALS?  Then it is immutable and not nested too deeply. */
bool mp_guard_is_constant(PyObject *o, int depth);
/* repr of a constant for people: cut if long, and never an exception for its value. */
PyObject *mp_guard_repr(PyObject *o);
/* Exact type and value of a constant: 1 / 0. */
int mp_guard_equals(PyObject *o, PyObject *want);

/* Is hash(o) computed by C code alone? */
bool mp_guard_hash_is_c(PyObject *o, int depth);
/* What dict[key], key in set would find: 1 / 0, -1: only user code knows.  hash: of
 * key, or -1 if it cannot be had without user code (key is then found by identity). */
int mp_guard_dict_find(PyObject *dict, PyObject *key, Py_hash_t hash, PyObject **value);
int mp_guard_set_find(PyObject *set, PyObject *key, Py_hash_t hash);
/* Exactly these keys (a tuple), in the order of iteration: 1 / 0. */
int mp_guard_dict_keys(PyObject *dict, PyObject *keys);
/* The same constants, in the same order, as the tuple `want`. */
int mp_guard_set_equals(PyObject *set, PyObject *want);
/* BYTES, LEAF and FILE: 1 / 0. */
int mp_guard_object_holds(mp_guard_kind kind, PyObject *o, PyObject *obj);
/* Size of a container or str as C sees it; -1: it has none. */
Py_ssize_t mp_guard_len(PyObject *o);

#endif
