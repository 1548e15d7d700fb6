/* torch/ambient_place.c - state that is compared where it lies.
 *
 * A place is known because
 *   - the probe of the row gives a reference to it (dispatch keys, autograd's state, ...);
 *   - the machine code of the probe is one load and a return: so it does nothing else;
 *   - it is the one byte of at::Context that follows the setter, there and back.
 * R: each snapshot compares it with what probe and getter tell; a place that does not agree is
 * dropped, and its row is asked as before.
 *
 * Words of a thread stay where they are for as long as the thread lives.  A word is aligned, so
 * it lies in one page with the byte that matters. */
#include "torch/ambient_place.h"

#include <string.h>

#include "compat/compat.h"

/* A word that rows share. */
typedef struct {
    const uint64_t *at;  // in the thread that has found it
    int row;             // whose reference `offset` counts from; -1: of the process
    Py_ssize_t offset;
    uint64_t mask;  // what matters of it
} place_word;

/* Where a row lies: in a word, or in several whole ones. */
typedef struct {
    int word, n, shift;
    uint64_t mask;  // after the shift
} place;

static place_word words[MP_AMBIENT_WORDS];
static int n_words;
static place places[N_ROWS];
static int asked[N_ROWS], n_asked;  // the other rows
static int planted = -1;
static bool words_off;  // for tests
static _Thread_local const uint64_t *thread_at[MP_AMBIENT_WORDS];
static _Thread_local int thread_found;  // words, -1: they cannot be had

/* -- Found ------------------------------------------------------------------------- */

/* What of this thread the row's probe gives a reference to. */
static const char *
place_reference(int row)
{
    return mp_ambient_rows[row].prober == PROBE_KEYS
               ? (const char *)mp_ambient_keys()
               : (const char *)mp_ambient_found[row].probe.words();
}

/* Rows of one thing of the thread: its words lie in the same way in each thread. */
static bool
is_same_reference(int a, int b)
{
    return a < 0 || b < 0 ? a == b
                          : strcmp(mp_ambient_rows[a].symbol, mp_ambient_rows[b].symbol)
                                == 0;  // mp-ok: of ambient.def
}

/* The word there, known or new; -1: there are too many.  row: as of place_word. */
static int
word_find(const uint64_t *at, int row)
{
    for (int k = 0; k < n_words; k++) {
        if (words[k].at == at && is_same_reference(words[k].row, row)) {
            return k;
        }
    }
    if (n_words == MP_AMBIENT_WORDS) {
        return -1;
    }
    Py_ssize_t offset = row < 0 ? 0 : (const char *)at - place_reference(row);
    words[n_words] = (place_word){at, row, offset, 0};
    return n_words++;
}

/* Row i is these bits of the byte, or of the word.  reference: as of place_word. */
static void
place_add(int i, const void *byte, int shift, uint64_t mask, int reference)
{
#if PY_LITTLE_ENDIAN
    uintptr_t within = (uintptr_t)byte & 7;
    int k = word_find((const uint64_t *)((const char *)byte - within), reference);
    if (k >= 0) {
        places[i] = (place){k, 1, (int)within * 8 + shift, mask};
        mp_ambient_found[i].placed = true;
    }
#endif
}

/* The byte that this function loads and returns, if it does nothing else; NULL: not known.
 * context: its argument. */
static const uint8_t *
code_loads(const void *function, const void *context)
{
#if defined(__x86_64__)
    enum {
        RET = 0xc3,
        BYTE_OF_ARG = 0x47,
        FAR_BYTE_OF_ARG = 0x87,
        BYTE_OF_PROCESS = 0x05
    };
    static const uint8_t branch_target[] = {0xf3, 0x0f, 0x1e, 0xfa};  // endbr64
    static const uint8_t load[] = {0x0f, 0xb6};  // movzbl ..., %eax
    const uint8_t *code = function;
    int32_t far;
    code += memcmp(code, branch_target, 4) == 0 ? 4 : 0;
    if (memcmp(code, load, 2) != 0) {
        return NULL;
    }
    memcpy(&far, code + 3, sizeof far);
    if (code[2] == BYTE_OF_ARG && code[4] == RET && context != NULL) {
        return (const uint8_t *)context + (int8_t)code[3];
    }
    if (code[2] == FAR_BYTE_OF_ARG && code[7] == RET && context != NULL) {
        return (const uint8_t *)context + far;
    }
    return code[2] == BYTE_OF_PROCESS && code[7] == RET ? code + 7 + far : NULL;
#else
    return NULL;
#endif
}

