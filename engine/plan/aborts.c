/* plan/aborts.c - the texts of plan/aborts.def, and the life of one abort record.
 *
 * Every reason has four texts: a slug (stable, counted and searched for), what
 * happened, what the user can do, and its kind.  An mp_abort_info owns its strings; a
 * zeroed one is empty, and clearing is idempotent. */
#include "plan/abort.h"

static const struct {
    const char *slug, *text, *hint, *kind;
} abort_rows[] = {
#define ABORT(id, slug, what, hint, kind) {slug, what, hint, #kind},
#include "plan/aborts.def"
#undef ABORT
};

const char *
mp_abort_slug(mp_abort_id id)
{
    assert(id < MP_AB_COUNT);
    return abort_rows[id].slug;
}

const char *
mp_abort_text(mp_abort_id id)
{
    assert(id < MP_AB_COUNT);
    return abort_rows[id].text;
}

const char *
mp_abort_hint(mp_abort_id id)
{
    assert(id < MP_AB_COUNT);
    return abort_rows[id].hint;
}

const char *
mp_abort_kind(mp_abort_id id)
{
    assert(id < MP_AB_COUNT);
    return abort_rows[id].kind;
}

void
mp_abort_clear(mp_abort_info *info)
{
    Py_CLEAR(info->detail);
    Py_CLEAR(info->file);
    Py_CLEAR(info->stack);
    info->line = 0;
}
