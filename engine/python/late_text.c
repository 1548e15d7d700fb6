/* python/late_text.c - texts that are made of late values, tensors and symbols (trace/late.h).
 *
 * `f"{loss:.3f}"`, `str(n)`, `"%s" % t`: the text is a late value, too, whose entry of the log is
 * the call that makes it.  What it shows are numbers, texts, tensors, and builtin containers of
 * them, none of which runs code of the program.
 *
 * R: the text of a tensor tells how it came about (grad_fn), which a compiled graph changes: a
 * tensor that requires gradients is shown as a number or not at all. */
#include "graph/graph.h"
#include "objects/operators.h"
#include "python/python.h"
#include "read/read.h"

enum { TEXTS_DEEP = 8, TEXTS_PARTS = 64 };

static struct {
    PyObject *format, *repr, *ascii, *empty, *join;  // owned, for the process
} text_static;

static int
late_text_init(void)
{
    PyObject *builtins =
        text_static.join != NULL ? NULL : PyImport_ImportModule("builtins");
    if (text_static.join != NULL || builtins == NULL) {
        return builtins == NULL && text_static.join == NULL ? -1 : 0;
    }
    Py_XSETREF(text_static.format, PyObject_GetAttrString(builtins, "format"));
    Py_XSETREF(text_static.repr, PyObject_GetAttrString(builtins, "repr"));
    Py_XSETREF(text_static.ascii, PyObject_GetAttrString(builtins, "ascii"));
    Py_XSETREF(text_static.empty, PyUnicode_FromString(""));
    Py_DECREF(builtins);
    if (text_static.format == NULL || text_static.repr == NULL
        || text_static.ascii == NULL || text_static.empty == NULL) {
        return -1;
    }
    text_static.join = PyObject_GetAttrString((PyObject *)&PyUnicode_Type, "join");
    return text_static.join == NULL ? -1 : 0;
}

/* -- What is shown ------------------------------------------------------------------- */

/* What a text would be made of. */
typedef struct {
    bool late;    // something that only the graph gives a value to, or a symbol
    bool others;  // not symbols alone
    bool tensor;  // a tensor: its text is made by Python code of torch
    bool flag;  // a bool, whose box is neither True nor False: C code tells by address
    bool refused;
} shown;

/* The text of a tensor of the graph.  as_number: format() of one without dimensions. */
static mp_rc
show_tensor(mp_trace *T, PyObject *obj, bool formats, shown *what)
{
    static const char *const names[] = {"__format__", "__str__", "__repr__"};
    mp_rc rc = MP_OK;
    int64_t size;
    bool scalar = formats && !mp_tensor_size(obj, 0, &size);
    bool is_plain = mp_type_is(obj, MP_K_TENSOR);
    for (int i = 0; i < 3 && rc == MP_OK; i++) {
        PyObject *found = NULL;
        rc = mp_special(T, obj, names[i], &found);
        what->refused = what->refused || found == NULL
                        || (PyFunction_Check(found)
                            && !mp_is_library(PyFunction_GET_GLOBALS(found)));
    }
    what->late = what->others = what->tensor = true;
    what->refused = what->refused || !is_plain || mp_tensor_is_constant(T, obj)
                    || (!scalar && mp_tensor_requires_grad(obj));
    return rc;
}

/* A symbol whose text a graph can make: somebody has to compile that. */
static bool
is_symbol(const mp_trace *T, PyObject *obj)
{
    return mp_symbol_find(T, obj) != NULL && T->compiling != NULL
           && T->compiling->compiler != NULL;
}

static mp_rc show(mp_trace *T, PyObject *obj, bool formats, int depth, shown *what);

static mp_rc
show_items(mp_trace *T, PyObject *obj, int depth, shown *what)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    mp_rc rc = mp_read_all(T, obj);
    for (Py_ssize_t i = 0;
         !PyDict_Check(obj) && rc == MP_OK && i < PySequence_Fast_GET_SIZE(obj); i++) {
        rc = show(T, PySequence_Fast_GET_ITEM(obj, i), false, depth + 1, what);
    }
    while (PyDict_Check(obj) && rc == MP_OK && PyDict_Next(obj, &pos, &key, &value)) {
        what->refused = what->refused || !PyUnicode_CheckExact(key);
        rc = show(T, value, false, depth + 1, what);
    }
    return rc;
}

static bool
is_shown_by_c(PyObject *obj)
{
    return obj == Py_None || PyUnicode_CheckExact(obj) || mp_is_number(obj)
           || PyComplex_CheckExact(obj) || PyBytes_CheckExact(obj);
}

