/* call/stats.c - counters, places and back-off of one compiled function.
 *
 * No fallback is silent: each call that ran in eager mode is counted at a place, which
 * is a reason with, if known, a detail and a source line.  Counting a call that a
 * back-off skips costs a few increments, because the back-off remembers its row.
 *
 * Rows own strings only, and mp_stats_fini alone removes them, so row numbers stay
 * valid.  The table is bounded: a detail that changes with every call cannot let it
 * grow.
 *
 * Back-off: after enough failures in a row the next 2^k calls are skipped, then 2^(k+1),
 * and so on.  There are two: for recordings that abort, and for recordings that one
 * guard asks for again and again. */
#include "call/stats.h"

#include <time.h>

enum {
    STATS_MAX_PLACES = 128,
    STATS_FIRST_EXPONENT = 4,
    STATS_LAST_EXPONENT = 16,
};

static const char *const stats_fallback_slugs[MP_FB_COUNT] = {
    [MP_FB_ARGUMENTS] = "arguments",
    [MP_FB_ENTRY_LIMIT] = "entry-limit",
    [MP_FB_CALLABLE] = "other-callable",
    [MP_FB_COMPILING] = "compiling",
    [MP_FB_COMPILE_FAILED] = "compile-failed",
    [MP_FB_GRAPH_RAISED] = "graph-raised",
    [MP_FB_DIVERGED] = "diverged",
    [MP_FB_STANCE] = "stance",
    [MP_FB_TRIAL_DIFFERS] = "is_compiling-differs",
};

void
mp_stats_init(mp_stats *stats)
{
    memset(stats, 0, sizeof(*stats));
    for (int i = 0; i < MP_FB_COUNT; i++) {
        stats->fallback[i] = -1;
    }
    mp_backoff_reset(&stats->aborts);
    mp_backoff_reset(&stats->misses);
}

void
mp_stats_fini(mp_stats *stats)
{
    for (int32_t i = 0; i < stats->n_places; i++) {
        Py_DECREF(stats->places[i].reason);
        Py_XDECREF(stats->places[i].detail);
        Py_XDECREF(stats->places[i].file);
        Py_XDECREF(stats->places[i].stack);
    }
    PyMem_Free(stats->places);
    stats->places = NULL;
    stats->n_places = stats->cap_places = 0;
}

int64_t
mp_stats_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -- Places ------------------------------------------------------------------------ */

static bool
stats_same_text(PyObject *a, PyObject *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a == b || PyUnicode_Compare(a, b) == 0;
}

/* The row of exactly this place, or -1. */
static int32_t
stats_find_place(const mp_stats *stats, const char *reason, PyObject *detail,
                 PyObject *file, int line)
{
    for (int32_t i = 0; i < stats->n_places; i++) {
        const mp_place *row = &stats->places[i];
        if (row->line == line
            && PyUnicode_CompareWithASCIIString(row->reason, reason) == 0
            && stats_same_text(row->detail, detail)
            && stats_same_text(row->file, file)) {
            return i;
        }
    }
    return -1;
}

/* The row for this place, made if needed; see call/stats.h. */
int32_t
mp_stats_place(mp_stats *stats, const char *reason, PyObject *detail, PyObject *file,
               int line)
{
    assert(reason != NULL && stats->n_places <= stats->cap_places);
    int32_t at = stats_find_place(stats, reason, detail, file, line);
    if (at < 0 && stats->n_places >= STATS_MAX_PLACES) {
        detail = file = NULL;
        line = 0;
        at = stats_find_place(stats, reason, NULL, NULL, 0);
    }
    if (at >= 0) {
        return at;
    }
    PyObject *text = PyUnicode_FromString(reason);
    if (text == NULL
        || mp_grow(&stats->places, &stats->cap_places, stats->n_places + 1,
                   sizeof(*stats->places))
               < 0) {
        Py_XDECREF(text);
        return -1;
    }
    stats->places[stats->n_places] = (mp_place){
        .reason = text,
        .detail = Py_XNewRef(detail),
        .file = Py_XNewRef(file),
        .line = line,
    };
    return stats->n_places++;
}

void
mp_stats_count(mp_stats *stats, int32_t place)
{
    assert(place >= 0 && place < stats->n_places);
    stats->places[place].count++;
    stats->fallbacks++;
}

void
mp_stats_count_break(mp_stats *stats, int32_t place, int abort)
{
    assert(place >= 0 && place < stats->n_places);
    stats->places[place].breaks++;
    stats->places[place].abort = abort;
    stats->places[place].past = false;
}

void
mp_stats_breaks_past(mp_stats *stats)
{
    for (int32_t i = 0; i < stats->n_places; i++) {
        stats->places[i].past = stats->places[i].breaks > 0;
    }
}

int
mp_stats_fallback(mp_stats *stats, mp_fallback why)
{
    assert(why < MP_FB_COUNT);
    int32_t place = stats->fallback[why];
    if (place < 0) {
        place = mp_stats_place(stats, stats_fallback_slugs[why], NULL, NULL, 0);
        if (place < 0) {
            return -1;
        }
        stats->fallback[why] = place;
    }
    mp_stats_count(stats, place);
    return 0;
}

/* -- Back-off ---------------------------------------------------------------------- */

void
mp_backoff_reset(mp_backoff *b)
{
    *b = (mp_backoff){.place = -1};
}

