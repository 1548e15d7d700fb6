/* objects/types.h - types, functions and modules that the engine knows, by address (objects/types.def).
 *
 * R: nothing is recognised by its name.  A class of the program's may be called `zip`, a
 * function `sorted`, a namespace `torch.fx`: only what objects/types.def found is meant.
 */
#ifndef MP_TYPES_H
#define MP_TYPES_H

#include "engine.h"

typedef enum {
    MP_K_NONE,
#define KNOWN(id, owner, name, marks) MP_K_##id,
#define MARK(owner, name, marks)
#define MARK_LATER(owner, name, marks)
#define STATIC_TYPE(type, marks)
#define LATER(id, owner, name, marks) MP_K_##id,
#define MADE_BY(id, owner, name)      MP_K_##id,
#define MODULE(id, name)
#include "objects/types.def"
#undef KNOWN
#undef MARK
#undef MARK_LATER
#undef STATIC_TYPE
#undef LATER
#undef MADE_BY
#undef MODULE
    MP_K_COUNT
} mp_known_id;

typedef enum {
#define KNOWN(id, owner, name, marks)
#define MARK(owner, name, marks)
#define MARK_LATER(owner, name, marks)
#define STATIC_TYPE(type, marks)
#define LATER(id, owner, name, marks)
#define MADE_BY(id, owner, name)
#define MODULE(id, name) MP_MODULE_##id,
#include "objects/types.def"
#undef KNOWN
#undef MARK
#undef MARK_LATER
#undef STATIC_TYPE
#undef LATER
#undef MADE_BY
#undef MODULE
    MP_MODULE_COUNT
} mp_module_id;

enum mp_mark {
    MP_MARK_GETTER = 1 << 0,       // operator.itemgetter and its kin
    MP_MARK_JSON = 1 << 1,         // json's encoder and scanner
    MP_MARK_HANDS_ON = 1 << 2,     // iterator or view: gives the items of its source
    MP_MARK_CALLS_ITEMS = 1 << 3,  // an iterator: calls or tests each item
    MP_MARK_TUPLES = 1 << 4,       // its items are tuples of its own making
    MP_MARK_ANSWERS = 1 << 5,      // its items are what a function answers
    MP_MARK_TORCH = 1 << 6,        // an immutable scalar of torch
    MP_MARK_NAMED = 1 << 7,        // the same, whose objects have names: torch.float32
    MP_MARK_NUMPY = 1 << 8,        // pure on constants and new arrays
    MP_MARK_KEEPS_ARRAY = 1 << 9,  // its result reaches the argument's memory
    MP_MARK_COPIES_ARRAY = 1 << 10,  // it does not
    MP_MARK_RANDOM = 1 << 11,        // types of numpy.random
    MP_MARK_PURE = 1 << 12,          // a function of numpy's (numpy.def)
    MP_MARK_OWN = 1 << 13,           // a method of torch's: as the rule OWN
};

extern PyObject *mp_known[MP_K_COUNT];  // owned for the process; NULL: not there

/* Before anything else of the engine's start, and when the program has loaded torch or
 * numpy (again does no harm).  0 / -1. */
int mp_types_init(void);
MP_MAYRUN int mp_types_later(void);

/* Has the program loaded TorchDynamo by now, and we do not know it yet? */
bool mp_types_dynamo_came(void);

/* The same, if numpy or TorchDynamo was not there yet. */
static inline int
mp_types_refresh(void)
{
    return mp_known[MP_K_ARRAY] == NULL || mp_types_dynamo_came() ? mp_types_later()
                                                                  : 0;
}

/* Is it exactly an instance of this type? */
static inline bool
mp_type_is(PyObject *obj, mp_known_id id)
{
    return (PyObject *)Py_TYPE(obj) == mp_known[id];
}

/* Is it this very object?  (What a C function does, rows.h says.) */
static inline bool
mp_is_known(PyObject *obj, mp_known_id id)
{
    return obj == mp_known[id];
}

/* Is it an instance of this type, or of one that extends it? */
bool mp_is_instance(PyObject *obj, mp_known_id id);
/* A slot of C bound to an object: (1).__add__. */
static inline bool
mp_is_method_wrapper(PyObject *o)
{
    return mp_type_is(o, MP_K_METHOD_WRAPPER);
}

/* Marks of a callable, or of exactly this type; 0 if the table does not name it. */
uint32_t mp_marks_of(PyObject *callable);
static inline uint32_t
mp_type_marks(PyObject *obj)
{
    return mp_marks_of((PyObject *)Py_TYPE(obj));
}

/* A scalar type of numpy's own; any type of its dtypes. */
bool mp_is_array_scalar_type(PyTypeObject *tp);
bool mp_is_dtype_type(PyTypeObject *tp);
/* An array, one of those, or what goes over arrays: methods are pure, but for those that
 * read/array.c refuses. */
bool mp_is_numpy_type(PyTypeObject *tp);

/* Are these the globals of this module? */
bool mp_is_module(PyObject *globals, mp_module_id id);
/* Is the class one that this module offers, under its own name? */
bool mp_module_has(mp_module_id id, PyTypeObject *tp);
/* The name of the module whose globals these are, or NULL: it says who made them only if
 * sys.modules agrees.  Borrowed from the dict. */
const char *mp_module_name(PyObject *globals);
/* Is that module `package` or inside it? */
bool mp_is_of_package(PyObject *globals, const char *package);

#endif
