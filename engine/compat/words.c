/* words.c - where CPython keeps words that change when an object does.
 *
 * An address that is answered here is good for as long as the object lives.  Reading it later
 * needs a proof that the object still does (guard/words.c). */
#include "compat/private.h"

/* From 3.14 on a dict has no version. */
#define HAS_WORDS (MP_CAN_WATCH && PY_VERSION_HEX < 0x030e0000)

const uint64_t *
mp_dict_word(PyObject *dict)
{
    assert(PyDict_Check(dict));
#if HAS_WORDS
    if (!mp_dict_is_counted(dict)) {
        return NULL;
    }
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

#if HAS_WORDS
/* A dict that shares the values of its object gets them for itself, and a version that every
 * change changes; the object's own stores go to the dict then. */
static void
count_stores(PyObject *o)
{
#if PY_VERSION_HEX >= 0x030d0000
    if (!PyType_HasFeature(Py_TYPE(o), Py_TPFLAGS_INLINE_VALUES)) {
        return;
    }
    PyObject *dict = mp_instance_dict_borrow(o);
    if (dict != NULL && !mp_dict_is_counted(dict)) {
        (void)_PyObject_SetManagedDict(o, dict);
    }
    mp_err_drop();  // without memory it has no word
#else
    (void)o;
#endif
}
#endif

PyObject *const *
mp_instance_dict_place(PyObject *o)
{
#if HAS_WORDS
    PyTypeObject *type = Py_TYPE(o);
    if (!PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) && type->tp_dictoffset <= 0) {
        return NULL;  // none, or behind items whose number is the object's
    }
    count_stores(o);
    return _PyObject_GetDictPtr(o);
#else
    return NULL;
#endif
}
