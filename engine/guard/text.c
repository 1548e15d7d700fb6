/* guard/text.c - guard programs as Python-like text.
 *
 * Invariants
 *   (1) No code of the user runs: constants are shown by repr only where repr is C code
 *       on data of its own, everything else by the name of its type.
 *   (2) The text depends on the program alone, not on addresses or hashes: expect-tests
 *       pin it.
 * Ownership: texts are new strings; what is built up is owned by its builder.
 * Re-entrancy: strings and lists are made (a collection may run, and finalizers in it);
 * the program is not changed.
 */
#include "guard/guard.h"

#include <string.h>  // strchr, strncmp

#include "compat/compat.h"
#include "objects/equal.h"
#include "objects/types.h"
#include "torch/tensor.h"

enum { TEXT_REPR_MAX = 80 };  // characters of one constant

static const char text_gone[] = "an object of the recorded call, which has died";

static const char *const text_formats[] = {
#define GUARD(id, operands, object, words, format) format,
#include "guard/guards.def"
#undef GUARD
};

static const char *const text_fields[] = {
#define FIELD(id, name) name,
#include "guard/fields.def"
#undef FIELD
};

/* Append and consume piece.  A NULL on either side makes *text NULL (exception set), so
 * a chain of calls needs one check at its end. */
static void
text_put_steal(PyObject **text, PyObject *piece)
{
    if (*text == NULL) {
        Py_XDECREF(piece);
        return;
    }
    PyUnicode_AppendAndDel(text, piece);
}

/* Append a C string; the same rule for NULL. */
static void
text_put(PyObject **text, const char *piece)
{
    if (*text != NULL) {
        PyUnicode_AppendAndDel(text, PyUnicode_FromString(piece));
    }
}

/* -- Constants -------------------------------------------------------------------- */

/* A str value of a dict that holds only str keys; NULL: no such.  No exception. */
static PyObject *
text_str_at_borrow(PyObject *dict, const char *name)
{
    PyObject *found = NULL;
    if (dict == NULL || !PyDict_Check(dict) || !mp_dict_keys_are_str(dict)) {
        return NULL;
    }
    PyObject *key = PyUnicode_FromString(name);
    Py_hash_t hash = key == NULL ? -1 : PyObject_Hash(key);
    if (hash == -1) {
        mp_err_drop();  // no memory for a nicer name
    }
    else {
        found = mp_dict_find_borrow(dict, key, hash);
    }
    Py_XDECREF(key);
    return found != NULL && PyUnicode_CheckExact(found) ? found : NULL;
}

/* "module.name", or the name alone for builtins: new. */
static PyObject *
text_dotted(PyObject *module, PyObject *name)
{
    if (module == NULL || !PyUnicode_CheckExact(module)
        || PyUnicode_CompareWithASCIIString(module, "builtins")
               == 0) {  // mp-ok: for people
        return Py_NewRef(name);
    }
    return PyUnicode_FromFormat("%U.%U", module, name);
}

/* A class by its dotted name: new. */
static PyObject *
text_type(PyTypeObject *type)
{
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        return PyUnicode_FromString(type->tp_name);
    }
    return text_dotted(text_str_at_borrow(mp_type_dict_borrow(type), "__module__"),
                       ((PyHeapTypeObject *)type)->ht_qualname);
}

/* Is repr(o) C code that looks at o's own data only? */
static bool
text_has_plain_repr(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    return PyUnicode_CheckExact(o) || PyLong_CheckExact(o) || PyFloat_CheckExact(o)
           || PyBool_Check(o) || PyBytes_CheckExact(o) || PyComplex_CheckExact(o)
           || o == Py_None || o == Py_Ellipsis || o == Py_NotImplemented
           || type == &PyRange_Type || mp_guard_is_registered(type)
           || (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE)
               && type->tp_repr != PyBaseObject_Type.tp_repr
               && (mp_type_marks(o) & MP_MARK_NAMED));
}

