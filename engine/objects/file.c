/* objects/file.c - text files whose writes are C code from end to end.
 *
 * A recording notes what a call prints, and a hit writes it after the graph (the effects
 * WRITE and FLUSH).  That is sound only where writing runs no code of the program: file.h
 * says for which files.  `mp_file_takes` answers it, once while recording and again as a
 * guard of each hit.
 *
 * Ownership: the types, the names and the methods are held for the life of the process.
 * Re-entrancy: the questions run no code of the program; writing may raise what the
 * operating system reports. */
#include "objects/file.h"

#include <string.h>
#include <structmember.h>

#include "compat/compat.h"
#include "objects/equal.h"

enum { FILE_WRITE, FILE_FLUSH, FILE_CLOSED, FILE_NAMES };

/* One of the two C types: what its methods are, if no class overrides them. */
typedef struct {
    PyTypeObject *type;             // owned for the process, as the rest
    PyObject *methods[FILE_NAMES];  // borrowed from the type
} file_base;

static struct {
    file_base text, string;
    PyTypeObject *writer, *random, *raw, *bytes;
    PyObject *text_buffer;  // borrowed from the type; a member, or a getter (3.14)
    Py_ssize_t text_encoding, writer_raw, random_raw;
    PyObject *names[FILE_NAMES];
    Py_hash_t hashes[FILE_NAMES];
    bool ready;
} file_static;

/* -- Once --------------------------------------------------------------------------- */

/* Sets *type to the type io.<name>. 0 / -1. */
static int
file_type(PyObject *io, const char *name, PyTypeObject **type)
{
    PyObject *found = PyObject_GetAttrString(io, name);
    if (found != NULL && !PyType_Check(found)) {
        PyErr_Format(PyExc_SystemError, "io.%s is no type", name);
        Py_CLEAR(found);
    }
    Py_XSETREF(*type, (PyTypeObject *)found);
    return found == NULL ? -1 : 0;
}

/* Fills `base`: the type io.<name> and its own methods. */
static int
file_base_init(PyObject *io, const char *name, file_base *base)
{
    if (file_type(io, name, &base->type) < 0) {
        return -1;
    }
    for (int i = 0; i < FILE_NAMES; i++) {
        base->methods[i] = mp_type_lookup_borrow(base->type, file_static.names[i]);
        if (base->methods[i] == NULL) {
            PyErr_Format(PyExc_SystemError, "io.%s has no %U", name,
                         file_static.names[i]);
            return -1;
        }
    }
    return 0;
}

static int
file_names_init(void)
{
    static const char *const names[FILE_NAMES] = {"write", "flush", "closed"};
    for (int i = 0; i < FILE_NAMES; i++) {
        Py_XSETREF(file_static.names[i], PyUnicode_InternFromString(names[i]));
        if (file_static.names[i] == NULL) {
            return -1;
        }
        file_static.hashes[i] = PyObject_Hash(file_static.names[i]);
    }
    return 0;
}

int
mp_file_init(void)
{
    if (file_static.ready) {
        return 0;
    }
    PyObject *io = PyImport_ImportModule("_io");
    int rc = -1;
    if (io == NULL || file_names_init() < 0
        || file_base_init(io, "TextIOWrapper", &file_static.text) < 0
        || file_base_init(io, "StringIO", &file_static.string) < 0
        || file_type(io, "BufferedWriter", &file_static.writer) < 0
        || file_type(io, "BufferedRandom", &file_static.random) < 0
        || file_type(io, "FileIO", &file_static.raw) < 0
        || file_type(io, "BytesIO", &file_static.bytes) < 0) {
        goto done;
    }
    file_static.text_buffer =
        mp_dict_text_borrow(mp_type_dict_borrow(file_static.text.type), "buffer");
    if (file_static.text_buffer == NULL) {
        PyErr_SetString(PyExc_SystemError, "io.TextIOWrapper has no buffer");
        goto done;
    }
    file_static.text_encoding =
        mp_guard_member_offset(file_static.text.type, "encoding");
    file_static.writer_raw = mp_guard_member_offset(file_static.writer, "raw");
    file_static.random_raw = mp_guard_member_offset(file_static.random, "raw");
    if (PyErr_Occurred()) {
        goto done;
    }
    file_static.ready = true;
    rc = 0;
done:
    Py_XDECREF(io);
    return rc;
}

/* -- Looking ------------------------------------------------------------------------ */

