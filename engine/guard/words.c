/* guard/words.c - proofs are made and compared.
 *
 * Invariants
 *   (1) When a word is compared, all words, steps and arguments before it were as in the proof.
 *       So the object that it lies in is alive, and has the layout that it had: the chain from
 *       a root to it was compared, parents before children.
 *   (2) Roots are what the program owns, or knows to be alive (`dead`), and the arguments.
 *   (3) A register is FIXED if equality so far implies that it holds the very object it held;
 *       NEAR if it holds an object at the same address, which may be another one: then all that
 *       is asked of it is proved from its memory, the type first; LOOSE if neither.
 *   (4) What a step reads is a register that this check has loaded or proved, so a step that
 *       fails tells that the guard fails.  A word that differs tells nothing: the whole program
 *       is checked, and makes the next proof.
 *   (5) `regs` of registers that are not LOOSE are written by renewals only.
 * Ownership: a proof owns no object and is dereferenced in the order of (1) alone. */
#include "guard/words.h"

#include <string.h>

#include "compat/compat.h"
#include "guard/field.h"
#include "guard/plant.h"
#include "guard/run.h"

enum {
    WORDS_AFTER = 2,  // checks that succeed before a proof is made
    WORDS_STRIKES =
        3,  // renewals that find a word changed before its guard is run instead
    WORDS_SMALL = 64,    // operations of a program that may have steps alone
    WORDS_SHARE = 3,     // of others at least 1 - 1/n must be proved
    WORDS_TABLE = 1024,  // places
};

/* The column `words` of guards.def. */
typedef enum {
    BY_STEP,      // nothing proves it: it is run
    BY_NOTHING,   // it holds always
    BY_ADDRESS,   // it follows from which objects the registers hold
    BY_VALUE,     // the same, if they are the very objects
    BY_DICT,      // the version of a dict
    BY_TYPE,      // the type of the object
    BY_SIZE,      // its number of items
    BY_SET,       // the table of a set
    BY_PLACE,     // the pointer in its place
    BY_ITEM,      // size and items
    BY_VERSION,   // the version of a type
    BY_FUNCTION,  // the version of a function, or its parts
    BY_MODULES,   // the version of sys.modules
    BY_TENSOR,    // metadata
    BY_LAST,      // run after all others
} words_by;

static const uint8_t words_rows[] = {
#define GUARD(id, operands, object, words, format) BY_##words,
#include "guard/guards.def"
#undef GUARD
};

typedef struct {
    const uint64_t *at;
    uint64_t want;
} word;

typedef struct {
    int32_t upto;  // words before it
    int32_t op;
    bool stable;  // a load that must give what it gave
} step;

struct mp_words {
    word *words;
    int32_t n_words, cap_words;
    mp_tensor_seen *tensors;
    int32_t n_tensors, cap_tensors;
    step *steps;
    int32_t n_steps, cap_steps;
    int32_t n_early;    // steps before the tensors
    PyObject **regs;    // borrowed
    uint64_t *digests;  // of what proves op i, dict n_ops + d; 0: nothing
    uint8_t *strikes;   // the same
    int32_t n_ops;      // of the program when it was made
    int32_t made;
    uint8_t checks;  // that succeeded before
    bool ready, off;
};

void
mp_words_free(struct mp_words *w)
{
    if (w == NULL) {
        return;
    }
    PyMem_Free(w->words);
    PyMem_Free(w->tensors);
    PyMem_Free(w->steps);
    PyMem_Free(w->regs);
    PyMem_Free(w->digests);
    PyMem_Free(w->strikes);
    PyMem_Free(w);
}

mp_words_count
mp_guards_count_words(const mp_guards *g)
{
    const struct mp_words *w = g->words;
    return w == NULL || !w->ready
               ? (mp_words_count){0, 0, 0, w == NULL ? 0 : w->made}
               : (mp_words_count){w->n_words, w->n_tensors, w->n_steps, w->made};
}

/* -- Planted holes ------------------------------------------------------------------ */

#ifdef MP_TESTING

static int words_planted = -1;  // kind
#ifdef NDEBUG
static bool words_checked = false;
#else
static bool words_checked = true;
#endif
static int64_t words_wrong;

