/* code.c - decoded instructions and static stack depths of a code object.
 *
 * An entry is one raw heap block, made once per code object and kept in its code extra; it
 * is freed with the code object, perhaps after finalisation, so it owns no Python object.
 * Decoding reads the de-specialised code.  The depth of an instruction is a static
 * property: a walk over fall-throughs and jumps, with handlers at the depth that the
 * exception table gives them.  Code that contradicts itself has no depths at all (-1), and
 * the recorder refuses instructions without one.
 */
#include "compat/private.h"

#include <string.h>

int
mp_code_line(PyCodeObject *code, int index)
{
    assert(index >= 0);
    return PyCode_Addr2Line(code, 2 * index);  // a code unit has two bytes
}

#if MP_CAN_WATCH

#if PY_VERSION_HEX >= 0x030c0000
#define code_get_extra     PyUnstable_Code_GetExtra
#define code_set_extra     PyUnstable_Code_SetExtra
#define code_request_index PyUnstable_Eval_RequestCodeExtraIndex
#else
#define code_get_extra     _PyCode_GetExtra
#define code_set_extra     _PyCode_SetExtra
#define code_request_index _PyEval_RequestCodeExtraIndex
#endif

static Py_ssize_t code_extra_index = -1;  // one per process; CPython takes none back

/* One instruction with its prefixes. */
typedef struct {
    int raw;
    int oparg;
    int own;  // index of the instruction itself, behind its prefixes
    int next;
} code_unit;

static void
code_entry_free(void *entry)
{
    PyMem_RawFree(entry);
}

int
mp_code_init(void)
{
    if (code_extra_index < 0) {
        code_extra_index = code_request_index(code_entry_free);
    }
    if (code_extra_index < 0) {
        PyErr_SetString(PyExc_RuntimeError, "magpy: no code extra slot is free");
        return -1;
    }
    return 0;
}