static void
place_find(int i)
{
    const mp_ambient_row *row = &mp_ambient_rows[i];
    const mp_ambient_access *found = &mp_ambient_found[i];
    const uint8_t *byte;
    switch (row->prober) {
    case PROBE_BYTE:
        place_add(i, found->probe.byte, 0, 0xff, -1);
        break;
    case PROBE_WORD:
        place_add(i, place_reference(i), 0, UINT64_MAX, i);
        break;
    case PROBE_FLAG_AT:
        place_add(i, place_reference(i) + row->a, 0, 0xff, i);
        break;
    case PROBE_BIT_OF:
        place_add(i, place_reference(i) + found->offset, row->a, 1, i);
        break;
    case PROBE_CONTEXT:
    case PROBE_CALL:
        byte = code_loads(found->probe.address,
                          row->prober == PROBE_CONTEXT ? mp_ambient_context : NULL);
        if (byte != NULL) {
            place_add(i, byte, 0, 0xff, -1);
        }
        break;
    default:
        break;
    }
}

/* -- Found by its setter ------------------------------------------------------------- */

enum { CONTEXT_MOST = 256 };  // bytes between the first and the last that are known

/* The bytes of at::Context between those that are known. */
static Py_ssize_t
context_span(const uint8_t **start)
{
    const uint8_t *first = NULL, *last = NULL;
    for (int i = 0; i < N_ROWS; i++) {
        if (mp_ambient_rows[i].prober == PROBE_CONTEXT && mp_ambient_found[i].placed) {
            const uint8_t *at =
                (const uint8_t *)words[places[i].word].at + places[i].shift / 8;
            first = first == NULL || at < first ? at : first;
            last = at > last ? at : last;
        }
    }
    *start = first;
    return first == NULL ? 0 : last - first + 1;
}

static bool
option_set(int i, PyObject *value)
{
    PyObject *done = PyObject_CallOneArg(mp_ambient_found[i].setter, value);
    Py_XDECREF(done);
    mp_err_drop();
    return done != NULL;
}

/* The one byte of `span` that is `off` now and was `on`; NULL: none, or several. */
static const uint8_t *
byte_that_follows(const uint8_t *start, const uint8_t *before, Py_ssize_t span)
{
    const uint8_t *found = NULL;
    for (Py_ssize_t k = 0; k < span; k++) {
        if (start[k] != before[k]) {
            if (found != NULL || before[k] != 1 || start[k] != 0) {
                return NULL;
            }
            found = start + k;
        }
    }
    return found;
}

/* Is it known to be so? */
static bool
row_is(int i, PyObject *value)
{
    PyObject *answer = mp_ambient_found[i].active ? mp_ambient_answer(i) : NULL;
    Py_XDECREF(answer);
    mp_err_drop();
    return answer == value;
}

/* An option without a probe, which is on, and which nobody asks for while deterministic
 * algorithms are off: it is switched off and on again. */
static void
place_search(int i)
{
    uint8_t before[CONTEXT_MOST];
    const uint8_t *start;
    Py_ssize_t span = context_span(&start);
    if (span == 0 || span > CONTEXT_MOST || mp_ambient_found[i].setter == NULL
        || !row_is(ROW_DETERMINISTIC, Py_False) || !row_is(i, Py_True)) {
        return;
    }
    memcpy(before, start, (size_t)span);
    const uint8_t *byte =
        option_set(i, Py_False) ? byte_that_follows(start, before, span) : NULL;
    if (option_set(i, Py_True) && byte != NULL && *byte == 1) {
        place_add(i, byte, 0, 0xff, -1);
    }
}

/* -- Who is compared, who is asked ----------------------------------------------------- */

static void
places_arrange(void)
{
    n_asked = 0;
    for (int k = 0; k < n_words; k++) {
        words[k].mask = 0;
    }
    for (int i = 0; i < N_ROWS; i++) {
        const place *p = &places[i];
        bool by_keys = mp_ambient_rows[i].prober == PROBE_BY_KEYS
                       && mp_ambient_found[ROW_DISPATCH_KEYS].placed;
        if (!mp_ambient_found[i].active || i == planted) {
            continue;
        }
        for (int k = 0; mp_ambient_found[i].placed && k < p->n; k++) {
            words[p->word + k].mask |= p->mask << p->shift;
        }
        if (!mp_ambient_found[i].placed && !by_keys) {
            asked[n_asked++] = i;
        }
    }
}

