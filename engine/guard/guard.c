/* guard/guard.c - guard programs are checked (made: guard/build.c; texts: guard/text.c).
 *
 * Invariants
 *   (1) Ops are linear: op i reads only registers that an earlier op loaded, and every
 *       successful check has run all of them.
 *   (2) A dict's `seen` and `version` are those of the last successful check, or `seen`
 *       is NULL.  A check that meets another dict or version clears `seen` before it
 *       looks anything up, so no pointer in `known` that a failed check left is used.
 *   (3) A version is never given to two states of a dict, nor to two dicts, so an equal
 *       version proves that the dict lives on and holds what it held
 *       (test_compat.py::test_versions_of_dicts_never_come_back).
 * Ownership: a program owns the `obj` and `meta` of its ops, nothing else; registers
 * and `known` borrow from the arguments, from objects loaded before, or from `obj`.
 * Re-entrancy: building may run Python code (it allocates); checking may not.
 * It holds the GIL throughout, so two threads may share one program.
 */
#include "guard/guard.h"

#include <structmember.h>  // T_OBJECT_EX

#include "compat/compat.h"
#include "guard/field.h"
#include "guard/holds.h"
#include "guard/order.h"
#include "guard/run.h"
#include "guard/weak.h"
#include "objects/equal.h"
#include "objects/file.h"

/* Facts about this process, found once; never changed or freed after. */
static struct {
    bool ready;
    PyTypeObject *deque;  // owned
    PyObject *abc_token;  // owned: _abc.get_cache_token
} guard_static;

static struct {
    PyObject_HEAD  // mp-ok: a type of our own
} guard_absent_marker = {PyObject_HEAD_INIT(&PyBaseObject_Type)};

PyObject *
mp_guard_absent(void)
{
    return (PyObject *)&guard_absent_marker;
}

int
mp_guard_init(void)
{
    if (guard_static.ready) {
        return 0;
    }
    if (mp_guard_field_init() < 0 || mp_file_init() < 0 || mp_equal_init() < 0
        || mp_number_init() < 0) {
        return -1;
    }
    if (guard_static.deque == NULL) {
        guard_static.deque = mp_guard_import_type("collections", "deque");
    }
    if (guard_static.deque == NULL) {
        return -1;
    }
    if (guard_static.abc_token == NULL) {
        guard_static.abc_token = mp_guard_import("_abc", "get_cache_token");
    }
    if (guard_static.abc_token == NULL) {
        return -1;
    }
    guard_static.ready = true;
    return 0;
}

/* -- Loads ------------------------------------------------------------------------ */

static PyObject *
guard_item_borrow(PyObject *o, int64_t n)
{
    bool is_list = PyList_Check(o);
    if (!is_list && !PyTuple_Check(o)) {
        return NULL;
    }
    Py_ssize_t size = Py_SIZE(o);
    Py_ssize_t at = (Py_ssize_t)(n < 0 ? n + size : n);
    if (at < 0 || at >= size) {
        return NULL;
    }
    return is_list ? PyList_GET_ITEM(o, at) : PyTuple_GET_ITEM(o, at);
}

static PyObject *
guard_deque_borrow(PyObject *o, int64_t n)
{
    if (!PyObject_TypeCheck(o, guard_static.deque)) {
        return NULL;
    }
    Py_ssize_t size = Py_SIZE(o);
    Py_ssize_t at = (Py_ssize_t)(n < 0 ? n + size : n);
    if (at < 0 || at >= size) {
        return NULL;
    }
    // The C slot of deque itself, also for subclasses; it allocates nothing.
    PyObject *item = guard_static.deque->tp_as_sequence->sq_item(o, at);
    if (item == NULL) {
        mp_err_drop();  // out of range after all: miss
        return NULL;
    }
    Py_DECREF(item);  // the deque holds it
    return item;
}

static PyObject *
guard_key_borrow(const mp_guard *op, PyObject *dict)
{
    PyObject *value;
    return PyDict_Check(dict) && mp_guard_dict_find(dict, op->obj, op->hash, &value) > 0
               ? value
               : NULL;
}

