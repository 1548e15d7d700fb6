/* python/import.c - what import statements read: __import__, the package, sys.modules.
 *
 * An import of a module that is there answers from sys.modules; each look-up that it makes gets
 * an IMPORTED guard under the name that was looked up, and so does the None that forbids one.
 * Imports that would load something are breaks.  `from m import x` is an attribute of m, or else
 * the submodule in sys.modules.
 * Everything is worked out here as importlib does, without running it.
 */
#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

/* sys.modules[name] is value, or with mp_guard_absent() there is none. */
static mp_rc
guard_imported(mp_trace *T, PyObject *name, PyObject *value)
{
    PyObject *row = PyTuple_Pack(2, name, value);
    int rc = row == NULL
                 ? -1
                 : mp_guards_test(T->guards, MP_G_IMPORTED, -1, -1, row, 0, NULL);
    Py_XDECREF(row);
    return rc < 0 ? MP_ERR : MP_OK;
}

/* The module is not there: the interpreter imports it.  Once it is there, this recording does not fit
 * any more, and the next one has no break. */
static mp_rc
import_in_a_break(mp_trace *T, PyObject *name)
{
    mp_rc rc = guard_imported(T, name, mp_guard_absent());
    return rc != MP_OK ? rc : mp_trace_abort(T, MP_AB_IMPORT, "import of %U", name);
}

/* importlib is about to look for a module in the file system, under locks: one break at its door,
 * instead of one at each of them. */
mp_rc
mp_check_search(mp_trace *T, PyObject *func, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *name = nargs > 0 ? args[0] : NULL;
    bool loads = mp_is_known(func, MP_K_FIND_AND_LOAD);
    if ((!loads && !mp_is_known(func, MP_K_FIND_SPEC)) || name == NULL
        || !PyUnicode_CheckExact(name)) {
        return MP_OK;
    }
    mp_val v;
    mp_rc rc = mp_value(T, name, &v);
    if (rc != MP_OK) {
        return rc;
    }
    PyObject *there = PyDict_GetItemWithError(PyImport_GetModuleDict(), name);
    if (there != NULL) {
        return loads ? MP_OK : mp_trace_abort(T, MP_AB_IMPORT, "search for %U", name);
    }
    return PyErr_Occurred() ? MP_ERR : import_in_a_break(T, name);
}

/* *module: borrowed, or NULL. */
static mp_rc
look_up_module(mp_trace *T, PyObject *name, PyObject **module)
{
    *module = PyDict_GetItemWithError(PyImport_GetModuleDict(), name);
    if (*module == NULL) {
        return PyErr_Occurred() ? MP_ERR : import_in_a_break(T, name);
    }
    mp_rc rc = guard_imported(T, name, *module);
    return rc != MP_OK ? rc : mp_load_const(T, *module);
}

static mp_rc
read_text_key(mp_trace *T, PyObject *dict, const char *name, PyObject **value)
{
    PyObject *key = PyUnicode_InternFromString(name);
    mp_rc rc = key == NULL ? MP_ERR
                           : mp_read_key(T, dict, mp_refgraph_find(&T->graph, dict),
                                         key, value);
    Py_XDECREF(key);
    return rc;
}

