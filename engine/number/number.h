/* number/number.h - numbers that a recording does not pin: where they come from and how
 * they follow from each other.
 *
 * A table is in static single assignment: number k is a source, a constant, or an
 * operation over earlier numbers; the same one is never twice in it.  Whether a number is
 * an int or a float is settled when it is added, so a value needs no tag.
 *
 * R: what is computed is what CPython computes, to the last bit, or nothing (a miss): an
 * int that leaves int64, a division by zero, a type that is another one than recorded.
 * Evaluating runs no user code, allocates no GC object that lives on, leaves no exception. */
#ifndef MP_NUMBER_H
#define MP_NUMBER_H

#include "engine.h"

typedef enum {
#define NUMBER(id, operands, result, format)     MP_N_##id,
#define FUNC(id, operands, result, module, name) MP_N_##id,
#define CALL(id, operands, result, module, name) MP_N_##id,
#include "number/numbers.def"
#undef NUMBER
#undef FUNC
#undef CALL
    MP_N_COUNT
} mp_number_op;

typedef struct {
    uint8_t op;                // mp_number_op
    bool is_float;             // else an int (of a truth: 0 or 1)
    bool is_source, is_quick;  // is_quick: of two ints
    bool is_asked;             // a test asks for it (guard/build.c)
    int32_t a, b;  // earlier numbers, or -1; of a source: a is the guard register
    int64_t n;
    double f;
} mp_number;

typedef union {
    int64_t i;
    double f;
} mp_number_value;

typedef struct {
    mp_number *ops;
    int32_t n, cap;
    int32_t *slots;  // a hash table of indices, -1: free; its size is a power of two
    int32_t n_slots;
} mp_numbers;

enum { MP_NUMBER_NONE = -2 };  // no number: the operation does not take such operands

/* Find the C functions of CPython: 0 or -1 (exception). */
int mp_number_init(void);
const char *mp_number_id(int op);
/* The row of that id; -1: none, no exception. */
int mp_number_find(const char *id);
bool mp_number_is_source(int op);
/* The first source that number k is computed from; -1: it is a constant. */
int32_t mp_number_origin(const mp_numbers *t, int32_t k);
bool mp_number_has_b(int op);
/* Does it answer a truth, which is 0 or 1 and never an object? */
bool mp_number_is_truth(int op);
/* The row that stands for a call of this C function of CPython with so many arguments
 * (math.*, round, abs, int, float, min, max ...): -1: none. */
int mp_number_of_call(PyObject *callable, Py_ssize_t n_args);
/* The C function of a FUNC or CALL row. */
PyObject *mp_number_function_borrow(int op);

/* Add, or find: the index, MP_NUMBER_NONE, or -1 with MemoryError.  Operands that the op
 * has not are ignored. */
int32_t mp_numbers_add(mp_numbers *t, mp_number_op op, int32_t a, int32_t b, int64_t n,
                       double f);
/* The same number, if it is there: its index, or -1. */
int32_t mp_numbers_find(const mp_numbers *t, const mp_number *number);
/* An exact int of int64, or a float, as a constant: likewise. */
int32_t mp_numbers_add_const(mp_numbers *t, PyObject *o);
void mp_numbers_fini(mp_numbers *t);

/* Compute numbers [from, upto) into out[from ... upto); those before are there.  -> upto, or
 * the index of the first that cannot be had.  regs: registers of the guard program. */
int32_t mp_numbers_eval(const mp_numbers *t, int32_t from, int32_t upto,
                        PyObject *const *regs, mp_number_value *out);
/* As a new exact int or float; NULL with MemoryError. */
PyObject *mp_number_object(const mp_number *number, mp_number_value value);

/* How users write it.  source: the text of a register. */
typedef PyObject *(*mp_number_source)(const void *ctx, int32_t reg);
MP_MAYRUN PyObject *mp_number_text(const mp_numbers *t, int32_t k,
                                   mp_number_source source, const void *ctx);
/* What number k is made of, with the values that they have: "n is 3, x.shape[0] is 4".
 * Those below k have values. */
MP_MAYRUN PyObject *mp_number_found(const mp_numbers *t, int32_t k,
                                    const mp_number_value *values,
                                    mp_number_source source, const void *ctx);

#endif
