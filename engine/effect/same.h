/* effect/same.h - comparing replay programs; private to verify mode. */
#ifndef MP_EFFECT_SAME_H
#define MP_EFFECT_SAME_H

#include "effect/effect.h"
#include "guard/cover.h"

/* Is what `fresh` does what `old` does?  cover: of their guards, all of which were found.
 * Runs no user code, sets no exception. */
bool mp_replay_same(const mp_replay *old, const mp_replay *fresh,
                    const mp_cover *cover);

#endif