/* The __dict__ of anything, made if asked for; *unknown if it exists but cannot be had. */
static PyObject *
guard_dict_borrow(PyObject *o, bool make, bool *unknown)
{
    *unknown = false;
    if (PyModule_Check(o)) {
        return PyModule_GetDict(o);
    }
    if (PyType_Check(o)) {
        return mp_type_dict_borrow((PyTypeObject *)o);
    }
    PyObject *dict =
        make ? mp_instance_dict_make_borrow(o) : mp_instance_dict_borrow(o);
    if (dict == NULL && PyErr_Occurred()) {
        mp_err_drop();  // no memory to make it: the caller misses
        *unknown = true;
    }
    return dict;
}

PyObject **
mp_guard_slot_place(PyObject *o, PyObject *descr)
{
    PyMemberDescrObject *d = (PyMemberDescrObject *)descr;
    if (!PyObject_TypeCheck(o, d->d_common.d_type)) {
        return NULL;
    }
    return (PyObject **)((char *)o + d->d_member->offset);
}

static PyObject *
guard_slot_borrow(PyObject *o, PyObject *descr)
{
    PyObject **place = mp_guard_slot_place(o, descr);
    return place == NULL ? NULL : *place;
}

static PyObject *
guard_field(PyObject *o, int64_t field)
{
    bool unknown;
    if (field == MP_F_FUNC_DICT) {
        return PyFunction_Check(o) ? guard_dict_borrow(o, true, &unknown) : NULL;
    }
    return mp_guard_field_borrow(o, field);
}

/* The value of a ContextVar in the current context (or its default).  The context, or the
 * variable, holds it, so the reference that the API gives can be dropped at once. */
PyObject *
mp_guard_context_borrow(PyObject *var)
{
    PyObject *value = NULL;
    if (PyContextVar_Get(var, NULL, &value) < 0) {
        mp_err_drop();  // only out of memory: a miss
        return NULL;
    }
    Py_XDECREF(value);
    return value;
}

/* The object that a load finds, borrowed; NULL is a miss. */
MP_INLINE PyObject *
guard_load(const mp_guard *op, PyObject *const *args, PyObject *const *regs)
{
    bool unknown;
    switch ((mp_guard_kind)op->kind) {
    case MP_G_LOAD_CONST:
        return op->obj;
    case MP_G_LOAD_ARG:
        return args[op->n];
    case MP_G_LOAD_ITEM:
        return guard_item_borrow(regs[op->a], op->n);
    case MP_G_LOAD_KEY:
        return guard_key_borrow(op, regs[op->a]);
    case MP_G_LOAD_DICT:
        return guard_dict_borrow(regs[op->a], op->n != 0, &unknown);
    case MP_G_LOAD_LOCAL:
        return mp_local_dict_borrow(regs[op->a]);
    case MP_G_LOAD_SLOT:
        return guard_slot_borrow(regs[op->a], op->obj);
    case MP_G_LOAD_CELL:
        return PyCell_Check(regs[op->a]) ? PyCell_GET(regs[op->a]) : NULL;
    case MP_G_LOAD_FIELD:
        return guard_field(regs[op->a], op->n);
    case MP_G_LOAD_DEQUE:
        return guard_deque_borrow(regs[op->a], op->n);
    case MP_G_LOAD_NEXT: {
        PyObject *item;
        return mp_iterator_peek(regs[op->a], op->n, &item) > 0 ? item : NULL;
    }
    case MP_G_LOAD_CONTEXT:
        return mp_guard_context_borrow(op->obj);
    default:
        Py_UNREACHABLE();
    }
}

PyObject *
mp_guard_load(const mp_guard *op, PyObject *const *args, PyObject *const *regs)
{
    return guard_load(op, args, regs);
}

/* -- Tests ------------------------------------------------------------------------ */

