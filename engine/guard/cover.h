/* guard/cover.h - comparing guard programs; private to verify mode. */
#ifndef MP_GUARD_COVER_H
#define MP_GUARD_COVER_H

#include "guard/guard.h"

/* How the registers of two programs go together; both arrays are PyMem blocks. */
typedef struct {
    int32_t *map;  // register of fresh -> the one of old that is loaded alike; -2: none
    int32_t *numbers;  // number of fresh -> the one of old that is made alike; -1: none
    int32_t *same;  // register of old -> another one that holds the same object now, or
                    // itself
} mp_cover;

/* 0, or -1 with MemoryError; mp_cover_fini even then. */
int mp_cover_init(mp_cover *cover, const mp_guards *old, const mp_guards *fresh);
void mp_cover_fini(mp_cover *cover);
/* The first op of `fresh` that `old` does not ask for, -1 if there is none among the first
 * `limit`.  Fills the cover up to there.  Runs no user code, sets no exception. */
int32_t mp_guards_uncovered(const mp_guards *old, const mp_guards *fresh, int32_t limit,
                            mp_cover *cover);
/* Does this op of fresh ask for the empty tuple, which is a constant, where old has met
 * another tuple and not looked at its items? */
bool mp_cover_is_vague(const mp_cover *cover, const mp_guards *old,
                       const mp_guard *fresh);
/* The same of what a hit gathers: registers, and numbers k as ~k.  After
 * mp_guards_uncovered. */
bool mp_cover_given(const mp_cover *cover, int32_t old, int32_t fresh);
/* The same object, or the same immutable value down to the bits?  NULL is allowed. */
bool mp_guard_same(PyObject *a, PyObject *b);

#endif