/* Shortens a text to TEXT_REPR_MAX characters.  NULL passes through. */
static PyObject *
text_cut_steal(PyObject *text)
{
    if (text == NULL || PyUnicode_GET_LENGTH(text) <= TEXT_REPR_MAX) {
        return text;
    }
    PyObject *cut = PyUnicode_Substring(text, 0, TEXT_REPR_MAX - 3);
    Py_DECREF(text);
    text_put(&cut, "...");
    return cut;
}

PyObject *
mp_guard_repr(PyObject *o)
{
    PyObject *text = PyObject_Repr(o);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        mp_err_drop();  // an int with more digits than the interpreter will print
        return PyUnicode_FromFormat("<%s>", Py_TYPE(o)->tp_name);
    }
    return text_cut_steal(text);
}

static PyObject *text_const(PyObject *o);

/* Texts of the items of a tuple or frozenset, in between: "a, b". */
static PyObject *
text_items(PyObject *list)
{
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *text = comma == NULL ? NULL : PyUnicode_Join(comma, list);
    Py_XDECREF(comma);
    return text;
}

/* The items between `open` and `close`, with Python's comma after a single item. */
static PyObject *
text_tuple(PyObject *tuple, const char *open, const char *close)
{
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    PyObject *list = PyList_New(n), *text = PyUnicode_FromString(open);
    for (Py_ssize_t i = 0; list != NULL && i < n; i++) {
        PyObject *item = text_const(PyTuple_GET_ITEM(tuple, i));
        if (item == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, item);
    }
    text_put_steal(&text, list == NULL ? NULL : text_items(list));
    Py_XDECREF(list);
    text_put(&text, n == 1 && *open == '(' ? "," : "");
    text_put(&text, close);
    return text;
}

