/* trace/symbol.h - symbols: numbers that a recording does not pin.
 *
 * A symbol is a number of the guard program's table (number/number.h) that the program has
 * in its hands: an exact int or float with an address of its own, a *box*, which the
 * recorder puts on the interpreter's stack in place of what the program would have there.
 * Its node (MP_NODE_SYMBOL) owns the box, so the address means this number for as long as
 * the segment is recorded, wherever the program puts it: nobody follows it.
 *
 * R: whoever looks at the digits of a value pins it first: from then on the number is a
 * constant, which a guard says.  mp_value() does so; who passes a value on, or computes with
 * it, asks mp_value_symbol() or mp_pass().  What C code can reach is pinned before it runs
 * (mp_pin_deep).
 * A truth (of a compare, `not n`) has no box: it is pinned as it is made. */
#ifndef MP_SYMBOL_H
#define MP_SYMBOL_H

#include "number/number.h"
#include "trace/refgraph.h"

struct mp_trace;

typedef struct {
    PyObject *value;  // owned: what the program had; NULL: no symbol has this number
    PyObject *box;    // borrowed from its node; NULL: none yet
    bool pinned;
} mp_symbol;

/* A number that was just loaded: whether it becomes a symbol depends on what the
 * instruction makes of it. */
typedef struct {
    int32_t number;
    PyObject *value;  // owned
    bool offered;     // it is what the instruction answers
} mp_waiting;

typedef struct {
    mp_symbol *all;  // by number
    int32_t cap;
    int32_t n_open;    // symbols that are not pinned
    bool are_outside;  // boxes stand in containers from outside
    mp_waiting *waiting;
    int n_waiting, cap_waiting;
    int waits_in;  // height of the stack that the loads belong to
} mp_symbols;

void mp_symbols_fini(mp_symbols *all);

/* -- What is a symbol ---------------------------------------------------------------- */

/* The node of a symbol, or NULL: it has none, or is pinned. */
mp_node *mp_symbol_find(const struct mp_trace *T, PyObject *obj);
/* What the program would have in place of this box, of a symbol, pinned or not, or of a late
 * value; NULL: it is none. */
PyObject *mp_symbol_value_borrow(const struct mp_trace *T, PyObject *obj);
/* What a number of the table was in this run; NULL: no symbol has it.  Is it pinned? */
PyObject *mp_symbol_number_value_borrow(const struct mp_trace *T, int32_t number);
/* The same of any number, computed if need be: new; NULL without an exception: unknown. */
PyObject *mp_symbol_number_now(struct mp_trace *T, int32_t number);
bool mp_symbol_number_is_pinned(const struct mp_trace *T, int32_t number);
/* An exact int or float, or a bool: what arithmetic on symbols takes as an operand. */
bool mp_is_number(PyObject *obj);

/* -- How symbols get in -------------------------------------------------------------- */

/* `reg` was loaded with an exact int or float.  *taken: it waits, and has no guard yet. */
mp_rc mp_symbol_load(struct mp_trace *T, int32_t reg, PyObject *value, bool *taken);
/* The sizes and strides that the guard of a tensor leaves open are numbers. */
mp_rc mp_symbols_of_tensor(struct mp_trace *T, int32_t reg, const mp_tensor_meta *m);
/* The length of a container from outside, which was at_entry: *number is what it is now, or
 * -1 if that is to be pinned. */
mp_rc mp_symbol_length(struct mp_trace *T, int32_t reg, PyObject *obj, int64_t at_entry,
                       int64_t now, int32_t *number);
/* The instruction in progress answers with what was loaded last. */
void mp_symbol_offer(struct mp_trace *T, PyObject *value);
/* The handler has ended: pin what it has loaded and not offered; and all that waits. */
mp_rc mp_symbols_settle(struct mp_trace *T);
mp_rc mp_symbols_give_up(struct mp_trace *T);
/* The answer of the instruction: a new reference to its box if it waits, else NULL.  Pins
 * all others. */
mp_rc mp_symbol_take(struct mp_trace *T, PyObject *answer, PyObject **box);
/* The same of `item`, if it was loaded as an item of a sequence, or of a dict (key). */
mp_rc mp_symbol_take_item(struct mp_trace *T, int32_t reg, Py_ssize_t index,
                          PyObject *key, PyObject *item, PyObject **box);
/* A symbol for this number, which is `value` in this run: new reference to its box.  NULL
 * in *box: the number is pinned. */
mp_rc mp_symbol_make(struct mp_trace *T, int32_t number, PyObject *value,
                     PyObject **box);

/* -- What is computed with them ------------------------------------------------------- */

/* Number of op(a, b), b NULL if it takes one operand; n: as numbers.def says.  -1: it cannot
 * be had, and the operands must be pinned.  *value: what it is in this run, new. */
mp_rc mp_symbol_compute(struct mp_trace *T, mp_number_op op, PyObject *a, PyObject *b,
                        int64_t n, int32_t *number, PyObject **value);
/* The same of a truth: it is guarded to be what it is in this run.  *known: false if it
 * cannot be had. */
mp_rc mp_symbol_decide(struct mp_trace *T, mp_number_op op, PyObject *a, PyObject *b,
                       bool *known);
/* Whether a symbol is zero. */
mp_rc mp_symbol_truth(struct mp_trace *T, PyObject *obj);

/* -- Pins ------------------------------------------------------------------------------ */

/* Is it a torch.Size with symbols or late values in it?  Other ones are constants (mp_is_constant). */
bool mp_holds_symbols(const struct mp_trace *T, PyObject *obj);
/* obj, if it is a symbol or holds some in this way, is a constant from here on. */
mp_rc mp_pin(struct mp_trace *T, PyObject *obj);
/* The same of a number that has a box. */
mp_rc mp_pin_number(struct mp_trace *T, int32_t number);
/* All that C code may reach from obj. */
mp_rc mp_pin_deep(struct mp_trace *T, PyObject *obj);
mp_rc mp_pin_deep_all(struct mp_trace *T, PyObject *const *objs, Py_ssize_t count);
/* Every number of the segment. */
mp_rc mp_pin_everything(struct mp_trace *T);

#endif
