/* guard/weak.h - objects that guards compare with but do not keep alive. */
#ifndef MP_GUARD_WEAK_H
#define MP_GUARD_WEAK_H

#include "effect/effect.h"
#include "guard/guard.h"

/* Let go of what came with the arguments; both programs are complete.  When one of these
 * objects dies, g->dead is set.  Who uses the replay holds what it has borrowed from the
 * check of the guards on.  0 / -1, and then some are still held. */
int mp_guards_weaken(mp_guards *g, mp_replay *replay);
/* Before the program is freed. */
void mp_guards_unwatch(mp_guards *g);

void mp_guard_release(mp_guard *op);  // what it holds
/* IS of a tuple whose items are borrowed: has o these items? */
bool mp_guard_has_items(PyObject *o, const mp_guard *op);

#endif
