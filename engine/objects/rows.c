/* objects/rows.c - which row of builtins.def a callable has.
 *
 * A row is found by the callable (mp_callable_key), then by the type that a method belongs
 * to.  Rows are looked up once, when the engine starts, and never change. */
#include "objects/rows.h"

#include <string.h>

#include "compat/compat.h"
#include "objects/callables.h"
#include "objects/types.h"

/* The columns of traits, without their prefix. */
enum {
#define TRAIT(id, text) id = MP_TRAIT_##id,
#include "objects/traits.def"
#undef TRAIT
};
#define DATA(n) ((uint32_t)(n) << MP_TRAIT_DATA)

static const struct {
    const char *owner, *name;
    mp_rule rule;
    uint32_t traits;
} builtin_rows[] = {
#define BUILTIN(owner, name, rule, traits) {owner, name, RULE_##rule, traits},
#include "objects/builtins.def"
#undef BUILTIN
};

static const struct {
    const char *id, *effect, *text;
    mp_c_effect calls;
    uint32_t traits;
} rule_rows[] = {
    [RULE_NONE] = {.calls = MP_C_OPAQUE, .traits = SPARES},
#define RULE(id, handler, effect, calls, traits, text)                                 \
    [RULE_##id] = {#id, #effect, text, MP_C_##calls, traits},
#include "objects/rules.def"
#undef RULE
};

static bool rules_ready;
static destructor python_dealloc;  // of every class that is made by a class statement

/* The row of all methods of a type; the type itself is the key of its row as a callable. */
static const void *
methods_key(PyTypeObject *tp)
{
    return (const char *)tp + 1;
}

static int
rule_put(const void *key, PyObject *holder, size_t i, bool override)
{
    mp_callable *row = mp_callable_add(key, holder);
    if (row != NULL && (row->rule == RULE_NONE || override)) {
        row->rule = (uint8_t)builtin_rows[i].rule;
        row->traits = builtin_rows[i].traits;
    }
    return row == NULL ? -1 : 0;
}

/* -- Filling the table ------------------------------------------------------------------ */

/* "a.b": attribute b of module a; "a": the module. */
static PyObject *
owner_find(const char *owner)
{
    const char *dot = strrchr(owner, '.');
    if (dot == NULL) {
        return PyImport_ImportModule(owner);
    }
    PyObject *name = PyUnicode_FromStringAndSize(owner, dot - owner);
    PyObject *module = name == NULL ? NULL : PyImport_Import(name);
    PyObject *found = module == NULL ? NULL : PyObject_GetAttrString(module, dot + 1);
    Py_XDECREF(name);
    Py_XDECREF(module);
    return found;
}

/* Types of a module are called, too; what is refused is refused of them as well. */
static bool
row_covers(PyObject *value, mp_rule rule)
{
    if (PyCFunction_Check(value)) {
        return true;
    }
    return (rule == RULE_HIDDEN || rule == RULE_REFUSE || rule == RULE_OPAQUE)
           && PyType_Check(value)
           && !PyType_IsSubtype((PyTypeObject *)value,
                                (PyTypeObject *)PyExc_BaseException);
}

static int
row_add_module(PyObject *module, size_t i)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(PyModule_GetDict(module), &pos, &key, &value)) {
        if (row_covers(value, builtin_rows[i].rule)
            && rule_put(mp_callable_key(value), value, i, false) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The callable that a row names: new, or NULL, with an exception only on failure. */
static PyObject *
row_callable(PyObject *owner, const char *name)
{
    PyObject *f = NULL;
    if (PyType_Check(owner)) {
        f = Py_XNewRef(
            mp_dict_text_borrow(mp_type_dict_borrow((PyTypeObject *)owner), name));
    }
    else {
        f = PyObject_GetAttrString(owner, name);
    }
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        mp_err_drop();  // a name that this CPython lacks needs no row
    }
    if (f != NULL && Py_TYPE(f) == &PyStaticMethod_Type) {
        Py_SETREF(f, PyObject_GetAttrString(owner, name));
    }
    return f;
}

static int
row_add(PyObject *owner, size_t i)
{
    const char *name = builtin_rows[i].name;
    if (name[0] == '*') {
        return PyType_Check(owner)
                   ? rule_put(methods_key((PyTypeObject *)owner), owner, i, true)
                   : row_add_module(owner, i);
    }
    PyObject *f = row_callable(owner, name);
    if (f == NULL) {
        return PyErr_Occurred() != NULL ? -1 : 0;
    }
    int rc = rule_put(mp_callable_key(f), f, i, true);
    Py_DECREF(f);
    return rc;
}

/* What this CPython lacks, or was built without, needs no row. */
static bool
owner_is_missing(void)
{
    return PyErr_ExceptionMatches(PyExc_ImportError)
           || PyErr_ExceptionMatches(PyExc_AttributeError);
}

static int
python_dealloc_find(void)
{
    PyObject *cls = owner_find("abc.ABC");  // written in Python
    if (cls == NULL) {
        return -1;
    }
    python_dealloc = ((PyTypeObject *)cls)->tp_dealloc;
    Py_DECREF(cls);
    return 0;
}

int
mp_rows_init(void)
{
    if (!rules_ready && python_dealloc_find() < 0) {
        return -1;
    }
    for (size_t i = 0; !rules_ready && i < Py_ARRAY_LENGTH(builtin_rows); i++) {
        PyObject *owner = owner_find(builtin_rows[i].owner);
        if (owner == NULL && owner_is_missing()) {
            mp_err_drop();
            continue;
        }
        int rc = owner == NULL ? -1 : row_add(owner, i);
        Py_XDECREF(owner);
        if (rc < 0) {
            return -1;
        }
    }
    rules_ready = true;
    return 0;
}

/* -- Looking up ------------------------------------------------------------------------- */

PyTypeObject *
mp_method_owner(PyObject *callee)
{
    if (Py_TYPE(callee) == &PyMethodDescr_Type
        || Py_TYPE(callee) == &PyWrapperDescr_Type
        || Py_TYPE(callee) == &PyClassMethodDescr_Type) {
        return ((PyDescrObject *)callee)->d_type;
    }
    return NULL;
}

PyTypeObject *
mp_c_base(PyTypeObject *tp)
{
    while (tp->tp_base != NULL && (tp->tp_flags & Py_TPFLAGS_HEAPTYPE)
           && !(tp->tp_flags & Py_TPFLAGS_IMMUTABLETYPE)
           && tp->tp_dealloc == python_dealloc) {
        tp = tp->tp_base;
    }
    return tp;
}

mp_rule
mp_rule_of_type(PyTypeObject *tp)
{
    return (mp_rule)mp_callable_find(methods_key(tp))->rule;
}

mp_rule
mp_rule_and_traits(PyObject *callable, uint32_t *traits)
{
    const mp_callable *row = mp_callable_find(mp_callable_key(callable));
    mp_rule rule = (mp_rule)row->rule;
    if (rule == RULE_NONE) {  // that of all methods of its type
        PyTypeObject *owner = mp_method_owner(callable);
        if (PyCFunction_Check(callable) && PyCFunction_GET_SELF(callable) != NULL
            && PyType_Check(PyCFunction_GET_SELF(callable))) {
            owner = (PyTypeObject *)PyCFunction_GET_SELF(callable);  // int.from_bytes
        }
        row = owner == NULL ? row : mp_callable_find(methods_key(owner));
        // A __new__ without a row of its own makes instances of any subclass.
        rule = mp_is_new(callable) ? RULE_OPAQUE : (mp_rule)row->rule;
    }
    *traits = row->traits | rule_rows[rule].traits;
    return rule;
}

mp_rule
mp_rule_of(PyObject *callable)
{
    uint32_t traits;
    return mp_rule_and_traits(callable, &traits);
}

uint32_t
mp_traits_of(PyObject *callable)
{
    uint32_t traits;
    (void)mp_rule_and_traits(callable, &traits);
    return traits;
}

/* A method that reads only immutable state, whatever it is. */
bool
mp_is_value_type(PyTypeObject *tp)
{
    return mp_rule_of_type(tp) == RULE_VALUE || mp_is_numpy_type(tp)
           || (mp_marks_of((PyObject *)tp) & MP_MARK_TORCH) != 0;
}

mp_c_effect
mp_rule_calls(mp_rule rule)
{
    return rule_rows[rule].calls;
}

/* -- For people and tests ------------------------------------------------------------- */

const char *
mp_rule_effect(mp_rule rule)
{
    return rule_rows[rule].effect;
}

/* List of n dicts: new. */
static PyObject *
rows_list(Py_ssize_t n, PyObject *(*row)(Py_ssize_t))
{
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < n; i++) {
        PyObject *dict = row(i);
        if (dict == NULL || PyList_Append(list, dict) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(dict);
    }
    return list;
}

static PyObject *
row_dict(Py_ssize_t i)
{
    return Py_BuildValue("{ssssss}", "owner", builtin_rows[i].owner, "name",
                         builtin_rows[i].name, "rule",
                         rule_rows[builtin_rows[i].rule].id);
}

static PyObject *
rule_dict(Py_ssize_t i)
{
    i++;  // past RULE_NONE
    return Py_BuildValue("{ssssss}", "rule", rule_rows[i].id, "class",
                         rule_rows[i].effect, "text", rule_rows[i].text);
}

PyObject *
mp_record_rows(void)
{
    return rows_list(Py_ARRAY_LENGTH(builtin_rows), row_dict);
}

PyObject *
mp_record_rules(void)
{
    return rows_list(Py_ARRAY_LENGTH(rule_rows) - 1, rule_dict);
}