int
mp_words_plant(const char *id)
{
    int rc = mp_plant_find(id, mp_guard_id, MP_G_COUNT, &words_planted);
    words_checked = words_checked || words_planted >= 0;  // what a hole does is counted
    return rc;
}

bool
mp_words_check(bool on)
{
    bool was = words_checked;
    words_checked = on;
    return was;
}

int64_t
mp_words_wrong(void)
{
    return words_wrong;
}

static bool
words_leave_out(const mp_guard *op)
{
    return (int)op->kind == words_planted;
}

/* A proof that holds, and the check that it stands for.  room: other registers. */
static void
words_compare(mp_guards *g, PyObject *const *args, PyObject **room)
{
    if (!words_checked) {
        return;
    }
    bool same = mp_guards_check(g, args, room);
    for (int32_t r = 0; r < g->n_regs && same; r++) {
        same = room[r] == g->words->regs[r];
    }
    words_wrong += !same;
    assert(same || words_planted >= 0);
}

#else

static inline bool
words_leave_out(const mp_guard *op)
{
    return false;
}

static inline void
words_compare(mp_guards *g, PyObject *const *args, PyObject **room)
{
}

#endif

/* -- A proof is made ---------------------------------------------------------------- */

/* See (3). */
typedef enum { LOOSE, NEAR, FIXED } word_state;

typedef struct {
    word_state state;
    bool typed;      // its type was compared, or can be no other
    bool is_dict;    // it is one whatever its address holds
    bool versioned;  // the version of this dict was compared
    bool read;       // an object is loaded through it
    int32_t dict;    // record of the program, or -1
} word_reg;

typedef struct {
    mp_guards *g;
    struct mp_words *w;
    PyObject *const *regs;  // of the check that has succeeded
    word_reg *state;
    uint64_t *digests;  // the new ones
    int32_t *table;     // of words by address: index + 1, open addressing
    uint32_t mask;
    bool *done;       // ops
    uint64_t digest;  // of what is being proved
    const mp_guard *op;
    bool failed;  // no memory
} prover;

static inline uint64_t
words_mix(uint64_t h, uint64_t more)
{
    return (h ^ more) * 0x9e3779b97f4a7c15ULL + (h >> 29) + 1;
}

/* The place in the table of the word at this address, or where it belongs. */
static uint32_t
prover_slot(const prover *p, const uint64_t *at)
{
    uint32_t i = (uint32_t)(words_mix(7, (uint64_t)(uintptr_t)at) >> 32) & p->mask;
    while (p->table[i] != 0 && p->w->words[p->table[i] - 1].at != at) {
        i = (i + 1) & p->mask;
    }
    return i;
}

/* Room for one more word, and a table that is at most half full. */
static bool
prover_grow(prover *p)
{
    struct mp_words *w = p->w;
    if (mp_grow(&w->words, &w->cap_words, w->n_words + 1, sizeof(*w->words)) < 0) {
        mp_err_drop();
        return false;
    }
    if ((uint32_t)w->n_words < p->mask / 2) {
        return true;
    }
    uint32_t size = p->mask == 0 ? WORDS_TABLE : (p->mask + 1) * 4;
    PyMem_Free(p->table);
    p->table = PyMem_Calloc(size, sizeof(*p->table));
    p->mask = p->table == NULL ? 0 : size - 1;
    for (int32_t i = 0; i < w->n_words && p->table != NULL; i++) {
        p->table[prover_slot(p, w->words[i].at)] = i + 1;
    }
    return p->table != NULL;
}

/* This word is as it is now. */
static void
prove_word(prover *p, const void *address)
{
    const uint64_t *at = address;
    struct mp_words *w = p->w;
    assert(at != NULL && ((uintptr_t)at & 7) == 0);
    p->digest = words_mix(words_mix(p->digest, (uint64_t)(uintptr_t)at), *at);
    p->failed = p->failed || !prover_grow(p);
    if (p->failed || words_leave_out(p->op)) {
        return;
    }
    uint32_t slot = prover_slot(p, at);
    if (p->table[slot] == 0) {
        w->words[w->n_words++] = (word){at, *at};
        p->table[slot] = w->n_words;
    }
}