/* KEYS, HAS_KEY, NO_KEY. */
static int
guard_test_keys(const mp_guard *op, PyObject *o)
{
    PyObject *value;
    int expected = op->kind == MP_G_HAS_KEY;
    if (PyAnySet_Check(o) && op->kind != MP_G_KEYS) {
        return mp_guard_set_find(o, op->obj, op->hash) == expected;
    }
    if (!PyDict_Check(o)) {
        return 0;
    }
    if (op->kind == MP_G_KEYS) {
        return mp_guard_dict_keys(o, op->obj);
    }
    return mp_guard_dict_find(o, op->obj, op->hash, &value) == expected;
}

static int
guard_test_no_dict(const mp_guard *op, PyObject *o, PyObject *const *regs)
{
    PyObject *value;
    bool unknown;
    PyObject *dict = guard_dict_borrow(o, false, &unknown);
    if (dict == NULL) {
        return !unknown;
    }
    if (op->b >= 0 && dict == regs[op->b]) {
        return 0;
    }
    return mp_guard_dict_find(dict, op->obj, op->hash, &value) == 0;
}

/* First class of the MRO (after `after`, if not NULL) whose own dict has name: 1 / 0,
 * -1: unknown.  *plain: all dicts on the way can be asked without user code. */
static int
guard_mro_find(PyTypeObject *type, PyObject *after, PyObject *name, Py_hash_t hash,
               PyObject **value, bool *plain)
{
    PyObject *mro = type->tp_mro;
    bool passed = after == NULL;
    *plain = true;
    *value = NULL;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyObject *base = PyTuple_GET_ITEM(mro, i);
        PyObject *dict = mp_type_dict_borrow((PyTypeObject *)base);
        if (dict == NULL) {
            return -1;
        }
        *plain = *plain && mp_dict_keys_are_str(dict);
        int found = passed ? mp_guard_dict_find(dict, name, hash, value) : 0;
        if (found != 0) {
            return found;
        }
        passed = passed || base == after;
    }
    return passed ? 0 : -1;
}

/* Is the type as it was when the check last passed? */
static bool
guard_type_settles(mp_guard *op)
{
    unsigned int version =
        mp_type_version((PyTypeObject *)PyTuple_GET_ITEM(op->obj, 0));
    if (version != 0 && (uint64_t)version == (uint64_t)op->n) {
        return true;
    }
    op->n = 0;
    return false;
}

static bool
guard_attr_holds(PyTypeObject *type, PyObject *after, PyObject *name, Py_hash_t hash,
                 PyObject *expected, bool *plain)
{
    PyObject *value;
    int found = guard_mro_find(type, after, name, hash, &value, plain);
    return found >= 0 && (found ? value : mp_guard_absent()) == expected;
}

/* Only a look-up gives a changed type a version again; its answer is known. */
static void
guard_note_type(mp_guard *op, PyObject *name, bool plain)
{
    PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(op->obj, 0);
    if (mp_type_version(type) == 0 && plain) {
        (void)mp_type_lookup_borrow(type, name);
    }
    op->n = (int64_t)mp_type_version(type);
}

/* TYPE_ATTR and SUPER_ATTR; after = NULL for the first. */
static int
guard_test_attr(mp_guard *op, PyObject *after, PyObject *name, PyObject *expected)
{
    bool plain;
    if (guard_type_settles(op)) {
        return 1;
    }
    if (!guard_attr_holds((PyTypeObject *)PyTuple_GET_ITEM(op->obj, 0), after, name,
                          op->hash, expected, &plain)) {
        return 0;
    }
    guard_note_type(op, name, plain);
    return 1;
}

static int
guard_test_specials(mp_guard *op)
{
    PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(op->obj, 0);
    PyObject *names = PyTuple_GET_ITEM(op->obj, 1), *name = NULL;
    bool all_plain = true, plain;
    if (guard_type_settles(op)) {
        return 1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        name = PyTuple_GET_ITEM(names, i);
        if (!guard_attr_holds(type, NULL, name, PyObject_Hash(name),
                              PyTuple_GET_ITEM(PyTuple_GET_ITEM(op->obj, 2), i),
                              &plain)) {
            return 0;
        }
        all_plain = all_plain && plain;
    }
    if (name != NULL) {
        guard_note_type(op, name, all_plain);
    }
    return 1;
}

