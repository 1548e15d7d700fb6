/* guard/guard.h - when may a recorded run be reused?  A flat program over registers.
 *
 * R: a check runs no user code, allocates no GC object and drops no last reference.
 * Registers hold borrowed pointers, valid while nothing else runs.
 *
 * Dict versions: what a dict settles (guard/order.h) is not looked at again while its
 * version is the one of the last successful check; loads take the pointer found then (the
 * unchanged dict still holds it).  Type versions do the same for TYPE_ATTR. */
#ifndef MP_GUARD_H
#define MP_GUARD_H

#include "engine.h"
#include "number/number.h"
#include "torch/tensor.h"

typedef enum {
#define GUARD(id, operands, object, words, format) MP_G_##id,
#include "guard/guards.def"
#undef GUARD
    MP_G_COUNT
} mp_guard_kind;

/* C struct members that LOAD_FIELD reads. FIELD(id, "name", type object, member) */
typedef enum {
#define FIELD(id, name) MP_F_##id,
#include "guard/fields.def"
#undef FIELD
    MP_F_COUNT
} mp_field;

typedef struct {
    uint16_t kind;
    int32_t dst;   // register, loads only; else -1
    int32_t a, b;  // registers or -1
    int64_t n;
    PyObject *obj;         // owned or NULL
    Py_hash_t hash;        // of obj, for key look-ups
    mp_tensor_meta *meta;  // owned or NULL
    int32_t dict;          // index into mp_guards.dicts for dict ops, else -1
    uint64_t loose;        // what is borrowed: 1: obj; 2 << i: item i of the tuple obj
} mp_guard;

typedef struct {
    int32_t reg;     // register of the dict
    PyObject *seen;  // address, never dereferenced
    uint64_t version, pending;
    bool unchanged;     // during one check
    int32_t n_settled;  // ops in its block
    int32_t known;      // its first in mp_guards.known
    int32_t n_known;
} mp_guard_dict;

/* What a load of an unchanged dict gives. */
typedef struct {
    PyObject *value;  // borrowed, of the last successful check
    int32_t reg;
} mp_guard_known;

typedef struct {
    mp_guard *ops;
    int32_t n_ops, cap_ops;
    int32_t n_regs;
    int32_t *def;  // def[reg] = index of the op that loads it (for texts)
    int32_t cap_regs;
    mp_guard_dict *dicts;
    int32_t n_dicts, cap_dicts;
    int32_t *order;  // see guard/order.h; made by the first check
    int32_t n_order;
    int32_t n_ordered;      // it is made for this many ops
    mp_guard_known *known;  // by dict
    int32_t n_known;
    int32_t failed;           // op index of the last miss, -1
    struct mp_words *words;   // owned or NULL: a proof (guard/words.h)
    mp_numbers numbers;       // what HOLDS asks for
    mp_number_value *values;  // of this check, for all numbers
    int32_t cap_values;
    int32_t n_valued;  // so many are there
    int32_t n_tested;  // so many are asked for by tests
    PyObject
        *weak;  // owned list or NULL: references to what is borrowed (guard/weak.h)
    PyObject *watch;  // owned or NULL: what their callback knows us by
    uint64_t root;    // tells the place where its arguments are bound (guard/place.h)
    bool dead;        // one of these objects has died: it never holds again, and obj of
                      // its ops must not be looked at
} mp_guards;

/* The name of a kind, as in guards.def. */
const char *mp_guard_id(int kind);

mp_guards *mp_guards_new(void);
void mp_guards_free(mp_guards *g);
int mp_guards_visit(mp_guards *g, visitproc visit, void *arg);

/* Append.  obj gets a new reference.  The load returns its register or -1 (exception).
 * The test returns 0 or -1; meta is taken over even on failure. */
int32_t mp_guards_load(mp_guards *g, mp_guard_kind kind, int32_t a, PyObject *obj,
                       int64_t n);
int mp_guards_test(mp_guards *g, mp_guard_kind kind, int32_t a, int32_t b,
                   PyObject *obj, int64_t n, mp_tensor_meta *meta);

