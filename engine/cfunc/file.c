/* cfunc/file.c - print, and write and flush of text files.
 *
 * A write to a file of C code alone (objects/file.h) is an effect: the text is computed now, from
 * what is guarded, and a hit hands the same pieces to the file, in the order of the
 * program.  A file whose write() is Python code is no file for us: its frames are watched
 * like any others, and what they do is what a hit does.
 *
 * R: a file may raise at a hit (no space left, a closed pipe).  Where the program would
 * catch that, the run stays eager, because a replay cannot go on in a handler. */
#include "cfunc/cfunc.h"

#include <string.h>

#include "graph/graph.h"
#include "objects/file.h"
#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

/* A type whose text is made by C code from the value alone. */
static bool
is_plain_constant(PyObject *obj)
{
    PyTypeObject *tp = Py_TYPE(obj);
    return mp_is_constant(obj)
           && (!mp_is_constant_type(tp) || !mp_is_array_scalar_type(tp));
}

/* The text of obj needs no Python code, and nothing but obj itself. */
static bool
text_is_own(mp_trace *T, PyObject *obj, int depth)
{
    PyTypeObject *tp = Py_TYPE(obj);
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    Py_hash_t hash;
    if (mp_is_fresh_id(T, obj) || depth > 16) {
        return false;
    }
    if (PyTuple_CheckExact(obj) || PyList_CheckExact(obj)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj); i++) {
            if (!text_is_own(T, PySequence_Fast_GET_ITEM(obj, i), depth + 1)) {
                return false;
            }
        }
        return true;
    }
    if (PyDict_CheckExact(obj)) {
        while (PyDict_Next(obj, &pos, &key, &value)) {
            if (!text_is_own(T, key, depth + 1) || !text_is_own(T, value, depth + 1)) {
                return false;
            }
        }
        return true;
    }
    if (tp == &PySet_Type || tp == &PyFrozenSet_Type) {
        while (mp_set_next(obj, &pos, &key, &hash)) {
            if (!text_is_own(T, key, depth + 1)) {
                return false;
            }
        }
        return true;
    }
    return is_plain_constant(obj);
}

/* What print() writes for obj: *text is new. */
static mp_rc
text_of(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject **text)
{
    mp_rc rc = mp_late_text_of(T, s, (PyObject *)&PyUnicode_Type, obj, text);
    if (rc != MP_OK || *text != NULL) {
        return rc;
    }
    rc = mp_record_format(T, s, obj);
    if (rc != MP_OK) {
        return rc;
    }
    if (!text_is_own(T, obj, 0)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "print of a %s", mp_type_name(obj));
    }
    *text = PyObject_Str(obj);
    if (*text == NULL) {
        mp_err_drop();  // a number with too many digits: the call will say so
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "print of a %s", mp_type_name(obj));
    }
    return MP_OK;
}

/* -- Files -------------------------------------------------------------------------- */

/* `who` writes this text to a file of C code alone; text NULL: it flushes. */
static mp_rc
file_put(mp_trace *T, mp_shadow *s, const char *who, PyObject *file, PyObject *text)
{
    mp_val n;
    bool late = text != NULL && mp_late_find(T, text) != NULL;
    bool ascii = text == NULL || (PyUnicode_IS_ASCII(text) && !late);
    if (!ascii && PyUnicode_AsUTF8(text) == NULL) {
        mp_err_drop();
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "%s of a lone surrogate", who);
    }
    mp_rc rc = mp_value(T, file, &n);
    if (rc != MP_OK) {
        return rc;
    }
    if (!mp_val_is_external(n) || !mp_file_takes(file, ascii)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "%s to a %s", who,
                              mp_type_name(file));
    }
    if (mp_shadow_catches(s)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "%s in a try block", who);
    }
    rc = mp_test(T, MP_G_FILE, n.node, ascii ? MP_NAME(ASCII) : MP_NAME(UTF_8), 0);
    return rc != MP_OK ? rc : mp_write_file(T, n.node, text);
}

/* -- print -------------------------------------------------------------------------- */

typedef struct {
    PyObject *sep, *end, *file, *flush;  // borrowed; NULL: not given, or None
} print_options;

/* k: which of them, in the order of print_parse. */
static bool
option_fits(int k, PyObject *value)
{
    if (k < 2) {
        return PyUnicode_CheckExact(value) || value == Py_None;
    }
    return k == 2 || (k == 3 && PyBool_Check(value));
}

static mp_rc
print_parse(mp_trace *T, PyObject *const *values, PyObject *kwnames,
            print_options *options)
{
    static const char *const names[] = {"sep", "end", "file", "flush"};
    PyObject **places[] = {&options->sep, &options->end, &options->file,
                           &options->flush};
    *options = (print_options){.sep = NULL};
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        int k = 0;
        while (k < 4 && PyUnicode_CompareWithASCIIString(name, names[k]) != 0) {
            k++;
        }
        if (!option_fits(k, values[i])) {
            return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "print with another %U", name);
        }
        *places[k] = values[i] == Py_None ? NULL : values[i];
    }
    return MP_OK;
}