static PyObject *
guard_or_none(PyObject *o)
{
    return o == NULL ? Py_None : o;
}

static int
guard_test_function(PyObject *row)
{
    PyFunctionObject *f = (PyFunctionObject *)PyTuple_GET_ITEM(row, 0);
    return f->func_code == PyTuple_GET_ITEM(row, 1)
           && guard_or_none(f->func_defaults) == PyTuple_GET_ITEM(row, 2)
           && guard_or_none(f->func_kwdefaults) == PyTuple_GET_ITEM(row, 3)
           && guard_or_none(f->func_closure) == PyTuple_GET_ITEM(row, 4);
}

static int
guard_test_imported(const mp_guard *op)
{
    PyObject *value, *modules = PyImport_GetModuleDict();
    PyObject *name = PyTuple_GET_ITEM(op->obj, 0);
    if (modules == NULL || !PyDict_Check(modules)) {
        return 0;
    }
    int found = mp_guard_dict_find(modules, name, op->hash, &value);
    return found >= 0
           && (found ? value : mp_guard_absent()) == PyTuple_GET_ITEM(op->obj, 1);
}

static int
guard_test_handling(PyObject *expected)
{
    PyObject *handled = PyErr_GetHandledException();
    Py_XDECREF(handled);  // the caller's frame holds it
    return (handled != NULL) == (expected == Py_True);
}

PyObject *
mp_guard_abc_token(void)
{
    return PyObject_CallNoArgs(guard_static.abc_token);
}

/* The token is an int made by C code, so no user code runs and nothing is collected. */
static int
guard_test_abc_token(PyObject *expected)
{
    PyObject *token = mp_guard_abc_token();
    if (token == NULL) {
        mp_err_drop();  // only out of memory: a miss
        return 0;
    }
    int same = mp_guard_equals(token, expected);
    Py_DECREF(token);
    return same;
}

static int
guard_test_apart(const mp_guard *op, PyObject *const *regs)
{
    const int32_t *list = (const int32_t *)PyBytes_AS_STRING(op->obj);
    Py_ssize_t count = PyBytes_GET_SIZE(op->obj) / (Py_ssize_t)sizeof(*list);
    PyObject **tensors = PyMem_Malloc((size_t)count * sizeof(*tensors));
    if (tensors == NULL) {
        return 0;  // no memory to look: a miss
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        tensors[i] = regs[list[i]];
    }
    bool apart = mp_guard_are_apart(tensors, op->n, count, op->kind == MP_G_ALONE);
    PyMem_Free(tensors);
    return apart;
}

static int
guard_test_slot_empty(PyObject *o, PyObject *descr)
{
    PyObject **place = mp_guard_slot_place(o, descr);
    return place != NULL && *place == NULL;
}

static bool
guard_items_left(PyObject *it, int64_t n)
{
    PyObject *item;
    return mp_iterator_peek(it, (Py_ssize_t)n, &item) == 0
           && (n == 0 || mp_iterator_peek(it, (Py_ssize_t)n - 1, &item) > 0);
}

/* Compute the numbers below `upto` that this check has not computed yet. */
static bool
guard_compute(mp_guards *g, int64_t upto, PyObject *const *regs)
{
    if (g->n_valued < upto) {
        g->n_valued =
            mp_numbers_eval(&g->numbers, g->n_valued, (int32_t)upto, regs, g->values);
    }
    return g->n_valued >= upto;
}

static int
guard_test_number(mp_guards *g, const mp_guard *op, PyObject *const *regs)
{
    if (!guard_compute(g, op->n + 1, regs)) {
        return 0;
    }
    mp_number_value value = g->values[op->n];
    return op->kind == MP_G_COMPUTED
           || (g->numbers.ops[op->n].is_float ? value.f != 0.0 : value.i != 0);
}

