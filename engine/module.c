/* module.c - magpy._engine: what Python sees of the engine.
 *
 * The recorder's hooks get no user pointer, so the engine keeps static state and belongs
 * to one interpreter: loading it into a second one is an ImportError.  Loading it again
 * into the first (after sys.modules was emptied) gives a new module object over the same
 * state, whose types live as long as the process.
 *
 * The functions here forward to the parts of the engine, or show tables: aborts, guards,
 * effects, fields, invariants, opcodes, rows of C functions.  From these the docs are
 * generated.  They own nothing. */
#include "call/dispatch.h"
#include "call/transaction.h"
#include "cfunc/cfunc.h"
#include "effect/plant.h"
#include "guard/plant.h"
#include "guard/words.h"
#include "objects/names.h"
#include "objects/operators.h"
#include "objects/own.h"
#include "objects/warning.h"
#include "plan/value.h"
#include "run/record.h"
#include "trace/plant.h"
#include "verify/verify.h"

/* -- Tables ------------------------------------------------------------------------ */

/* One table row as Python sees it; a NULL key ends it. */
typedef struct {
    const char *key, *text;
} module_cell;

enum { MODULE_CELLS = 4 };

/* List of n dicts from rows of MODULE_CELLS cells: new list. */
static PyObject *
module_list(const module_cell (*rows)[MODULE_CELLS], Py_ssize_t n)
{
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < n; i++) {
        PyObject *dict = PyDict_New();
        int rc = dict == NULL ? -1 : 0;
        for (int k = 0; rc == 0 && k < MODULE_CELLS && rows[i][k].key != NULL; k++) {
            PyObject *text = PyUnicode_FromString(rows[i][k].text);
            rc = text == NULL ? -1 : PyDict_SetItemString(dict, rows[i][k].key, text);
            Py_XDECREF(text);
        }
        if (rc < 0 || PyList_Append(list, dict) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(dict);
    }
    return list;
}

static PyObject *
module_raised_by_signal(PyObject *module, PyObject *exc)
{
    return PyBool_FromLong(PyExceptionInstance_Check(exc) && mp_exc_is_signal(exc));
}

