/* guard/place.c - where numbers come from, and in which ones a call differs. */
#include "guard/place.h"

#include "compat/compat.h"
#include "objects/equal.h"

enum {
    PLACE_MARKS_MIN = 32,
    PLACE_MARKS_MAX = 1 << 16,  // more places than any program has
};

/* -- Places ------------------------------------------------------------------------ */

/* What tells this load from others of its kind and parent. */
static uint64_t
place_step(const mp_guards *g, const mp_guard *op)
{
    switch ((mp_guard_kind)op->kind) {
    case MP_G_LOAD_ARG:
        return mp_hash_mix(g->root, (uint64_t)op->n);
    case MP_G_LOAD_KEY:
        return op->hash != -1 ? (uint64_t)op->hash : (uint64_t)(uintptr_t)op->obj;
    case MP_G_LOAD_CONST:
    case MP_G_LOAD_SLOT:
    case MP_G_LOAD_CONTEXT:
        return (uint64_t)(uintptr_t)op->obj;
    case MP_G_LOAD_DICT:
        return 0;  // made or not: the same dict
    default:
        return (uint64_t)op->n;
    }
}

mp_number_place
mp_place_of(const mp_guards *g, int32_t reg, mp_part part, int64_t n)
{
    uint64_t h = mp_hash_mix(mp_hash_mix(1, (uint64_t)part), (uint64_t)n);
    while (reg >= 0) {
        assert(reg < g->n_regs);
        const mp_guard *op = &g->ops[g->def[reg]];
        h = mp_hash_mix(mp_hash_mix(h, op->kind), place_step(g, op));
        reg = op->a;
    }
    return h;
}

bool
mp_place_is_argument(const mp_guards *g, int32_t reg)
{
    while (reg >= 0) {
        const mp_guard *op = &g->ops[g->def[reg]];
        switch ((mp_guard_kind)op->kind) {
        case MP_G_LOAD_ARG:
            return true;
        case MP_G_LOAD_ITEM:
        case MP_G_LOAD_KEY:
        case MP_G_LOAD_DEQUE:
            reg = op->a;
            break;
        default:
            return false;
        }
    }
    return false;
}

PyObject *
mp_place_text(const mp_guards *g, int32_t reg, mp_part part, int64_t n)
{
    PyObject *source = mp_guards_source(g, reg);
    PyObject *text = NULL;
    if (source == NULL) {
        return NULL;
    }
    switch (part) {
    case MP_PART_VALUE:
        return source;
    case MP_PART_SIZE:
        text = PyUnicode_FromFormat("%U.shape[%lld]", source, (long long)n);
        break;
    case MP_PART_STRIDE:
        text = PyUnicode_FromFormat("%U.stride(%lld)", source, (long long)n);
        break;
    case MP_PART_OFFSET:
        text = PyUnicode_FromFormat("%U.storage_offset()", source);
        break;
    case MP_PART_LENGTH:
        text = PyUnicode_FromFormat("len(%U)", source);
        break;
    }
    Py_DECREF(source);
    return text;
}

/* -- Marks ------------------------------------------------------------------------- */

struct mp_marked {
    mp_number_place place;
    uint8_t mark;       // MP_MARK_NONE: free
    uint32_t since[3];  // by mark: age of the marks when it was set, 0: never
};

static struct mp_marked *
marks_slot(struct mp_marked *at, uint32_t size, mp_number_place place)
{
    assert(size > 0 && (size & (size - 1)) == 0);
    uint32_t i = (uint32_t)(place >> 7) & (size - 1);
    while (at[i].mark != MP_MARK_NONE && at[i].place != place) {
        i = (i + 1) & (size - 1);
    }
    return &at[i];
}

mp_mark
mp_marks_get(const mp_marks *marks, mp_number_place place, uint32_t age)
{
    if (marks->n == 0) {
        return MP_MARK_NONE;
    }
    const struct mp_marked *slot = marks_slot(marks->at, marks->size, place);
    for (int mark = slot->mark; mark != MP_MARK_NONE; mark--) {
        if (slot->since[mark] != 0 && slot->since[mark] <= age) {
            return (mp_mark)mark;
        }
    }
    return MP_MARK_NONE;
}

