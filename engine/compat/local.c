/* local.c - the dict that a threading.local has in this thread.  Its layout is private.
 *
 * The layout is that of CPython 3.11 and 3.12: the dict of the thread holds, under a name
 * that the object keeps, an object that keeps the dict.  It is used only after a test at
 * start (mp_local_init).  If that fails, no object is known to be a threading.local. */
#include "compat/private.h"

typedef struct {
    PyObject_HEAD
    PyObject *key;  // a str that is its own in the dicts of all threads
} local_object;

typedef struct {
    PyObject_HEAD
    PyObject *attributes;
} local_holder;

static struct {
    bool ready;
    PyTypeObject *type;    // owned, for the process; NULL: unknown
    PyTypeObject *holder;  // the same
} local_static;

/* The object of this thread that keeps the dict: borrowed, or NULL. */
static PyObject *
local_holder_borrow(PyObject *o)
{
    PyObject *thread = PyThreadState_GetDict(), *key = ((local_object *)o)->key;
    if (thread == NULL || key == NULL || !PyUnicode_CheckExact(key)) {
        return NULL;
    }
    PyObject *holder = PyDict_GetItemWithError(thread, key);
    if (holder == NULL && PyErr_Occurred()) {
        mp_err_drop();  // (texts are hashed and compared in C)
    }
    return holder;
}

/* Is the layout of o, an empty one, as it should be? */
static bool
proves_local(PyObject *o, PyObject *dict)
{
    if (PY_VERSION_HEX >= 0x030D0000
        || Py_TYPE(o)->tp_basicsize < (Py_ssize_t)sizeof(local_object)) {
        return false;
    }
    PyObject *holder = local_holder_borrow(o);
    if (holder == NULL
        || Py_TYPE(holder)->tp_basicsize < (Py_ssize_t)sizeof(local_holder)
        || ((local_holder *)holder)->attributes != dict) {
        return false;
    }
    local_static.type = (PyTypeObject *)Py_NewRef((PyObject *)Py_TYPE(o));
    local_static.holder = (PyTypeObject *)Py_NewRef((PyObject *)Py_TYPE(holder));
    return true;
}

int
mp_local_init(void)
{
    if (local_static.ready) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("_thread");
    PyObject *o = module == NULL ? NULL : PyObject_CallMethod(module, "_local", NULL);
    PyObject *dict = o == NULL ? NULL : PyObject_GetAttrString(o, "__dict__");
    if (dict != NULL) {
        local_static.ready = true;
        (void)proves_local(o, dict);
    }
    Py_XDECREF(dict);
    Py_XDECREF(o);
    Py_XDECREF(module);
    return local_static.ready ? 0 : -1;
}

bool
mp_is_local(PyObject *o)
{
    return local_static.type != NULL && PyObject_TypeCheck(o, local_static.type);
}

bool
mp_local_is_plain(PyTypeObject *type)
{
    return local_static.type != NULL && PyType_IsSubtype(type, local_static.type)
           && type->tp_getattro == local_static.type->tp_getattro
           && type->tp_setattro == local_static.type->tp_setattro;
}

PyObject *
mp_local_dict_borrow(PyObject *o)
{
    PyObject *holder = mp_is_local(o) ? local_holder_borrow(o) : NULL;
    return holder != NULL && Py_IS_TYPE(holder, local_static.holder)
               ? ((local_holder *)holder)->attributes
               : NULL;
}

PyObject *
mp_local_dict_make_borrow(PyObject *o)
{
    PyObject *dict = mp_local_dict_borrow(o);
    if (dict != NULL || Py_TYPE(o)->tp_init != local_static.type->tp_init) {
        return dict;  // __init__ runs in each thread
    }
    dict = PyObject_GetAttrString(o, "__dict__");
    Py_XDECREF(dict);  // the thread keeps it
    return dict;
}
