/* effect/text.c - a replay program as Python-like source.
 *
 * Invariants
 *   (1) No code of the user runs: values of a run are never looked at, and constants
 *       are shown by repr only where repr is C on data of its own.
 *   (2) The text depends on the program alone, not on addresses: expect-tests pin it.
 *   (3) A value that one op uses is shown inside that op; others are r1, r2, ... in the
 *       order in which they are made.
 *
 * Ownership: the printer owns the names that it gave; everything else is borrowed from
 * the program and from the list of source names, which outlive it.
 *
 * Re-entrancy: none; only strings and lists are made. */
#include "compat/compat.h"

#include <string.h>

#include "effect/build.h"
#include "guard/guard.h"
#include "objects/types.h"

typedef struct {
    const mp_replay *p;
    PyObject **names;  // n_regs: owned text of a register; NULL: none yet
    int32_t *def;      // n_regs: op that makes the register, -1: none
    int32_t *uses;     // n_regs: how often ops name it
    int32_t fresh;     // names given so far
} effect_printer;

static const char *const effect_formats[] = {
#define EFFECT(id, name, operands, format) format,
#include "effect/effects.def"
#undef EFFECT
};

static PyObject *effect_op_text(effect_printer *pr, const mp_effect *op);

/* -- Constants --------------------------------------------------------------------- */

/* "module.qualname", without the module if that is builtins or no plain str. */
static PyObject *
effect_dotted(PyObject *module, PyObject *qualname)
{
    if (module == NULL || !PyUnicode_CheckExact(module)
        || PyUnicode_CompareWithASCIIString(module, "builtins")
               == 0) {  // mp-ok: for people
        return Py_NewRef(qualname);
    }
    return PyUnicode_FromFormat("%U.%U", module, qualname);
}

static PyObject *
effect_type_text(PyTypeObject *type)
{
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        return PyUnicode_FromString(type->tp_name);
    }
    PyObject *key = PyUnicode_FromString("__module__");
    if (key == NULL) {
        return NULL;
    }
    PyObject *module =
        PyDict_GetItemWithError(mp_type_dict_borrow(type), key);  // borrowed
    Py_DECREF(key);
    if (module == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return effect_dotted(module, ((PyHeapTypeObject *)type)->ht_qualname);
}

/* Is repr(o) C code that looks at nothing but o's own data? */
static bool
effect_has_plain_repr(PyObject *o)
{
    return o == Py_None || o == Py_Ellipsis || o == Py_NotImplemented || PyBool_Check(o)
           || PyLong_CheckExact(o) || PyFloat_CheckExact(o) || PyComplex_CheckExact(o)
           || PyUnicode_CheckExact(o) || PyBytes_CheckExact(o)
           || (mp_type_marks(o) & MP_MARK_NAMED) || mp_type_is(o, MP_K_TORCH_DEVICE);
}

static PyObject *
effect_named_text(PyObject *o)
{
    if (PyType_Check(o)) {
        return effect_type_text((PyTypeObject *)o);
    }
    if (PyFunction_Check(o)) {
        PyFunctionObject *f = (PyFunctionObject *)o;
        return effect_dotted(f->func_module, f->func_qualname);
    }
    if (PyCode_Check(o)) {
        return Py_NewRef(((PyCodeObject *)o)->co_qualname);
    }
    if (Py_IS_TYPE(o, &PyCFunction_Type)) {
        PyCFunctionObject *f = (PyCFunctionObject *)o;
        PyObject *name = PyUnicode_FromString(f->m_ml->ml_name);
        PyObject *text = name == NULL ? NULL : effect_dotted(f->m_module, name);
        Py_XDECREF(name);
        return text;
    }
    PyObject *type = effect_type_text(Py_TYPE(o));
    PyObject *text = type == NULL ? NULL : PyUnicode_FromFormat("<%U object>", type);
    Py_XDECREF(type);
    return text;
}

/* Text of a constant (1). */
static PyObject *
effect_const_text(PyObject *o)
{
    if (effect_has_plain_repr(o)) {
        return mp_guard_repr(o);
    }
    if (!PyTuple_CheckExact(o)) {
        return effect_named_text(o);
    }
    PyObject *text = PyUnicode_FromString("(");
    Py_ssize_t n = PyTuple_GET_SIZE(o);
    for (Py_ssize_t i = 0; i < n && text != NULL; i++) {
        const char *end = i + 1 < n ? ", " : n == 1 ? "," : "";
        PyObject *item = NULL;
        if (Py_EnterRecursiveCall(" in the text of a constant") == 0) {
            item = effect_const_text(PyTuple_GET_ITEM(o, i));
            Py_LeaveRecursiveCall();
        }
        Py_XSETREF(text, item ? PyUnicode_FromFormat("%U%U%s", text, item, end) : NULL);
        Py_XDECREF(item);
    }
    if (text != NULL) {
        Py_SETREF(text, PyUnicode_FromFormat("%U)", text));
    }
    return text;
}

/* -- Registers --------------------------------------------------------------------- */

