/* objects/types.c - finds what objects/types.def names, once; the only place that reads names.
 *
 * Objects of the table are held for the life of the process, so that an address is never
 * that of something else.  Looking up runs no code.
 */
#include "objects/types.h"

#include <string.h>

#include "compat/compat.h"
#include "objects/callables.h"
#include "objects/names.h"

PyObject *mp_known[MP_K_COUNT];
static PyObject *module_dicts[MP_MODULE_COUNT];

static const struct {
    mp_known_id id;
    const char *owner, *name;
    uint32_t marks;
    bool later, made;
} known_rows[] = {
#define KNOWN(id, owner, name, marks) {MP_K_##id, owner, name, marks, false, false},
#define MARK(owner, name, marks)      {MP_K_NONE, owner, name, marks, false, false},
#define STATIC_TYPE(type, marks)
#define MARK_LATER(owner, name, marks) {MP_K_NONE, owner, name, marks, true, false},
#define LATER(id, owner, name, marks)  {MP_K_##id, owner, name, marks, true, false},
#define MADE_BY(id, owner, name)       {MP_K_##id, owner, name, 0, false, true},
#define MODULE(id, name)
#include "objects/types.def"
#undef KNOWN
#undef MARK
#undef MARK_LATER
#undef STATIC_TYPE
#undef LATER
#undef MADE_BY
#undef MODULE
};

static const struct {
    PyTypeObject *type;
    uint32_t marks;
} static_rows[] = {
#define KNOWN(id, owner, name, marks)
#define MARK(owner, name, marks)
#define MARK_LATER(owner, name, marks)
#define STATIC_TYPE(type, marks) {&type, marks},
#define LATER(id, owner, name, marks)
#define MADE_BY(id, owner, name)
#define MODULE(id, name)
#include "objects/types.def"
#undef KNOWN
#undef MARK
#undef MARK_LATER
#undef STATIC_TYPE
#undef LATER
#undef MADE_BY
#undef MODULE
};

static const char *const module_names[] = {
#define KNOWN(id, owner, name, marks)
#define MARK(owner, name, marks)
#define MARK_LATER(owner, name, marks)
#define STATIC_TYPE(type, marks)
#define LATER(id, owner, name, marks)
#define MADE_BY(id, owner, name)
#define MODULE(id, name) [MP_MODULE_##id] = name,
#include "objects/types.def"
#undef KNOWN
#undef MARK
#undef MARK_LATER
#undef STATIC_TYPE
#undef LATER
#undef MADE_BY
#undef MODULE
};

static const struct {
    const char *owner, *names;
} pure_rows[] = {
#define NUMPY_PURE(owner, names) {owner, names},
#include "objects/numpy.def"
#undef NUMPY_PURE
};

/* -- Marks --------------------------------------------------------------------------- */

/* Holds obj for the process.  0 / -1. */
static int
mark_put(PyObject *obj, uint32_t marks)
{
    mp_callable *row = mp_callable_add(mp_callable_key(obj), obj);
    if (row != NULL) {
        row->marks |= marks;
    }
    return row == NULL ? -1 : 0;
}

uint32_t
mp_marks_of(PyObject *callable)
{
    return mp_callable_find(mp_callable_key(callable))->marks;
}

/* -- Finding them -------------------------------------------------------------------- */

/* A module: imported, or with `later` only if the program has done so; new or NULL. */
static PyObject *
types_module(const char *name, bool later)
{
    if (!later) {
        return PyImport_ImportModule(name);
    }
    PyObject *text = PyUnicode_FromString(name);
    PyObject *module = text == NULL ? NULL : PyImport_GetModule(text);
    Py_XDECREF(text);
    if (module != NULL && !PyModule_Check(module)) {
        Py_CLEAR(module);  // whatever that is, it is not what the table means
    }
    return module;
}

/* "a.b": the module, or attribute b of module a; new, or NULL. */
static PyObject *
types_owner(const char *owner, bool later)
{
    PyObject *module = types_module(owner, later);
    const char *dot = strrchr(owner, '.');
    if (module != NULL || dot == NULL || dot - owner > 60) {
        return module;
    }
    mp_err_drop();  // no module: a type of one
    char name[64];
    memcpy(name, owner, (size_t)(dot - owner));
    name[dot - owner] = '\0';
    module = types_module(name, later);
    PyObject *found = module == NULL ? NULL : PyObject_GetAttrString(module, dot + 1);
    Py_XDECREF(module);
    return found;
}

