/* objects/warning.c - warnings that a replay shows again.
 *
 * warnings.warn() finds the frame that is warned of and asks for the registry of its
 * globals, which it makes if there is none; then it does what warn_explicit() does.  A hit
 * has no frame, but knows what was found. */
#include "objects/warning.h"

#include "objects/names.h"

enum {
    WARNING_CATEGORY,
    WARNING_TEXT,
    WARNING_FILE,
    WARNING_LINE,
    WARNING_MODULE,
    WARNING_GLOBALS,
    WARNING_FIELDS,
};

bool
mp_warning_check(PyObject *what)
{
    return PyTuple_CheckExact(what) && PyTuple_GET_SIZE(what) == WARNING_FIELDS
           && PyType_Check(PyTuple_GET_ITEM(what, WARNING_CATEGORY))
           && (PyTuple_GET_ITEM(what, WARNING_TEXT) == Py_None
               || PyUnicode_CheckExact(PyTuple_GET_ITEM(what, WARNING_TEXT)))
           && PyUnicode_Check(PyTuple_GET_ITEM(what, WARNING_FILE))
           && PyLong_CheckExact(PyTuple_GET_ITEM(what, WARNING_LINE))
           && PyUnicode_CheckExact(PyTuple_GET_ITEM(what, WARNING_MODULE))
           && PyDict_CheckExact(PyTuple_GET_ITEM(what, WARNING_GLOBALS));
}

int
mp_warning_show(PyObject *what, PyObject *text)
{
    if (text == NULL) {
        text = PyTuple_GET_ITEM(what, WARNING_TEXT);
    }
    if (!PyUnicode_CheckExact(text)) {
        PyErr_BadInternalCall();
        return -1;
    }
    PyObject *globals = PyTuple_GET_ITEM(what, WARNING_GLOBALS);
    PyObject *registry = PyDict_GetItemWithError(globals, MP_NAME(WARNINGREGISTRY));
    long line = PyLong_AsLong(PyTuple_GET_ITEM(what, WARNING_LINE));
    int rc = -1;
    Py_XINCREF(registry);
    if (registry == NULL && !PyErr_Occurred()) {
        registry = PyDict_New();
        if (registry != NULL
            && PyDict_SetItem(globals, MP_NAME(WARNINGREGISTRY), registry) < 0) {
            Py_CLEAR(registry);
        }
    }
    if (registry != NULL) {
        rc = PyErr_WarnExplicitObject(PyTuple_GET_ITEM(what, WARNING_CATEGORY), text,
                                      PyTuple_GET_ITEM(what, WARNING_FILE), (int)line,
                                      PyTuple_GET_ITEM(what, WARNING_MODULE), registry);
    }
    Py_XDECREF(registry);
    return rc;
}

int
mp_warning_forget(PyObject *filters_mutated)
{
    PyObject *none = PyObject_CallNoArgs(filters_mutated);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* -- Warnings that nobody is to see ------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD  // mp-ok: a type of our own
    unsigned long thread;
    bool heard;
} ears;

static PyObject *
ears_match(PyObject *self, PyObject *text)
{
    ears *e = (ears *)self;
    bool here = PyThread_get_thread_ident() == e->thread;
    e->heard = e->heard || here;
    return PyBool_FromLong(here);
}

static PyObject *
ears_heard(PyObject *self, PyObject *none)
{
    return PyBool_FromLong(((ears *)self)->heard);
}

static PyMethodDef ears_methods[] = {
    {"match", ears_match, METH_O, "match(text)\n--\n\nIs it a warning of this thread?"},
    {"heard", ears_heard, METH_NOARGS, "heard()\n--\n\nHas it warned?"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject ears_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "magpy._engine.Ears",
    .tp_basicsize = sizeof(ears),
    .tp_methods = ears_methods,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
};

PyObject *
mp_warning_ears(PyObject *module, PyObject *none)
{
    ears *e = PyType_Ready(&ears_type) < 0 ? NULL : PyObject_New(ears, &ears_type);
    if (e == NULL) {
        return NULL;
    }
    e->thread = PyThread_get_thread_ident();
    e->heard = false;
    return (PyObject *)e;
}