MP_INLINE int
guard_test(mp_guards *g, mp_guard *op, PyObject *const *regs)
{
    PyObject *o = op->a < 0 ? NULL : regs[op->a];
    PyObject *row = op->obj;
    switch ((mp_guard_kind)op->kind) {
    case MP_G_TYPE_IS:
        return (PyObject *)Py_TYPE(o) == op->obj;
    case MP_G_IS:
        return o == op->obj || (op->loose > 1 && mp_guard_has_items(o, op));
    case MP_G_EQUALS:
        return mp_guard_equals(o, op->obj);
    case MP_G_SAME:
        return o == regs[op->b];
    case MP_G_NOT_SAME:
        return o != regs[op->b];
    case MP_G_LEN:
        return mp_guard_len(o) == op->n;
    case MP_G_ITEMS_LEFT:
        return guard_items_left(o, op->n);
    case MP_G_MAXLEN:
        return PyObject_TypeCheck(o, guard_static.deque)
               && mp_guard_maxlen(guard_static.deque, o) == op->n;
    case MP_G_ROOM:
        return mp_is_cached(o) && mp_cached_has_room(o, op->n);
    case MP_G_UNLOCKED:
        return mp_lock_is_known(o) && mp_lock_is_free(o);
    case MP_G_NONEMPTY:
        return mp_guard_len(o) > 0;
    case MP_G_KEYS:
    case MP_G_HAS_KEY:
    case MP_G_NO_KEY:
        return guard_test_keys(op, o);
    case MP_G_SET_EQUALS:
        return mp_guard_set_equals(o, op->obj) && (op->n != 0 || !mp_set_is_odd(o));
    case MP_G_SET_LAYOUT:
        return PyAnySet_Check(o) && mp_set_has_layout(o, op->obj);
    case MP_G_TENSOR:
        return mp_tensor_meta_check(o, op->meta);
    case MP_G_APART:
    case MP_G_ALONE:
        return guard_test_apart(op, regs);
    case MP_G_SLOT_EMPTY:
        return guard_test_slot_empty(o, op->obj);
    case MP_G_CELL_EMPTY:
        return PyCell_Check(o) && PyCell_GET(o) == NULL;
    case MP_G_NO_DICT:
        return guard_test_no_dict(op, o, regs);
    case MP_G_TYPE_ATTR:
        return guard_test_attr(op, NULL, PyTuple_GET_ITEM(row, 1),
                               PyTuple_GET_ITEM(row, 2));
    case MP_G_TYPE_SPECIALS:
        return guard_test_specials(op);
    case MP_G_SUPER_ATTR:
        return guard_test_attr(op, PyTuple_GET_ITEM(row, 1), PyTuple_GET_ITEM(row, 2),
                               PyTuple_GET_ITEM(row, 3));
    case MP_G_FUNCTION:
        return guard_test_function(op->obj);
    case MP_G_SUBCLASSES:
        return mp_subclasses_are((PyTypeObject *)PyTuple_GET_ITEM(op->obj, 0),
                                 PyTuple_GET_ITEM(op->obj, 1));
    case MP_G_IMPORTED:
        return guard_test_imported(op);
    case MP_G_CONTEXT_UNSET:
        return mp_guard_context_borrow(op->obj) == NULL;
    case MP_G_TOKEN:
        return PyContextToken_CheckExact(o) && mp_token_var_borrow(o) == op->obj
               && !mp_token_is_used(o) && mp_token_is_of_here(o)
               && (mp_token_old_borrow(o) != NULL) == op->n;
    case MP_G_HANDLING:
        return guard_test_handling(op->obj);
    case MP_G_ABC_TOKEN:
        return guard_test_abc_token(op->obj);
    case MP_G_HOLDS:
    case MP_G_COMPUTED:
        return guard_test_number(g, op, regs);
    case MP_G_BYTES:
    case MP_G_ARRAY:
    case MP_G_LEAF:
    case MP_G_FILE:
        return mp_guard_object_holds((mp_guard_kind)op->kind, o, op->obj);
    default:
        Py_UNREACHABLE();
    }
}

/* -- Checking --------------------------------------------------------------------- */

