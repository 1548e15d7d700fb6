/* torch/ambient_find.c - what this torch has of the rows of torch/ambient.def.
 *
 * R: a probe whose answer contradicts its getter when the engine starts is never used. */
#include "torch/ambient_place.h"

#include <string.h>

#include "compat/compat.h"
#include "torch/modes.h"
#include "torch/tensor.h"

/* -- Start ----------------------------------------------------------------------- */

/* Follow a dotted path from torch.  MP_ABORTED: this torch lacks it. */
static mp_rc
path_find(PyObject *torch, const char *path, PyObject **out)
{
    PyObject *names = NULL;           // owned
    PyObject *at = Py_NewRef(torch);  // owned
    PyObject *whole = PyUnicode_FromString(path);

    *out = NULL;
    if (whole != NULL) {
        PyObject *dot = PyUnicode_FromString(".");
        names = dot == NULL ? NULL : PyUnicode_Split(whole, dot, -1);
        Py_XDECREF(dot);
        Py_DECREF(whole);
    }
    Py_ssize_t n = names == NULL ? 0 : PyList_GET_SIZE(names);
    for (Py_ssize_t i = 1; i < n && at != NULL; i++) {
        Py_SETREF(at, PyObject_GetAttr(at, PyList_GET_ITEM(names, i)));
    }
    Py_XDECREF(names);
    if (names == NULL) {
        Py_CLEAR(at);
    }
    if (at == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return MP_ERR;
        }
        mp_err_drop();
        return MP_ABORTED;
    }
    *out = at;
    return MP_OK;
}

/* module.name, if it is a C function.  MP_ABORTED if not. */
static mp_rc
function_find(PyObject *torch, const char *module, const char *name, PyObject **out)
{
    char path[160];
    int length = PyOS_snprintf(path, sizeof path, "%s.%s", module, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        PyErr_SetString(PyExc_SystemError, "a name in torch/ambient.def is too long");
        return MP_ERR;
    }
    mp_rc rc = path_find(torch, path, out);
    if (rc == MP_OK && !PyCFunction_CheckExact(*out)) {
        Py_CLEAR(*out);
        rc = MP_ABORTED;
    }
    return rc;
}

static mp_rc
value_find(PyObject *torch, int i)
{
    PyObject *module;
    mp_rc rc = path_find(torch, mp_ambient_rows[i].module, &module);
    if (rc != MP_OK) {
        return rc;
    }
    mp_ambient_found[i].name = PyUnicode_InternFromString(mp_ambient_rows[i].getter);
    if (PyModule_Check(module)) {
        mp_ambient_found[i].getter = Py_NewRef(PyModule_GetDict(module));
    }
    Py_DECREF(module);
    if (mp_ambient_found[i].name == NULL) {
        return MP_ERR;
    }
    if (mp_ambient_found[i].getter == NULL) {
        return MP_ABORTED;
    }
    int there = PyDict_Contains(mp_ambient_found[i].getter, mp_ambient_found[i].name);
    return there < 0 ? MP_ERR : there ? MP_OK : MP_ABORTED;
}

/* "None", "True", "False" or a number: new reference. */
static PyObject *
usual_parse(const char *text)
{
    if (strcmp(text, "None") == 0) {
        return Py_NewRef(Py_None);
    }
    if (strcmp(text, "True") == 0) {
        return Py_NewRef(Py_True);
    }
    if (strcmp(text, "False") == 0) {
        return Py_NewRef(Py_False);
    }
    return PyLong_FromString(text, NULL, 10);
}

/* The other objects of a row whose getter was found. */
static mp_rc
ambient_complete(PyObject *torch, int i)
{
    const mp_ambient_row *row = &mp_ambient_rows[i];
    if (row->arg != NULL) {
        bool constant = strcmp(row->arg, "True") == 0;  // mp-ok: a text of ambient.def
        mp_ambient_found[i].arg =
            constant ? Py_NewRef(Py_True) : PyUnicode_FromString(row->arg);
        if (mp_ambient_found[i].arg == NULL) {
            return MP_ERR;
        }
    }
    if (row->policy == POLICY_refuse) {
        mp_ambient_found[i].usual = usual_parse(row->hint);
        return mp_ambient_found[i].usual == NULL ? MP_ERR : MP_OK;
    }
    if (row->hint[0] == '\0') {
        return MP_OK;
    }
    mp_rc rc =
        function_find(torch, row->module, row->hint, &mp_ambient_found[i].setter);
    bool needed = row->reader == READ_NESTING;
    return rc == MP_ABORTED && !needed ? MP_OK : rc;
}

/* A probe that could agree by chance is tried: the state is another one while it is switched,
 * and the same again afterwards.  An exception may be set. */
static bool
flag_shows(PyObject *module, int i)
{
    int64_t during = 0;
    if (mp_ambient_number(i) != 0) {
        return false;
    }
    PyObject *done =
        PyObject_CallMethod(module, "_saved_tensors_hooks_disable", "s", "");
    if (done != NULL) {
        during = mp_ambient_number(i);
        Py_DECREF(done);
        done = PyObject_CallMethod(module, "_saved_tensors_hooks_enable", NULL);
    }
    Py_XDECREF(done);
    return done != NULL && during != 0 && mp_ambient_number(i) == 0;
}

static bool
bit_set(int i, bool value)
{
    PyObject *done =
        PyObject_CallOneArg(mp_ambient_found[i].setter, value ? Py_True : Py_False);
    Py_XDECREF(done);
    return done != NULL;
}

