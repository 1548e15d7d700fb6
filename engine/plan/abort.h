/* plan/abort.h - why a run, or a part of it, is not recorded. */
#ifndef MP_ABORT_H
#define MP_ABORT_H

#include "engine.h"

typedef enum {
#define ABORT(id, slug, what, hint, kind) MP_AB_##id,
#include "plan/aborts.def"
#undef ABORT
    MP_AB_COUNT
} mp_abort_id;

typedef struct {
    mp_abort_id id;
    PyObject *detail;  // owned str or NULL: "len of <type>" ...
    PyObject *file;    // owned str or NULL
    int line;          // 0 if unknown
    bool unwatched;    // nothing was watched: this call could not be, the next one may
    bool once;         // the next call does not come here: an import, a filled cache
    bool pins;        // it would not have broken here if its numbers had been constants
    PyObject *stack;  // owned list or NULL: (file, line, function), outermost first
} mp_abort_info;

const char *mp_abort_slug(mp_abort_id id);
const char *mp_abort_text(mp_abort_id id);
const char *mp_abort_hint(mp_abort_id id);
const char *mp_abort_kind(mp_abort_id id);
void mp_abort_clear(mp_abort_info *info);

#endif
