/* call/stance.h - what torch.compiler.set_stance asks of compiled functions. */
#ifndef MP_STANCE_H
#define MP_STANCE_H

#include "engine.h"

typedef enum {
    MP_STANCE_COMPILE,      // nothing
    MP_STANCE_EAGER,        // the original runs
    MP_STANCE_HITS,         // what no entry answers runs eager
    MP_STANCE_FAIL,         // what no entry answers raises
    MP_STANCE_EAGER_FIRST,  // the first call of each object runs eager
} mp_stance;

/* The stance of the process.  It may run Python; no exception. */
MP_MAYRUN mp_stance mp_stance_now(void);
/* What the last call found. */
mp_stance mp_stance_seen(void);

#endif
