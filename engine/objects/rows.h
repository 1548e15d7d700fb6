/* objects/rows.h - what a C function does: its row of builtins.def. */
#ifndef MP_ROWS_H
#define MP_ROWS_H

#include "engine.h"

typedef enum {
    RULE_NONE,
#define RULE(id, effect, text) RULE_##id,
#include "objects/rules.def"
#undef RULE
} mp_rule;

/* RULE_NONE if there is none. */
mp_rule mp_rule_of(PyObject *callable);
mp_rule mp_rule_of_type(PyTypeObject *tp);
/* The type that a method taken from its class belongs to, borrowed, or NULL. */
PyTypeObject *mp_method_owner(PyObject *callee);
/* Methods without a row only read what never changes. */
bool mp_is_value_type(PyTypeObject *tp);
/* The nearest type written in C: it lays out what is not in __dict__ and __slots__. */
PyTypeObject *mp_c_base(PyTypeObject *tp);

/* Find what the rows name; again does no harm.  0 / -1. */
int mp_rows_init(void);

/* The effect class of a rule, for people: the second column of rules.def. */
const char *mp_rule_effect(mp_rule rule);
/* builtins.def and rules.def for people: new lists of dicts. */
PyObject *mp_record_rows(void);
PyObject *mp_record_rules(void);

#endif