/* What a row names: new, or NULL, with an exception only on failure. */
static PyObject *
types_find(const char *owner_name, const char *name, bool later)
{
    PyObject *owner = types_owner(owner_name, later), *found = NULL;
    if (owner != NULL && PyType_Check(owner)) {
        PyObject *dict = mp_type_dict_borrow((PyTypeObject *)owner);
        found = dict == NULL ? NULL : Py_XNewRef(mp_dict_text_borrow(dict, name));
        if (found != NULL && Py_IS_TYPE(found, &PyStaticMethod_Type)) {
            Py_SETREF(found, PyObject_GetAttrString(owner, name));
        }
        if (found != NULL && Py_IS_TYPE(found, &PyClassMethod_Type)) {
            Py_SETREF(found, PyObject_GetAttrString(found, "__func__"));
        }
        if (found == NULL && !PyErr_Occurred()) {
            found = PyObject_GetAttrString(owner, name);
        }
    }
    else if (owner != NULL) {
        found = PyObject_GetAttrString(owner, name);
    }
    Py_XDECREF(owner);
    if (found == NULL && PyErr_Occurred()
        && (PyErr_ExceptionMatches(PyExc_ImportError)
            || PyErr_ExceptionMatches(PyExc_AttributeError))) {
        mp_err_drop();  // this process lacks it
    }
    return found;
}

/* Finds row i, marks it and stores it in mp_known.  A row without an object in this
 * process is left out. 0 / -1. */
static int
types_add(size_t i)
{
    mp_known_id id = known_rows[i].id;
    if (id != MP_K_NONE && mp_known[id] != NULL) {
        return 0;
    }
    PyObject *found =
        types_find(known_rows[i].owner, known_rows[i].name, known_rows[i].later);
    if (found != NULL && known_rows[i].made) {
        Py_SETREF(found, PyObject_CallOneArg(found, Py_None));
        Py_XSETREF(found, found == NULL ? NULL : Py_NewRef(Py_TYPE(found)));
    }
    if (found == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    int rc = mark_put(found, known_rows[i].marks);
    if (rc == 0 && id != MP_K_NONE) {
        mp_known[id] = Py_NewRef(found);
    }
    Py_DECREF(found);
    return rc;
}

/* numpy's own C functions, all of them at once. */
static int
types_add_functions(const char *module_name)
{
    PyObject *module = types_module(module_name, true), *key, *value;
    Py_ssize_t pos = 0;
    int rc = 0;
    if (module == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    while (rc == 0 && PyDict_Next(PyModule_GetDict(module), &pos, &key, &value)) {
        PyObject *home = PyCFunction_CheckExact(value)
                             ? ((PyCFunctionObject *)value)->m_module
                             : NULL;
        if (home != NULL && PyUnicode_Check(home)
            && PyUnicode_CompareWithASCIIString(home, "numpy") == 0) {  // mp-ok: once
            rc = mark_put(value, MP_MARK_NUMPY);
        }
    }
    Py_DECREF(module);
    return rc;
}

/* Those of one module or type of numpy's that are pure; a submodule is imported, as numpy itself
 * does when it is asked for it. */
static int
types_add_pure(const char *owner, const char *names)
{
    PyObject *module = types_owner(owner, false), *list = NULL;
    int rc = 0;
    if (module == NULL) {
        bool lacks = PyErr_ExceptionMatches(PyExc_ImportError)
                     || PyErr_ExceptionMatches(PyExc_AttributeError);
        if (lacks) {
            mp_err_drop();  // another numpy
        }
        return lacks ? 0 : -1;
    }
    PyObject *text = PyUnicode_FromString(names);
    list = text == NULL ? NULL : PyUnicode_Split(text, NULL, -1);
    Py_XDECREF(text);
    rc = list == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *found = PyObject_GetAttr(module, PyList_GET_ITEM(list, i));
        if (found != NULL) {
            rc = mark_put(found, MP_MARK_PURE);
        }
        else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            mp_err_drop();  // another numpy
        }
        else {
            rc = -1;
        }
        Py_XDECREF(found);
    }
    Py_XDECREF(list);
    Py_DECREF(module);
    return rc;
}

/* All rows of objects/numpy.def, once numpy has been imported. */
static int
types_add_numpy(void)
{
    int rc = 0;
    if (mp_known[MP_K_ARRAY] == NULL) {
        return 0;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(pure_rows) && rc == 0; i++) {
        rc = types_add_pure(pure_rows[i].owner, pure_rows[i].names);
    }
    return rc;
}