/* The C type that `file` is an instance of, or NULL. */
static const file_base *
file_base_of(PyObject *file)
{
    if (PyObject_TypeCheck(file, file_static.text.type)) {
        return &file_static.text;
    }
    return PyObject_TypeCheck(file, file_static.string.type) ? &file_static.string
                                                             : NULL;
}

bool
mp_file_check(PyObject *file)
{
    return file_base_of(file) != NULL;
}

/* Does `file.write` find the method of C, and does C find its own `closed`? */
static bool
file_is_plain(PyObject *file, const file_base *base)
{
    PyTypeObject *type = Py_TYPE(file);
    if (type == base->type) {
        type = NULL;  // immutable
    }
    else if (type->tp_getattro != base->type->tp_getattro) {
        return false;
    }
    PyObject *dict = mp_instance_dict_borrow(file), *value;
    if (dict == NULL && PyErr_Occurred()) {
        mp_err_drop();  // no memory to make it
        return false;
    }
    for (int i = 0; i < FILE_NAMES; i++) {
        if (type != NULL
            && mp_type_lookup_borrow(type, file_static.names[i]) != base->methods[i]) {
            return false;
        }
        if (dict != NULL
            && mp_guard_dict_find(dict, file_static.names[i], file_static.hashes[i],
                                  &value)
                   != 0) {
            return false;
        }
    }
    return true;
}

/* The object in the C struct of `o` at this offset; may be NULL. */
static PyObject *
file_member_borrow(PyObject *o, Py_ssize_t offset)
{
    return *(PyObject **)((char *)o + offset);
}

/* The buffer of a TextIOWrapper, which holds it; NULL if it has none. */
static PyObject *
file_buffer_borrow(PyObject *file)
{
    PyObject *descr = file_static.text_buffer;
    if (Py_IS_TYPE(descr, &PyMemberDescr_Type)) {
        return file_member_borrow(file,
                                  ((PyMemberDescrObject *)descr)->d_member->offset);
    }
    PyObject *buffer =
        Py_TYPE(descr)->tp_descr_get(descr, file, (PyObject *)Py_TYPE(file));
    Py_XDECREF(buffer);
    if (buffer == NULL) {
        mp_err_drop();  // detached
    }
    return buffer;
}

/* Where a TextIOWrapper puts its bytes: C types only. */
static bool
file_is_c_below(PyObject *buffer)
{
    PyObject *raw = buffer;
    if (buffer != NULL && Py_IS_TYPE(buffer, file_static.writer)) {
        raw = file_member_borrow(buffer, file_static.writer_raw);
    }
    else if (buffer != NULL && Py_IS_TYPE(buffer, file_static.random)) {
        raw = file_member_borrow(buffer, file_static.random_raw);
    }
    return raw != NULL
           && (Py_IS_TYPE(raw, file_static.raw) || Py_IS_TYPE(raw, file_static.bytes));
}

/* Asks the C type's own `closed`.  No exception: a detached file counts as closed. */
static bool
file_is_open(PyObject *file, const file_base *base)
{
    PyObject *closed = base->methods[FILE_CLOSED];
    PyObject *answer =
        Py_TYPE(closed)->tp_descr_get(closed, file, (PyObject *)Py_TYPE(file));
    bool open = answer == Py_False;
    if (answer == NULL) {
        mp_err_drop();  // detached or never set up
    }
    Py_XDECREF(answer);
    return open;
}

/* Can it encode any text that has no lone surrogates? */
static bool
file_is_utf8(PyObject *file)
{
    PyObject *encoding = file_member_borrow(file, file_static.text_encoding);
    return encoding != NULL && PyUnicode_Check(encoding)
           && (PyUnicode_CompareWithASCIIString(encoding, "utf-8") == 0
               || PyUnicode_CompareWithASCIIString(encoding, "UTF-8") == 0);
}

bool
mp_file_takes(PyObject *file, bool ascii)
{
    const file_base *base = file_base_of(file);
    if (base == NULL || !file_is_plain(file, base)) {
        return false;
    }
    if (base == &file_static.text
        && (!file_is_c_below(file_buffer_borrow(file))
            || (!ascii && !file_is_utf8(file)))) {
        return false;
    }
    return file_is_open(file, base);
}

/* -- Writing ------------------------------------------------------------------------ */

int
mp_file_write(PyObject *file, PyObject *text)
{
    PyObject *args[] = {file, text};
    PyObject *done =
        PyObject_Vectorcall(file_base_of(file)->methods[FILE_WRITE], args, 2, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int
mp_file_flush(PyObject *file)
{
    PyObject *done = PyObject_CallOneArg(file_base_of(file)->methods[FILE_FLUSH], file);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}