static PyObject *
effect_reg_text(effect_printer *pr, int32_t reg)
{
    if (reg < 0) {
        return PyUnicode_FromString("");
    }
    if (pr->names[reg] != NULL || pr->def[reg] < 0) {
        return pr->names[reg] ? Py_NewRef(pr->names[reg]) : PyUnicode_FromString("?");
    }
    if (Py_EnterRecursiveCall(" in the text of a replay") != 0) {
        return NULL;
    }
    PyObject *text = effect_op_text(pr, &pr->p->ops[pr->def[reg]]);
    Py_LeaveRecursiveCall();
    return text;
}

static PyObject *
effect_items_text(effect_printer *pr, const mp_effect *op, bool pairs)
{
    PyObject *text = PyUnicode_FromString("");
    for (int32_t i = 0; i < op->count && text != NULL; i++) {
        const char *lead = i == 0 ? "" : pairs && i % 2 == 1 ? ": " : ", ";
        PyObject *item = effect_reg_text(pr, pr->p->pool[op->items + i]);
        Py_XSETREF(text,
                   item ? PyUnicode_FromFormat("%U%s%U", text, lead, item) : NULL);
        Py_XDECREF(item);
    }
    if (text != NULL && op->count == 1 && op->kind == MP_E_TUPLE) {
        Py_SETREF(text, PyUnicode_FromFormat("%U,", text));
    }
    return text;
}

static PyObject *
effect_fields_text(effect_printer *pr, const mp_effect *op)
{
    static const char *const labels[] = {
        [MP_FN_DEFAULTS] = "defaults",
        [MP_FN_KWDEFAULTS] = "kwdefaults",
        [MP_FN_CLOSURE] = "closure",
        [MP_FN_DICT] = "dict",
        [MP_FN_ANNOTATIONS] = "annotations",
        [MP_FN_ANNOTATE] = "annotate",
        [MP_FN_DOC] = "doc",
        [MP_FN_MODULE] = "module",
    };
    PyObject *text = PyUnicode_FromString("");
    for (int i = MP_FN_DEFAULTS; i < MP_FN_COUNT && text != NULL; i++) {
        int32_t reg = pr->p->pool[op->items + i];
        if (reg < 0) {
            continue;
        }
        PyObject *item = effect_reg_text(pr, reg);
        Py_XSETREF(text, item ? PyUnicode_FromFormat("%U, %s=%U", text, labels[i], item)
                              : NULL);
        Py_XDECREF(item);
    }
    return text;
}

/* The attribute that a write to the __dict__ in op->a is about. */
static PyObject *
effect_attr_text(effect_printer *pr, const mp_effect *op)
{
    static const char suffix[] = ".__dict__";
    Py_ssize_t n = (Py_ssize_t)strlen(suffix);
    PyObject *dict = effect_reg_text(pr, op->a);
    PyObject *end = PyUnicode_FromString(suffix);
    PyObject *text = NULL;
    if (dict != NULL && end != NULL) {
        Py_ssize_t size = PyUnicode_GET_LENGTH(dict);
        Py_ssize_t found = PyUnicode_Tailmatch(dict, end, 0, size, 1);
        if (found > 0) {
            PyObject *owner = PyUnicode_Substring(dict, 0, size - n);
            text = owner ? PyUnicode_FromFormat("%U.%U", owner, op->obj) : NULL;
            Py_XDECREF(owner);
        }
        else if (found == 0) {
            text = PyUnicode_FromFormat("%U[%R]", dict, op->obj);
        }
    }
    Py_XDECREF(end);
    Py_XDECREF(dict);
    return text;
}

/* -- Ops --------------------------------------------------------------------------- */

/* The text of one placeholder of a format. */
static PyObject *
effect_part_text(effect_printer *pr, const mp_effect *op, const char *part, size_t n)
{
    bool is_key = strncmp(part, "key", n) == 0;
    if (is_key && op->obj == NULL) {
        return effect_reg_text(pr, pr->p->pool[op->items]);
    }
    if (is_key || strncmp(part, "obj", n) == 0) {
        return effect_const_text(op->obj);
    }
    if (n == 1) {
        return effect_reg_text(pr, *part == 'a' ? op->a : op->b);
    }
    if (strncmp(part, "name", n) == 0) {
        return Py_NewRef(PyUnicode_Check(op->obj) ? op->obj : PyDescr_NAME(op->obj));
    }
    if (strncmp(part, "attr", n) == 0) {
        return effect_attr_text(pr, op);
    }
    if (strncmp(part, "fields", n) == 0) {
        return effect_fields_text(pr, op);
    }
    return effect_items_text(pr, op, strncmp(part, "pairs", n) == 0);
}