/* builtins.__import__ is the interpreter's. */
static mp_rc
check_hook(mp_trace *T, mp_shadow *s)
{
    PyObject *builtins = mp_frame_builtins_borrow(s->f), *hook;
    if (!PyDict_CheckExact(builtins)) {
        return mp_trace_abort(T, MP_AB_OPCODE, "builtins are a %s",
                              mp_type_name(builtins));
    }
    mp_rc rc = mp_load_const(T, builtins);
    rc = rc != MP_OK ? rc : read_text_key(T, builtins, "__import__", &hook);
    if (rc != MP_OK
        || (hook != NULL && PyCFunction_Check(hook)
            && mp_is_known(hook, MP_K_IMPORT))) {
        return rc;
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a replaced __import__");
}

mp_rc
mp_read_module(mp_trace *T, mp_shadow *s, const char *name, PyObject **module)
{
    PyObject *key = PyUnicode_InternFromString(name);
    mp_rc rc = key == NULL ? MP_ERR : check_hook(T, s);
    rc = rc != MP_OK ? rc : look_up_module(T, key, module);
    Py_XDECREF(key);
    return rc;
}

/* What a module's spec says of its package: spec.parent.  *parent: new, or NULL. */
static mp_rc
read_parent(mp_trace *T, PyObject *spec, PyObject **parent)
{
    PyObject *name, *places, *dict;
    mp_node *dict_node;
    mp_val n;
    *parent = NULL;
    mp_rc rc = mp_value(T, spec, &n);
    rc = rc != MP_OK ? rc : mp_instance_dict_node(T, spec, n.node, &dict, &dict_node);
    if (rc == MP_OK && (dict == NULL || dict_node == NULL)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a __spec__ of another kind");
    }
    rc = rc != MP_OK ? rc : read_text_key(T, dict, "name", &name);
    rc = rc != MP_OK ? rc
                     : read_text_key(T, dict, "submodule_search_locations", &places);
    if (rc != MP_OK || name == NULL || places == NULL || !PyUnicode_CheckExact(name)) {
        return rc != MP_OK
                   ? rc
                   : mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a __spec__ of another kind");
    }
    Py_ssize_t dot =
        places != Py_None
            ? PyUnicode_GET_LENGTH(name)
            : PyUnicode_FindChar(name, '.', 0, PyUnicode_GET_LENGTH(name), -1);
    *parent = PyUnicode_Substring(name, 0, dot < 0 ? 0 : dot);
    return *parent == NULL ? MP_ERR : MP_OK;
}

/* The name that a relative import stands for: new, in *full. */
static mp_rc
resolve(mp_trace *T, mp_shadow *s, PyObject *name, long level, PyObject **full)
{
    PyObject *globals = mp_frame_globals_borrow(s->f), *package, *spec, *parent = NULL;
    mp_rc rc = mp_load_const(T, globals);
    rc = rc != MP_OK ? rc : read_text_key(T, globals, "__package__", &package);
    rc = rc != MP_OK ? rc : read_text_key(T, globals, "__spec__", &spec);
    if (rc == MP_OK && spec != NULL && spec != Py_None) {
        rc = read_parent(T, spec, &parent);
    }
    if (rc != MP_OK) {
        return rc;
    }
    bool has_package = package != NULL && package != Py_None;
    PyObject *base = has_package ? package : parent;
    // Without either, or if they disagree, the interpreter warns.
    if (base == NULL || !PyUnicode_CheckExact(base)
        || (parent != NULL && PyUnicode_Compare(base, parent) != 0)) {
        Py_XDECREF(parent);
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "a relative import");
    }
    Py_ssize_t end = PyUnicode_GET_LENGTH(base);
    for (long i = 1; i < level && end > 0; i++) {
        Py_ssize_t dot = PyUnicode_FindChar(base, '.', 0, end, -1);
        end = dot < 0 ? 0 : dot;
    }
    PyObject *stem = end > 0 ? PyUnicode_Substring(base, 0, end) : NULL;
    Py_XDECREF(parent);
    if (stem == NULL) {  // beyond the top
        return PyErr_Occurred()
                   ? MP_ERR
                   : mp_trace_abort(T, MP_AB_SIDE_EFFECT, "a relative import");
    }
    *full = PyUnicode_GET_LENGTH(name) == 0 ? Py_NewRef(stem)
                                            : PyUnicode_FromFormat("%U.%U", stem, name);
    Py_DECREF(stem);
    return *full == NULL ? MP_ERR : MP_OK;
}

/* Is the name there without running anything? */
static bool
has_attr(PyObject *module, PyObject *name)
{
    PyObject *dict = PyModule_GetDict(module);
    return PyDict_GetItemWithError(dict, name) != NULL
           || mp_type_lookup_borrow(Py_TYPE(module), name) != NULL;
}