static void
prove_by_step(prover *p, int32_t i, bool stable)
{
    struct mp_words *w = p->w;
    if (mp_grow(&w->steps, &w->cap_steps, w->n_steps + 1, sizeof(*w->steps)) < 0) {
        mp_err_drop();
        p->failed = true;
        return;
    }
    w->steps[w->n_steps++] = (step){.upto = w->n_words, .op = i, .stable = stable};
}

/* Can an object of this type be given another one?  (As in guard/order.c.) */
static bool
type_is_final(const PyTypeObject *type)
{
    return !PyType_HasFeature((PyTypeObject *)type, Py_TPFLAGS_HEAPTYPE)
           && !PyType_IsSubtype((PyTypeObject *)type, &PyModule_Type);
}

/* What is at its address has the layout of this object's type.  A heap type must be one that the
 * program owns: the type test of the register says so. */
static bool
prove_type(prover *p, int32_t reg)
{
    word_reg *r = &p->state[reg];
    const PyTypeObject *type = Py_TYPE(p->regs[reg]);
    if (r->typed || (r->state == FIXED && type_is_final(type))) {
        return r->typed = true;
    }
    if (r->state == LOOSE
        || PyType_HasFeature((PyTypeObject *)type, Py_TPFLAGS_HEAPTYPE)) {
        return false;
    }
    prove_word(p, &p->regs[reg]->ob_type);
    return r->typed = true;
}

/* Its keys and values are what they were; it is the very dict then. */
static bool
prove_dict(prover *p, int32_t reg)
{
    word_reg *r = &p->state[reg];
    PyObject *dict = p->regs[reg];
    if (r->versioned) {
        return true;
    }
    int32_t at = r->dict < 0 ? -1 : p->g->n_ops + r->dict;
    const uint64_t *place = PyDict_Check(dict) ? mp_dict_word(dict) : NULL;
    if (place == NULL || r->state == LOOSE
        || (at >= 0 && p->w->strikes[at] >= WORDS_STRIKES)
        || !(r->is_dict || prove_type(p, reg))) {
        return false;
    }
    uint64_t digest = p->digest;
    prove_word(p, place);
    if (at >= 0) {  // the dict is struck, not the operation
        p->digests[at] = words_mix(words_mix(3, (uint64_t)(uintptr_t)dict), *place);
        p->digest = digest;
    }
    r->state = FIXED;
    return r->versioned = true;
}

static bool
prove_keys(prover *p, const mp_guard *op)
{
    PyObject *dict = p->regs[op->a];
    if (!PyDict_Check(dict) || (op->kind == MP_G_KEYS && !PyDict_CheckExact(dict))
        || !prove_dict(p, op->a)) {
        return false;
    }
    if (op->dst >= 0) {
        p->state[op->dst].state = FIXED;
    }
    return true;
}

static bool
prove_type_is(prover *p, const mp_guard *op)
{
    word_reg *r = &p->state[op->a];
    if (!r->typed && !(r->state == FIXED && type_is_final(Py_TYPE(p->regs[op->a])))) {
        prove_word(p, &p->regs[op->a]->ob_type);
    }
    return r->typed = true;
}

static bool
prove_is(prover *p, const mp_guard *op)
{
    word_reg *r = &p->state[op->a];
    if (p->regs[op->a] == op->obj) {
        r->state = FIXED;  // the program owns it
    }
    return r->state == FIXED;
}

static bool
prove_size(prover *p, const mp_guard *op)
{
    word_reg *r = &p->state[op->a];
    PyObject *o = p->regs[op->a];
    if (r->versioned || (r->state == FIXED && PyTuple_CheckExact(o))) {
        return true;
    }
    if (PyDict_Check(o) && (r->is_dict || prove_type(p, op->a))) {
        prove_word(p, &((PyDictObject *)o)->ma_used);
        return true;
    }
    if ((PyList_Check(o) || PyTuple_Check(o)) && prove_type(p, op->a)) {
        prove_word(p, &((PyVarObject *)o)->ob_size);
        return true;
    }
    if (PyAnySet_Check(o) && prove_type(p, op->a)) {
        prove_word(p, &((PySetObject *)o)->used);
        return true;
    }
    return false;
}

