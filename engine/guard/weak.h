/* guard/weak.h - objects that guards compare with but do not keep alive. */
#ifndef MP_GUARD_WEAK_H
#define MP_GUARD_WEAK_H

#include "guard/guard.h"

/* Make the references to objects that came with the arguments borrowed; the program is
 * complete.  When one of these objects dies, g->dead is set.  `also` does the same to
 * other references to them; whoever uses those holds the objects from the check of the
 * guards on. 0; -1: some are still owned. */
int mp_guards_weaken(mp_guards *g,
                     void (*also)(void *ctx, PyObject *const *objects, int32_t count),
                     void *ctx);
/* Is this the callback of a weak reference of the engine? The program does not notice
 * when it runs. */
bool mp_guards_is_watch(PyObject *callback);
/* Before the program is freed. */
void mp_guards_unwatch(mp_guards *g);

void mp_guard_release(mp_guard *op);  // what it holds
/* IS of a tuple whose items are borrowed: has o these items? */
bool mp_guard_has_items(PyObject *o, const mp_guard *op);

#endif