static bool
bit_shows(int i)
{
    int64_t before = mp_ambient_number(i);
    if (mp_ambient_found[i].setter == NULL || !bit_set(i, before == 0)) {
        return false;
    }
    int64_t during = mp_ambient_number(i);
    return bit_set(i, before != 0) && during != before
           && mp_ambient_number(i) == before;
}

/* Is it the bit?  It stands in the first byte of autograd's state; since 2.13 something else
 * comes first. */
static bool
bit_find(int i, PyObject *answer)
{
    static const int offsets[] = {0, 24};
    for (size_t k = 0; k < Py_ARRAY_LENGTH(offsets); k++) {
        mp_ambient_found[i].offset = offsets[k];
        if (mp_ambient_agrees(i, answer, mp_ambient_number(i)) && bit_shows(i)) {
            return true;
        }
    }
    return false;
}

/* 1 / 0; -1: an exception that is no Exception. */
static int
probe_confirm(PyObject *torch, int i, PyObject *answer)
{
    PyObject *module = NULL;
    bool good = false;
    switch (mp_ambient_rows[i].prober) {
    case PROBE_FLAG_AT:
        good = path_find(torch, mp_ambient_rows[i].module, &module) == MP_OK
               && flag_shows(module, i);
        Py_XDECREF(module);
        break;
    case PROBE_BIT_OF:
        good = bit_find(i, answer);
        break;
    default:
        good = mp_ambient_agrees(i, answer, mp_ambient_number(i));
        break;
    }
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    mp_err_drop();
    return good;
}

/* Use the probe if it is there and tells what the getter tells.  0 / -1. */
static int
probe_find(PyObject *torch, int i)
{
    ambient_prober prober = mp_ambient_rows[i].prober;
    if (prober == PROBE_OWN) {
        mp_ambient_found[i].probed = true;
    }
    if (mp_ambient_rows[i].symbol == NULL || prober == PROBE_KEYS) {
        return 0;
    }
    mp_ambient_found[i].probe.address = mp_torch_symbol(mp_ambient_rows[i].symbol);
    if (mp_ambient_rows[i].undo != NULL) {
        void *undo = mp_torch_symbol(mp_ambient_rows[i].undo);
        memcpy(&mp_ambient_found[i].undo, &undo, sizeof undo);
        if (undo == NULL) {
            return 0;
        }
    }
    bool needs_context = prober == PROBE_CONTEXT || prober == PROBE_CONTEXT_OF;
    if (mp_ambient_found[i].probe.address == NULL
        || (needs_context && mp_ambient_context == NULL)) {
        return 0;
    }
    PyObject *answer = mp_ambient_answer(i);
    if (answer == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) {
            return -1;
        }
        mp_err_drop();
        return 0;
    }
    int good = probe_confirm(torch, i, answer);
    mp_ambient_found[i].probed = good == 1;
    Py_DECREF(answer);
    return good < 0 ? -1 : 0;
}

/* Find the getter and the probe of row i in this torch.  A row without a getter is not
 * active. */
static int
ambient_find(PyObject *torch, int i)
{
    mp_rc rc = MP_ABORTED;
    switch (mp_ambient_rows[i].reader) {
    case READ_KEYS:
        rc = mp_ambient_keys() != NULL ? MP_OK : MP_ABORTED;
        break;
    case READ_OWN:
        rc = MP_OK;
        break;
    case READ_VALUE:
        rc = value_find(torch, i);
        break;
    case READ_CALL:
    case READ_CUDA:
    case READ_NESTING:
        rc = function_find(torch, mp_ambient_rows[i].module, mp_ambient_rows[i].getter,
                           &mp_ambient_found[i].getter);
        break;
    }
    if (rc == MP_OK) {
        rc = ambient_complete(torch, i);
        mp_ambient_found[i].active = rc == MP_OK;
    }
    return rc == MP_ERR || (mp_ambient_found[i].active && probe_find(torch, i) < 0) ? -1
                                                                                    : 0;
}

/* What rows share. */
static int
shared_find(PyObject *torch)
{
    PyObject *cuda;
    void *(*context)(void) = NULL;
    void *address = mp_torch_symbol("_ZN2at13globalContextEv");
    memcpy(&context, &address, sizeof address);
    mp_ambient_context = context == NULL ? NULL : context();

    mp_rc rc = path_find(torch, "torch.cuda", &cuda);
    if (rc == MP_OK) {
        mp_ambient_cuda =
            PyModule_Check(cuda) ? Py_NewRef(PyModule_GetDict(cuda)) : NULL;
        Py_DECREF(cuda);
    }
    mp_ambient_cuda_name = PyUnicode_InternFromString("_initialized");
    if (mp_ambient_cuda == NULL) {
        mp_ambient_cuda = rc == MP_ERR ? NULL : PyDict_New();
    }
    if (mp_ambient_cuda == NULL || mp_ambient_cuda_name == NULL) {
        return -1;
    }
    return 0;
}

int
mp_ambient_init(void)
{
    static bool done;
    PyObject *name = PyUnicode_FromString("torch");
    PyObject *torch = name == NULL ? NULL : PyImport_GetModule(name);
    Py_XDECREF(name);
    if (torch == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    mp_modes_init();
    int rc = done ? 0 : shared_find(torch);
    for (int i = 0; i < N_ROWS && rc == 0 && !done; i++) {
        rc = ambient_find(torch, i);
    }
    if (rc == 0 && !done) {
        mp_ambient_places_find();
    }
    done = rc == 0;
    Py_DECREF(torch);
    return rc;
}
