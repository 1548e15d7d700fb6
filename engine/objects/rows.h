/* objects/rows.h - what a C function does: its row of builtins.def. */
#ifndef MP_ROWS_H
#define MP_ROWS_H

#include "engine.h"

typedef enum {
    RULE_NONE,
#define RULE(id, handler, effect, calls, traits, text) RULE_##id,
#include "objects/rules.def"
#undef RULE
} mp_rule;

/* What a C function does when other C code calls it, if it holds no tensor. */
typedef enum {
    MP_C_NOTHING,   // runs in frames of Python, which are watched
    MP_C_READS,     // looks at its arguments
    MP_C_COMPUTES,  // READS, or operations on tensors
    MP_C_TORCH,     // a torch operation
    MP_C_MOVES,     // returns or stores references, in the object that it is bound to
    MP_C_OPAQUE,
} mp_c_effect;

/* objects/traits.def: one bit each; DATA stands above them. */
enum {
#define TRAIT(id, text) MP_TRAIT_BIT_##id,
#include "objects/traits.def"
#undef TRAIT
    MP_TRAIT_DATA = 24
};
typedef enum {
#define TRAIT(id, text) MP_TRAIT_##id = 1 << MP_TRAIT_BIT_##id,
#include "objects/traits.def"
#undef TRAIT
} mp_trait;

/* RULE_NONE if there is none. */
mp_rule mp_rule_of(PyObject *callable);
mp_rule mp_rule_of_type(PyTypeObject *tp);
/* The traits of a callable and of its rule; without a row, SPARES. */
uint32_t mp_traits_of(PyObject *callable);
mp_rule mp_rule_and_traits(PyObject *callable, uint32_t *traits);  // both at once
static inline bool
mp_does(PyObject *callable, mp_trait trait)
{
    return (mp_traits_of(callable) & (uint32_t)trait) != 0;
}
/* DATA of its row. */
static inline int
mp_data_of(PyObject *callable)
{
    return (int)(mp_traits_of(callable) >> MP_TRAIT_DATA);
}
/* The type that a method taken from its class belongs to, borrowed, or NULL. */
PyTypeObject *mp_method_owner(PyObject *callee);
/* Methods without a row only read what never changes. */
bool mp_is_value_type(PyTypeObject *tp);
/* The nearest type written in C: it lays out what is not in __dict__ and __slots__. */
PyTypeObject *mp_c_base(PyTypeObject *tp);

/* Find what the rows name; again does no harm.  0 / -1. */
int mp_rows_init(void);

/* What it does when C code calls it; without a row, MP_C_OPAQUE. */
mp_c_effect mp_rule_calls(mp_rule rule);
/* The effect class of a rule, for people: the second column of rules.def. */
const char *mp_rule_effect(mp_rule rule);
/* builtins.def and rules.def for people: new lists of dicts. */
PyObject *mp_record_rows(void);
PyObject *mp_record_rules(void);

#endif