/* Members that are asked for must be objects that the program owns: another one at the address
 * of a member could have another value. */
static bool
set_is_owned(PyObject *set, PyObject *members)
{
    mp_set_entry entry;
    Py_ssize_t n = 0;
    for (Py_ssize_t at = 0; mp_set_next_entry(set, &at, &entry);) {
        if (entry.is_member
            && (n >= PyTuple_GET_SIZE(members)
                || *entry.key != PyTuple_GET_ITEM(members, n++))) {
            return false;
        }
    }
    return true;
}

/* Its members are in their places, and so is what is left of others; of a table the hashes are
 * asked for. */
static bool
prove_set(prover *p, const mp_guard *op)
{
    PyObject *set = p->regs[op->a];
    const uint64_t *words[MP_SET_WORDS];
    mp_set_entry entry;
    if (!PyAnySet_Check(set) || !prove_type(p, op->a)
        || (op->kind == MP_G_SET_EQUALS && !set_is_owned(set, op->obj))) {
        return false;
    }
    mp_set_words(set, words);
    for (int i = 0; i < MP_SET_WORDS; i++) {
        prove_word(p, words[i]);
    }
    for (Py_ssize_t at = 0; mp_set_next_entry(set, &at, &entry);) {
        prove_word(p, entry.key);
        if (op->kind == MP_G_SET_LAYOUT) {
            prove_word(p, entry.hash);
        }
    }
    return true;
}

static bool
prove_item(prover *p, const mp_guard *op)
{
    PyObject *o = p->regs[op->a];
    word_reg *r = &p->state[op->a];
    if (r->state == FIXED && PyTuple_CheckExact(o)) {
        p->state[op->dst].state = FIXED;
        return true;
    }
    bool is_list = PyList_Check(o);
    if ((!is_list && !PyTuple_Check(o)) || !prove_type(p, op->a)) {
        return false;
    }
    Py_ssize_t at = (Py_ssize_t)(op->n < 0 ? op->n + Py_SIZE(o) : op->n);
    prove_word(p, &((PyVarObject *)o)->ob_size);
    if (is_list) {
        prove_word(p, &((PyListObject *)o)->ob_item);
    }
    prove_word(p, is_list ? &((PyListObject *)o)->ob_item[at]
                          : &((PyTupleObject *)o)->ob_item[at]);
    p->state[op->dst].state = NEAR;
    return true;
}

/* The place of a __dict__, and the dict there. */
static bool
prove_own_dict(prover *p, const mp_guard *op)
{
    PyObject *o = p->regs[op->a];
    if (PyType_Check(o)) {  // a class has one for good
        p->state[op->dst].state = p->state[op->a].state;
        p->state[op->dst].is_dict = true;
        return p->state[op->a].state == FIXED;
    }
    PyObject *const *place = prove_type(p, op->a) ? mp_instance_dict_place(o) : NULL;
    if (place == NULL || *place != p->regs[op->dst]) {
        return false;
    }
    prove_word(p, place);
    p->state[op->dst].state = NEAR;
    p->state[op->dst].is_dict = true;
    if (p->state[op->dst].dict >= 0) {
        (void)prove_dict(p, op->dst);
    }
    return true;
}

static bool
prove_no_dict(prover *p, const mp_guard *op)
{
    PyObject *o = p->regs[op->a];
    PyObject *const *place =
        !PyType_Check(o) && prove_type(p, op->a) ? mp_instance_dict_place(o) : NULL;
    if (place == NULL || (*place != NULL && mp_dict_word(*place) == NULL)) {
        return false;
    }
    prove_word(p, place);
    if (*place != NULL) {
        prove_word(p, mp_dict_word(*place));
    }
    return true;
}

/* Slots, cells, C members: the pointer there. */
static PyObject *const *
word_place(const mp_guard *op, PyObject *o)
{
    switch ((mp_guard_kind)op->kind) {
    case MP_G_LOAD_SLOT:
    case MP_G_SLOT_EMPTY:
        return mp_guard_slot_place(o, op->obj);
    case MP_G_LOAD_CELL:
    case MP_G_CELL_EMPTY:
        return PyCell_Check(o) ? &((PyCellObject *)o)->ob_ref : NULL;
    default:
        return mp_guard_field_place(o, op->n);
    }
}

