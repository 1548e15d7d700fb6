/* number/number.c - the table of numbers: how it is made, and its constants and types.
 * Values: number/eval.c.  Texts: number/text.c.
 *
 * Invariant: operands stand before what uses them; two rows of a table are never alike.
 * Ownership: a table owns its two arrays; it refers to no object.  The functions of CPython
 * are owned for the life of the process. */
#include "number/number.h"

#include <string.h>

#include "compat/compat.h"
#include "number/row.h"

const mp_number_row mp_number_rows[MP_N_COUNT] = {
#define NUMBER(id, operands, result, format)                                           \
    {#id, operands, RESULT_##result, BY_ENGINE, format, NULL, NULL},
#define FUNC(id, operands, result, module, name)                                       \
    {#id, operands, RESULT_##result, BY_ENGINE, NULL, module, name},
#define CALL(id, operands, result, module, name)                                       \
    {#id, operands, RESULT_##result, BY_CPYTHON, NULL, module, name},
#include "number/numbers.def"
#undef NUMBER
#undef FUNC
#undef CALL
};

PyObject *mp_number_functions[MP_N_COUNT];

/* More of them, of number/functions.def. */
static const struct {
    mp_number_op op;
    const char *module, *name;
} number_more[] = {
#define FUNCTION(id, module, name) {MP_N_##id, module, name},
#include "number/functions.def"
#undef FUNCTION
};

static PyObject *number_more_functions[Py_ARRAY_LENGTH(number_more)];

/* -- The rows --------------------------------------------------------------------- */

/* A module, or int or float: new. */
static PyObject *
number_owner(const char *owner)
{
    bool is_int = strcmp(owner, "int") == 0;      // mp-ok: names of the tables
    bool is_float = strcmp(owner, "float") == 0;  // mp-ok: the same
    return is_int     ? Py_NewRef((PyObject *)&PyLong_Type)
           : is_float ? Py_NewRef((PyObject *)&PyFloat_Type)
                      : PyImport_ImportModule(owner);
}

/* A replaced function (`math.exp = f`) is none of C's, and then it is not known. */
static int
number_find_function(const char *owner, const char *name, PyObject **found)
{
    PyObject *module = number_owner(owner);
    if (module == NULL) {
        return -1;
    }
    PyObject *function = PyObject_GetAttrString(module, name);
    if (function == NULL) {
        mp_err_drop();  // this CPython has no such function
    }
    else if (PyType_Check(module)) {
        assert(Py_IS_TYPE(function, &PyMethodDescr_Type));  // (of an immutable type)
    }
    else if (PyCFunction_CheckExact(function)
                 ? PyCFunction_GET_SELF(function) != module
                 : !PyType_Check(function)
                       || PyType_HasFeature((PyTypeObject *)function,
                                            Py_TPFLAGS_HEAPTYPE)) {
        Py_CLEAR(function);
    }
    Py_DECREF(module);
    *found = function;
    return 0;
}

int
mp_number_init(void)
{
    for (int op = 0; op < MP_N_COUNT; op++) {
        const mp_number_row *row = &mp_number_rows[op];
        if (row->module != NULL && mp_number_functions[op] == NULL
            && number_find_function(row->module, row->name, &mp_number_functions[op])
                   < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(number_more); i++) {
        if (number_more_functions[i] == NULL
            && number_find_function(number_more[i].module, number_more[i].name,
                                    &number_more_functions[i])
                   < 0) {
            return -1;
        }
    }
    return 0;
}

const char *
mp_number_id(int op)
{
    return mp_number_rows[op].id;
}

int
mp_number_find(const char *id)
{
    for (int op = 0; op < MP_N_COUNT; op++) {
        if (strcmp(mp_number_rows[op].id, id) == 0) {  // mp-ok: ids of a table
            return op;
        }
    }
    return -1;
}

bool
mp_number_is_source(int op)
{
    return mp_number_rows[op].operands & REG;
}

int32_t
mp_number_origin(const mp_numbers *t, int32_t k)
{
    while (k >= 0 && !mp_number_is_source(t->ops[k].op)) {
        const mp_number *number = &t->ops[k];
        bool first = number->a >= 0 && t->ops[number->a].op != MP_N_INT
                     && t->ops[number->a].op != MP_N_FLOAT;
        k = first ? number->a : mp_number_has_b(number->op) ? number->b : -1;
    }
    return k;
}

bool
mp_number_has_b(int op)
{
    return mp_number_rows[op].operands & B;
}

bool
mp_number_is_truth(int op)
{
    return mp_number_rows[op].result == RESULT_TRUTH;
}

int
mp_number_of_call(PyObject *callable, Py_ssize_t n_args)
{
    for (int op = 0; op < MP_N_COUNT; op++) {
        if (mp_number_functions[op] == callable
            && n_args == (mp_number_has_b(op) ? 2 : 1)) {
            return op;
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(number_more); i++) {
        if (number_more_functions[i] == callable
            && n_args == (mp_number_has_b(number_more[i].op) ? 2 : 1)) {
            return number_more[i].op;
        }
    }
    return -1;
}

PyObject *
mp_number_function_borrow(int op)
{
    return mp_number_functions[op];
}

/* -- Adding ----------------------------------------------------------------------- */

/* Is the result a float?  -1: there is no such operation. */
static int
number_type(const mp_numbers *t, const mp_number *k)
{
    int operands = mp_number_rows[k->op].operands;
    bool x = operands & A && t->ops[k->a].is_float;
    bool y = operands & B && t->ops[k->b].is_float;
    switch (mp_number_rows[k->op].result) {
    case RESULT_GIVEN:
        return k->n == 1;
    case RESULT_FLOAT:
        return 1;
    case RESULT_ARITH:
        return x || y;
    case RESULT_POWER:
        return x || y || k->n == 1;
    case RESULT_BITS:
        return x || y ? -1 : 0;
    case RESULT_ALIKE:
        return x == y ? x : -1;
    default:  // INT, TRUTH
        return 0;
    }
}

static uint64_t
number_hash(const mp_number *k)
{
    uint64_t f;
    memcpy(&f, &k->f, sizeof f);
    uint64_t words[] = {k->op, (uint32_t)k->a, (uint32_t)k->b, (uint64_t)k->n, f};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hash = mp_hash_mix(hash, words[i]);
    }
    return hash;
}

static bool
number_is_alike(const mp_number *x, const mp_number *y)
{
    return x->op == y->op && x->a == y->a && x->b == y->b && x->n == y->n
           && memcmp(&x->f, &y->f, sizeof x->f) == 0;
}

/* Where the number stands among the slots, or would. */
static int32_t *
number_slot(const mp_numbers *t, const mp_number *k)
{
    uint32_t mask = (uint32_t)t->n_slots - 1, at = (uint32_t)number_hash(k) & mask;
    while (t->slots[at] >= 0 && !number_is_alike(&t->ops[t->slots[at]], k)) {
        at = (at + 1) & mask;
    }
    return &t->slots[at];
}

/* Room for one more; at most half of the slots are taken. */
static int
numbers_grow(mp_numbers *t)
{
    if (mp_grow(&t->ops, &t->cap, t->n + 1, sizeof(*t->ops)) < 0) {
        return -1;
    }
    if (2 * (t->n + 1) <= t->n_slots) {
        return 0;
    }
    int32_t size = t->n_slots == 0 ? 16 : 2 * t->n_slots;
    int32_t *slots = PyMem_New(int32_t, size);
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyMem_Free(t->slots);
    t->slots = slots;
    t->n_slots = size;
    memset(slots, -1, (size_t)size * sizeof *slots);
    for (int32_t k = 0; k < t->n; k++) {
        *number_slot(t, &t->ops[k]) = k;
    }
    return 0;
}

/* The compare that says the opposite of compare k, or -1.  Nothing is less than nan, nor not
 * less. */
static int
number_opposite(const mp_number *k)
{
    bool ints = k->is_quick;
    switch ((mp_number_op)k->op) {
    case MP_N_EQ:
        return MP_N_NE;
    case MP_N_NE:
        return MP_N_EQ;
    case MP_N_LT:
        return ints ? MP_N_GE : -1;
    case MP_N_GE:
        return ints ? MP_N_LT : -1;
    case MP_N_GT:
        return ints ? MP_N_LE : -1;
    case MP_N_LE:
        return ints ? MP_N_GT : -1;
    default:
        return -1;
    }
}

int32_t
mp_numbers_add(mp_numbers *t, mp_number_op op, int32_t a, int32_t b, int64_t n,
               double f)
{
    int opposite = op == MP_N_NOT ? number_opposite(&t->ops[a]) : -1;
    if (opposite >= 0) {
        return mp_numbers_add(t, (mp_number_op)opposite, t->ops[a].a, t->ops[a].b, 0,
                              0.0);
    }
    int operands = mp_number_rows[op].operands;
    mp_number k = {.op = (uint8_t)op,
                   .a = operands & (A | REG) ? a : -1,
                   .b = operands & B ? b : -1,
                   .n = operands & INDEX ? n : 0,
                   .f = op == MP_N_FLOAT ? f : 0.0};
    assert(!(operands & A) || (a >= 0 && a < t->n));
    assert(!(operands & B) || (b >= 0 && b < t->n));
    if (op == MP_N_ROUND_TO) {
        k.n = t->ops[a].is_float;
    }
    int type = number_type(t, &k);
    if (type < 0 || (op == MP_N_ROUND_TO && t->ops[b].is_float)) {
        return MP_NUMBER_NONE;
    }
    k.is_float = type == 1;
    k.is_source = operands & REG;
    k.is_quick = operands & B && !t->ops[a].is_float && !t->ops[b].is_float;
    if (numbers_grow(t) < 0) {
        return -1;
    }
    int32_t *slot = number_slot(t, &k);
    if (*slot < 0) {
        *slot = t->n;
        t->ops[t->n++] = k;
    }
    return *slot;
}

int32_t
mp_numbers_find(const mp_numbers *t, const mp_number *number)
{
    return t->n == 0 ? -1 : *number_slot(t, number);
}

int32_t
mp_numbers_add_const(mp_numbers *t, PyObject *o)
{
    if (PyFloat_CheckExact(o)) {
        return mp_numbers_add(t, MP_N_FLOAT, -1, -1, 0, PyFloat_AS_DOUBLE(o));
    }
    if (!PyLong_CheckExact(o)) {
        return MP_NUMBER_NONE;
    }
    int overflow;
    long long n = PyLong_AsLongLongAndOverflow(o, &overflow);
    return overflow ? MP_NUMBER_NONE : mp_numbers_add(t, MP_N_INT, -1, -1, n, 0.0);
}

void
mp_numbers_fini(mp_numbers *t)
{
    PyMem_Free(t->ops);
    PyMem_Free(t->slots);
    *t = (mp_numbers){0};
}

PyObject *
mp_number_object(const mp_number *number, mp_number_value value)
{
    return number->is_float ? PyFloat_FromDouble(value.f)
                            : PyLong_FromLongLong(value.i);
}
