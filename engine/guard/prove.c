/* guard/prove.c - which words prove an operation.
 *
 * What must hold stands at the top of guard/words.c. */
#include "guard/proof.h"

#include "compat/compat.h"
#include "guard/field.h"
#include "guard/run.h"

enum { WORDS_TABLE = 1024 };  // places of words by address

const uint8_t mp_words_rows[] = {
#define GUARD(id, operands, object, words, format) BY_##words,
#include "guard/guards.def"
#undef GUARD
};

/* The place in the table of the word at this address, or where it belongs. */
static uint32_t
prover_slot(const mp_prover *p, const uint64_t *at)
{
    uint32_t i = (uint32_t)(mp_words_mix(7, (uint64_t)(uintptr_t)at) >> 32) & p->mask;
    while (p->table[i] != 0 && p->w->words[p->table[i] - 1].at != at) {
        i = (i + 1) & p->mask;
    }
    return i;
}

/* Room for one more word, and a table that is at most half full. */
static bool
prover_grow(mp_prover *p)
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
prove_word(mp_prover *p, const void *address)
{
    const uint64_t *at = address;
    struct mp_words *w = p->w;
    assert(at != NULL && ((uintptr_t)at & 7) == 0);
    p->digest = mp_words_mix(mp_words_mix(p->digest, (uint64_t)(uintptr_t)at), *at);
    p->failed = p->failed || !prover_grow(p);
    if (p->failed || mp_words_leave_out(p->op)) {
        return;
    }
    uint32_t slot = prover_slot(p, at);
    if (p->table[slot] == 0) {
        w->words[w->n_words++] = (word){at, *at};
        p->table[slot] = w->n_words;
    }
}

/* The step that has loaded the register, with no word in between; NULL: there is none. */
static step *
step_of_load(const mp_prover *p, int32_t reg)
{
    const struct mp_words *w = p->w;
    for (int32_t s = w->n_steps - 1; s >= 0 && w->steps[s].upto == w->n_words; s--) {
        if (p->g->ops[w->steps[s].op].dst == reg && !w->steps[s].stable) {
            return &w->steps[s];
        }
    }
    return NULL;
}

void
mp_prove_by_step(mp_prover *p, int32_t i, bool stable)
{
    struct mp_words *w = p->w;
    const mp_guard *op = &p->g->ops[i];
    step *load = op->kind == MP_G_TENSOR ? step_of_load(p, op->a) : NULL;
    if (load != NULL && load->tensor < 0) {
        load->tensor = i;
        return;
    }
    if (mp_grow(&w->steps, &w->cap_steps, w->n_steps + 1, sizeof(*w->steps)) < 0) {
        mp_err_drop();
        p->failed = true;
        return;
    }
    w->steps[w->n_steps++] =
        (step){.upto = w->n_words, .op = i, .tensor = -1, .stable = stable};
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
prove_type(mp_prover *p, int32_t reg)
{
    mp_proof_reg *r = &p->state[reg];
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
prove_dict(mp_prover *p, int32_t reg)
{
    mp_proof_reg *r = &p->state[reg];
    PyObject *dict = p->regs[reg];
    if (r->versioned) {
        return true;
    }
    int32_t at = r->dict < 0 ? -1 : p->g->n_ops + r->dict;
    const uint64_t *place = PyDict_Check(dict) ? mp_dict_word(dict) : NULL;
    if (place == NULL || r->state == LOOSE
        || (at >= 0 && p->w->strikes[at] >= MP_WORDS_STRIKES)
        || !(r->is_dict || prove_type(p, reg))) {
        return false;
    }
    uint64_t digest = p->digest;
    prove_word(p, place);
    if (at >= 0) {  // the dict is struck, not the operation
        p->digests[at] =
            mp_words_mix(mp_words_mix(3, (uint64_t)(uintptr_t)dict), *place);
        p->digest = digest;
    }
    r->state = FIXED;
    return r->versioned = true;
}

static bool
prove_keys(mp_prover *p, const mp_guard *op)
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
prove_type_is(mp_prover *p, const mp_guard *op)
{
    mp_proof_reg *r = &p->state[op->a];
    if (!r->typed && !(r->state == FIXED && type_is_final(Py_TYPE(p->regs[op->a])))) {
        prove_word(p, &p->regs[op->a]->ob_type);
    }
    return r->typed = true;
}

static bool
prove_is(mp_prover *p, const mp_guard *op)
{
    mp_proof_reg *r = &p->state[op->a];
    if (p->regs[op->a] == op->obj) {
        r->state = FIXED;  // the program owns it
    }
    return r->state == FIXED;
}

static bool
prove_size(mp_prover *p, const mp_guard *op)
{
    mp_proof_reg *r = &p->state[op->a];
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
prove_set(mp_prover *p, const mp_guard *op)
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
prove_item(mp_prover *p, const mp_guard *op)
{
    PyObject *o = p->regs[op->a];
    mp_proof_reg *r = &p->state[op->a];
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
prove_own_dict(mp_prover *p, const mp_guard *op)
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
prove_no_dict(mp_prover *p, const mp_guard *op)
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
prove_place(mp_prover *p, const mp_guard *op)
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
prove_version(mp_prover *p, const mp_guard *op)
{
    const uint64_t *place = mp_type_word((PyTypeObject *)PyTuple_GET_ITEM(op->obj, 0));
    if (place != NULL) {
        prove_word(p, place);
    }
    return place != NULL;
}

static bool
prove_function(mp_prover *p, const mp_guard *op)
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
prove_modules(mp_prover *p)
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
prove_tensor(mp_prover *p, const mp_guard *op)
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
    p->digest = mp_words_mix(p->digest, (uint64_t)(uintptr_t)seen->impl);
    for (int i = 0; i < MP_TENSOR_SEEN; i++) {
        p->digest = mp_words_mix(p->digest, seen->dims[i]);
    }
    w->n_tensors += !mp_words_leave_out(op);
    return true;
}

/* Do words prove this operation?  Its registers are not LOOSE. */
static bool
prove_op(mp_prover *p, const mp_guard *op)
{
    switch ((mp_words_by)mp_words_rows[op->kind]) {
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
prover_is_loose(const mp_prover *p, const mp_guard *op)
{
    return (op->a >= 0 && p->state[op->a].state == LOOSE)
           || (op->b >= 0 && p->state[op->b].state == LOOSE);
}

void
mp_prove(mp_prover *p, int32_t i)
{
    const mp_guard *op = p->op = &p->g->ops[i];
    bool loose = prover_is_loose(p, op);
    bool struck = p->w->strikes[i] >= MP_WORDS_STRIKES;
    p->done[i] = true;
    p->digest = 5;
    if (!loose && !struck && prove_op(p, op)) {
        p->digests[i] = p->digest;
        return;
    }
    bool stable = op->dst >= 0 && !loose && !struck;
    mp_prove_by_step(p, i, stable);
    if (op->dst >= 0) {
        p->state[op->dst].state = stable ? NEAR : LOOSE;
        p->digests[i] =
            stable ? mp_words_mix(9, (uint64_t)(uintptr_t)p->regs[op->dst]) : 0;
    }
}