/* `from package import names`: what the package lacks would be imported. */
static mp_rc
check_names(mp_trace *T, mp_shadow *s, PyObject *module, PyObject *names)
{
    mp_rc rc = mp_record_getattr(T, s, module, MP_NAME(PATH));
    bool is_package = rc == MP_OK && has_attr(module, MP_NAME(PATH));
    for (Py_ssize_t i = 0; rc == MP_OK && is_package && PyTuple_Check(names)
                           && i < PyTuple_GET_SIZE(names);
         i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        rc = mp_record_getattr(T, s, module, name);
        if (rc == MP_OK && !has_attr(module, name)) {
            rc = mp_trace_abort(T, MP_AB_IMPORT, "import of %U from a package", name);
        }
    }
    if (rc == MP_OK && s->below == MP_BELOW_WATCH) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an import that asks a %s",
                              mp_type_name(module));
    }
    return rc;
}

/* An import statement: guard each look-up in sys.modules that it will make. level: of a
 * relative import; names: of `from m import names`.  A module that is not there yet
 * would run, which is refused. */
mp_rc
mp_record_import(mp_trace *T, mp_shadow *s, PyObject *name, PyObject *level,
                 PyObject *names)
{
    PyObject *full = NULL, *module = NULL;
    long up = PyLong_Check(level) ? PyLong_AsLong(level) : 0;
    mp_rc rc = check_hook(T, s);
    if (rc == MP_OK && up > 0) {
        rc = resolve(T, s, name, up, &full);
    }
    else if (rc == MP_OK) {
        full = Py_NewRef(name);
    }
    rc = rc != MP_OK ? rc : look_up_module(T, full, &module);
    if (rc == MP_OK && module != Py_None && !PyModule_Check(module)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an import that is no module");
    }
    bool all =
        names == Py_None || (PyTuple_Check(names) && PyTuple_GET_SIZE(names) == 0);
    if (rc == MP_OK && module != Py_None && all) {  // `import a.b` answers with a
        Py_ssize_t dot =
            PyUnicode_FindChar(name, '.', 0, PyUnicode_GET_LENGTH(name), 1);
        PyObject *top = dot < 0 ? NULL : PyUnicode_Substring(name, 0, dot);
        rc = dot < 0 ? MP_OK : top == NULL ? MP_ERR : look_up_module(T, top, &module);
        Py_XDECREF(top);
    }
    else if (rc == MP_OK && module != Py_None) {
        rc = check_names(T, s, module, names);
    }
    Py_XDECREF(full);
    s->below = MP_BELOW_SKIP;
    s->post = MP_POST_IMPORT;
    return rc;
}

/* An attribute that is not there: sys.modules is asked, and if it has nothing, the exception
 * says where the module came from. */
static mp_rc
fall_back(mp_trace *T, PyObject *module, PyObject *name)
{
    static const char *const parts[] = {"__name__", "__file__", "__spec__"};
    PyObject *dict = PyModule_GetDict(module), *values[3], *found;
    mp_rc rc = mp_load_const(T, dict);
    for (int i = 0; i < 3 && rc == MP_OK; i++) {
        rc = read_text_key(T, dict, parts[i], &values[i]);
    }
    if (rc != MP_OK || values[0] == NULL || !PyUnicode_Check(values[0])) {
        return rc;
    }
    PyObject *full = PyUnicode_FromFormat("%U.%U", values[0], name);
    if (full == NULL) {
        return MP_ERR;
    }
    found = PyDict_GetItemWithError(PyImport_GetModuleDict(), full);
    rc = found == NULL && PyErr_Occurred()
             ? MP_ERR
             : guard_imported(T, full, found ? found : mp_guard_absent());
    rc = rc != MP_OK || found == NULL ? rc : mp_load_const(T, found);
    Py_DECREF(full);
    return rc;
}

mp_rc
mp_record_import_from(mp_trace *T, mp_shadow *s, PyObject *module, PyObject *name)
{
    mp_rc rc = mp_record_getattr(T, s, module, name);
    if (rc != MP_OK) {
        return rc;
    }
    if (!PyModule_Check(module)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "`from` a %s",
                              mp_type_name(module));
    }
    if (has_attr(module, name)) {
        return MP_OK;
    }
    if (s->below == MP_BELOW_WATCH) {
        return MP_OK;  // its __getattr__ runs
    }
    s->post = MP_POST_RESULT;
    return fall_back(T, module, name);
}
