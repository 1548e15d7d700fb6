/* effect/plant.c - planted holes in replay programs; empty without MP_TESTING.
 *
 * A builder makes None instead, a filler or write is left out. */
#include "effect/plant.h"

#include "guard/plant.h"

#ifdef MP_TESTING

static int plant_effect = -1;  // kind, -1: none

int
mp_plant_set_effect(const char *id)
{
    return mp_plant_find(id, mp_effect_id, MP_E_COUNT, &plant_effect);
}

bool
mp_plant_has_effect(mp_effect_kind kind)
{
    return (int)kind == plant_effect;
}

#endif