/* One more failure at `place`. true: there were enough in a row, and calls are skipped
 * from now on. */
bool
mp_backoff_note(mp_backoff *b, int32_t place, uint32_t same, uint32_t any)
{
    assert(same > 0 && any > 0);
    b->same = place == b->place ? b->same + 1 : 1;
    b->any++;
    b->place = place;
    if (b->same < same && b->any < any) {
        return false;
    }
    if (b->exponent == 0) {
        b->exponent = STATS_FIRST_EXPONENT;
    }
    else if (b->exponent < STATS_LAST_EXPONENT) {
        b->exponent++;
    }
    b->skip = (uint64_t)1 << b->exponent;
    return true;
}

bool
mp_stats_skip(mp_stats *stats)
{
    mp_backoff *b = stats->aborts.skip > 0 ? &stats->aborts : &stats->misses;
    if (b->skip == 0) {
        return false;
    }
    b->skip--;
    mp_stats_count(stats, b->place);
    return true;
}

/* -- For people -------------------------------------------------------------------- */

/* A back-off is named after what caused it: new str. */
static PyObject *
stats_reason(const mp_place *row)
{
    assert(row->reason != NULL);
    if (row->detail != NULL
        && PyUnicode_CompareWithASCIIString(row->reason, MP_STATS_BACKOFF) == 0) {
        return PyUnicode_FromFormat("%U: %U", row->reason, row->detail);
    }
    return Py_NewRef(row->reason);
}

/* reasons[reason of the row] += count */
static int
stats_add_reason(PyObject *reasons, const mp_place *row, unsigned long long count)
{
    int rc = -1;
    if (count == 0) {
        return 0;
    }
    PyObject *reason = stats_reason(row), *sum = NULL;  // owned
    if (reason == NULL) {
        return -1;
    }
    PyObject *old = PyDict_GetItemWithError(reasons, reason);
    if (old != NULL) {
        count += PyLong_AsUnsignedLongLong(old);
    }
    else if (PyErr_Occurred()) {
        goto done;
    }
    sum = PyLong_FromUnsignedLongLong(count);
    if (sum != NULL) {
        rc = PyDict_SetItem(reasons, reason, sum);
    }
done:
    Py_XDECREF(sum);
    Py_DECREF(reason);
    return rc;
}

/* One row as a dict, appended to `places`. */
static int
stats_add_place(PyObject *places, const mp_place *row)
{
    PyObject *dict = Py_BuildValue(
        "{s:O,s:O,s:O,s:i,s:K,s:K}", "reason", row->reason, "detail",
        row->detail != NULL ? row->detail : Py_None, "file",
        row->file != NULL ? row->file : Py_None, "line", row->line, "count",
        (unsigned long long)row->count, "breaks", (unsigned long long)row->breaks);
    if (dict == NULL) {
        return -1;
    }
    int rc = PyList_Append(places, dict);
    Py_DECREF(dict);
    return rc;
}

/* Rows are copied one by one: an allocation can run Python, which can reset them. */
static int
stats_add_rows(const mp_stats *stats, PyObject *reasons, PyObject *breaks,
               PyObject *places)
{
    int rc = 0;
    for (int32_t i = 0; rc == 0 && i < stats->n_places; i++) {
        mp_place row = stats->places[i];
        Py_INCREF(row.reason);
        Py_XINCREF(row.detail);
        Py_XINCREF(row.file);
        rc = stats_add_reason(reasons, &row, row.count);
        rc = rc < 0 ? rc : stats_add_reason(breaks, &row, row.breaks);
        if (row.count + row.breaks > 0 && rc == 0) {
            rc = stats_add_place(places, &row);
        }
        Py_DECREF(row.reason);
        Py_XDECREF(row.detail);
        Py_XDECREF(row.file);
    }
    return rc;
}

/* The number of places where segments end, as far as recordings are kept. */
static int
stats_breaks(const mp_stats *stats)
{
    int n = 0;
    for (int32_t i = 0; i < stats->n_places; i++) {
        n += stats->places[i].breaks > 0 && !stats->places[i].past;
    }
    return n;
}

PyObject *
mp_stats_describe(const mp_stats *stats, Py_ssize_t n_graphs)
{
    PyObject *result = NULL, *reasons = PyDict_New(), *breaks = PyDict_New(),
             *places = PyList_New(0);  // owned
    if (reasons == NULL || breaks == NULL || places == NULL
        || stats_add_rows(stats, reasons, breaks, places) < 0) {
        goto done;
    }
    result = Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:n,s:K,s:i,s:K,s:K,s:K,s:O,s:O,s:O,s:{s:d,s:d}}", "calls",
        (unsigned long long)stats->calls, "hits", (unsigned long long)stats->hits,
        "partial_hits", (unsigned long long)stats->partial_hits, "recordings",
        (unsigned long long)stats->recordings, "graphs", n_graphs, "reused",
        (unsigned long long)stats->reused, "graph_breaks", stats_breaks(stats),
        "fallbacks", (unsigned long long)stats->fallbacks, "verified",
        (unsigned long long)stats->verified, "diverged",
        (unsigned long long)stats->diverged, "reasons", reasons, "breaks", breaks,
        "places", places, "seconds", "record", (double)stats->record_ns / 1e9,
        "compile", (double)stats->compile_ns / 1e9);
done:
    Py_XDECREF(places);
    Py_XDECREF(breaks);
    Py_XDECREF(reasons);
    return result;
}