/* Sorted as texts, for (2). */
static PyObject *
text_set(PyObject *set)
{
    PyObject *list = PyList_New(0), *text = PyUnicode_FromString("{"), *k;
    Py_ssize_t pos = 0;
    Py_hash_t hash;
    while (list != NULL && mp_set_next(set, &pos, &k, &hash)) {
        PyObject *item = text_const(k);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    if (list != NULL && PyList_Sort(list) < 0) {
        Py_CLEAR(list);
    }
    text_put_steal(&text, list == NULL ? NULL : text_items(list));
    Py_XDECREF(list);
    text_put(&text, "}");
    return text;
}

/* "slice(start, stop, step)" */
static PyObject *
text_slice(PyObject *o)
{
    PySliceObject *s = (PySliceObject *)o;
    PyObject *text = PyUnicode_FromString("slice(");
    text_put_steal(&text, text_const(s->start));
    text_put(&text, ", ");
    text_put_steal(&text, text_const(s->stop));
    text_put(&text, ", ");
    text_put_steal(&text, text_const(s->step));
    text_put(&text, ")");
    return text;
}

/* Functions, classes and modules by name; NULL without an exception for others. */
static PyObject *
text_named(PyObject *o)
{
    if (PyType_Check(o)) {
        return text_type((PyTypeObject *)o);
    }
    if (PyFunction_Check(o)) {
        PyFunctionObject *f = (PyFunctionObject *)o;
        return text_dotted(f->func_module, f->func_qualname);
    }
    if (PyCFunction_Check(o)) {
        PyCFunctionObject *f = (PyCFunctionObject *)o;
        PyObject *name = PyUnicode_FromString(f->m_ml->ml_name);
        PyObject *text = name == NULL ? NULL : text_dotted(f->m_module, name);
        Py_XDECREF(name);
        return text;
    }
    if (PyModule_Check(o)) {
        PyObject *name = text_str_at_borrow(PyModule_GetDict(o), "__name__");
        return name == NULL ? PyUnicode_FromString("<module>") : Py_NewRef(name);
    }
    if (PyCode_Check(o)) {
        return PyUnicode_FromFormat("<code %U>", ((PyCodeObject *)o)->co_qualname);
    }
    return NULL;
}

/* A constant as text: a name, a repr that runs no code of the user, or "<type object>". */
static PyObject *
text_const(PyObject *o)
{
    PyObject *text = text_named(o);
    if (text != NULL || PyErr_Occurred()) {
        return text;
    }
    if (text_has_plain_repr(o)) {
        return mp_guard_repr(o);
    }
    if (PyTuple_CheckExact(o)) {
        return text_tuple(o, "(", ")");
    }
    if (PyFrozenSet_CheckExact(o)) {
        return text_set(o);
    }
    if (Py_IS_TYPE(o, &PySlice_Type)) {
        return text_slice(o);
    }
    text = PyUnicode_FromString("<");
    text_put_steal(&text, text_type(Py_TYPE(o)));
    text_put(&text, " object>");
    return text;
}

/* -- Rows ------------------------------------------------------------------------- */

/* "C.name is value" or "C.name is absent", with owner as the text of C. */
static PyObject *
text_attr_steal(PyObject *name, PyObject *expected, PyObject *owner)
{
    text_put(&owner, ".");
    text_put_steal(&owner, Py_NewRef(name));
    if (expected == mp_guard_absent()) {
        text_put(&owner, " is absent");
        return owner;
    }
    text_put(&owner, " is ");
    text_put_steal(&owner, text_const(expected));
    return owner;
}

/* "super(C, D).name is value" */
static PyObject *
text_super(PyObject *row)
{
    PyObject *text = PyUnicode_FromString("super(");
    text_put_steal(&text, text_const(PyTuple_GET_ITEM(row, 1)));
    text_put(&text, ", ");
    text_put_steal(&text, text_const(PyTuple_GET_ITEM(row, 0)));
    text_put(&text, ")");
    return text_attr_steal(PyTuple_GET_ITEM(row, 2), PyTuple_GET_ITEM(row, 3), text);
}

/* "sys.modules['m'] is value" */
static PyObject *
text_imported(PyObject *row)
{
    PyObject *text = PyUnicode_FromString("sys.modules[");
    text_put_steal(&text, text_const(PyTuple_GET_ITEM(row, 0)));
    if (PyTuple_GET_ITEM(row, 1) == mp_guard_absent()) {
        text_put(&text, "] is absent");
        return text;
    }
    text_put(&text, "] is ");
    text_put_steal(&text, text_const(PyTuple_GET_ITEM(row, 1)));
    return text;
}

/* "C has its special methods" */
static PyObject *
text_specials(PyObject *row)
{
    PyObject *text = text_const(PyTuple_GET_ITEM(row, 0));
    text_put(&text, " has its special methods");
    return text;
}

/* "f has its code, defaults and closure" */
static PyObject *
text_function(PyObject *row)
{
    PyObject *text = text_const(PyTuple_GET_ITEM(row, 0));
    text_put(&text, " has its code, defaults and closure");
    return text;
}

/* What {obj} stands for. */
static PyObject *
text_obj(const mp_guard *op)
{
    PyObject *row = op->obj;
    switch ((mp_guard_kind)op->kind) {
    case MP_G_LOAD_ARG:
        return Py_NewRef(op->obj);
    case MP_G_LOAD_SLOT:
    case MP_G_SLOT_EMPTY:
        return Py_NewRef(((PyDescrObject *)op->obj)->d_name);
    case MP_G_LOAD_FIELD:
        return PyUnicode_FromString(text_fields[op->n]);
    case MP_G_KEYS:
        return text_tuple(op->obj, "[", "]");
    case MP_G_SUBCLASSES:
        return text_const(PyTuple_GET_ITEM(row, 0));
    case MP_G_TYPE_ATTR:
        return text_attr_steal(PyTuple_GET_ITEM(row, 1), PyTuple_GET_ITEM(row, 2),
                               text_const(PyTuple_GET_ITEM(row, 0)));
    case MP_G_TYPE_SPECIALS:
        return text_specials(row);
    case MP_G_SUPER_ATTR:
        return text_super(row);
    case MP_G_FUNCTION:
        return text_function(row);
    case MP_G_IMPORTED:
        return text_imported(row);
    default:
        return text_const(op->obj);
    }
}

/* mp_guards_source as the callback that mp_number_text takes. */
static PyObject *
text_source_of(const void *g, int32_t reg)
{
    return mp_guards_source(g, reg);
}

/* Is number k what the program ends with: asked for by no test, used by no other number? */
static bool
text_is_last(const mp_guards *g, int32_t k, int32_t upto)
{
    int32_t op = g->numbers.ops[k].op;
    bool used = op == MP_N_INT || op == MP_N_FLOAT;
    for (int32_t i = k + 1; i < upto && !used; i++) {
        used = g->numbers.ops[i].a == k || g->numbers.ops[i].b == k;
        used = used && !g->numbers.ops[i].is_source;
    }
    return !used && !g->numbers.ops[k].is_asked;
}

/* The numbers that the program computes for its graph, with their types: "n: int64, lr *
 * 2: float". */
static PyObject *
text_computed(const mp_guards *g, const mp_guard *op)
{
    PyObject *text = PyUnicode_FromString("");
    int32_t upto = (int32_t)op->n + 1;
    for (int32_t k = 0; k < upto && text != NULL; k++) {
        if (!text_is_last(g, k, upto)) {
            continue;
        }
        text_put(&text, PyUnicode_GET_LENGTH(text) > 0 ? ", " : "");
        text_put_steal(&text, mp_number_text(&g->numbers, k, text_source_of, g));
        text_put(&text, g->numbers.ops[k].is_float ? ": float" : ": int64");
    }
    return text;
}

/* The text for one field of a guard's format, new str. */
static PyObject *
text_part(const mp_guards *g, const mp_guard *op, const char *name)
{
    if (strncmp(name, "src}", 4) == 0) {
        return mp_guards_source(g, op->a);
    }
    if (strncmp(name, "src2}", 5) == 0) {
        return mp_guards_source(g, op->b);
    }
    if (strncmp(name, "obj}", 4) == 0) {
        return text_obj(op);
    }
    if (strncmp(name, "number}", 7) == 0) {
        return mp_number_text(&g->numbers, (int32_t)op->n, text_source_of, g);
    }
    if (strncmp(name, "computed}", 9) == 0) {
        return text_computed(g, op);
    }
    if (strncmp(name, "n}", 2) == 0) {
        return PyUnicode_FromFormat("%lld", (long long)op->n);
    }
    if (strncmp(name, "meta}", 5) == 0) {
        return mp_tensor_meta_text(op->meta);
    }
    PyErr_Format(PyExc_SystemError, "unknown field in a guard's format: {%s", name);
    return NULL;
}

/* Append `format` with its fields filled in. */
static void
text_expand(PyObject **text, const mp_guards *g, const mp_guard *op, const char *format)
{
    while (*text != NULL && *format != '\0') {
        const char *open = strchr(format, '{');
        size_t len = open == NULL ? strlen(format) : (size_t)(open - format);
        text_put_steal(text, PyUnicode_FromStringAndSize(format, (Py_ssize_t)len));
        if (open == NULL) {
            return;
        }
        const char *close = strchr(open, '}');
        if (close == NULL) {
            return;
        }
        text_put_steal(text, text_part(g, op, open + 1));
        format = close + 1;
    }
}

/* -- Sources ---------------------------------------------------------------------- */

/* A source is spelled from its root on.  What a step adds may depend on the next one: a
 * __dict__ and the dicts of an nn.Module disappear when a name is looked up in them. */
typedef struct {
    PyObject *text;  // owned; NULL after an error
    bool in_dict;    // ".__dict__" is not written yet
    PyObject *part;  // "_modules" ... not written yet; borrowed from the program
} text_source;

/* Write what was left open: the next step is not a look-up of a name. */
static void
text_source_flush(text_source *s)
{
    if (s->in_dict) {
        text_put(&s->text, ".__dict__");
    }
    if (s->part != NULL) {
        text_put(&s->text, ".");
        text_put_steal(&s->text, Py_NewRef(s->part));
    }
    s->in_dict = false;
    s->part = NULL;
}

/* One of the dicts that nn.Module keeps its parts in? */
static bool
text_is_part(PyObject *key)
{
    return PyUnicode_CompareWithASCIIString(key, "_modules") == 0
           || PyUnicode_CompareWithASCIIString(key, "_parameters") == 0
           || PyUnicode_CompareWithASCIIString(key, "_buffers") == 0;
}

/* Is it an index, as the names in an nn.Sequential are? */
static bool
text_is_digits(PyObject *key)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(key);
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(key, i);
        if (c < '0' || c > '9') {
            return false;
        }
    }
    return n > 0;
}

