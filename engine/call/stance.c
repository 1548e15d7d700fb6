/* call/stance.c - what torch.compiler.set_stance asks of compiled functions.
 *
 * The stance is a global of a module that is imported late, or never.  What is watched is
 * the version of one dict: of sys.modules until the module is there, then of its
 * namespace.  So a call costs one compare, and no function of torch is replaced.
 *
 * Ownership: the dict is kept for good. */
#include "call/stance.h"

#include "compat/compat.h"

static const struct {
    const char *word;
    mp_stance stance;
} stance_words[] = {
    {"default", MP_STANCE_COMPILE},
    {"force_eager", MP_STANCE_EAGER},
    {"eager_on_recompile", MP_STANCE_HITS},
    {"fail_on_recompile", MP_STANCE_FAIL},
    {"eager_then_compile", MP_STANCE_EAGER_FIRST},
    {"aot_eager_then_compile", MP_STANCE_EAGER_FIRST},
};

static PyObject *stance_dict;    // owned, or NULL before the first call
static bool stance_is_there;     // it is the namespace of the module
static uint64_t stance_version;  // of the dict, when it was read
static mp_stance stance_last;

/* A stance that is not known leaves everything as it is. */
static mp_stance
stance_of(PyObject *state)
{
    mp_stance found = MP_STANCE_COMPILE;
    PyObject *word = PyObject_GetAttrString(state, "stance");
    for (size_t i = 0; word != NULL && i < Py_ARRAY_LENGTH(stance_words); i++) {
        if (PyUnicode_Check(word)
            && PyUnicode_CompareWithASCIIString(word, stance_words[i].word) == 0) {
            found = stance_words[i].stance;
        }
    }
    Py_XDECREF(word);
    return found;
}

/* Borrowed, or NULL; an exception may be set. */
static PyObject *
stance_find(PyObject *dict, const char *name)
{
    PyObject *key = PyUnicode_FromString(name);
    PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError(dict, key);
    Py_XDECREF(key);
    return value;
}

static PyObject *
stance_namespace(PyObject *modules)
{
    PyObject *module = stance_find(modules, "torch._dynamo.eval_frame");
    return module != NULL && PyModule_Check(module) ? PyModule_GetDict(module) : NULL;
}

static void
stance_read(void)
{
    PyObject *exc = mp_err_take();
    PyObject *modules = PyImport_GetModuleDict();  // borrowed
    PyObject *namespace = stance_is_there ? stance_dict : stance_namespace(modules);
    stance_is_there = namespace != NULL;
    Py_XSETREF(stance_dict, Py_NewRef(stance_is_there ? namespace : modules));
    stance_version = mp_dict_version(stance_dict);
    PyObject *state = stance_is_there ? stance_find(stance_dict, "_stance") : NULL;
    if (state != NULL) {
        Py_INCREF(state);
        stance_last = stance_of(state);
        Py_DECREF(state);
    }
    mp_err_drop();
    mp_err_restore_steal(exc);
}

mp_stance
mp_stance_seen(void)
{
    return stance_last;
}

mp_stance
mp_stance_now(void)
{
    if (stance_dict == NULL || mp_dict_version(stance_dict) != stance_version) {
        stance_read();
    }
    return stance_last;
}