static bool
prove_place(prover *p, const mp_guard *op)
{
    if (op->kind == MP_G_LOAD_DICT) {
        return prove_own_dict(p, op);
    }
    if (op->kind == MP_G_NO_DICT) {
        return prove_no_dict(p, op);
    }
    PyObject *o = p->regs[op->a];
    PyObject *const *place = prove_type(p, op->a) ? word_place(op, o) : NULL;
    if (place == NULL) {
        return false;
    }
    prove_word(p, place);
    if (op->dst >= 0) {
        p->state[op->dst].state = *place == NULL ? FIXED : NEAR;  // NULL: None
    }
    return true;
}

static bool
prove_version(prover *p, const mp_guard *op)
{
    const uint64_t *place = mp_type_word((PyTypeObject *)PyTuple_GET_ITEM(op->obj, 0));
    if (place != NULL) {
        prove_word(p, place);
    }
    return place != NULL;
}

static bool
prove_function(prover *p, const mp_guard *op)
{
    PyFunctionObject *f = (PyFunctionObject *)PyTuple_GET_ITEM(op->obj, 0);
    const uint64_t *place = mp_function_word((PyObject *)f);
    if (place != NULL) {
        prove_word(p, place);
        return true;
    }
    prove_word(p, &f->func_code);
    prove_word(p, &f->func_defaults);
    prove_word(p, &f->func_kwdefaults);
    prove_word(p, &f->func_closure);
    return true;
}

static bool
prove_modules(prover *p)
{
    PyObject *modules = PyImport_GetModuleDict();
    const uint64_t *place =
        modules == NULL || !PyDict_Check(modules) ? NULL : mp_dict_word(modules);
    if (place != NULL) {
        prove_word(p, place);
    }
    return place != NULL;
}

static bool
prove_tensor(prover *p, const mp_guard *op)
{
    struct mp_words *w = p->w;
    if (mp_grow(&w->tensors, &w->cap_tensors, w->n_tensors + 1, sizeof(*w->tensors))
        < 0) {
        mp_err_drop();
        p->failed = true;
        return false;
    }
    mp_tensor_seen *seen = &w->tensors[w->n_tensors];
    if (!mp_tensor_see(p->regs[op->a], op->meta, seen)) {
        return false;
    }
    p->digest = words_mix(p->digest, (uint64_t)(uintptr_t)seen->impl);
    for (int i = 0; i < MP_TENSOR_SEEN; i++) {
        p->digest = words_mix(p->digest, seen->dims[i]);
    }
    w->n_tensors += !words_leave_out(op);
    return true;
}

/* Do words prove this operation?  Its registers are not LOOSE. */
static bool
prove_op(prover *p, const mp_guard *op)
{
    switch ((words_by)words_rows[op->kind]) {
    case BY_NOTHING:
        p->state[op->dst].state = FIXED;
        return true;
    case BY_ADDRESS:
        return op->b >= 0 || prove_is(p, op);
    case BY_VALUE:
        return prove_is(p, op);
    case BY_DICT:
        return prove_keys(p, op);
    case BY_TYPE:
        return prove_type_is(p, op);
    case BY_SIZE:
        return prove_size(p, op);
    case BY_SET:
        return prove_set(p, op);
    case BY_PLACE:
        return prove_place(p, op);
    case BY_ITEM:
        return prove_item(p, op);
    case BY_VERSION:
        return prove_version(p, op);
    case BY_FUNCTION:
        return prove_function(p, op);
    case BY_MODULES:
        return prove_modules(p);
    case BY_TENSOR:
        return prove_tensor(p, op);
    default:
        return false;
    }
}

static bool
prover_is_loose(const prover *p, const mp_guard *op)
{
    return (op->a >= 0 && p->state[op->a].state == LOOSE)
           || (op->b >= 0 && p->state[op->b].state == LOOSE);
}