/* A step by key in a source text: `.name` in the dict of an object, `[key]` elsewhere;
 * parts of modules (`_modules`, `_parameters`) are left out. */
static void
text_source_key(text_source *s, PyObject *key)
{
    bool is_str = PyUnicode_CheckExact(key);
    if (s->in_dict && is_str && text_is_part(key)) {
        s->in_dict = false;
        s->part = key;
        return;
    }
    if ((s->in_dict || s->part != NULL) && is_str && PyUnicode_IsIdentifier(key) > 0) {
        text_put(&s->text, ".");
        text_put_steal(&s->text, Py_NewRef(key));
    }
    else if (s->part != NULL && is_str && text_is_digits(key)) {
        text_put(&s->text, "[");
        text_put_steal(&s->text, Py_NewRef(key));
        text_put(&s->text, "]");
    }
    else {
        text_source_flush(s);
        text_put(&s->text, "[");
        text_put_steal(&s->text, text_const(key));
        text_put(&s->text, "]");
    }
    s->in_dict = false;
    s->part = NULL;
}

/* A dict of globals goes by its module's name. */
static void
text_source_const(text_source *s, PyObject *obj)
{
    bool is_dict = PyDict_CheckExact(obj);
    PyObject *name = is_dict ? text_str_at_borrow(obj, "__name__") : NULL;
    s->in_dict = name != NULL;
    s->text = name != NULL ? Py_NewRef(name) : text_const(obj);
}

