/* guard/plant.h - planted holes: builds with MP_TESTING can leave one kind of guard or
 * effect out of every plan, to prove that verify mode notices.  Other builds have none of
 * it. */
#ifndef MP_PLANT_H
#define MP_PLANT_H

#include "guard/guard.h"

#ifdef MP_TESTING

/* id: a row's, or NULL for none.  0, -1 with ValueError. */
int mp_plant_set_guard(const char *id);
bool mp_plant_has_guard(mp_guard_kind kind);
/* The register was loaded by a planted kind: from now on it is the object that was found
 * then. */
int mp_plant_freeze(mp_guards *g, int32_t reg, PyObject *value);
/* Is a kind of guard left out? */
bool mp_plant_is_set(void);
/* The kind of that name among n, -1 for NULL: 0, -1 with ValueError. */
int mp_plant_find(const char *id, const char *(*id_of)(int), int n, int *kind);

#else

static inline bool
mp_plant_is_set(void)
{
    return false;
}

static inline bool
mp_plant_has_guard(mp_guard_kind kind)
{
    return false;
}

static inline int
mp_plant_freeze(mp_guards *g, int32_t reg, PyObject *value)
{
    return 0;
}

#endif
#endif