/* One operation: words, or a step. */
static void
prove(prover *p, int32_t i)
{
    const mp_guard *op = p->op = &p->g->ops[i];
    bool loose = prover_is_loose(p, op);
    bool struck = p->w->strikes[i] >= WORDS_STRIKES;
    p->done[i] = true;
    p->digest = 5;
    if (!loose && !struck && prove_op(p, op)) {
        p->digests[i] = p->digest;
        return;
    }
    bool stable = op->dst >= 0 && !loose && !struck;
    prove_by_step(p, i, stable);
    if (op->dst >= 0) {
        p->state[op->dst].state = stable ? NEAR : LOOSE;
        p->digests[i] =
            stable ? words_mix(9, (uint64_t)(uintptr_t)p->regs[op->dst]) : 0;
    }
}

/* -- The order ----------------------------------------------------------------------- */

/* Tests of an argument alone stand first: they tell calls of other shapes at once. */
static bool
prover_is_early(const prover *p, const mp_guard *op)
{
    return op->dst < 0 && op->a >= 0 && op->b < 0
           && p->g->ops[p->g->def[op->a]].kind == MP_G_LOAD_ARG
           && p->state[op->a].state == LOOSE && words_rows[op->kind] != BY_LAST;
}

static void
prove_arguments(prover *p)
{
    mp_guards *g = p->g;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const mp_guard *op = &g->ops[i];
        if (op->kind == MP_G_LOAD_ARG) {
            p->done[i] = true;
            bool stable = p->state[op->dst].read && p->w->strikes[i] < WORDS_STRIKES;
            p->state[op->dst].state = stable ? NEAR : LOOSE;
            p->digests[i] =
                stable ? words_mix(9, (uint64_t)(uintptr_t)p->regs[op->dst]) : 0;
            prove_by_step(p, i, stable);
        }
    }
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (prover_is_early(p, &g->ops[i])) {
            prove(p, i);
        }
    }
}

static void
prove_all(prover *p)
{
    mp_guards *g = p->g;
    prove_arguments(p);
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (!p->done[i] && words_rows[g->ops[i].kind] != BY_LAST) {
            prove(p, i);
        }
    }
    p->w->n_early = p->w->n_steps;
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (!p->done[i]) {
            prove(p, i);
        }
    }
}

/* What has changed since the last proof is struck, and at last run instead. */
static void
words_strike(struct mp_words *w, const uint64_t *now, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (w->made > 0 && w->digests[i] != 0 && now[i] != 0 && w->digests[i] != now[i]
            && w->strikes[i] < WORDS_STRIKES) {
            w->strikes[i]++;
        }
    }
}

static void
prover_learn(prover *p)
{
    const mp_guards *g = p->g;
    for (int32_t r = 0; r < g->n_regs; r++) {
        p->state[r].dict = -1;
    }
    for (int32_t d = 0; d < g->n_dicts; d++) {
        p->state[g->dicts[d].reg].dict = d;
    }
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (g->ops[i].dst >= 0 && g->ops[i].a >= 0) {
            p->state[g->ops[i].a].read = true;
        }
    }
}

/* Is the proof worth its while? */
static bool
words_pay(const mp_guards *g, const struct mp_words *w)
{
    return g->n_ops <= WORDS_SMALL || w->n_steps <= g->n_ops / WORDS_SHARE;
}

/* Room that depends on the program alone. */
static bool
words_room(struct mp_words *w, const mp_guards *g)
{
    size_t n = (size_t)g->n_ops + (size_t)g->n_dicts + 1;
    if (w->regs != NULL && w->n_ops == g->n_ops) {
        return true;
    }
    PyMem_Free(w->regs);
    PyMem_Free(w->digests);
    PyMem_Free(w->strikes);
    w->made = 0;
    w->n_ops = g->n_ops;
    w->regs = PyMem_Calloc((size_t)g->n_regs + 1, sizeof(*w->regs));
    w->digests = PyMem_Calloc(n, sizeof(*w->digests));
    w->strikes = PyMem_Calloc(n, sizeof(*w->strikes));
    return w->regs != NULL && w->digests != NULL && w->strikes != NULL;
}

static bool
prover_room(prover *p)
{
    const mp_guards *g = p->g;
    size_t n = (size_t)g->n_ops + (size_t)g->n_dicts + 1;
    p->state = PyMem_Calloc((size_t)g->n_regs + 1, sizeof(*p->state));
    p->digests = PyMem_Calloc(n, sizeof(*p->digests));
    p->done = PyMem_Calloc((size_t)g->n_ops + 1, sizeof(*p->done));
    return p->state != NULL && p->digests != NULL && p->done != NULL;
}