static void
text_source_step(text_source *s, const mp_guards *g, const mp_guard *op)
{
    switch ((mp_guard_kind)op->kind) {
    case MP_G_LOAD_CONST:
        text_source_const(s, op->obj);
        return;
    case MP_G_LOAD_ARG:
        s->text = Py_NewRef(op->obj);
        return;
    case MP_G_LOAD_CONTEXT:
        s->text = PyUnicode_FromString("ContextVar.get()");
        return;
    case MP_G_LOAD_DICT:
    case MP_G_LOAD_LOCAL:
        text_source_flush(s);
        s->in_dict = true;
        return;
    case MP_G_LOAD_KEY:
        text_source_key(s, op->obj);
        return;
    default:
        text_source_flush(s);
        // All formats of loads with a parent start with it.
        text_expand(&s->text, g, op, text_formats[op->kind] + strlen("{src}"));
    }
}

PyObject *
mp_guards_source(const mp_guards *g, int32_t reg)
{
    text_source s = {NULL, false, NULL};
    Py_ssize_t depth = 0;
    if (g->dead) {
        return PyUnicode_FromString(text_gone);
    }
    if (reg < 0 || reg >= g->n_regs) {
        PyErr_BadInternalCall();
        return NULL;
    }
    for (int32_t r = reg; r >= 0; r = g->ops[g->def[r]].a) {
        depth++;
    }
    int32_t *path = PyMem_New(int32_t, depth);
    if (path == NULL) {
        return PyErr_NoMemory();
    }
    for (int32_t r = reg, i = 0; r >= 0; r = g->ops[g->def[r]].a) {
        path[depth - ++i] = r;
    }
    for (Py_ssize_t i = 0; i < depth && (i == 0 || s.text != NULL); i++) {
        text_source_step(&s, g, &g->ops[g->def[path[i]]]);
    }
    PyMem_Free(path);
    text_source_flush(&s);
    return s.text;
}