static PyObject *
module_reasons(PyObject *module, PyObject *ignored)
{
    static const module_cell rows[][MODULE_CELLS] = {
#define ABORT(id, slug, what, hint, kind)                                              \
    {{"slug", slug}, {"what", what}, {"hint", hint}, {"kind", #kind}},
#include "plan/aborts.def"
#undef ABORT
    };
    return module_list(rows, Py_ARRAY_LENGTH(rows));
}

static PyObject *
module_guard_kinds(PyObject *module, PyObject *ignored)
{
    static const module_cell rows[][MODULE_CELLS] = {
#define GUARD(id, operands, object, words, format) {{"id", #id}, {"format", format}},
#include "guard/guards.def"
#undef GUARD
    };
    return module_list(rows, Py_ARRAY_LENGTH(rows));
}

static PyObject *
module_invariants(PyObject *module, PyObject *ignored)
{
    static const module_cell rows[][MODULE_CELLS] = {
#define INVARIANT(id, part, text) {{"id", #id}, {"part", part}, {"text", text}},
#include "trace/invariants.def"
#undef INVARIANT
    };
    return module_list(rows, Py_ARRAY_LENGTH(rows));
}

static PyObject *
module_effect_kinds(PyObject *module, PyObject *ignored)
{
    static const module_cell rows[][MODULE_CELLS] = {
#define EFFECT(id, name, operands, format)                                             \
    {{"id", #id}, {"name", name}, {"format", format}},
#include "effect/effects.def"
#undef EFFECT
    };
    return module_list(rows, Py_ARRAY_LENGTH(rows));
}

static PyObject *
module_field_kinds(PyObject *module, PyObject *ignored)
{
    static const module_cell rows[][MODULE_CELLS] = {
#define FIELD(id, name) {{"id", #id}, {"name", name}},
#include "guard/fields.def"
#undef FIELD
    };
    return module_list(rows, Py_ARRAY_LENGTH(rows));
}

static PyObject *
module_entry_kinds(PyObject *module, PyObject *compiled)
{
    return mp_compiled_kinds(compiled);
}

static PyObject *
module_effect_rows(PyObject *module, PyObject *ignored)
{
    return mp_record_rows();
}

static PyObject *
module_op_flags(PyObject *module, PyObject *ignored)
{
    return mp_record_op_flags();
}

static PyObject *
module_effect_rules(PyObject *module, PyObject *ignored)
{
    return mp_record_rules();
}

static PyObject *
module_opcodes(PyObject *module, PyObject *ignored)
{
    PyObject *list = PyList_New(0);
    for (int op = 0; list != NULL && op < MP_OP_COUNT; op++) {
        PyObject *row =
            Py_BuildValue("{ssss}", "name", mp_op_name(op), "reads", mp_op_reads(op));
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    return list;
}

/* How the recorder treats a call of this callable. */
static PyObject *
module_effect_class(PyObject *module, PyObject *callable)
{
    if (mp_types_refresh() < 0) {
        return NULL;
    }
    const char *name = mp_record_class_of(callable);
    return PyUnicode_FromString(name == NULL ? "unlisted" : name);
}

/* -- Switches ---------------------------------------------------------------------- */

/* (True, None), or (False, why) if the thread cannot be watched now. */
static PyObject *
module_available(PyObject *module, PyObject *ignored)
{
    const char *why = NULL;
    int yes = mp_watch_available(&why);
    return Py_BuildValue("(Os)", yes ? Py_True : Py_False, yes ? NULL : why);
}

/* The same of this interpreter for good. */
static PyObject *
module_supported(PyObject *module, PyObject *ignored)
{
    const char *why = NULL;
    int yes = mp_watch_supported(&why);
    return Py_BuildValue("(Os)", yes ? Py_True : Py_False, yes ? NULL : why);
}

static PyObject *
module_tensor_path(PyObject *module, PyObject *ignored)
{
    return PyUnicode_FromString(mp_tensor_path());
}

static PyObject *
module_set_enabled(PyObject *module, PyObject *on)
{
    int yes = PyObject_IsTrue(on);
    if (yes < 0) {
        return NULL;
    }
    mp_dispatch_enable(yes);
    Py_RETURN_NONE;
}

/* Keyword arguments only: the registries of run/record.h. */
static PyObject *
module_setup_torch(PyObject *module, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 || kwargs == NULL) {
        PyErr_SetString(PyExc_TypeError, "setup_torch takes keyword arguments");
        return NULL;
    }
    if (mp_tensor_init() < 0 || mp_ambient_init() < 0 || mp_record_setup(kwargs) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
module_set_flow(PyObject *module, PyObject *on)
{
    mp_flow_set(on == Py_True);
    Py_RETURN_NONE;
}

static PyObject *
module_set_compiling(PyObject *module, PyObject *on)
{
    mp_compiling_set(on == Py_True    ? MP_COMPILING_TRUE
                     : on == Py_False ? MP_COMPILING_FALSE
                                      : MP_COMPILING_AUTO);
    Py_RETURN_NONE;
}

/* None: nothing may be recorded now. */
static PyObject *
module_ambient_state(PyObject *module, PyObject *ignored)
{
    const char *refused;
    mp_ambient *now = mp_ambient_take(&refused);
    if (now == NULL) {
        return refused != NULL ? Py_NewRef(Py_None) : NULL;
    }
    PyObject *state = mp_ambient_state(now);
    mp_ambient_free(now);
    return state;
}

#ifdef MP_TESTING
static int
module_set_plant(const char *family, const char *id)
{
    if (strcmp(family, "guard") == 0) {  // mp-ok: our own text
        return mp_plant_set_guard(id);
    }
    if (strcmp(family, "effect") == 0) {  // mp-ok: our own text
        return mp_plant_set_effect(id);
    }
    if (strcmp(family, "word") == 0) {  // mp-ok: our own text
        return mp_words_plant(id);
    }
    PyErr_Format(PyExc_ValueError, "no family %s", family);
    return -1;
}

static PyObject *
module_words_wrong(PyObject *module, PyObject *unused)
{
    return PyLong_FromLongLong(mp_words_wrong());
}

static PyObject *
module_words_check(PyObject *module, PyObject *on)
{
    return PyBool_FromLong(mp_words_check(on == Py_True));
}

static PyObject *
module_plant(PyObject *module, PyObject *args)
{
    const char *family, *id;
    if (!PyArg_ParseTuple(args, "sz:_plant", &family, &id)
        || module_set_plant(family, id) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
module_plant_invariant(PyObject *module, PyObject *args)
{
    const char *id;
    if (!PyArg_ParseTuple(args, "z:_plant_invariant", &id)
        || mp_plant_set_invariant(id) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
#endif

static PyMethodDef module_methods[] = {
#ifdef MP_TESTING
    {"_plant", module_plant, METH_VARARGS,
     "_plant(family, id)\n--\n\n"
     "Leave this kind of guard or effect out of every plan, or the words that prove a "
     "kind of guard out of every proof; None: leave out none."},
    {"_words_wrong", module_words_wrong, METH_NOARGS,
     "_words_wrong()\n--\n\n"
     "So often words have proved what a check refused."},
    {"_words_check", module_words_check, METH_O,
     "_words_check(on)\n--\n\n"
     "Is each proof compared with a check from now on?  What was."},
    {"_plant_invariant", module_plant_invariant, METH_VARARGS,
     "_plant_invariant(id)\n--\n\n"
     "Break this invariant in the next recording that can; None: break none."},
#endif
    {"_set_compiling", module_set_compiling, METH_O,
     "_set_compiling(on)\n--\n\n"
     "What torch.compiler.is_compiling() answers to watched code."},
    {"_ears", mp_warning_ears, METH_NOARGS,
     "_ears()\n--\n\n"
     "Hear the warnings of this thread, in a filter of warnings."},
    {"_set_flow", module_set_flow, METH_O,
     "_set_flow(on)\n--\n\n"
     "Do branches on tensors become operations?"},
    {"setup_torch", (PyCFunction)(void (*)(void))module_setup_torch,
     METH_VARARGS | METH_KEYWORDS,
     "setup_torch(*, ops, tensor_types, ...)\n--\n\n"
     "Teach the engine torch, which must be imported: the registries of "
     "run/record.h."},
    {"available", module_available, METH_NOARGS,
     "available()\n--\n\n(True, None), or (False, why recording cannot work now)."},
    {"supported", module_supported, METH_NOARGS,
     "supported()\n--\n\n(True, None), or (False, why recording can never work here)."},
    {"tensor_path", module_tensor_path, METH_NOARGS,
     "tensor_path()\n--\n\nHow tensor metadata is read: shim, getters or off."},
    {"ambient_state", module_ambient_state, METH_NOARGS,
     "ambient_state()\n--\n\n"
     "The state that a recording is specialised on; None: nothing may be recorded."},
    {"raised_by_signal", module_raised_by_signal, METH_O,
     "raised_by_signal(exc)\n--\n\nHas a signal handler of the program raised it?"},
    {"reasons", module_reasons, METH_NOARGS,
     "reasons()\n--\n\nWhy recordings abort: list of dicts slug, what, hint, kind."},
    {"guard_kinds", module_guard_kinds, METH_NOARGS,
     "guard_kinds()\n--\n\nList of dicts id, format."},
    {"invariants", module_invariants, METH_NOARGS,
     "invariants()\n--\n\nList of dicts id, part, text."},
    {"effect_kinds", module_effect_kinds, METH_NOARGS,
     "effect_kinds()\n--\n\nList of dicts id, name, format."},
    {"field_kinds", module_field_kinds, METH_NOARGS,
     "field_kinds()\n--\n\nList of dicts id, name: what LOAD_FIELD reads."},
    {"entry_kinds", module_entry_kinds, METH_O,
     "entry_kinds(compiled)\n--\n\n"
     "Dicts guard kind -> count, effect kind -> count, over the entries that have "
     "hit."},
    {"effect_rows", module_effect_rows, METH_NOARGS,
     "effect_rows()\n--\n\nRows for C functions: list of dicts owner, name, rule."},
    {"effect_rules", module_effect_rules, METH_NOARGS,
     "effect_rules()\n--\n\nWhat rules mean: list of dicts rule, class, text."},
    {"op_flags", module_op_flags, METH_NOARGS,
     "op_flags()\n--\n\nFlags of torch callables: dict from name to number."},
    {"opcodes", module_opcodes, METH_NOARGS,
     "opcodes()\n--\n\nWhat instructions read: list of dicts name, reads."},
    {"effect_class", module_effect_class, METH_O,
     "effect_class(callable)\n--\n\nHow calling it is recorded; 'unlisted': no row."},
    {"_set_enabled", module_set_enabled, METH_O,
     "_set_enabled(on)\n--\n\nOff: every CompiledFunction calls its original."},
    {NULL, NULL, 0, NULL},
};

/* -- Loading ----------------------------------------------------------------------- */

static PyObject *
module_close(PyObject *module, PyObject *ignored)
{
    mp_dispatch_enable(false);
    mp_compat_fini();
    Py_RETURN_NONE;
}

/* When the interpreter exits: run eager from then on, give the watching tool back. */
static int
module_close_at_exit(void)
{
    static PyMethodDef close = {"close", module_close, METH_NOARGS, NULL};
    PyObject *done = NULL, *function = PyCFunction_New(&close, NULL);  // owned
    PyObject *atexit = PyImport_ImportModule("atexit");                // owned
    if (function != NULL && atexit != NULL) {
        done = PyObject_CallMethod(atexit, "register", "O", function);
    }
    Py_XDECREF(atexit);
    Py_XDECREF(function);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* What is done once per process, before anything can be compiled. */
static int
module_start(PyObject *module)
{
    if (mp_compat_init(module) < 0 || mp_names_init() < 0 || mp_guard_init() < 0
        || mp_transaction_init() < 0 || mp_record_setup(NULL) < 0) {
        return -1;
    }
    return module_close_at_exit();
}

static int
module_exec(PyObject *module)
{
    static PyInterpreterState *owner;  // never dereferenced
    if (owner != NULL && owner != PyInterpreterState_Get()) {
        PyErr_SetString(PyExc_ImportError,
                        "magpy._engine can be loaded into one interpreter only");
        return -1;
    }
    if (owner == NULL && module_start(module) < 0) {
        return -1;
    }
    owner = PyInterpreterState_Get();
    mp_verify = &mp_verify_table;
    return mp_value_init(module) < 0 || mp_call_slot_init(module) < 0
               ? -1
               : mp_compiled_init(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
    MP_SLOT_ONE_INTERPRETER{0, NULL},
};

static struct PyModuleDef module_def = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "magpy._engine",
    .m_doc = "The engine of MagPy.  Use the magpy package instead.",
    .m_size = 0,
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__engine(void);

PyMODINIT_FUNC
PyInit__engine(void)
{
    return PyModuleDef_Init(&module_def);
}
