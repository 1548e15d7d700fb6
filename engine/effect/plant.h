/* effect/plant.h - planted holes in replay programs, see guard/plant.h. */
#ifndef MP_EFFECT_PLANT_H
#define MP_EFFECT_PLANT_H

#include "effect/effect.h"

#ifdef MP_TESTING
int mp_plant_set_effect(const char *id);  // as mp_plant_set_guard
bool mp_plant_has_effect(mp_effect_kind kind);
#else
static inline bool
mp_plant_has_effect(mp_effect_kind kind)
{
    return false;
}
#endif
#endif
