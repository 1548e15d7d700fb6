/* guard/order.h - the order in which a check runs its ops.  Private to guard*.c.
 *
 * Most of a module tree is dicts that nobody changed since the last call.  An op is
 * *settled* by a dict if it must come out as it did while that dict's version is the
 * same.  The order gathers the ops that a dict settles into one block behind a header,
 * so that a check of an unchanged dict is one comparison, whatever the run read from it.
 *
 * order[]: the index of an op, or ~d: header of dict d, whose n_settled ops follow. */
#ifndef MP_GUARD_ORDER_H
#define MP_GUARD_ORDER_H

#include "guard/guard.h"

/* Make the order for all ops that there are.  0, or -1 (no memory; no exception). */
int mp_guards_order(mp_guards *g);

#endif