/* At import: the static types, the rows that are not `later`, and the modules' dicts. */
int
mp_types_init(void)
{
    if (mp_known[MP_K_PARTIAL] != NULL) {
        return 0;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(static_rows); i++) {
        if (mark_put((PyObject *)static_rows[i].type, static_rows[i].marks) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(known_rows); i++) {
        if (!known_rows[i].later && types_add(i) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < MP_MODULE_COUNT; i++) {
        PyObject *module = PyImport_ImportModule(module_names[i]);
        if (module == NULL) {
            return -1;
        }
        module_dicts[i] = Py_NewRef(PyModule_GetDict(module));
        Py_DECREF(module);
    }
    return 0;
}

/* Has the program imported torch._dynamo since the rows were looked up? */
bool
mp_types_dynamo_came(void)
{
    if (mp_known[MP_K_DYNAMO_TAG] != NULL) {
        return false;
    }
    PyObject *module = PyImport_GetModule(MP_NAME(MUTATION_GUARD));
    mp_err_drop();  // on doubt it is looked for again
    Py_XDECREF(module);
    return module != NULL;
}

/* Rows of packages that MagPy does not import itself (numpy, torch._dynamo): called
 * again whenever one of them has appeared.  Rows found before are kept. */
int
mp_types_later(void)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(known_rows); i++) {
        if (known_rows[i].later && types_add(i) < 0) {
            return -1;
        }
    }
    return types_add_numpy() < 0 || types_add_functions("numpy") < 0
                   || types_add_functions("numpy._core._multiarray_umath") < 0
               ? -1
               : 0;
}

/* -- Questions ----------------------------------------------------------------------- */

bool
mp_is_instance(PyObject *obj, mp_known_id id)
{
    return mp_known[id] != NULL
           && PyObject_TypeCheck(obj, (PyTypeObject *)mp_known[id]);
}

/* One of numpy's own scalar types (float32, int64); subclasses in Python are not. */
bool
mp_is_array_scalar_type(PyTypeObject *tp)
{
    PyTypeObject *base = (PyTypeObject *)mp_known[MP_K_ARRAY_SCALAR];
    return base != NULL && PyType_IsSubtype(tp, base)
           && !(tp->tp_flags & Py_TPFLAGS_HEAPTYPE);
}

bool
mp_is_dtype_type(PyTypeObject *tp)
{
    PyTypeObject *base = (PyTypeObject *)mp_known[MP_K_ARRAY_DTYPE];
    return base != NULL && PyType_IsSubtype(tp, base);
}

bool
mp_is_numpy_type(PyTypeObject *tp)
{
    return (PyObject *)tp == mp_known[MP_K_ARRAY] || mp_is_array_scalar_type(tp)
           || mp_is_dtype_type(tp) || (mp_marks_of((PyObject *)tp) & MP_MARK_NUMPY);
}

bool
mp_is_module(PyObject *globals, mp_module_id id)
{
    return globals != NULL && globals == module_dicts[id];
}

/* Is `tp` the class that the module's dict holds under the class's name? */
bool
mp_module_has(mp_module_id id, PyTypeObject *tp)
{
    PyObject *name =
        tp->tp_flags & Py_TPFLAGS_HEAPTYPE ? ((PyHeapTypeObject *)tp)->ht_name : NULL;
    PyObject *found =
        name == NULL ? NULL : PyDict_GetItemWithError(module_dicts[id], name);
    mp_err_drop();  // (a name is a text)
    return found == (PyObject *)tp;
}

/* sys.modules says that these are the globals of the module with this name, or it has put
 * an object of another kind in the module's place, as some packages do. */
static bool
is_listed_module(PyObject *globals, PyObject *name)
{
    PyObject *modules = PyImport_GetModuleDict();  // (looking there runs no code)
    PyObject *module =
        PyDict_CheckExact(modules) ? PyDict_GetItemWithError(modules, name) : NULL;
    mp_err_drop();  // (a name is a text)
    return module != NULL
           && (!PyModule_CheckExact(module) || PyModule_GetDict(module) == globals);
}

/* The name of the module whose globals these are; NULL if sys.modules does not confirm
 * it, so that a program cannot pass for a module of the standard library. */
const char *
mp_module_name(PyObject *globals)
{
    PyObject *name = globals == NULL ? NULL : mp_dict_text_borrow(globals, "__name__");
    if (name == NULL || !PyUnicode_CheckExact(name)
        || !(is_listed_module(globals, name)
             || mp_is_module(globals, MP_MODULE_COLLECTIONS_ABC))) {
        return NULL;
    }
    const char *text = PyUnicode_AsUTF8(name);
    mp_err_drop();  // a name that is no text of UTF-8 is the program's own
    return text;
}

/* Is that name the package's, or that of a module inside it? */
bool
mp_is_of_package(PyObject *globals, const char *package)
{
    const char *name = mp_module_name(globals);
    size_t n = strlen(package);
    return name != NULL && strncmp(name, package, n) == 0
           && (name[n] == '\0' || name[n] == '.');
}
