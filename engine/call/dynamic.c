/* call/dynamic.c - a miss that numbers alone are to blame for makes them dynamic.
 *
 * Static first: a number is a constant of the recording until a call shows that it changes.
 * Which numbers that are is asked of all guards of an entry, not of the first one that fails,
 * so that a program whose numbers change together is recorded once more, not once for each.
 *
 * What must hold: only a miss that marks a new place is one that back-off does not count.
 * One whose places are all marked comes from a number that the program pins, and may come
 * without end. */
#include "call/dynamic.h"

#include "call/notice.h"

enum {
    DYNAMIC_ENTRIES = 8,  // looked at for one miss, those used last first
};

/* What a miss has shown, until it is reported to the listener. */
struct mp_news {
    mp_entry *entry;      // owned; it has the registers of `what`
    mp_differences what;  // of which the places are new
    struct mp_news *next;
};

/* How many of its places are not yet marked. */
static int32_t
dynamic_new(const mp_marks *marks, const mp_guards *g, const mp_differences *d)
{
    int32_t n = 0;
    for (int32_t i = 0; i < d->n; i++) {
        const mp_difference *x = &d->at[i];
        n += mp_marks_get(marks, mp_place_of(g, x->reg, x->part, x->n), MP_MARKS_NOW)
             == MP_MARK_NONE;
    }
    return n;
}

/* The entry that differs in the fewest numbers, and in nothing else, and that teaches
 * something; NULL: there is none.  (An old entry differs in places that are marked, too, and
 * one of another kind of call perhaps in a size that is 1 now.) */
static mp_entry *
dynamic_nearest(const mp_marks *marks, const mp_cache *cache, PyCodeObject *code,
                PyObject *const *values, mp_differences *best)
{
    mp_entry *nearest = NULL;
    for (int32_t i = 0; i < cache->n && i < DYNAMIC_ENTRIES; i++) {
        mp_entry *entry = cache->at[i];
        const mp_plan *plan = entry->plan;
        mp_differences d = {.at = NULL};
        if (entry->code == code
            && mp_guards_differ(plan->guards, values, cache->regs, &d)
            && dynamic_new(marks, plan->guards, &d) > 0
            && (nearest == NULL || d.n + d.others < best->n + best->others)
            && (plan->ambient == NULL || mp_ambient_check(plan->ambient))) {
            mp_differences_clear(best);
            *best = d;
            nearest = entry;
        }
        else {
            mp_differences_clear(&d);
        }
    }
    return nearest;
}

/* Mark the places; those that were marked before go from the list.  Without memory the
 * rest stays as it was. */
static void
dynamic_mark(mp_marks *marks, const mp_guards *g, mp_differences *d)
{
    int32_t n = 0;
    for (int32_t i = 0; i < d->n; i++) {
        mp_difference x = d->at[i];
        int rc =
            mp_marks_set(marks, mp_place_of(g, x.reg, x.part, x.n), MP_MARK_DYNAMIC);
        if (rc > 0) {
            d->at[n++] = x;
            continue;
        }
        if (rc < 0) {
            mp_err_drop();
        }
        mp_difference_clear(&x);
    }
    d->n = n;
}

static void
dynamic_note(mp_CompiledObject *op, mp_entry *entry, mp_differences *d)
{
    struct mp_news *news = op->on_event == NULL ? NULL : PyMem_Malloc(sizeof(*news));
    if (news == NULL) {
        mp_differences_clear(d);  // there is no listener, or no memory to call it
        return;
    }
    entry->refs++;
    *news = (struct mp_news){entry, *d, op->news};
    op->news = news;
}

bool
mp_dynamic_learn(mp_CompiledObject *op, const mp_cache *cache, PyCodeObject *code,
                 PyObject *const *values)
{
    mp_differences d = {.at = NULL};
    if (op->marks.mode < MP_DYNAMIC_AUTO) {
        return false;
    }
    mp_entry *entry = dynamic_nearest(&op->marks, cache, code, values, &d);
    if (entry == NULL) {
        return false;
    }
    dynamic_mark(&op->marks, entry->plan->guards, &d);
    if (d.n == 0) {  // the marks are full, or there is no memory
        mp_differences_clear(&d);
        return false;
    }
    dynamic_note(op, entry, &d);
    return true;
}

int
mp_dynamic_refuse(mp_CompiledObject *op, const mp_entry *entry, PyObject *why)
{
    int rc = mp_marks_set_static(&op->marks, entry->plan->guards);
    return rc <= 0 ? rc
                   : mp_dispatch_event(op, "static", "{s:K,s:O}", "entry",
                                       (unsigned long long)entry->id, "why", why);
}

/* -- For people -------------------------------------------------------------------- */

/* (place, what it was, what it is): new tuple. */
static PyObject *
dynamic_row(const mp_guards *g, const mp_difference *x)
{
    PyObject *place = mp_place_text(g, x->reg, x->part, x->n);
    if (place == NULL) {
        return NULL;
    }
    return x->part == MP_PART_VALUE
               ? Py_BuildValue("(NOO)", place, x->was, x->is)
               : Py_BuildValue("(NLL)", place, (long long)x->then, (long long)x->now);
}

static PyObject *
dynamic_rows(const struct mp_news *news)
{
    const mp_guards *g = news->entry->plan->guards;
    PyObject *list = PyList_New(0);
    for (int32_t i = 0; list != NULL && !g->dead && i < news->what.n; i++) {
        PyObject *row = dynamic_row(g, &news->what.at[i]);
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    return list;
}

static struct mp_news *
dynamic_take(mp_CompiledObject *op)
{
    struct mp_news *news = op->news;
    op->news = news == NULL ? NULL : news->next;
    return news;
}

static void
dynamic_drop(struct mp_news *news)
{
    mp_differences_clear(&news->what);
    mp_entry_release(news->entry);
    PyMem_Free(news);
}

static int
dynamic_tell(mp_CompiledObject *op, const struct mp_news *news)
{
    const mp_entry *entry = news->entry;
    bool pins = news->what.n == 0;
    PyObject *rows = pins ? Py_NewRef(entry->plan->pins) : dynamic_rows(news);
    int rc =
        rows == NULL
            ? -1
            : mp_dispatch_event(op, pins ? "pinned" : "dynamic", "{s:K,s:O}", "entry",
                                (unsigned long long)entry->id, "places", rows);
    Py_XDECREF(rows);
    return rc;
}

int
mp_dynamic_tell(mp_CompiledObject *op)
{
    struct mp_news *news;
    int rc = 0;
    while (rc == 0 && (news = dynamic_take(op)) != NULL) {
        rc = dynamic_tell(op, news);
        dynamic_drop(news);
    }
    return rc;
}

void
mp_dynamic_kept(mp_CompiledObject *op, mp_entry *entry)
{
    mp_differences none = {.at = NULL};
    entry->marked = op->marks.age;
    if (entry->plan->pins != NULL) {
        dynamic_note(op, entry, &none);
    }
}

void
mp_dynamic_clear(mp_CompiledObject *op)
{
    struct mp_news *news;
    while ((news = dynamic_take(op)) != NULL) {
        dynamic_drop(news);
    }
    mp_marks_clear(&op->marks);
}
