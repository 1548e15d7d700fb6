/* effect/build.h - making and filling objects by C layout; private to effect*.c. */
#ifndef MP_EFFECT_BUILD_H
#define MP_EFFECT_BUILD_H

#include "effect/effect.h"

/* Items of FUNCTION. */
enum {
    MP_FN_GLOBALS,
    MP_FN_NAME,
    MP_FN_QUALNAME,
    MP_FN_DEFAULTS,
    MP_FN_KWDEFAULTS,
    MP_FN_CLOSURE,
    MP_FN_DICT,
    MP_FN_ANNOTATIONS,
    MP_FN_ANNOTATE,
    MP_FN_DOC,
    MP_FN_MODULE,
    MP_FN_COUNT
};

/* C types and C functions that have no C API: looked up once, never changed, kept for
 * the life of the process. */
typedef struct {
    bool ready;
    PyTypeObject *deque, *defaultdict, *partial, *namespace;  // owned
    // Owned descriptors.
    PyObject *deque_append, *deque_clear, *deque_maxlen, *odict_clear;
    PyObject *default_factory, *partial_set, *partial_parts[3];
    PyObject *no_args;          // owned: ()
    newfunc struct_new;         // tp_new of every struct sequence
    newfunc python_new;         // tp_new of every class with a __new__ in Python
    destructor python_dealloc;  // tp_dealloc of every class in Python
} mp_effect_tools;

extern mp_effect_tools mp_effect_c;

/* Fill mp_effect_c: 0 / -1.  May be called again. */
int mp_effect_init(void);

/* Can the row (those whose obj is a type) make objects of this type?  The same test as
 * T.__new__(type) makes; mp_effect_build relies on it. */
bool mp_effect_can_make(mp_effect_kind kind, PyTypeObject *type);

/* ITERATOR and ITER_CALL (effect/iter.c). */
bool mp_effect_can_iterate(mp_effect_kind kind, PyTypeObject *type);
PyObject *mp_effect_make_iterator(PyTypeObject *type, const int32_t *items,
                                  int32_t count, PyObject *const *regs);
PyObject *mp_effect_call_iterator(PyTypeObject *type, const int32_t *items,
                                  int32_t count, PyObject *const *regs);
/* The state of a C iterator that a recipe can hold.  1: *sequence and *index are new
 * references, both NULL if it is exhausted; 0: it has no such state; -1: exception. */
int mp_effect_iterator_state(PyObject *it, PyObject **sequence, PyObject **index);

/* Add items to a list, set, deque, or an instance of a subclass, without its own methods. */
int mp_effect_extend(PyObject *o, const int32_t *items, int32_t count,
                     PyObject *const *regs);
/* SET, FROZENSET: fill a new set (or free it, and NULL), with the table of `layout`, or NULL.
 * SET_CHANGE, a script: is it one for so many operands?  What the set has before, so that
 * nothing dies in the middle; run it. */
PyObject *mp_effect_make_set(PyObject *set, PyObject *layout, const int32_t *items,
                             int32_t count, PyObject *const *regs);
bool mp_effect_is_script(PyObject *script, int32_t count);
PyObject *mp_effect_set_members(PyObject *set, PyObject *script);
void mp_effect_swap_sets(PySetObject *a, PySetObject *b);
int mp_effect_swap_tables(PyObject *set, PyObject *content);
Py_ssize_t mp_effect_set_keeps(PyObject *set, PyObject *content);
int mp_effect_change_set(PyObject *set, PyObject *script, const int32_t *items,
                         PyObject *const *regs);

/* The new object of a builder, or the new content of an ASSIGN write. */
MP_MAYRUN PyObject *mp_effect_build(const mp_effect *op, const int32_t *items,
                                    PyObject *const *regs);
/* A context variable is set by the builder that makes the token, a hook by the one that makes
 * the handle: when the building fails, take both back. */
void mp_effect_take_back(const mp_replay *p, PyObject **regs);
MP_MAYRUN int mp_effect_fill(const mp_effect *op, const int32_t *items,
                             PyObject *const *regs);
/* A deque gets new content, and iterators over it notice. */
int mp_effect_refill_deque(PyObject *deque, const int32_t *items, int32_t count,
                           PyObject *const *regs);
/* Where o keeps the attribute of op's member descriptor; NULL if o has none. */
PyObject **mp_effect_slot(const mp_effect *op, PyObject *o);
/* Sets TypeError: op does not fit o.  Always -1. */
int mp_effect_wrong_target(const mp_effect *op, PyObject *o);

static inline PyObject *
mp_effect_reg_borrow(PyObject *const *regs, int32_t reg)
{
    return reg < 0 ? NULL : regs[reg];
}

#endif