/* The first two words. */
static void
places_find_keys(void)
{
    const uint64_t *keys =
        mp_ambient_found[ROW_DISPATCH_KEYS].active ? mp_ambient_keys() : NULL;
    if (keys != NULL && ((uintptr_t)keys & 7) == 0) {
        place_add(ROW_DISPATCH_KEYS, keys, 0, UINT64_MAX, ROW_DISPATCH_KEYS);
        places[ROW_DISPATCH_KEYS].n += word_find(keys + 1, ROW_DISPATCH_KEYS) == 1;
    }
}

void
mp_ambient_places_find(void)
{
    places_find_keys();
    for (int i = 0; i < N_ROWS; i++) {
        if (mp_ambient_found[i].probed) {
            place_find(i);
        }
    }
    if (!mp_ambient_found[ROW_FILL_EMPTY].placed) {
        place_search(ROW_FILL_EMPTY);
    }
    places_arrange();
}

void
mp_ambient_place_check(int i, PyObject *answer, int64_t number)
{
    const mp_ambient_access *found = &mp_ambient_found[i];
    if (!found->placed || i == ROW_DISPATCH_KEYS) {
        return;
    }
    const uint64_t *const *at = mp_ambient_places();
    const place *p = &places[i];
    uint64_t now = at == NULL ? 0 : *at[p->word] >> p->shift & p->mask;
    bool agrees = found->probed ? now == (uint64_t)number
                                : PyBool_Check(answer) && now == (answer == Py_True);
    if (at != NULL && !agrees) {
        mp_ambient_found[i].placed = false;
        places_arrange();
    }
}

const int *
mp_ambient_asked(int *n)
{
    *n = n_asked;
    return asked;
}

/* -- Compared -------------------------------------------------------------------------- */

static void
thread_find(void)
{
    thread_found = n_words;
    for (int k = 0; k < n_words; k++) {
        const char *at = words[k].row < 0
                             ? (const char *)words[k].at
                             : place_reference(words[k].row) + words[k].offset;
        if (((uintptr_t)at & 7) != 0) {
            thread_found = -1;
            return;
        }
        thread_at[k] = (const uint64_t *)at;
    }
}

const uint64_t *const *
mp_ambient_places(void)
{
    if (thread_found != n_words && thread_found >= 0) {
        thread_find();
    }
    return thread_found < 0 || words_off ? NULL : thread_at;
}

void
mp_ambient_words_take(const uint64_t *const *at, uint64_t *taken)
{
    for (int k = 0; k < n_words; k++) {
        taken[k] = *at[k];
    }
}

bool
mp_ambient_words_same(const uint64_t *const *at, const uint64_t *taken)
{
    uint64_t differs = 0;
    for (int k = 0; k < n_words; k++) {
        differs |= (*at[k] ^ taken[k]) & words[k].mask;
    }
    return differs == 0;
}

/* -- Planted holes, and what a test sees ------------------------------------------------- */

#ifdef MP_TESTING

int
mp_ambient_plant(const char *id)
{
    planted = -1;
    for (int i = 0; id != NULL && i < N_ROWS; i++) {
        planted =
            strcmp(mp_ambient_rows[i].id, id) == 0 ? i : planted;  // mp-ok: for tests
    }
    places_arrange();
    if (id != NULL && planted < 0) {
        PyErr_Format(PyExc_ValueError, "no row %s", id);
        return -1;
    }
    return 0;
}

bool
mp_ambient_use_words(bool on)
{
    bool was = !words_off;
    words_off = !on;
    return was;
}

PyObject *
mp_ambient_asked_ids(void)
{
    PyObject *ids = PyList_New(n_asked);
    for (int k = 0; ids != NULL && k < n_asked; k++) {
        PyObject *id = PyUnicode_FromString(mp_ambient_rows[asked[k]].id);
        if (id == NULL) {
            Py_CLEAR(ids);
            break;
        }
        PyList_SET_ITEM(ids, k, id);
    }
    return ids;
}

#endif