static int
marks_grow(mp_marks *marks)
{
    uint32_t size = marks->size == 0 ? PLACE_MARKS_MIN : 2 * marks->size;
    struct mp_marked *at = PyMem_Calloc(size, sizeof(*at));
    if (at == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < marks->size; i++) {
        if (marks->at[i].mark != MP_MARK_NONE) {
            *marks_slot(at, size, marks->at[i].place) = marks->at[i];
        }
    }
    PyMem_Free(marks->at);
    marks->at = at;
    marks->size = size;
    return 0;
}

int
mp_marks_set(mp_marks *marks, mp_number_place place, mp_mark mark)
{
    assert(mark != MP_MARK_NONE);
    if (2 * (marks->n + 1) > marks->size) {
        if (marks->n >= PLACE_MARKS_MAX) {
            return 0;
        }
        if (marks_grow(marks) < 0) {
            return -1;
        }
    }
    struct mp_marked *slot = marks_slot(marks->at, marks->size, place);
    if (slot->mark == (uint8_t)mark || slot->mark == MP_MARK_STATIC) {
        return 0;
    }
    if (slot->mark == MP_MARK_NONE) {
        *slot = (struct mp_marked){.place = place};
        marks->n++;
    }
    slot->mark = (uint8_t)mark;
    slot->since[mark] = ++marks->age;
    return 1;
}

static int
marks_set_tensor(mp_marks *marks, const mp_guards *g, const mp_guard *op)
{
    int added = 0, rc = 0;
    for (int32_t d = 0; rc >= 0 && d < op->meta->ndim; d++) {
        if (mp_tensor_meta_is_open(op->meta, d)) {
            rc = mp_marks_set(marks, mp_place_of(g, op->a, MP_PART_SIZE, d),
                              MP_MARK_STATIC);
            added |= rc;
        }
        if (rc >= 0 && mp_tensor_meta_link(op->meta, d) == MP_STRIDE_FREE) {
            rc = mp_marks_set(marks, mp_place_of(g, op->a, MP_PART_STRIDE, d),
                              MP_MARK_STATIC);
            added |= rc;
        }
    }
    return rc < 0 ? -1 : added;
}

static const int8_t place_parts[MP_N_COUNT] = {
    [MP_N_VALUE] = MP_PART_VALUE + 1,   [MP_N_SIZE] = MP_PART_SIZE + 1,
    [MP_N_STRIDE] = MP_PART_STRIDE + 1, [MP_N_OFFSET] = MP_PART_OFFSET + 1,
    [MP_N_LENGTH] = MP_PART_LENGTH + 1,
};

/* The place of a number that is a source. */
static mp_number_place
place_of_number(const mp_guards *g, const mp_number *number)
{
    int part = place_parts[number->op] - 1;
    bool has_n = part == MP_PART_SIZE || part == MP_PART_STRIDE;
    return mp_place_of(g, number->a, (mp_part)part, has_n ? number->n : 0);
}

int
mp_marks_set_static(mp_marks *marks, const mp_guards *g)
{
    int added = 0, rc = 0;
    for (int32_t i = 0; rc >= 0 && i < g->n_ops; i++) {
        if (g->ops[i].kind == MP_G_TENSOR && g->ops[i].meta->opened) {
            rc = marks_set_tensor(marks, g, &g->ops[i]);
            added |= rc;
        }
    }
    for (int32_t k = 0; rc >= 0 && k < g->numbers.n; k++) {
        if (place_parts[g->numbers.ops[k].op] != 0) {
            rc = mp_marks_set(marks, place_of_number(g, &g->numbers.ops[k]),
                              MP_MARK_STATIC);
            added |= rc;
        }
    }
    return rc < 0 ? -1 : added;
}

void
mp_marks_clear(mp_marks *marks)
{
    PyMem_Free(marks->at);
    // Ages go on counting, because entries refer to them.
    *marks = (mp_marks){.mode = marks->mode, .age = marks->age};
}