/* The dicts that changed are now known to be good as they are (2). */
static void
guard_commit(mp_guards *g, PyObject *const *regs)
{
    for (int32_t i = 0; i < g->n_dicts; i++) {
        mp_guard_dict *d = &g->dicts[i];
        if (d->unchanged || !PyDict_Check(regs[d->reg])) {
            continue;
        }
        d->seen = regs[d->reg];
        d->version = d->pending;
        for (int32_t k = d->known; k < d->known + d->n_known; k++) {
            g->known[k].value = regs[g->known[k].reg];
        }
    }
}

/* The header of a block: true if the dict is unchanged; its loads are done then. */
static bool
guard_dict_settles(mp_guards *g, mp_guard_dict *d, PyObject **regs)
{
    PyObject *dict = regs[d->reg];
    d->unchanged = false;
    if (!PyDict_Check(dict)) {
        return false;
    }
    d->pending = mp_dict_version(dict);
    if (d->seen != dict || d->version != d->pending) {
        d->seen = NULL;
        return false;
    }
    for (int32_t k = d->known; k < d->known + d->n_known; k++) {
        regs[g->known[k].reg] = g->known[k].value;
    }
    return d->unchanged = true;
}

MP_INLINE bool
guard_run(mp_guards *g, mp_guard *op, PyObject *const *args, PyObject **regs)
{
    if (op->dst < 0) {
        return guard_test(g, op, regs);
    }
    PyObject *value = guard_load(op, args, regs);
    regs[op->dst] = value;
    return value != NULL;
}

bool
mp_guard_run(mp_guards *g, mp_guard *op, PyObject *const *args, PyObject **regs)
{
    return guard_run(g, op, args, regs);
}

/* The index of the op that failed, -1: none. */
static int32_t
guard_walk(mp_guards *g, PyObject *const *args, PyObject **regs)
{
    for (int32_t at = 0; at < g->n_order; at++) {
        int32_t i = g->order[at];
        if (i < 0) {
            mp_guard_dict *dict = &g->dicts[~i];
            if (guard_dict_settles(g, dict, regs)) {
                at += dict->n_settled;
            }
        }
        else if (!guard_run(g, &g->ops[i], args, regs)) {
            return i;
        }
    }
    return -1;
}

/* What a program computes it computes on every run, also what nothing asks for: it may
 * raise there.  Then bring the ops in order. */
static bool
guard_is_ready(mp_guards *g)
{
    if (g->n_tested < g->numbers.n && mp_guards_complete(g) < 0) {
        mp_err_drop();  // no memory: a miss
        return false;
    }
    return g->n_ordered == g->n_ops || mp_guards_order(g) == 0;
}

bool
mp_guards_walk_on(mp_guards *g, PyObject *const *args, PyObject **regs,
                  mp_guard_excuse excuse, void *ctx)
{
    if (g->dead || !guard_is_ready(g)) {
        return false;
    }
    g->n_valued = 0;
    int collecting = PyGC_Disable();  // as in mp_guards_check
    bool excused = true;
    for (int32_t i = 0; i < g->n_ops && excused; i++) {
        excused = guard_run(g, &g->ops[i], args, regs) || excuse(ctx, g, i, regs);
    }
    if (collecting) {
        PyGC_Enable();
    }
    return excused;
}

int
mp_guards_check(mp_guards *g, PyObject *const *args, PyObject **regs)
{
    if (g->dead || !guard_is_ready(g)) {
        g->failed = 0;  // or no memory: a miss
        return 0;
    }
    g->n_valued = 0;
    // An instance dict may have to be made; it must not set off a collection.
    int collecting = PyGC_Disable();
    g->failed = guard_walk(g, args, regs);
    if (collecting) {
        PyGC_Enable();
    }
    if (g->failed >= 0) {
        return 0;
    }
    guard_commit(g, regs);
    return 1;
}

int
mp_guards_numbers(const mp_guards *g, const int32_t *which, int32_t count,
                  PyObject **out)
{
    for (int32_t i = 0; i < count; i++) {
        assert(which[i] >= 0 && which[i] < g->n_valued);
        out[i] = mp_number_object(&g->numbers.ops[which[i]], g->values[which[i]]);
        if (out[i] == NULL) {
            while (i > 0) {
                Py_CLEAR(out[--i]);
            }
            return -1;
        }
    }
    return 0;
}