/* Find or add a number (mp_numbers_add).  Its registers are loaded and its operands are
 * numbers of this program. */
int32_t mp_guards_number(mp_guards *g, mp_number_op op, int32_t a, int32_t b, int64_t n,
                         double f);
/* The number that an exact int or float is as a constant; likewise. */
int32_t mp_guards_number_const(mp_guards *g, PyObject *o);
/* Test that the number is not zero, once: 0 or -1. */
int mp_guards_hold(mp_guards *g, int32_t number);
/* Append tests of a backend: a list of terms (guard/extend.c) that are not zero.  inputs:
 * what the graph is given (mp_plan).  0, or -1 with an exception; what came before the
 * term at fault is appended then, which does no harm. */
int mp_guards_extend(mp_guards *g, PyObject *terms, const int32_t *inputs,
                     int32_t n_inputs);
/* Test that numbers which no test asks for can be had; each first check does so. */
int mp_guards_complete(mp_guards *g);
/* Values of numbers after a check that held, before anything else runs: new exact ints and
 * floats.  0, or -1 with MemoryError, and then there is none. */
int mp_guards_numbers(const mp_guards *g, const int32_t *which, int32_t count,
                      PyObject **out);

/* 1: all hold, regs[0..n_regs) are filled.  0: miss, g->failed says where.  Never raises.
 * args: the bound parameters. */
int mp_guards_check(mp_guards *g, PyObject *const *args, PyObject **regs);

/* May a check continue after an operation that failed?  Not after a load that failed,
 * because its register is empty. */
typedef bool (*mp_guard_excuse)(void *ctx, const mp_guards *g, int32_t op,
                                PyObject *const *regs);
/* A check of all operations in program order, which continues where a failure is
 * excused: did it reach the end? It settles nothing; otherwise like mp_guards_check. */
bool mp_guards_walk_on(mp_guards *g, PyObject *const *args, PyObject **regs,
                       mp_guard_excuse excuse, void *ctx);

/* Resolve private layouts; the first mp_guards_new calls it too.  0 or -1 (exception). */
int mp_guard_init(void);
/* What TYPE_ATTR and SUPER_ATTR expect if the look-up must fail.  Borrowed, immortal. */
PyObject *mp_guard_absent(void);
/* What changes when a class is registered with an ABC: a new int. */
PyObject *mp_guard_abc_token(void);

/* Does none of the first `written` tensors overlap with any other in memory?  False when
 * there is no memory to find out. */
bool mp_guard_are_apart(PyObject *const *tensors, Py_ssize_t written, Py_ssize_t count,
                        bool alone);

/* What a context variable holds, or its default; NULL: nothing.  Borrowed. */
PyObject *mp_guard_context_borrow(PyObject *var);
/* repr of a constant for people: cut if long, and never an exception for its value. */
PyObject *mp_guard_repr(PyObject *o);
/* What the TENSOR test of this register compares with; NULL: it has none. */
const mp_tensor_meta *mp_guards_tensor_borrow(const mp_guards *g, int32_t reg);
/* Source text of a register, "self.layers[3].weight": new str. */
PyObject *mp_guards_source(const mp_guards *g, int32_t reg);
/* The same of what a hit gathers: a register, or number k as ~k. */
PyObject *mp_guards_given(const mp_guards *g, int32_t given);
/* All tests, one line each: new list.  ops: NULL, or a list that gets the index of the
 * operation of each. */
PyObject *mp_guards_text(const mp_guards *g, PyObject *ops);
/* The line of one op (a failed one): new str. */
PyObject *mp_guards_line(const mp_guards *g, int32_t op);
/* What was found where g->failed asked for something else: new str; NULL without an
 * exception: nothing can be told.  Only right after a miss, while the objects that the miss
 * left in regs are alive. */
PyObject *mp_guards_found(const mp_guards *g, PyObject *const *regs);
/* The line of g->failed and that: new str. */
PyObject *mp_guards_miss(const mp_guards *g, PyObject *const *regs);

#endif
