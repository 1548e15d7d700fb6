/* objects/operators.h - which callables are tensor operations, and of which kind. */
#ifndef MP_OPERATORS_H
#define MP_OPERATORS_H

#include "engine.h"

/* Registry of torch callables, filled by Python once: register(callable, flags). */
enum {
#define FLAG(name, text) MP_TORCH_BIT_##name,
#define COMBINED(name, flags, text)
#include "objects/op_flags.def"
#undef FLAG
#undef COMBINED
};
typedef enum {
#define FLAG(name, text)            MP_TORCH_##name = 1 << MP_TORCH_BIT_##name,
#define COMBINED(name, flags, text) MP_TORCH_##name = (flags),
#include "objects/op_flags.def"
#undef FLAG
#undef COMBINED
} mp_torch_flags;
/* op_flags.def for Python: a new dict from name to number. */
PyObject *mp_record_op_flags(void);

int mp_op_flags_of(PyObject *callable);  // 0: no torch callable
/* Is a Python function with these flags one operation, or is it watched? */
bool mp_op_is_whole(int flags);
/* Classes of torch that the recorder tests for; NULL until torch is set up.  Owned. */
typedef struct {
    PyObject *tensor;               // torch.Tensor
    PyTypeObject *graph_object;     // torch._C._InferenceMode
    PyTypeObject *script_function;  // torch.jit.ScriptFunction
    PyTypeObject *generator;        // torch.Generator
    PyTypeObject *script_object;    // torch.ScriptObject: packed weights
    PyObject *masks[2];             // torch.bool, torch.uint8
} mp_op_types_t;
extern mp_op_types_t mp_op_types;

/* A mode object (inference mode): made by an operation, used by others, never leaves. */
static inline bool
mp_is_graph_object(PyObject *obj)
{
    return mp_op_types.graph_object != NULL
           && Py_IS_TYPE(obj, mp_op_types.graph_object);
}
/* What it may do besides computing a result: tuple (bits, writes) of _effects.py, or
 * NULL, without an exception, if nothing is known.  Its bits: */
enum {
    MP_OP_RANDOM = 1,  // its result is not a function of its arguments
    MP_OP_RAISES = 2,  // it may raise for the values of its tensors
    // Numbers among its arguments are values, and decide no shape: all; all but the first.
    MP_OP_VALUES = 4,
    MP_OP_VALUES_BEHIND = 8,
};
PyObject *mp_op_effects(PyObject *callable);
bool mp_is_op_object(PyObject *callable);
/* The operator.* function that stands for an instruction. */
PyObject *mp_operator_borrow(const char *name);
int mp_oplog_init(PyObject *setup);

#endif
