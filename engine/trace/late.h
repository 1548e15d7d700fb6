/* trace/late.h - late values: what only the graph gives a value to.
 *
 * `n = t.item()`, `n * 2`, `bool(t)`: the object in the program's hands is right for the run
 * that is recorded and for no other.  It is a *late value*: a Value of the operator log,
 * like a tensor, that is a number.  Reading and computing are entries of the log, so a hit
 * has the value when its graph has run, in time for all effects.
 *
 * Like a symbol (trace/symbol.h) a late value is known by its address: the recorder puts a *box*
 * on the interpreter's stack, an object of the same exact type and value at an address of its
 * own, which its node (MP_NODE_LATE) owns.  Its type is the same in each run.
 *
 * The text of a symbol is late, too, though the recorder knows it: looking at it pins the symbol.
 *
 * R: nobody looks at a late value while recording.  mp_value(), mp_pin() and mp_pin_deep()
 * end the segment before the instruction that would (HOST_READ).  Who passes a value on asks
 * mp_pass(), who can use a late one mp_value_late(). */
#ifndef MP_LATE_H
#define MP_LATE_H

#include "trace/refgraph.h"

struct mp_trace;

typedef struct {
    PyObject *value;  // owned: what the program would have
    PyObject *box;    // borrowed from its node
    int32_t at;       // of the log: the entry that makes it; -1: it is not known
    bool of_numbers;  // a text that shows symbols alone (trace/symbol.h)
    bool known;       // `of_numbers`, and these are pinned: a constant from then on
} mp_late;

typedef struct {
    mp_late *all;
    int32_t n, cap;
} mp_lates;

void mp_lates_fini(mp_lates *all);

/* The node of a late value, or NULL. */
mp_node *mp_late_find(const struct mp_trace *T, PyObject *obj);
/* Is one of these a late value? */
bool mp_late_any(const struct mp_trace *T, PyObject *const *objs, Py_ssize_t count);
/* What eager has in its place; NULL: it is none. */
PyObject *mp_late_value_borrow(const struct mp_trace *T, PyObject *obj);
/* A late value for this leaf of the log, which is `value` in this run: new reference to its
 * box.  NULL in *box: objects of this type cannot have one. */
mp_rc mp_late_make(struct mp_trace *T, PyObject *value, PyObject *leaf, PyObject **box);
/* Is it a text that shows symbols alone? */
bool mp_late_is_of_numbers(const struct mp_trace *T, const mp_node *late);
/* The instruction in progress needs the value (of obj, or NULL: of some): it is refused, but for
 * a text of symbols, which is a constant when these are pinned. */
mp_rc mp_late_refuse(struct mp_trace *T, PyObject *obj);

#endif
