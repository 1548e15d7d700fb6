/* objects/names.h - interned texts: one object each for the life of the process. */
#ifndef MP_NAMES_H
#define MP_NAMES_H

#include "engine.h"

typedef enum {
#define NAME(id, text) MP_NAME_##id,
#include "objects/names.def"
#undef NAME
    MP_NAME_COUNT,
} mp_name_id;

/* Filled at import (mp_names_init). */
extern PyObject *mp_names[MP_NAME_COUNT];
#define MP_NAME(id) (mp_names[MP_NAME_##id])

int mp_names_init(void);  // 0 / -1

#endif