/* The op in the words of its row. */
static PyObject *
effect_op_text(effect_printer *pr, const mp_effect *op)
{
    PyObject *text = PyUnicode_FromString("");
    const char *at = effect_formats[op->kind];
    while (*at != '\0' && text != NULL) {
        PyObject *part = NULL;
        if (at[0] == '{' && at[1] != '{') {
            const char *end = strchr(at, '}');
            part = effect_part_text(pr, op, at + 1, (size_t)(end - at - 1));
            at = end + 1;
        }
        else {
            // A literal run; a brace stands for itself when doubled.
            size_t n = *at == '{' || *at == '}' ? 1 : strcspn(at, "{}");
            part = PyUnicode_FromStringAndSize(at, (Py_ssize_t)n);
            at += *at == '{' || *at == '}' ? 2 : n;
        }
        Py_XSETREF(text, part ? PyUnicode_Concat(text, part) : NULL);
        Py_XDECREF(part);
    }
    return text;
}

/* Is the op's value shown inside its one user, or (a constant) inside all of them? */
static bool
effect_is_inline(const effect_printer *pr, const mp_effect *op)
{
    return op->kind == MP_E_CONST
           || (op->kind < MP_E_FILL_LIST && pr->uses[op->dst] == 1);
}

/* Append the line of op to lines and name its value; 0 / -1. */
static int
effect_add_line(effect_printer *pr, const mp_effect *op, PyObject *lines)
{
    PyObject *text = effect_op_text(pr, op);
    if (text != NULL && op->kind < MP_E_FILL_LIST) {
        PyObject *name = PyUnicode_FromFormat("r%d", (int)++pr->fresh);
        Py_SETREF(text, name ? PyUnicode_FromFormat("%U = %U", name, text) : NULL);
        pr->names[op->dst] = name;
    }
    int rc = text == NULL ? -1 : PyList_Append(lines, text);
    Py_XDECREF(text);
    return rc;
}

static void
effect_count_uses(effect_printer *pr)
{
    const mp_replay *p = pr->p;
    for (int32_t i = 0; i < p->n_ops; i++) {
        const mp_effect *op = &p->ops[i];
        if (op->dst >= 0) {
            pr->def[op->dst] = i;
        }
        if (op->a >= 0) {
            bool fills = op->kind >= MP_E_FILL_LIST && op->kind < MP_E_DICT_SET;
            pr->uses[op->a] += fills ? 2 : 1;  // what is filled needs a name
        }
        if (op->b >= 0) {
            pr->uses[op->b]++;
        }
        for (int32_t k = 0; k < op->count; k++) {
            int32_t reg = p->pool[op->items + k];
            if (reg >= 0) {
                pr->uses[reg]++;
            }
        }
    }
}

/* Names of what the program does not make itself; 0 / -1. */
static int
effect_name_given(effect_printer *pr, PyObject *source_names)
{
    int32_t n_sources = pr->p->n_sources;
    if (!PyList_Check(source_names) || PyList_GET_SIZE(source_names) < n_sources) {
        PyErr_SetString(PyExc_SystemError, "replay text needs a name for every source");
        return -1;
    }
    for (int32_t i = 0; i < n_sources; i++) {
        PyObject *name = PyList_GET_ITEM(source_names, i);
        if (!PyUnicode_Check(name)) {
            PyErr_SetString(PyExc_SystemError, "the name of a source is not a str");
            return -1;
        }
        pr->names[i] = Py_NewRef(name);
    }
    for (int32_t i = 0; i < pr->p->n_graph; i++) {
        PyObject *name = PyUnicode_FromFormat("graph[%d]", (int)i);
        if (name == NULL) {
            return -1;
        }
        pr->names[n_sources + i] = name;
    }
    return 0;
}

static int
effect_add_lines(effect_printer *pr, PyObject *lines)
{
    const mp_replay *p = pr->p;
    bool returns = false;
    for (int32_t i = 0; i < p->n_ops; i++) {
        const mp_effect *op = &p->ops[i];
        returns = returns || op->kind == MP_E_RETURN;
        if (!effect_is_inline(pr, op) && effect_add_line(pr, op, lines) < 0) {
            return -1;
        }
    }
    mp_effect end = {.kind = MP_E_RETURN, .dst = -1, .a = p->result, .b = -1};
    return returns || p->result < 0 ? 0 : effect_add_line(pr, &end, lines);
}

PyObject *
mp_replay_text(const mp_replay *p, PyObject *source_names)
{
    int32_t given = p->n_sources + p->n_graph;
    size_t n = (size_t)(p->n_ops == 0 ? given : p->n_regs);
    effect_printer pr = {
        .p = p,
        .names = PyMem_Calloc(n, sizeof(*pr.names)),
        .def = PyMem_Malloc(n * sizeof(*pr.def)),
        .uses = PyMem_Calloc(n, sizeof(*pr.uses)),
    };
    PyObject *lines = NULL;  // owned
    if (pr.names == NULL || pr.def == NULL || pr.uses == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        pr.def[i] = -1;
    }
    effect_count_uses(&pr);
    lines = PyList_New(0);
    if (lines != NULL
        && (effect_name_given(&pr, source_names) < 0
            || effect_add_lines(&pr, lines) < 0)) {
        Py_CLEAR(lines);
    }

done:
    for (size_t i = 0; pr.names != NULL && i < n; i++) {
        Py_XDECREF(pr.names[i]);
    }
    PyMem_Free(pr.uses);
    PyMem_Free(pr.def);
    PyMem_Free(pr.names);
    return lines;
}