/* sys.stdout as it is now: *file is borrowed, NULL if nothing is printed. */
static mp_rc
print_stdout(mp_trace *T, PyObject **file)
{
    static PyObject *dict;  // of sys, for the process
    if (dict == NULL) {
        PyObject *sys = PyImport_ImportModule("sys");
        dict = sys == NULL ? NULL : Py_NewRef(PyModule_GetDict(sys));
        Py_XDECREF(sys);
        if (dict == NULL) {
            return MP_ERR;
        }
    }
    mp_rc rc = mp_load_const(T, dict);
    rc = rc != MP_OK ? rc
                     : mp_read_key(T, dict, mp_refgraph_find(&T->graph, dict),
                                   MP_NAME(STDOUT), file);
    if (rc == MP_OK && *file == NULL) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "print without a sys.stdout");
    }
    *file = *file == Py_None ? NULL : *file;
    return rc;
}

/* A file of a class in Python: print() looks up its methods and calls them. */
static mp_rc
print_in_python(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                const print_options *options, bool *found)
{
    static const char *const names[] = {"write", "flush"};
    mp_rc rc = MP_OK;
    *found = false;
    if (Py_TYPE(options->file)->tp_getattro != PyObject_GenericGetAttr) {
        return MP_OK;
    }
    PyObject *dict = mp_instance_dict_borrow(options->file);
    if (dict == NULL && PyErr_Occurred()) {
        return MP_ERR;
    }
    for (int i = 0; i < (options->flush == Py_True ? 2 : 1) && rc == MP_OK; i++) {
        PyObject *method;
        rc = mp_special(T, options->file, names[i], &method);
        if (rc != MP_OK || method == NULL || !PyFunction_Check(method)
            || (dict != NULL && mp_dict_text_borrow(dict, names[i]) != NULL)) {
            return rc;
        }
        PyObject *name = PyUnicode_InternFromString(names[i]);
        rc = name == NULL ? MP_ERR : mp_record_getattr(T, s, options->file, name);
        Py_XDECREF(name);
    }
    *found = true;
    for (Py_ssize_t i = 0; i < nargs && rc == MP_OK; i++) {
        PyObject *text;
        if (PyUnicode_CheckExact(args[i]) && mp_late_find(T, args[i]) != NULL) {
            continue;  // it is passed as it is
        }
        rc = text_of(T, s, args[i], &text);
        if (rc == MP_OK && mp_late_find(T, text) != NULL) {
            rc = mp_late_refuse(T, text);  // print() makes another one and passes that
        }
        Py_XDECREF(text);
    }
    s->below = MP_BELOW_WATCH;
    return rc;
}

/* What print() writes, piece by piece as it does: arguments, separators, the end, a
 * flush. */
static mp_rc
print_put(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
          const print_options *options)
{
    PyObject *space = PyUnicode_FromString(" "), *line = PyUnicode_FromString("\n");
    PyObject *text = NULL;
    PyObject *file = options->file;
    mp_rc rc = space == NULL || line == NULL ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0; i < nargs && rc == MP_OK; i++) {
        if (i > 0) {
            rc = file_put(T, s, "print", file,
                          options->sep != NULL ? options->sep : space);
        }
        rc = rc != MP_OK ? rc : text_of(T, s, args[i], &text);
        rc = rc != MP_OK ? rc : file_put(T, s, "print", file, text);
        Py_CLEAR(text);
    }
    rc = rc != MP_OK ? rc
                     : file_put(T, s, "print", file,
                                options->end != NULL ? options->end : line);
    if (rc == MP_OK && options->flush == Py_True) {
        rc = file_put(T, s, "print", file, NULL);
    }
    Py_XDECREF(space);
    Py_XDECREF(line);
    return rc;
}

mp_rc
mp_rule_print(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    print_options options;
    bool in_python = false;
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < c->count && rc == MP_OK; i++) {
        rc = i < c->nargs ? mp_pass(T, c->args[i]) : mp_know(T, c->args[i]);
    }
    rc = rc != MP_OK ? rc : print_parse(T, c->args + c->nargs, c->kwnames, &options);
    if (rc == MP_OK && options.file == NULL) {
        rc = print_stdout(T, &options.file);
        if (rc == MP_OK && options.file == NULL) {
            return MP_OK;
        }
    }
    if (rc == MP_OK && !mp_file_check(options.file)) {
        rc = print_in_python(T, s, c->args, c->nargs, &options, &in_python);
    }
    rc = rc != MP_OK || in_python ? rc : print_put(T, s, c->args, c->nargs, &options);
    s->post = MP_POST_RESULT;
    if (!in_python) {
        s->below = MP_BELOW_TRUSTED;  // a codec in Python
    }
    return rc;
}

/* -- Methods ------------------------------------------------------------------------ */

mp_rc
mp_rule_write(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_rc rc = MP_OK;
    if (c->nargs != 2 || c->kwnames != NULL || !PyUnicode_CheckExact(c->args[1])
        || mp_is_fresh_id(T, c->args[1])) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "write");
    }
    rc = file_put(T, s, "write", c->args[0], c->args[1]);
    s->below = MP_BELOW_TRUSTED;
    s->post = MP_POST_RESULT;
    return rc;
}

mp_rc
mp_rule_flush(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->nargs != 1 || c->kwnames != NULL) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "flush");
    }
    s->below = MP_BELOW_TRUSTED;
    s->post = MP_POST_RESULT;
    return file_put(T, s, "flush", c->args[0], NULL);
}