PyObject *
mp_guards_given(const mp_guards *g, int32_t given)
{
    if (given >= 0 || g->dead) {
        return mp_guards_source(g, given);
    }
    return mp_number_text(&g->numbers, ~given, text_source_of, g);
}

/* -- Lines ------------------------------------------------------------------------ */

/* ", 2 <= x.shape[0]" for each size that may differ. */
static void
text_open_sizes(PyObject **text, const mp_guards *g, const mp_guard *op)
{
    for (int32_t dim = 0; dim < op->meta->ndim; dim++) {
        if (mp_tensor_meta_is_open(op->meta, dim) && !(op->meta->small >> dim & 1)) {
            text_put(text, ", 2 <= ");
            text_put_steal(text, mp_guards_source(g, op->a));
            text_put_steal(text, PyUnicode_FromFormat(".shape[%d]", (int)dim));
        }
    }
}

PyObject *
mp_guards_line(const mp_guards *g, int32_t op)
{
    if (op < 0 || op >= g->n_ops) {
        PyErr_BadInternalCall();
        return NULL;
    }
    const mp_guard *guard = &g->ops[op];
    if (g->dead) {
        return PyUnicode_FromString(text_gone);
    }
    if (guard->dst >= 0) {
        PyObject *source = mp_guards_source(g, guard->dst);
        text_put(&source, " exists");
        return source;
    }
    PyObject *text = PyUnicode_FromString("");
    text_expand(&text, g, guard, text_formats[guard->kind]);
    if (guard->kind == MP_G_TENSOR) {
        text_open_sizes(&text, g, guard);
    }
    if (guard->kind == MP_G_NO_DICT && guard->b >= 0) {
        text_expand(&text, g, guard, ", nor is {src2} its __dict__");
    }
    return text;
}

/* -- Ranges ----------------------------------------------------------------------- */

/* A test that bounds a number by a constant. */
typedef struct {
    int32_t number, constant;
    bool lower, strict;
} text_bound;

static bool
text_is_bound(const mp_guards *g, int32_t i, text_bound *out)
{
    const mp_guard *op = &g->ops[i];
    const mp_number *k = op->kind == MP_G_HOLDS ? &g->numbers.ops[op->n] : NULL;
    if (k == NULL || k->op < MP_N_LT || k->op > MP_N_GE || k->op == MP_N_EQ
        || k->op == MP_N_NE) {
        return false;
    }
    bool less = k->op == MP_N_LT || k->op == MP_N_LE;
    bool first = g->numbers.ops[k->a].op == MP_N_INT;
    *out = (text_bound){.number = first ? k->b : k->a,
                        .constant = first ? k->a : k->b,
                        .lower = less == first,
                        .strict = k->op == MP_N_LT || k->op == MP_N_GT};
    return first != (g->numbers.ops[k->b].op == MP_N_INT);
}

/* The first test that bounds the same number from the other side, or -1. */
static int32_t
text_other_bound(const mp_guards *g, const text_bound *bound)
{
    text_bound other;
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (text_is_bound(g, i, &other) && other.number == bound->number
            && other.lower != bound->lower) {
            return i;
        }
    }
    return -1;
}

/* "2 <= n < 512" of tests i and the one behind it; the line of i if there is none such;
 * NULL without an exception if i is told with another one. */
static PyObject *
text_range(const mp_guards *g, int32_t i)
{
    text_bound one, other;
    int32_t at = text_is_bound(g, i, &one) ? text_other_bound(g, &one) : -1;
    if (at < 0 || !text_is_bound(g, at, &other) || text_other_bound(g, &other) != i) {
        return mp_guards_line(g, i);
    }
    if (at < i) {
        return NULL;
    }
    const text_bound *low = one.lower ? &one : &other;
    const text_bound *high = one.lower ? &other : &one;
    PyObject *text = mp_number_text(&g->numbers, low->constant, text_source_of, g);
    text_put(&text, low->strict ? " < " : " <= ");
    text_put_steal(&text, mp_number_text(&g->numbers, low->number, text_source_of, g));
    text_put(&text, high->strict ? " < " : " <= ");
    text_put_steal(&text,
                   mp_number_text(&g->numbers, high->constant, text_source_of, g));
    return text;
}

