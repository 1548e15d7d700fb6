/* objects/equal.h - comparisons and look-ups that run no user code.
 *
 * None of these allocates a GC object, drops a last reference or leaves an exception,
 * but for the first four. */
#ifndef MP_EQUAL_H
#define MP_EQUAL_H

#include "engine.h"

/* Prove the private layouts that are used here: 0 or -1 (exception). */
int mp_equal_init(void);
/* Offset of an object member of a C type; -1 with an exception set. */
Py_ssize_t mp_guard_member_offset(PyTypeObject *type, const char *name);
/* Instances of this C type, and of static C types derived from it, may be constants of
 * EQUALS and SET_EQUALS and keys: immutable, == and hash in C.  0 or -1 (exception). */
int mp_guard_register_constant_type(PyTypeObject *type);

/* Registered as a constant type, or a static C type below such a one? */
bool mp_guard_is_registered(PyTypeObject *type);
/* A compiled pattern, which C code compares? */
bool mp_guard_is_pattern(PyObject *o);
/* May o be the constant of EQUALS?  Then it is immutable and not nested too deeply. */
bool mp_guard_is_constant(PyObject *o, int depth);
/* Exact type and value of a constant: 1 / 0. */
int mp_guard_equals(PyObject *o, PyObject *want);

/* A living weak reference to an object that hashes and compares by its address? */
bool mp_guard_is_weak_key(PyObject *o);
/* Is hash(o) computed by C code alone? */
bool mp_guard_hash_is_c(PyObject *o, int depth);
/* hash(key), or -1 if it cannot be had without user code. */
Py_hash_t mp_guard_key_hash(PyObject *key);
/* What dict[key], key in set would find: 1 / 0, -1: only user code knows.  hash: of
 * key, or -1 if it cannot be had without user code (key is then found by identity). */
int mp_guard_dict_find(PyObject *dict, PyObject *key, Py_hash_t hash, PyObject **value);
int mp_guard_set_find(PyObject *set, PyObject *key, Py_hash_t hash);
/* Exactly these keys (a tuple), in the order of iteration: 1 / 0. */
int mp_guard_dict_keys(PyObject *dict, PyObject *keys);
/* The same constants, in the same order, as the tuple `want`. */
int mp_guard_set_equals(PyObject *set, PyObject *want);
/* Size of a container or str as C sees it; -1: it has none. */
Py_ssize_t mp_guard_len(PyObject *o);
/* The bound of a deque, -1 for none.  deque: the type of collections. */
int64_t mp_guard_maxlen(PyTypeObject *deque, PyObject *o);

#endif