/* Make the proof from the registers of a check that has just succeeded. */
static void
words_renew(mp_guards *g, PyObject *const *regs)
{
    struct mp_words *w = g->words;
    prover p = {.g = g, .w = w, .regs = regs};
    w->ready = false;
    w->n_words = w->n_tensors = w->n_steps = 0;
    if (!words_room(w, g) || !prover_room(&p)) {
        w->off = true;
    }
    else {
        prover_learn(&p);
        prove_all(&p);
        words_strike(w, p.digests, g->n_ops + g->n_dicts);
        memcpy(w->digests, p.digests,
               ((size_t)g->n_ops + (size_t)g->n_dicts) * sizeof(*w->digests));
        memcpy(w->regs, regs, (size_t)g->n_regs * sizeof(*regs));
        w->made++;
        w->off = p.failed || !words_pay(g, w);
        w->ready = !w->off;
    }
    PyMem_Free(p.state);
    PyMem_Free(p.digests);
    PyMem_Free(p.done);
    PyMem_Free(p.table);
}

/* -- A proof is compared -------------------------------------------------------------- */

typedef enum { WORDS_HOLD, WORDS_FAIL, WORDS_STALE } words_answer;

MP_INLINE bool
words_same(const word *at, const word *end)
{
    for (; at < end; at++) {
        if (*at->at != at->want) {
            return false;
        }
    }
    return true;
}

static words_answer
words_step(mp_guards *g, const step *s, PyObject *const *args)
{
    mp_guard *op = &g->ops[s->op];
    PyObject **regs = g->words->regs;
    if (!s->stable) {
        g->failed = s->op;
        return mp_guard_run(g, op, args, regs) ? WORDS_HOLD : WORDS_FAIL;
    }
    PyObject *found =
        op->kind == MP_G_LOAD_ARG ? args[op->n] : mp_guard_load(op, args, regs);
    return found == regs[op->dst] ? WORDS_HOLD : WORDS_STALE;
}

static words_answer
words_hold(mp_guards *g, PyObject *const *args)
{
    const struct mp_words *w = g->words;
    words_answer answer = WORDS_HOLD;
    const word *at = w->words;
    int32_t s = 0;
    g->n_valued = 0;
    for (; s < w->n_early && answer == WORDS_HOLD; s++) {
        const word *end = w->words + w->steps[s].upto;
        answer = words_same(at, end) ? words_step(g, &w->steps[s], args) : WORDS_STALE;
        at = end;
    }
    if (answer == WORDS_HOLD && !words_same(at, w->words + w->n_words)) {
        return WORDS_STALE;
    }
    for (int32_t t = 0; t < w->n_tensors && answer == WORDS_HOLD; t++) {
        answer = mp_tensor_as_seen(&w->tensors[t]) ? WORDS_HOLD : WORDS_STALE;
    }
    for (; s < w->n_steps && answer == WORDS_HOLD; s++) {
        answer = words_step(g, &w->steps[s], args);
    }
    return answer;
}

PyObject *const *
mp_guards_prove(mp_guards *g, PyObject *const *args, PyObject **room)
{
    struct mp_words *w = g->words;
    if (w != NULL && w->ready && w->n_ops == g->n_ops && !g->dead) {
        int collecting = PyGC_Disable();  // as in mp_guards_check
        words_answer answer = words_hold(g, args);
        if (collecting) {
            PyGC_Enable();
        }
        if (answer == WORDS_HOLD) {
            g->failed = -1;
            words_compare(g, args, room);
            return w->regs;
        }
        if (answer == WORDS_FAIL) {
            return NULL;
        }
    }
    if (!mp_guards_check(g, args, room)) {
        return NULL;
    }
    if (w == NULL) {
        w = g->words = PyMem_Calloc(1, sizeof(*w));  // NULL: then without
    }
    if (w != NULL && !w->off && ++w->checks >= WORDS_AFTER) {
        w->checks = WORDS_AFTER;
        words_renew(g, room);
    }
    return room;
}