/* Append an index to a list: 0 / -1. */
static int
text_note_op(PyObject *ops, int32_t op)
{
    PyObject *index = PyLong_FromLong(op);
    int rc = index == NULL ? -1 : PyList_Append(ops, index);
    Py_XDECREF(index);
    return rc;
}

PyObject *
mp_guards_text(const mp_guards *g, PyObject *ops)
{
    PyObject *list = PyList_New(0);
    for (int32_t i = 0; list != NULL && i < g->n_ops; i++) {
        if (g->ops[i].dst >= 0) {
            continue;
        }
        PyObject *line = text_range(g, i);
        if (line == NULL && !PyErr_Occurred()) {
            continue;
        }
        if (line == NULL || PyList_Append(list, line) < 0
            || (ops != NULL && text_note_op(ops, i) < 0)) {
            Py_CLEAR(list);
        }
        Py_XDECREF(line);
    }
    return list;
}

/* What was there instead: new str, or NULL, perhaps without an exception. */
static PyObject *
text_found(const mp_guard *op, PyObject *o)
{
    switch ((mp_guard_kind)op->kind) {
    case MP_G_TYPE_IS:
        return text_type(Py_TYPE(o));
    case MP_G_IS:
    case MP_G_EQUALS:
        // What is no constant may be nested without end.
        return mp_guard_is_constant(o, 0) ? text_cut_steal(text_const(o))
                                          : text_type(Py_TYPE(o));
    case MP_G_LEN:
        return mp_guard_len(o) < 0 ? text_type(Py_TYPE(o))
                                   : PyUnicode_FromFormat("%zd", mp_guard_len(o));
    case MP_G_TENSOR:
        return mp_tensor_meta_diff(o, op->meta);
    default:
        return NULL;
    }
}

/* The numbers that a failed HOLDS or COMPUTED is about, as far as they are known. */
static PyObject *
text_found_numbers(const mp_guards *g, const mp_guard *op)
{
    int32_t k = g->n_valued <= op->n ? g->n_valued : (int32_t)op->n;
    PyObject *text = mp_number_found(&g->numbers, k, g->values, text_source_of, g);
    if (k < g->n_valued) {
        return text;
    }
    PyObject *number = mp_number_text(&g->numbers, k, text_source_of, g);
    text_put(&number, " cannot be computed");
    if (text != NULL && PyUnicode_GET_LENGTH(text) > 0) {
        text_put(&number, ": ");
    }
    text_put_steal(&number, text);
    return number;
}

PyObject *
mp_guards_found(const mp_guards *g, PyObject *const *regs)
{
    const mp_guard *op = &g->ops[g->failed];
    assert(g->failed >= 0 && g->failed < g->n_ops);
    if (g->dead || op->dst >= 0) {
        return NULL;
    }
    if (op->kind == MP_G_HOLDS || op->kind == MP_G_COMPUTED) {
        return text_found_numbers(g, op);
    }
    if (op->a < 0) {
        return NULL;
    }
    PyObject *o = Py_NewRef(regs[op->a]);
    PyObject *found = text_found(op, o);
    Py_DECREF(o);
    return found;
}

PyObject *
mp_guards_miss(const mp_guards *g, PyObject *const *regs)
{
    PyObject *line = mp_guards_line(g, g->failed);
    PyObject *found = line == NULL ? NULL : mp_guards_found(g, regs);
    if (found != NULL) {
        text_put(&line, "; found: ");
        text_put_steal(&line, found);
    }
    else if (PyErr_Occurred()) {
        Py_CLEAR(line);
    }
    return line;
}