/* formats: by format(), not by repr(). */
static mp_rc
show(mp_trace *T, PyObject *obj, bool formats, int depth, shown *what)
{
    if (what->refused || depth > TEXTS_DEEP) {
        what->refused = true;
        return MP_OK;
    }
    const mp_node *late = mp_late_find(T, obj);
    if (late != NULL) {
        what->late = true;
        what->others = what->others || !mp_late_is_of_numbers(T, late);
        what->flag = what->flag || PyBool_Check(obj);
        return MP_OK;
    }
    if (is_symbol(T, obj)) {
        what->late = true;
        return MP_OK;
    }
    if (is_shown_by_c(obj)) {
        what->refused = mp_is_fresh_id(T, obj);
        return MP_OK;
    }
    if (is_tensor_node(mp_refgraph_find(&T->graph, obj))) {
        return show_tensor(T, obj, formats, what);
    }
    if (PyTuple_CheckExact(obj) || PyList_CheckExact(obj) || PyDict_CheckExact(obj)) {
        return show_items(T, obj, depth, what);
    }
    what->refused = true;
    return MP_OK;
}

/* Cheap: is there anything in obj that only the graph gives a value to, or a symbol? */
static bool
holds_late(const mp_trace *T, PyObject *obj, int depth)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    bool found = false;
    if (mp_late_find(T, obj) != NULL || is_symbol(T, obj)
        || (mp_tensor_is_any(obj) && is_tensor_node(mp_refgraph_at(&T->graph, obj)))) {
        return true;
    }
    if (depth > TEXTS_DEEP) {
        return false;
    }
    if (PyTuple_CheckExact(obj) || PyList_CheckExact(obj)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj) && !found; i++) {
            found = holds_late(T, PySequence_Fast_GET_ITEM(obj, i), depth + 1);
        }
    }
    while (PyDict_CheckExact(obj) && !found && PyDict_Next(obj, &pos, &key, &value)) {
        found = holds_late(T, value, depth + 1);
    }
    return found;
}

static bool
is_flag(const mp_trace *T, PyObject *obj)
{
    return PyBool_Check(obj) && mp_late_find(T, obj) != NULL;
}

/* May the text of these arguments be made in the graph?  first: its first argument is given to
 * format(). */
static mp_rc
show_all(mp_trace *T, PyObject *const *args, Py_ssize_t count, bool formats,
         shown *what)
{
    mp_rc rc = MP_OK;
    *what = (shown){.late = false};
    bool any = false;
    for (Py_ssize_t i = 0; i < count && !any; i++) {
        any = holds_late(T, args[i], 0);
    }
    for (Py_ssize_t i = 0; any && i < count && rc == MP_OK; i++) {
        bool before = what->flag;
        rc = show(T, args[i], formats, 0, what);
        // The caller can hand out what a box stands for, but not inside of something.
        what->refused =
            what->refused || (what->flag && !before && (i > 0 || !is_flag(T, args[0])));
    }
    what->late = what->late && !what->refused && mp_late_may(T);
    return rc;
}

/* R: a function of one number answers for any number. */
static mp_rc
text_begin(mp_trace *T, mp_shadow *s, PyObject *callee, const char *method,
           PyObject *const *args, Py_ssize_t count, const shown *what)
{
    bool raises = what->others || count > 1;
    PyObject *name = method == NULL ? NULL : PyUnicode_InternFromString(method);
    mp_rc rc = method != NULL && name == NULL
                   ? MP_ERR
                   : mp_late_begin(T, s, callee, name, args, count, raises);
    Py_XDECREF(name);
    T->op.of_numbers = rc == MP_OK && !what->others;
    if (rc == MP_OK && what->tensor) {
        s->below = MP_BELOW_TRUSTED;  // torch's own code, which may import some of it
    }
    return rc;
}

/* -- Made at once -------------------------------------------------------------------- */

mp_rc
mp_late_text_of(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *obj,
                PyObject **box)
{
    shown what;
    uint8_t post = s->post, below = s->below;
    *box = NULL;
    mp_rc rc = late_text_init() < 0 ? MP_ERR : show_all(T, &obj, 1, false, &what);
    if (rc != MP_OK || !what.late) {
        return rc;
    }
    PyObject *text =
        PyObject_CallOneArg(callee, what.flag ? mp_late_value_borrow(T, obj) : obj);
    if (text == NULL) {
        mp_err_drop();  // the program will see it
        return mp_trace_abort(T, MP_AB_HOST_READ, "a text that cannot be made");
    }
    rc = text_begin(T, s, callee, NULL, &obj, 1, &what);
    s->owns_op = false;
    s->post = post;
    s->below = below;
    rc = rc != MP_OK ? rc : mp_late_end(T, text, box);
    Py_DECREF(text);
    return rc;
}

/* -- Instructions -------------------------------------------------------------------- */