/* -- Differences ------------------------------------------------------------------- */

void
mp_difference_clear(mp_difference *what)
{
    Py_CLEAR(what->was);
    Py_CLEAR(what->is);
}

void
mp_differences_clear(mp_differences *d)
{
    for (int32_t i = 0; i < d->n; i++) {
        mp_difference_clear(&d->at[i]);
    }
    PyMem_Free(d->at);
    *d = (mp_differences){.at = NULL};
}

/* False without memory: then nothing is learned. */
static bool
differ_add(mp_differences *d, mp_difference what)
{
    if (mp_grow(&d->at, &d->cap, d->n + 1, sizeof(*d->at)) < 0) {
        mp_err_drop();
        mp_difference_clear(&what);
        return false;
    }
    d->at[d->n++] = what;
    return true;
}

/* The sizes that differ, and the strides that do not follow from them.  A size that is 0 or 1
 * now teaches nothing: it broadcasts, and stays a number of its own. */
static bool
differ_dims(const mp_guard *op, const int64_t *now, mp_differences *d)
{
    const int64_t *then = op->meta->dims;
    int32_t ndim = op->meta->ndim;
    uint64_t changed = 0, strides;
    bool fits = true;
    for (int32_t i = 0; fits && i < ndim; i++) {
        if (now[i] == then[i]) {
            continue;
        }
        changed |= i < MP_TENSOR_LINKS ? (uint64_t)1 << i : 0;
        if (now[i] < 2) {
            d->others++;
        }
        else if (!mp_tensor_meta_is_open(op->meta, i)) {
            fits = differ_add(d, (mp_difference){op->a, MP_PART_SIZE, i, then[i],
                                                 now[i], NULL, NULL});
        }
    }
    strides = mp_tensor_strides_unfit(op->meta, changed, now, now + ndim);
    for (int32_t i = 0; fits && i < ndim && i < MP_TENSOR_LINKS; i++) {
        if (strides >> i & 1) {
            fits =
                differ_add(d, (mp_difference){op->a, MP_PART_STRIDE, i, then[ndim + i],
                                              now[ndim + i], NULL, NULL});
        }
    }
    return fits;
}

static bool
differ_tensor(const mp_guard *op, PyObject *o, mp_differences *d)
{
    int64_t *now = PyMem_New(int64_t, 2 * (size_t)op->meta->ndim + 1);
    bool fits = now != NULL && mp_tensor_meta_same_but_dims(o, op->meta, now)
                && differ_dims(op, now, d);
    PyMem_Free(now);
    return fits;
}

/* mp_guard_excuse: a number is to blame. */
static bool
differ_at(void *ctx, const mp_guards *g, int32_t at, PyObject *const *regs)
{
    mp_differences *d = ctx;
    const mp_guard *op = &g->ops[at];
    PyObject *o = op->a < 0 ? NULL : regs[op->a];
    Py_ssize_t length;
    switch ((mp_guard_kind)op->kind) {
    case MP_G_EQUALS:
        return Py_TYPE(o) == Py_TYPE(op->obj)
               && (PyLong_CheckExact(o) || PyFloat_CheckExact(o))
               && differ_add(d, (mp_difference){.reg = op->a,
                                                .part = MP_PART_VALUE,
                                                .was = Py_NewRef(op->obj),
                                                .is = Py_NewRef(o)});
    case MP_G_LEN:
        length = mp_guard_len(o);
        return length >= 0
               && differ_add(d, (mp_difference){op->a, MP_PART_LENGTH, 0, op->n, length,
                                                NULL, NULL});
    case MP_G_TENSOR:
        return differ_tensor(op, o, d);
    case MP_G_HOLDS:
        d->others++;
        return g->n_valued > op->n;  // else its sources are no such numbers
    default:
        return false;
    }
}

bool
mp_guards_differ(mp_guards *g, PyObject *const *args, PyObject **regs,
                 mp_differences *d)
{
    assert(d->n == 0);
    return mp_guards_walk_on(g, args, regs, differ_at, d) && d->n + d->others > 0;
}
