/* guard/place.h - places that numbers come from, and which of them are dynamic.
 *
 * A place is a hash of the loads that lead to a number: two recordings of a program agree on
 * it whatever the number is.  It owns nothing and is never looked into.  Two places with one
 * hash cost a recording at most, because whether a number becomes a symbol is never a
 * question of soundness: its guards say what was assumed. */
#ifndef MP_PLACE_H
#define MP_PLACE_H

#include "guard/guard.h"

typedef uint64_t mp_number_place;

typedef enum {
    MP_PART_VALUE,   // of an exact int or float
    MP_PART_SIZE,    // dim n of a tensor
    MP_PART_STRIDE,  // the same
    MP_PART_OFFSET,  // of a tensor in its storage
    MP_PART_LENGTH,  // of a container, as mp_guard_len answers
} mp_part;

/* Where the number behind this register comes from. */
mp_number_place mp_place_of(const mp_guards *g, int32_t reg, mp_part part, int64_t n);
/* Does it come with the arguments of the call, themselves or in containers, and not from
 * state of an object or of the program? */
bool mp_place_is_argument(const mp_guards *g, int32_t reg);
/* As users write it: `x.shape[0]`, `self.calls`, `len(xs)`.  New str. */
PyObject *mp_place_text(const mp_guards *g, int32_t reg, mp_part part, int64_t n);

/* -- Marks ------------------------------------------------------------------------- */

/* What is dynamic besides the places that are marked so. */
typedef enum {
    MP_DYNAMIC_GIVEN,   // nothing, and nothing is learned
    MP_DYNAMIC_NEVER,   // sizes that the user marks; nothing is learned
    MP_DYNAMIC_AUTO,    // sizes that the user marks; what changes is learned
    MP_DYNAMIC_ALWAYS,  // the same, and what comes with the arguments
} mp_dynamic_mode;

typedef enum { MP_MARK_NONE, MP_MARK_DYNAMIC, MP_MARK_STATIC } mp_mark;

/* What one compiled object has learned. */
typedef struct {
    struct mp_marked *at;  // table with open addressing; NULL: nothing is marked
    uint32_t n, size;
    uint32_t age;  // grows with each mark
    mp_dynamic_mode mode;
} mp_marks;

enum { MP_MARKS_NOW = UINT32_MAX };

/* As it was when the marks had this age. */
mp_mark mp_marks_get(const mp_marks *marks, mp_number_place place, uint32_t age);
/* Static stays static.  1: it is new; 0: not, or there are too many; -1: MemoryError. */
int mp_marks_set(mp_marks *marks, mp_number_place place, mp_mark mark);
/* All places that numbers, open sizes and strides of a program come from are static: as
 * above, 1 if one of them is new. */
int mp_marks_set_static(mp_marks *marks, const mp_guards *g);
void mp_marks_clear(mp_marks *marks);  // the mode stays

/* -- Differences ------------------------------------------------------------------- */

/* A number that is not as a guard wants it. */
typedef struct {
    int32_t reg;
    mp_part part;
    int64_t n;
    int64_t then, now;   // sizes and lengths, else 0
    PyObject *was, *is;  // owned; of values, exact ints or floats, else NULL
} mp_difference;

typedef struct {
    mp_difference *at;  // owned
    int32_t n, cap;
    int32_t others;  // conditions on numbers that do not hold
} mp_differences;

void mp_difference_clear(mp_difference *what);
void mp_differences_clear(mp_differences *d);
/* A check that continues where it would fail: does the program fail only because of
 * numbers? Then d lists all of them.  False: something else fails, too, or nothing does.
 * Runs no user code, like a check; regs and args as there. */
bool mp_guards_differ(mp_guards *g, PyObject *const *args, PyObject **regs,
                      mp_differences *d);

#endif