mp_rc
mp_late_format(mp_trace *T, mp_shadow *s, PyObject *value, PyObject *spec, int how,
               bool *done)
{
    enum { AS_IT_IS, STR, REPR, ASCII };
    PyObject *args[2] = {value, spec}, *box = NULL;
    shown what;
    *done = false;
    mp_rc rc = late_text_init() < 0
                   ? MP_ERR
                   : show_all(T, args, spec == NULL ? 1 : 2, how == AS_IT_IS, &what);
    if (rc != MP_OK || !what.late) {
        return rc;
    }
    PyObject *callee = how == STR    ? (PyObject *)&PyUnicode_Type
                       : how == REPR ? text_static.repr
                                     : text_static.ascii;
    *done = true;
    if (how == AS_IT_IS) {
        return text_begin(T, s, text_static.format, NULL, args, spec == NULL ? 1 : 2,
                          &what);
    }
    if (spec == NULL) {
        return text_begin(T, s, callee, NULL, args, 1, &what);
    }
    if (!holds_late(T, value, 0)) {
        *done = false;
        return MP_OK;
    }
    rc = mp_late_text_of(T, s, callee, value, &box);
    if (rc != MP_OK || box == NULL) {
        *done = rc == MP_OK ? false : *done;
        return rc;
    }
    args[0] = box;
    rc = text_begin(T, s, text_static.format, NULL, args, 2,
                    &(shown){.others = what.others, .tensor = what.tensor});
    Py_DECREF(box);
    return rc;
}

mp_rc
mp_late_build_string(mp_trace *T, mp_shadow *s, PyObject *const *parts,
                     Py_ssize_t count, bool *done)
{
    *done = T->lates.n > 0 && mp_late_any(T, parts, count) && mp_late_may(T);
    if (!*done) {
        return MP_OK;
    }
    PyObject *list = PyList_New(count);
    shown what = {.late = true};
    mp_rc rc = list == NULL || late_text_init() < 0 ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0; rc == MP_OK && i < count; i++) {
        const mp_node *late = mp_late_find(T, parts[i]);
        PyList_SET_ITEM(list, i, Py_NewRef(parts[i]));
        what.others = what.others || (late != NULL && !mp_late_is_of_numbers(T, late));
        rc = mp_refuse_fresh_id(T, parts[i]);
    }
    rc = rc == MP_OK && mp_refgraph_add_fresh(&T->graph, list) == NULL ? MP_ERR : rc;
    if (rc == MP_OK) {
        PyObject *args[2] = {text_static.empty, list};
        rc = text_begin(T, s, text_static.join, "join", args, 2, &what);
        mp_refgraph_forget(&T->graph, list);
    }
    Py_XDECREF(list);
    return rc;
}

/* Methods of texts that answer with a text, whatever their arguments are. */
static const char *const text_methods[] = {
    "format", "join",  "ljust", "rjust", "center",  "zfill",      "strip",    "lstrip",
    "rstrip", "lower", "upper", "title", "replace", "expandtabs", "casefold",
};

static const char *
text_method(PyObject *callee)
{
    if (!Py_IS_TYPE(callee, &PyMethodDescr_Type)
        || PyDescr_TYPE(callee) != &PyUnicode_Type) {
        return NULL;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(text_methods); i++) {
        if (mp_name_is(PyDescr_NAME(callee), text_methods[i])) {  // mp-ok: of str's own
            return text_methods[i];
        }
    }
    return NULL;
}

/* Do its fields ask for no item and no attribute? */
static bool
is_plain_template(PyObject *text)
{
    bool inside = false, plain = true;
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(text) && plain; i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(text, i);
        plain = !inside || (c != '.' && c != '[');
        inside = c == '{' || (inside && c != ':' && c != '!' && c != '}');
    }
    return plain;
}

mp_rc
mp_late_text_call(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done)
{
    shown what;
    PyObject *callee = c->callee;
    *done = false;
    if (c->kwnames != NULL || c->nargs < 1) {
        return MP_OK;
    }
    if (late_text_init() < 0) {
        return MP_ERR;
    }
    bool function = (callee == (PyObject *)&PyUnicode_Type && c->nargs == 1)
                    || callee == text_static.repr || callee == text_static.ascii
                    || callee == text_static.format;
    const char *method = function ? NULL : text_method(callee);
    if (!function && (method == NULL || !PyUnicode_CheckExact(c->args[0]))) {
        return MP_OK;
    }
    bool formats = callee == text_static.format || method == text_methods[0];
    if (method == text_methods[0] && !is_plain_template(c->args[0])) {
        return MP_OK;
    }
    mp_rc rc = show_all(T, c->args, c->nargs, formats, &what);
    *done = rc == MP_OK && what.late && !what.flag;
    return *done ? text_begin(T, s, callee, method, c->args, c->nargs, &what) : rc;
}

mp_rc
mp_late_text_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op,
                    bool *done)
{
    enum { ADD = 0, REMAINDER = 6 };
    PyObject *args[2] = {a, b};
    shown what;
    *done = false;
    if (!PyUnicode_CheckExact(a)
        || !(op % 13 == REMAINDER || (op % 13 == ADD && PyUnicode_CheckExact(b)))) {
        return MP_OK;
    }
    // ("%d" of a tensor asks for its number.)
    mp_rc rc = show_all(T, args, 2, false, &what);
    *done = rc == MP_OK && what.late;
    return *done ? text_begin(T, s, mp_operator_borrow(op % 13 == ADD ? "add" : "mod"),
                              NULL, args, 2, &what)
                 : rc;
}
