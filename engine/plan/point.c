/* plan/point.c - rows of frames and values; see plan/point.h.
 *
 * A point that a break leaves is made of three things: the exit of the segment (which frames,
 * and what each value is), the values that the replay has answered, and the row of the entry,
 * which has what the segment did not touch (mp_point_after).
 *
 * What must hold:
 * (1) A point owns its values, or only looks at them (`owns`) and is gone before their owner.
 * (2) Whatever a key tells apart, a row has the same shape for it: guards of a segment load
 *     values by their places in the row. */
#include "plan/point.h"

#include <string.h>

int
mp_point_init(mp_point *p, int32_t n_frames, int32_t n_values)
{
    assert(n_frames > 0 && n_values > 0);
    memset(p, 0, sizeof(*p));
    p->frames = PyMem_Calloc((size_t)n_frames, sizeof(*p->frames));
    p->values = PyMem_Calloc((size_t)n_values, sizeof(*p->values));
    if (p->frames == NULL || p->values == NULL) {
        mp_point_clear(p);
        PyErr_NoMemory();
        return -1;
    }
    p->n_frames = n_frames;
    p->n_values = n_values;
    return 0;
}

void
mp_point_own(mp_point *p)
{
    assert(!p->owns);
    for (int32_t i = 0; i < p->n_values; i++) {
        Py_XINCREF(p->values[i]);
    }
    p->owns = true;
}

void
mp_point_clear(mp_point *p)
{
    mp_point old = *p;
    memset(p, 0, sizeof(*p));
    for (int32_t i = 0; old.owns && i < old.n_values; i++) {
        Py_XDECREF(old.values[i]);
    }
    PyMem_Free(old.values);
    PyMem_Free(old.frames);
}

PyObject *
mp_point_key(const mp_point *p)
{
    assert(p->n_frames > 0);
    typedef struct {
        PyCodeObject *code;
        int32_t index, n_slots, how, unused;
    } part;
    Py_ssize_t parts = p->n_frames * (Py_ssize_t)sizeof(part);
    PyObject *key = PyBytes_FromStringAndSize(NULL, parts + p->n_values);
    if (key == NULL) {
        return NULL;
    }
    char *out = PyBytes_AS_STRING(key);
    for (int32_t i = 0; i < p->n_frames; i++) {
        const mp_point_frame *f = &p->frames[i];
        part one = {f->code, f->index, f->n_slots, f->how, 0};
        memcpy(out + i * sizeof(one), &one, sizeof(one));
    }
    for (int32_t i = 0; i < p->n_values; i++) {
        out[parts + i] = p->values[i] != NULL;
    }
    return key;
}

uint64_t
mp_point_hash(const mp_point *p)
{
    uint64_t h = (uint64_t)p->n_frames;
    for (int32_t i = 0; i < p->n_frames; i++) {
        h = mp_hash_mix(h, (uint64_t)(uintptr_t)p->frames[i].code);
        h = mp_hash_mix(h, (uint64_t)p->frames[i].index);
    }
    return h;
}

static PyObject *
frame_codes(const mp_point_frame *frames, int32_t n)
{
    PyObject *codes = PyTuple_New(n);
    for (int32_t i = 0; codes != NULL && i < n; i++) {
        PyTuple_SET_ITEM(codes, i, Py_NewRef((PyObject *)frames[i].code));
    }
    return codes;
}

PyObject *
mp_point_codes(const mp_point *p)
{
    return frame_codes(p->frames, p->n_frames);
}

int
mp_point_after(mp_point *p, const mp_exit *exit, PyObject *values,
               const mp_point *entry)
{
    if (mp_point_init(p, exit->n_frames, exit->n_values) < 0) {
        return -1;
    }
    memcpy(p->frames, exit->frames, (size_t)exit->n_frames * sizeof(*p->frames));
    p->owns = true;
    for (int32_t i = 0; i < exit->n_values; i++) {
        int32_t from = exit->from[i];
        assert(from < PyTuple_GET_SIZE(values));
        if (from >= 0) {
            p->values[i] = Py_NewRef(PyTuple_GET_ITEM(values, from));
        }
        else if (from <= MP_EXIT_ENTRY) {
            assert(MP_EXIT_ENTRY - from < entry->n_values);
            p->values[i] = Py_NewRef(entry->values[MP_EXIT_ENTRY - from]);
        }
    }
    return 0;
}

PyObject *
mp_point_run(mp_point *p, const mp_watch_ops *ops, void *ctx)
{
    assert(p->owns && p->n_frames > 0);
    mp_resume_frame *frames = PyMem_Calloc((size_t)p->n_frames, sizeof(*frames));
    if (frames == NULL) {
        return PyErr_NoMemory();
    }
    for (int32_t i = 0; i < p->n_frames; i++) {
        const mp_point_frame *f = &p->frames[i];
        PyObject **values = p->values + f->first;
        assert(f->first + MP_POINT_SLOTS + f->n_slots <= p->n_values);
        frames[i] = (mp_resume_frame){
            .func = (PyFunctionObject *)values[MP_POINT_FUNC],
            .index = f->index,
            .n_slots = f->n_slots,
            .slots = values + MP_POINT_SLOTS,
            .how = f->how,
            .made = &values[MP_POINT_MADE],
        };
    }
    PyObject *result = ops == NULL ? mp_resume_run(frames, p->n_frames)
                                   : mp_watch_resume(ops, ctx, frames, p->n_frames);
    PyMem_Free(frames);
    return result;
}

void
mp_exit_free(mp_exit *exit)
{
    if (exit != NULL) {
        Py_XDECREF(exit->codes);
        PyMem_Free(exit->frames);
        PyMem_Free(exit->from);
        PyMem_Free(exit);
    }
}
