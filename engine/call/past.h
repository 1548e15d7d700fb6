/* call/past.h - entries that break where no later call does. */
#ifndef MP_PAST_H
#define MP_PAST_H

#include "call/compiled.h"

/* Entries that are marked so go, and what went on after their breaks, if no other entry
 * breaks (true). */
MP_MAYRUN bool mp_past_drop(mp_CompiledObject *op);
/* A call has ended that broke where the next one does not: at an import, or at a cache that is
 * filled now.  It began with the entry of this id.  An exception that is set stays so. */
MP_MAYRUN void mp_past_once(mp_CompiledObject *op, uint64_t root_id);

#endif
