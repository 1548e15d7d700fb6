/* guard/build.c - making guard programs, one operation after the other, as the recording
 * learns.
 *
 * R: an operation is appended only with operands that its check can handle without
 * testing them again (the columns of guards.def).  Memory is reserved before the program
 * changes.
 * Ownership: a program owns `obj` and `meta` of its operations, except for those that
 * guard/weak.c has made borrowed. */
#include "guard/plant.h"

#include <structmember.h>

#include "guard/weak.h"
#include "guard/words.h"
#include "objects/array.h"
#include "objects/equal.h"

mp_guards *
mp_guards_new(void)
{
    if (mp_guard_init() < 0) {
        return NULL;
    }
    mp_guards *g = PyMem_Calloc(1, sizeof(*g));
    if (g == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    g->failed = -1;
    return g;
}

void
mp_guards_free(mp_guards *g)
{
    if (g == NULL) {
        return;
    }
    mp_guards_unwatch(g);
    for (int32_t i = 0; i < g->n_ops; i++) {
        mp_guard_release(&g->ops[i]);
        mp_tensor_meta_free(g->ops[i].meta);
    }
    PyMem_Free(g->ops);
    PyMem_Free(g->def);
    PyMem_Free(g->dicts);
    PyMem_Free(g->order);
    PyMem_Free(g->known);
    mp_words_free(g->words);
    mp_numbers_fini(&g->numbers);
    PyMem_Free(g->values);
    PyMem_Free(g);
}

/* The columns of guards.def. */
enum { A = 1, DICT = 2, HASH = 4, HASH0 = 8, HASH1 = 16, HASH2 = 32 };

enum {
    OBJ_FREE,       // any, or none
    OBJ_SOME,       // any
    OBJ_PARAM,      // str: the name of parameter n
    OBJ_KEY,        // any: see mp_guard_dict_find
    OBJ_KEYS,       // tuple of such
    OBJ_MEMBER,     // member descriptor of an object
    OBJ_FIELD,      // any, or none; n is an mp_field
    OBJ_CONTEXT,    // ContextVar
    OBJ_TYPE,       // class
    OBJ_CONSTANT,   // immutable value of C
    OBJ_CONSTANTS,  // tuple of such
    OBJ_REGISTERS,  // bytes: registers as int32, of which the first n are special
    OBJ_TEXT,       // exact str
    OBJ_BYTES,      // exact bytes
    OBJ_ARRAY,      // of numpy
    OBJ_BOOL,
    OBJ_INT,
    OBJ_ATTR,  // tuples, as their rows say
    OBJ_SPECIALS,
    OBJ_SUPER,
    OBJ_SUBCLASSES,
    OBJ_FUNCTION,
    OBJ_MODULE,
};

static const struct {
    uint8_t operands, object;
    const char *id;
} guard_rows[] = {
#define GUARD(id, operands, object, words, format) {operands, OBJ_##object, #id},
#include "guard/guards.def"
#undef GUARD
};

const char *
mp_guard_id(int kind)
{
    return guard_rows[kind].id;
}

static int
guard_refuse(mp_guard_kind kind, PyObject *obj)
{
    PyErr_Format(PyExc_TypeError, "guard %s cannot take a constant of type %s",
                 mp_guard_id(kind), obj == NULL ? "NULL" : Py_TYPE(obj)->tp_name);
    return -1;
}

static bool
guard_is_row(PyObject *obj, Py_ssize_t size, Py_ssize_t name_at)
{
    return obj != NULL && PyTuple_CheckExact(obj)
           && (size < 0 || PyTuple_GET_SIZE(obj) == size)
           && (name_at < 0 || PyUnicode_CheckExact(PyTuple_GET_ITEM(obj, name_at)));
}

static bool
guard_is_names(PyObject *names)
{
    bool fits = PyTuple_CheckExact(names);
    for (Py_ssize_t i = 0; fits && i < PyTuple_GET_SIZE(names); i++) {
        fits = PyUnicode_CheckExact(PyTuple_GET_ITEM(names, i));
    }
    return fits;
}

/* The constant must be one that the check can handle without asking again. */
static bool
guard_obj_fits(mp_guard_kind kind, PyObject *obj, int64_t n)
{
    switch (guard_rows[kind].object) {
    case OBJ_SOME:
        return obj != NULL;
    case OBJ_PARAM:
        return obj != NULL && PyUnicode_Check(obj) && n >= 0;
    case OBJ_KEY:
        return obj != NULL;
    case OBJ_KEYS:
        return guard_is_row(obj, -1, -1);
    case OBJ_BYTES:
        return obj != NULL && PyBytes_CheckExact(obj);
    case OBJ_ARRAY:
        return obj != NULL && mp_is_array(obj);
    case OBJ_TEXT:
        return obj != NULL && PyUnicode_CheckExact(obj);
    case OBJ_MEMBER:
        if (obj == NULL || !Py_IS_TYPE(obj, &PyMemberDescr_Type)) {
            return false;
        }
        int type = ((PyMemberDescrObject *)obj)->d_member->type;
        return type == T_OBJECT || type == T_OBJECT_EX;
    case OBJ_FIELD:
        return n >= 0 && n < MP_F_COUNT;
    case OBJ_TYPE:
        return obj != NULL && PyType_Check(obj);
    case OBJ_CONSTANT:
        return obj != NULL && mp_guard_is_constant(obj, 0);
    case OBJ_CONSTANTS:
        return guard_is_row(obj, -1, -1) && mp_guard_is_constant(obj, 0);
    case OBJ_ATTR:
        return guard_is_row(obj, 3, 1) && PyType_Check(PyTuple_GET_ITEM(obj, 0));
    case OBJ_SPECIALS:
        return guard_is_row(obj, 3, -1) && PyType_Check(PyTuple_GET_ITEM(obj, 0))
               && guard_is_names(PyTuple_GET_ITEM(obj, 1))
               && guard_is_row(PyTuple_GET_ITEM(obj, 2),
                               PyTuple_GET_SIZE(PyTuple_GET_ITEM(obj, 1)), -1);
    case OBJ_SUPER:
        return guard_is_row(obj, 4, 2) && PyType_Check(PyTuple_GET_ITEM(obj, 0));
    case OBJ_SUBCLASSES:
        return guard_is_row(obj, 2, -1) && PyType_Check(PyTuple_GET_ITEM(obj, 0))
               && PyTuple_CheckExact(PyTuple_GET_ITEM(obj, 1));
    case OBJ_FUNCTION:
        return guard_is_row(obj, 5, -1) && PyFunction_Check(PyTuple_GET_ITEM(obj, 0));
    case OBJ_MODULE:
        return guard_is_row(obj, 2, 0);
    case OBJ_REGISTERS:
        return obj != NULL && PyBytes_CheckExact(obj) && n >= 0
               && n <= PyBytes_GET_SIZE(obj) / (Py_ssize_t)sizeof(int32_t);
    case OBJ_CONTEXT:
        return obj != NULL && PyContextVar_CheckExact(obj);
    case OBJ_BOOL:
        return obj != NULL && PyBool_Check(obj);
    case OBJ_INT:
        return obj != NULL && PyLong_CheckExact(obj);
    default:
        return true;
    }
}

/* The hash that the check needs; -1 without an exception where none is needed. */
static Py_hash_t
guard_obj_hash(mp_guard_kind kind, PyObject *obj)
{
    int operands = guard_rows[kind].operands;
    PyObject *key = operands & HASH    ? obj
                    : operands & HASH0 ? PyTuple_GET_ITEM(obj, 0)
                    : operands & HASH1 ? PyTuple_GET_ITEM(obj, 1)
                    : operands & HASH2 ? PyTuple_GET_ITEM(obj, 2)
                                       : NULL;
    return key == NULL ? -1 : mp_guard_key_hash(key);
}

/* Find or add the record of the dict in register reg. */
static int32_t
guard_dict_index(mp_guards *g, int32_t reg)
{
    for (int32_t i = g->n_dicts - 1; i >= 0; i--) {
        if (g->dicts[i].reg == reg) {
            return i;
        }
    }
    if (mp_grow(&g->dicts, &g->cap_dicts, g->n_dicts + 1, sizeof(*g->dicts)) < 0) {
        return -1;
    }
    g->dicts[g->n_dicts] = (mp_guard_dict){.reg = reg};
    return g->n_dicts++;
}

/* Append one op; all memory is there before anything is changed. */
static int
guard_append(mp_guards *g, mp_guard_kind kind, int32_t dst, int32_t a, int32_t b,
             PyObject *obj, int64_t n, mp_tensor_meta *meta)
{
    if (!guard_obj_fits(kind, obj, n)) {
        return guard_refuse(kind, obj);
    }
    Py_hash_t hash = guard_obj_hash(kind, obj);
    if (hash == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (mp_grow(&g->ops, &g->cap_ops, g->n_ops + 1, sizeof(*g->ops)) < 0) {
        return -1;
    }
    int32_t dict = -1;
    if (guard_rows[kind].operands & DICT) {
        dict = guard_dict_index(g, a);
        if (dict < 0) {
            return -1;
        }
        n = 0;
    }
    else if (kind == MP_G_TYPE_ATTR || kind == MP_G_TYPE_SPECIALS
             || kind == MP_G_SUPER_ATTR) {
        n = 0;  // the type's version at the last success
    }
    g->ops[g->n_ops++] = (mp_guard){.kind = (uint16_t)kind,
                                    .dst = dst,
                                    .a = a,
                                    .b = b,
                                    .n = n,
                                    .obj = Py_XNewRef(obj),
                                    .hash = hash,
                                    .meta = meta,
                                    .dict = dict};
    return 0;
}

int32_t
mp_guards_load(mp_guards *g, mp_guard_kind kind, int32_t a, PyObject *obj, int64_t n)
{
    bool has_parent = guard_rows[kind].operands & A;
    if ((int)kind >= MP_G_TYPE_IS || (has_parent && (a < 0 || a >= g->n_regs))) {
        PyErr_BadInternalCall();
        return -1;
    }
    if (mp_grow(&g->def, &g->cap_regs, g->n_regs + 1, sizeof(*g->def)) < 0) {
        return -1;
    }
    int32_t reg = g->n_regs;
    g->def[reg] = g->n_ops;
    if (guard_append(g, kind, reg, has_parent ? a : -1, -1, obj, n, NULL) < 0) {
        return -1;
    }
    g->n_regs++;
    return reg;
}

static bool
guard_asks_number(mp_guard_kind kind)
{
    return kind == MP_G_HOLDS || kind == MP_G_COMPUTED;
}

/* Append a test; takes meta over.  Operands are checked against the row, so that a check
 * need not. */
int
mp_guards_test(mp_guards *g, mp_guard_kind kind, int32_t a, int32_t b, PyObject *obj,
               int64_t n, mp_tensor_meta *meta)
{
    bool pair =
        kind == MP_G_SAME || kind == MP_G_NOT_SAME || (kind == MP_G_NO_DICT && b >= 0);
    bool has_parent = guard_rows[kind].operands & A;
    int rc = -1;
    if (mp_plant_has_guard(kind)) {
        mp_tensor_meta_free(meta);
        return 0;
    }
    if ((int)kind < MP_G_TYPE_IS || (int)kind >= MP_G_COUNT
        || (has_parent && (a < 0 || a >= g->n_regs))
        || (pair && (b < 0 || b >= g->n_regs))
        || (guard_asks_number(kind) && (n < 0 || n >= g->numbers.n))
        || (kind == MP_G_TENSOR) != (meta != NULL)) {
        PyErr_BadInternalCall();
    }
    else {
        rc =
            guard_append(g, kind, -1, has_parent ? a : -1, pair ? b : -1, obj, n, meta);
    }
    if (rc == 0 && guard_asks_number(kind)) {
        g->numbers.ops[n].is_asked = g->numbers.ops[n].is_asked || kind == MP_G_HOLDS;
        g->n_tested = n >= g->n_tested ? (int32_t)n + 1 : g->n_tested;
    }
    if (rc < 0) {
        mp_tensor_meta_free(meta);
    }
    return rc;
}

/* -- Numbers ---------------------------------------------------------------------- */

/* Room for the value of one more. */
static int
guard_reserve_value(mp_guards *g)
{
    if (mp_grow(&g->values, &g->cap_values, g->numbers.n + 1, sizeof(*g->values)) < 0) {
        return -1;
    }
    return 0;
}

int32_t
mp_guards_number(mp_guards *g, mp_number_op op, int32_t a, int32_t b, int64_t n,
                 double f)
{
    if (mp_number_is_source(op) && (a < 0 || a >= g->n_regs)) {
        PyErr_BadInternalCall();
        return -1;
    }
    return guard_reserve_value(g) < 0 ? -1
                                      : mp_numbers_add(&g->numbers, op, a, b, n, f);
}

int32_t
mp_guards_number_const(mp_guards *g, PyObject *o)
{
    return guard_reserve_value(g) < 0 ? -1 : mp_numbers_add_const(&g->numbers, o);
}

int
mp_guards_complete(mp_guards *g)
{
    assert(g->n_tested < g->numbers.n);
    int rc = guard_append(g, MP_G_COMPUTED, -1, -1, -1, NULL, g->numbers.n - 1, NULL);
    g->n_tested = rc < 0 ? g->n_tested : g->numbers.n;
    return rc;
}

int
mp_guards_hold(mp_guards *g, int32_t number)
{
    if (number >= 0 && number < g->numbers.n && g->numbers.ops[number].is_asked) {
        return 0;
    }
    return mp_guards_test(g, MP_G_HOLDS, -1, -1, NULL, number, NULL);
}

const mp_tensor_meta *
mp_guards_tensor_borrow(const mp_guards *g, int32_t reg)
{
    for (int32_t i = g->def[reg]; i < g->n_ops; i++) {  // (it soon follows the load)
        if (g->ops[i].kind == MP_G_TENSOR && g->ops[i].a == reg) {
            return g->ops[i].meta;
        }
    }
    return NULL;
}
