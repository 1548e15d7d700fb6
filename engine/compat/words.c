/* words.c - where CPython keeps words that change when an object does.
 *
 * An address that is answered here is good for as long as the object lives.  Reading it later
 * needs a proof that the object still does (guard/words.c). */
#include "compat/private.h"

/* From 3.13 on a dict has no version that every change changes. */
#define HAS_WORDS (MP_CAN_WATCH && PY_VERSION_HEX < 0x030d0000)

const uint64_t *
mp_dict_word(PyObject *dict)
{
    assert(PyDict_Check(dict));
#if HAS_WORDS
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    return &((PyDictObject *)dict)->ma_version_tag;
#pragma GCC diagnostic pop
#else
    return NULL;
#endif
}

/* Both are 32 bits wide; what follows them in their word is padding, or is not written. */
const uint64_t *
mp_type_word(PyTypeObject *type)
{
#if HAS_WORDS
    return mp_type_version(type) == 0 ? NULL : (const uint64_t *)&type->tp_version_tag;
#else
    return NULL;
#endif
}

const uint64_t *
mp_function_word(PyObject *function)
{
    assert(PyFunction_Check(function));
#if HAS_WORDS
    PyFunctionObject *f = (PyFunctionObject *)function;
    return f->func_version == 0 ? NULL : (const uint64_t *)&f->func_version;
#else
    return NULL;
#endif
}

PyObject *const *
mp_instance_dict_place(PyObject *o)
{
#if HAS_WORDS
    PyTypeObject *type = Py_TYPE(o);
    if (!PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) && type->tp_dictoffset <= 0) {
        return NULL;  // none, or behind items whose number is the object's
    }
    return _PyObject_GetDictPtr(o);
#else
    return NULL;
#endif
}