static mp_code_entry *
code_entry_new(PyCodeObject *code, int count)
{
    size_t n = (size_t)count;
    size_t size = sizeof(mp_code_entry) + n * sizeof(mp_instr) + 2 * n;
    mp_code_entry *entry = PyMem_RawCalloc(1, size);

    if (entry == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    entry->info.code = code;
    entry->info.count = count;
    entry->info.at = (mp_instr *)(entry + 1);
    entry->info.is_handler = (uint8_t *)(entry->info.at + count);
    entry->tells = entry->info.is_handler + count;
    return entry;
}

/* units: (opcode, argument) pairs. */
static code_unit
code_fetch(const uint8_t *units, int count, int i)
{
    code_unit u = {.oparg = units[2 * i + 1], .own = i};

    while (mp_opcode_is_prefix(units[2 * u.own]) && u.own + 1 < count) {
        u.own++;
        u.oparg = (int)((unsigned)u.oparg << 8 | units[2 * u.own + 1]);
    }
    u.raw = units[2 * u.own];
    u.next = u.own + 1;
    while (u.next < count && mp_opcode_is_cache(units[2 * u.next])) {
        u.next++;
    }
    return u;
}

/* 3.13 loads a cell for a closure as it loads any local. */
static void
code_tell_cells(const mp_code_info *info, mp_instr *in)
{
    if (in->op == MP_OP_LOAD_FAST && PY_VERSION_HEX >= 0x030d0000
        && mp_local_kind(info->code, in->arg) & (CO_FAST_CELL | CO_FAST_FREE)) {
        in->op = MP_OP_LOAD_CLOSURE;
    }
}

static void
code_decode(mp_code_entry *entry, const uint8_t *units)
{
    mp_code_info *info = &entry->info;
    int first = info->code->_co_firsttraceable;

    for (int i = 0; i < info->count;) {
        code_unit u = code_fetch(units, info->count, i);
        mp_opcode_decode(u.raw, u.oparg, u.next, &info->at[i]);
        code_tell_cells(info, &info->at[i]);
        info->at[i].depth = -1;
        for (int k = i + 1; k < u.next; k++) {
            info->at[k] = info->at[i];
            info->at[k].op = k <= u.own ? info->at[i].op : -1;
        }
        entry->tells[i] = i >= first && info->at[i].op != MP_OP_RESUME;
        i = u.next;
    }
}

/* -- Stack depth ------------------------------------------------------------------- */

typedef struct {
    mp_code_info *info;  // borrowed from the entry
    const uint8_t *units;
    int *work;  // owned; instructions that have a depth and were not walked
    int n_work;
} depth_walk;

/* Reach instruction i with this depth.  False if that contradicts an earlier way. */
static bool
depth_reach(depth_walk *w, int i, int depth)
{
    assert(depth >= 0);
    if (i < 0 || i >= w->info->count || depth < 0 || depth > INT16_MAX) {
        return false;
    }
    mp_instr *in = &w->info->at[i];
    if (in->depth >= 0) {
        return in->depth == depth;
    }
    in->depth = (int16_t)depth;
    w->work[w->n_work++] = i;
    return true;
}

static bool
depth_step(depth_walk *w, int i)
{
    const mp_instr *in = &w->info->at[i];
    code_unit u = code_fetch(w->units, w->info->count, i);

    if (in->target >= 0) {
        int effect = mp_opcode_effect(u.raw, u.oparg, true);
        if (!depth_reach(w, in->target, in->depth + effect)) {
            return false;
        }
    }
    if (!mp_opcode_falls_through(in->op)) {
        return true;
    }
    int effect = mp_opcode_effect(u.raw, u.oparg, false);
    return depth_reach(w, in->next, in->depth + effect);
}

static int
table_number(const uint8_t **at, const uint8_t *end)
{
    int n = 0;

    while (*at < end) {
        uint8_t byte = *(*at)++;
        n = (n << 6) | (byte & 63);
        if (!(byte & 64)) {
            break;
        }
    }
    return n;
}

/* Rows of the exception table: start, length, target, depth * 2 + lasti. */
static bool
depth_handlers(depth_walk *w, PyObject *table)
{
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(table);
    const uint8_t *end = at + PyBytes_GET_SIZE(table);

    while (at < end) {
        (void)table_number(&at, end);
        (void)table_number(&at, end);
        int target = table_number(&at, end);
        int depth = table_number(&at, end);
        if (!depth_reach(w, target, (depth >> 1) + (depth & 1) + 1)) {
            return false;
        }
        w->info->is_handler[target] = 1;
    }
    return true;
}

int
mp_code_handler(PyCodeObject *code, int index, int *depth)
{
    assert(index >= 0);
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(code->co_exceptiontable);
    const uint8_t *end = at + PyBytes_GET_SIZE(code->co_exceptiontable);

    while (at < end) {
        int start = table_number(&at, end), length = table_number(&at, end);
        int target = table_number(&at, end), packed = table_number(&at, end);
        if (index >= start && index < start + length) {
            *depth = packed >> 1;
            return target;
        }
    }
    return -1;
}

static bool
depth_run(depth_walk *w)
{
    if (!depth_reach(w, 0, 0) || !depth_handlers(w, w->info->code->co_exceptiontable)) {
        return false;
    }
    while (w->n_work > 0) {
        if (!depth_step(w, w->work[--w->n_work])) {
            return false;
        }
    }
    return true;
}

/* Give prefixed instructions the depth of their first prefix, or all of them none. */
static void
depth_spread(const depth_walk *w, bool known)
{
    mp_code_info *info = w->info;

    for (int i = 0; i < info->count;) {
        code_unit u = code_fetch(w->units, info->count, i);
        if (!known) {
            info->at[i].depth = -1;
        }
        for (int k = i + 1; k <= u.own; k++) {
            info->at[k].depth = info->at[i].depth;
        }
        i = u.next;
    }
}

#if PY_VERSION_HEX >= 0x030c0000
/* An exhausted FOR_ITER leaps over the END_FOR that it names, and on 3.13 alone over the
 * POP_TOP behind it: no event comes there. */
static void
depth_skip_end_for(mp_code_info *info)
{
    for (int i = 0; i < info->count; i++) {
        mp_instr *in = &info->at[i];
        if (in->op == MP_OP_FOR_ITER && in->target >= 0 && in->target < info->count
            && info->at[in->target].op == MP_OP_END_FOR) {
            in->target = info->at[in->target].next;
#if PY_VERSION_HEX >= 0x030d0000 && PY_VERSION_HEX < 0x030e0000
            in->target = info->at[in->target].next;
#endif
        }
    }
}
#endif

static int
code_find_depths(mp_code_entry *entry, const uint8_t *units)
{
    depth_walk w = {.info = &entry->info, .units = units};

    w.work = PyMem_New(int, (size_t)entry->info.count + 1);
    if (w.work == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    depth_spread(&w, depth_run(&w));
#if PY_VERSION_HEX >= 0x030c0000
    depth_skip_end_for(&entry->info);
#endif
    PyMem_Free(w.work);
    return 0;
}

/* -- Cache ------------------------------------------------------------------------- */

/* Decode a code object and keep the result in its code extra: borrowed, NULL with an
 * exception. */
static mp_code_entry *
code_entry_make(PyCodeObject *code)
{
    PyObject *bytes = PyCode_GetCode(code);  // owned
    mp_code_entry *entry = NULL;             // owned until stored in code

    if (bytes == NULL) {
        return NULL;
    }
    const uint8_t *units = (const uint8_t *)PyBytes_AS_STRING(bytes);
    entry = code_entry_new(code, (int)(PyBytes_GET_SIZE(bytes) / 2));
    if (entry == NULL) {
        goto fail;
    }
    code_decode(entry, units);
    if (code_find_depths(entry, units) < 0) {
        goto fail;
    }
    if (code_set_extra((PyObject *)code, code_extra_index, entry) < 0) {
        goto fail;
    }
    Py_DECREF(bytes);
    return entry;

fail:
    PyMem_RawFree(entry);
    Py_DECREF(bytes);
    return NULL;
}

mp_code_entry *
mp_code_entry_get(PyCodeObject *code)
{
    void *found = NULL;

    if (code_extra_index < 0) {
        PyErr_SetString(PyExc_SystemError, "magpy: the engine is not initialised");
        return NULL;
    }
    if (code_get_extra((PyObject *)code, code_extra_index, &found) < 0) {
        return NULL;
    }
    return found != NULL ? found : code_entry_make(code);
}

const mp_code_info *
mp_code_info_get(PyCodeObject *code)
{
    mp_code_entry *entry = mp_code_entry_get(code);
    return entry != NULL ? &entry->info : NULL;
}

#else  // !MP_CAN_WATCH

const mp_code_info *
mp_code_info_get(PyCodeObject *code)
{
    PyErr_SetString(PyExc_NotImplementedError,
                    "magpy: the bytecode of this CPython version is not known");
    return NULL;
}

int
mp_code_handler(PyCodeObject *code, int index, int *depth)
{
    *depth = 0;
    return -1;
}

#endif
