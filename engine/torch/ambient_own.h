/* torch/ambient_own.h - state of the process and the thread that has no getter of torch's. */
#ifndef MP_AMBIENT_OWN_H
#define MP_AMBIENT_OWN_H

#include "engine.h"

typedef enum {
    MP_OWN_FLOATS,  // rounding and denormal numbers, of this thread
    MP_OWN_LOCALE,  // of numbers, dates, characters
    MP_OWN_DIGITS,  // sys.get_int_max_str_digits()
    MP_OWN_DEPTH,   // sys.getrecursionlimit()
    MP_OWN_HOOKS,   // mp_hooks
    MP_OWN_MODES,   // mp_modes_now()
} mp_own;

/* Equal numbers: the same state.  Never fails. */
int64_t mp_own_state(mp_own what);

#endif
