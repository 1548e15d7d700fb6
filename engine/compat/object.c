/* object.c - objects whose layout is private: dicts, types, exceptions in flight.
 *
 * Look-ups here run no user code: dicts are probed with keys whose hash and equality are C
 * functions, types through the method cache.  All answers are borrowed from the container.
 */
#include "compat/private.h"  // before any system header: Python.h asks for all of POSIX

#include <signal.h>
#include <string.h>

PyObject *
mp_instance_dict_make_borrow(PyObject *o)
{
    PyObject **slot = _PyObject_GetDictPtr(o);

    if (slot == NULL) {
        return NULL;
    }
    if (*slot != NULL) {
        return *slot;
    }
    PyObject *dict = PyObject_GenericGetDict(o, NULL);
    if (dict == NULL) {
        return NULL;
    }
    Py_DECREF(dict);  // the object keeps it
    return dict;
}

PyObject *
mp_instance_dict_borrow(PyObject *o)
{
    if (PyType_HasFeature(Py_TYPE(o), Py_TPFLAGS_MANAGED_DICT)) {
        return mp_instance_dict_make_borrow(o);
    }
    PyObject **slot = _PyObject_GetDictPtr(o);
    return slot == NULL ? NULL : *slot;
}

bool
mp_dict_is_counted(PyObject *dict)
{
#if !MP_CAN_WATCH || PY_VERSION_HEX >= 0x030e0000
    return false;
#elif PY_VERSION_HEX >= 0x030d0000
    const PyDictValues *values = ((PyDictObject *)dict)->ma_values;
    return values == NULL || !values->embedded;
#else
    return true;
#endif
}

uint64_t
mp_dict_version(PyObject *dict)
{
    // Nothing looks unchanged: never the same twice, and none of the interpreter's.
    static uint64_t next = (uint64_t)1 << 63;

    assert(PyDict_Check(dict));
#if PY_VERSION_HEX < 0x030e0000
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    if (mp_dict_is_counted(dict)) {
        return ((PyDictObject *)dict)->ma_version_tag;
    }
#pragma GCC diagnostic pop
#endif
    return next++;
}

bool
mp_str_is_ready(PyObject *text)
{
#if PY_VERSION_HEX < 0x030c0000
    return PyUnicode_IS_READY(text);
#else
    (void)text;
    return true;
#endif
}

bool
mp_dict_keys_are_str(PyObject *dict)
{
    assert(PyDict_Check(dict));
    assert(PyDict_Check(dict));
#if MP_CAN_WATCH
    return DK_IS_UNICODE(((PyDictObject *)dict)->ma_keys);
#else
    PyObject *key = NULL;  // borrowed from dict
    Py_ssize_t pos = 0;

    while (PyDict_Next(dict, &pos, &key, NULL)) {
        if (!PyUnicode_CheckExact(key)) {
            return false;
        }
    }
    return true;
#endif
}

PyObject *
mp_dict_find_borrow(PyObject *dict, PyObject *key, Py_hash_t hash)
{
    assert(PyDict_Check(dict) && hash != -1);
    assert(PyDict_Check(dict));
    return _PyDict_GetItem_KnownHash(dict, key, hash);
}

Py_hash_t
mp_address_hash(PyObject *o)
{
    return (Py_hash_t)((uintptr_t)o % (uintptr_t)_PyHASH_MODULUS);
}

PyObject *
mp_type_lookup_borrow(PyTypeObject *type, PyObject *name)
{
    assert(PyUnicode_Check(name));
    assert(PyUnicode_CheckExact(name));
    return _PyType_Lookup(type, name);
}

/* Until 3.12 a class remembers what a look-up has found, whatever its names are; from 3.13 on
 * one whose dicts hold other keys than texts asks these each time. */
bool
mp_type_names_are_str(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *mro = type->tp_mro;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyObject *dict = mp_type_dict_borrow((PyTypeObject *)PyTuple_GET_ITEM(mro, i));
        if (dict != NULL && !mp_dict_keys_are_str(dict)) {
            return false;
        }
    }
#endif
    return true;
}

unsigned int
mp_type_version(PyTypeObject *type)
{
#if PY_VERSION_HEX < 0x030d0000
    if (!PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG)) {
        return 0;
    }
#endif
    return type->tp_version_tag;
}

/* dictiterobject of CPython 3.11 to 3.14. */
typedef struct {
    PyObject_HEAD
    PyDictObject *dict;
    Py_ssize_t used;
    Py_ssize_t pos;
    PyObject *result;
    Py_ssize_t left;
} dict_iterator;

bool
mp_dict_iter_state(PyObject *it, PyObject **dict, Py_ssize_t *consumed)
{
    const dict_iterator *state = (dict_iterator *)it;
    Py_ssize_t pos = 0, before = 0;

    *dict = (PyObject *)state->dict;
    *consumed = 0;
    if (state->dict == NULL) {
        return true;
    }
    while (mp_dict_next(*dict, &pos, NULL, NULL, NULL) && pos <= state->pos) {
        before++;
    }
    *consumed = state->used - state->left;
    return state->used == PyDict_GET_SIZE(*dict) && before == *consumed;
}

void
mp_dict_iter_place(PyObject *it, Py_ssize_t consumed, Py_ssize_t size)
{
    assert(consumed >= 0 && consumed <= size);
    dict_iterator *state = (dict_iterator *)it;
    state->used = size;
    state->pos = consumed;
    state->left = size - consumed;
}

/* listiterobject and tupleiterobject of CPython 3.11 to 3.14. */
typedef struct {
    PyObject_HEAD
    Py_ssize_t index;
    PyObject *sequence;
} sequence_iterator;

void
mp_list_iter_place(PyObject *it, Py_ssize_t index)
{
    assert(index >= 0);
    ((sequence_iterator *)it)->index = index;
}

/* _PyRangeIterObject. */
typedef struct {
    PyObject_HEAD
#if PY_VERSION_HEX < 0x030c0000
    long index;
#endif
    long start;
    long step;
    long left;  // 3.11: the length
} range_iterator;

/* The one object of a small number; NULL: others have no single one. */
static PyObject *
small_int_borrow(long value)
{
    if (value < -5 || value > 256) {
        return NULL;
    }
    PyObject *number = PyLong_FromLong(value);  // (makes nothing)
    Py_DECREF(number);
    return number;
}

static int
peek_range(const range_iterator *it, Py_ssize_t ahead, PyObject **item)
{
#if PY_VERSION_HEX < 0x030c0000
    long left = it->left - it->index, at = it->index + (long)ahead;
#else
    long left = it->left, at = (long)ahead;
#endif
    if (ahead >= left) {
        return 0;
    }
    *item = small_int_borrow(
        (long)((unsigned long)it->start + (unsigned long)at * (unsigned long)it->step));
    return *item == NULL ? -1 : 1;
}

static int
peek_dict(const dict_iterator *it, bool values, Py_ssize_t ahead, PyObject **item)
{
    PyObject *key = NULL, *value = NULL;
    Py_ssize_t pos = it->pos;
    if (it->dict == NULL) {
        return 0;
    }
    if (it->used != PyDict_GET_SIZE(it->dict)) {
        return -1;
    }
    for (Py_ssize_t i = 0; i <= ahead; i++) {
        if (!PyDict_Next((PyObject *)it->dict, &pos, &key, &value)) {
            return 0;
        }
    }
    *item = values ? value : key;
    return 1;
}

int
mp_iterator_peek(PyObject *it, Py_ssize_t ahead, PyObject **item)
{
    assert(ahead >= 0);
    PyTypeObject *type = Py_TYPE(it);
    const sequence_iterator *s = (sequence_iterator *)it;
    *item = NULL;
    if (type == &PyRangeIter_Type) {
        return peek_range((range_iterator *)it, ahead, item);
    }
    if (type == &PyDictIterKey_Type || type == &PyDictIterValue_Type) {
        return peek_dict((dict_iterator *)it, type == &PyDictIterValue_Type, ahead,
                         item);
    }
    if (type != &PyListIter_Type && type != &PyTupleIter_Type) {
        return -1;
    }
    if (s->sequence == NULL || s->index + ahead >= Py_SIZE(s->sequence)) {
        return 0;
    }
    *item = type == &PyListIter_Type ? PyList_GET_ITEM(s->sequence, s->index + ahead)
                                     : PyTuple_GET_ITEM(s->sequence, s->index + ahead);
    return 1;
}

PyObject *
mp_iterator_sequence_borrow(PyObject *it)
{
    PyTypeObject *type = Py_TYPE(it);
    if (type == &PyListIter_Type || type == &PyTupleIter_Type) {
        return ((sequence_iterator *)it)->sequence;
    }
    if (type == &PyDictIterKey_Type || type == &PyDictIterValue_Type) {
        return (PyObject *)((dict_iterator *)it)->dict;
    }
    return NULL;
}

/* _PyDictViewObject, which 3.13 keeps to itself. */
typedef struct {
    PyObject_HEAD
    PyObject *dict;
} dict_view;

PyObject *
mp_view_dict_borrow(PyObject *view)
{
    return ((dict_view *)view)->dict;
}

PyObject *
mp_type_dict_borrow(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyObject *dict = PyType_GetDict(type);  // static builtin types have no tp_dict here
    Py_XDECREF(dict);                       // the type holds it
    return dict;
#else
    return type->tp_dict;
#endif
}

#if PY_VERSION_HEX < 0x030d0000

int
mp_set_next(PyObject *set, Py_ssize_t *pos, PyObject **key, Py_hash_t *hash)
{
    return _PySet_NextEntry(set, pos, key, hash);
}

int
mp_dict_next(PyObject *dict, Py_ssize_t *pos, PyObject **key, PyObject **value,
             Py_hash_t *hash)
{
    return _PyDict_Next(dict, pos, key, value, hash);
}

#else

/* Exported by these versions, but declared in a private header only. */
PyAPI_FUNC(int) _PySet_NextEntryRef(PyObject *set, Py_ssize_t *pos, PyObject **key,
                                    Py_hash_t *hash);

int
mp_set_next(PyObject *set, Py_ssize_t *pos, PyObject **key, Py_hash_t *hash)
{
    int found = _PySet_NextEntryRef(set, pos, key, hash);

    if (found) {
        Py_DECREF(*key);  // the set holds it
    }
    return found;
}

/* The hash of the key that PyDict_Next has handed out before it went to pos. */
static Py_hash_t
hash_before(PyObject *dict, PyObject *key, Py_ssize_t pos)
{
#if MP_CAN_WATCH
    PyDictKeysObject *keys = ((PyDictObject *)dict)->ma_keys;
    if (!DK_IS_UNICODE(keys)) {
        return DK_ENTRIES(keys)[pos - 1].me_hash;
    }
#endif
    Py_hash_t hash = PyObject_Hash(key);  // (of a text: no code of the program)
    if (hash == -1) {
        mp_err_drop();
    }
    return hash;
}

int
mp_dict_next(PyObject *dict, Py_ssize_t *pos, PyObject **key, PyObject **value,
             Py_hash_t *hash)
{
    PyObject *found;  // borrowed from dict

    if (!PyDict_Next(dict, pos, &found, value)) {
        return 0;
    }
    if (key != NULL) {
        *key = found;
    }
    if (hash != NULL) {
        *hash = hash_before(dict, found, *pos);
    }
    return 1;
}

#endif

bool
mp_descr_fits(PyObject *descr, PyObject *obj)
{
    return PyObject_TypeCheck(obj, PyDescr_TYPE(descr));
}

PyObject *
mp_weakref_borrow(PyObject *ref)
{
#if PY_VERSION_HEX < 0x030d0000
    return PyWeakref_GET_OBJECT(ref);
#else
    PyObject *obj = ((PyWeakReference *)ref)->wr_object;

    return Py_REFCNT(obj) > 0 ? obj : Py_None;
#endif
}

PyObject *
mp_proxy_mapping_borrow(PyObject *proxy)
{
    assert(Py_IS_TYPE(proxy, &PyDictProxy_Type));
    return *(PyObject **)((char *)proxy + sizeof(PyObject));
}

#if MP_CAN_WATCH

PyObject *
mp_token_var_borrow(PyObject *token)
{
    assert(PyContextToken_CheckExact(token));
    return (PyObject *)((PyContextToken *)token)->tok_var;
}

PyObject *
mp_token_old_borrow(PyObject *token)
{
    assert(PyContextToken_CheckExact(token));
    return ((PyContextToken *)token)->tok_oldval;
}

bool
mp_token_is_used(PyObject *token)
{
    assert(PyContextToken_CheckExact(token));
    return ((PyContextToken *)token)->tok_used != 0;
}

bool
mp_token_is_of_here(PyObject *token)
{
    assert(PyContextToken_CheckExact(token));
    PyObject *context = (PyObject *)((PyContextToken *)token)->tok_ctx;
    return context == PyThreadState_Get()->context;
}

#else  // a token is private there, and nobody asks

PyObject *
mp_token_var_borrow(PyObject *token)
{
    return NULL;
}

PyObject *
mp_token_old_borrow(PyObject *token)
{
    return NULL;
}

bool
mp_token_is_used(PyObject *token)
{
    return true;
}

bool
mp_token_is_of_here(PyObject *token)
{
    return false;
}

#endif

PyObject *
mp_descr_part_borrow(PyObject *o, int i)
{
    assert(i >= 0 && i < 3);
    return ((PyObject **)((char *)o + sizeof(PyObject)))[i];
}

#if PY_VERSION_HEX >= 0x030c0000

PyObject *
mp_err_take(void)
{
    return PyErr_GetRaisedException();
}

void
mp_err_restore_steal(PyObject *exc)
{
    PyErr_SetRaisedException(exc);
}

#else

PyObject *
mp_err_take(void)
{
    PyObject *type = NULL;       // owned
    PyObject *exc = NULL;        // owned; returned
    PyObject *traceback = NULL;  // owned

    PyErr_Fetch(&type, &exc, &traceback);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &exc, &traceback);
    if (traceback != NULL) {
        (void)PyException_SetTraceback(exc, traceback);  // fails only if it is none
    }
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return exc;
}

void
mp_err_restore_steal(PyObject *exc)
{
    if (exc == NULL) {
        PyErr_Restore(NULL, NULL, NULL);
        return;
    }
    PyObject *type = Py_NewRef((PyObject *)Py_TYPE(exc));
    PyErr_Restore(type, exc, PyException_GetTraceback(exc));
}

#endif

/* The code that runs when a handler of the program is called, or NULL.  Borrowed from it. */
static PyObject *
err_handler_code_borrow(PyObject *handler)
{
    if (PyMethod_Check(handler)) {
        handler = PyMethod_GET_FUNCTION(handler);
    }
    else if (!PyFunction_Check(handler)) {
        PyObject *type = (PyObject *)Py_TYPE(handler);
        handler =
            mp_dict_text_borrow(mp_type_dict_borrow((PyTypeObject *)type), "__call__");
    }
    return handler != NULL && PyFunction_Check(handler) ? PyFunction_GET_CODE(handler)
                                                        : NULL;
}

/* What stands in the traceback from the frame of a signal handler on; NULL: none does.  New
 * reference.  No exception is set. */
static PyObject *
err_from_handler(PyObject *exc)
{
    PyObject *traceback = PyException_GetTraceback(exc);  // new
    PyObject *module =
        traceback == NULL ? NULL : PyImport_ImportModule("_signal");  // new
    PyObject *found = NULL;                                           // owned

    for (int n = 1; module != NULL && n < NSIG && found == NULL; n++) {
        PyObject *handler = PyObject_CallMethod(module, "getsignal", "i", n);  // new
        PyObject *code = handler == NULL ? NULL : err_handler_code_borrow(handler);
        PyTracebackObject *at = (PyTracebackObject *)traceback;  // borrowed

        for (; at != NULL && code != NULL && found == NULL; at = at->tb_next) {
            PyCodeObject *ran = PyFrame_GetCode(at->tb_frame);  // new
            found = (PyObject *)ran == code ? Py_NewRef(at) : NULL;
            Py_DECREF(ran);
        }
        Py_XDECREF(handler);
        PyErr_Clear();  // mp-ok: a number without a signal
    }
    Py_XDECREF(module);
    Py_XDECREF(traceback);
    PyErr_Clear();  // mp-ok: without memory it is taken for an error
    return found;
}

bool
mp_exc_is_signal(PyObject *exc)
{
    if (!PyErr_GivenExceptionMatches(exc, PyExc_Exception)) {
        return !PyErr_GivenExceptionMatches(exc, PyExc_GeneratorExit);
    }
    PyObject *from = err_from_handler(exc);  // owned

    Py_XDECREF(from);
    return from != NULL;
}

/* What a signal raised, on its way to the thread that it was raised in. */
struct err_deferred {
    PyObject *exc;  // owned
    unsigned long thread;
};

/* Runs in the main thread, between two instructions of the program. */
static int
err_arrive(void *arg)
{
    struct err_deferred *d = arg;
    PyObject *exc = d->exc;  // owned
    unsigned long thread = d->thread;

    PyMem_RawFree(d);
    if (thread == PyThread_get_thread_ident()) {
        mp_err_restore_steal(exc);
        return -1;
    }
    PyThreadState_SetAsyncExc(thread, (PyObject *)Py_TYPE(exc));
    Py_DECREF(exc);
    return 0;
}

void
mp_err_defer_steal(PyObject *exc)
{
    struct err_deferred *d = PyMem_RawMalloc(sizeof(*d));
    unsigned long thread = PyThread_get_thread_ident();

    // Without frames of the engine and their objects, but with the mark that tells it
    // from errors.
    PyObject *from = err_from_handler(exc);  // owned

    (void)PyException_SetTraceback(exc, from == NULL ? Py_None : from);
    Py_XDECREF(from);
    if (d != NULL) {
        *d = (struct err_deferred){.exc = exc, .thread = thread};
        if (Py_AddPendingCall(err_arrive, d) == 0) {
            return;
        }
        PyMem_RawFree(d);
    }
    PyThreadState_SetAsyncExc(thread, (PyObject *)Py_TYPE(exc));  // without its text
    Py_DECREF(exc);
}

bool
mp_err_is_signal(void)
{
    if (PyErr_Occurred() == NULL) {
        return false;
    }
    PyObject *exc = mp_err_take();  // owned
    bool found = mp_exc_is_signal(exc);

    mp_err_restore_steal(exc);
    return found;
}

bool
mp_err_drop(void)
{
    if (PyErr_Occurred() == NULL) {
        return false;
    }
    bool defers = mp_err_is_signal();

    if (defers) {
        mp_err_defer_steal(mp_err_take());
    }
    PyErr_Clear();  // mp-ok: the others
    return defers;
}

PyObject *
mp_dict_text_borrow(PyObject *dict, const char *name)
{
    PyObject *key = PyUnicode_InternFromString(name);
    PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError(dict, key);
    Py_XDECREF(key);
    if (value == NULL) {
        mp_err_drop();  // out of memory: as if it were not there
    }
    return value;
}

int
mp_int_max_digits(void)
{
#if MP_CAN_WATCH && PY_VERSION_HEX >= 0x030c0000
    return PyInterpreterState_Get()->long_state.max_str_digits;
#elif MP_CAN_WATCH
    return PyInterpreterState_Get()->int_max_str_digits;
#else
    return 0;  // (nothing is recorded there)
#endif
}

/* -- Numbers with an address of their own ------------------------------------------------ */

#if MP_CAN_WATCH
/* CPython keeps one object for each of these. */
static PyObject *
small_int_box(long value)
{
    PyObject *box = PyLong_FromLong(1L << 20);  // one digit, and of nobody else
    if (box == NULL) {
        return NULL;
    }
    PyLongObject *l = (PyLongObject *)box;
    digit size = (digit)(value < 0 ? -value : value);
    int sign = value > 0 ? 1 : value < 0 ? -1 : 0;
#if PY_VERSION_HEX >= 0x030c0000
    l->long_value.ob_digit[0] = size;
    _PyLong_SetSignAndDigitCount(l, sign, sign != 0);
#else
    l->ob_digit[0] = size;
    Py_SET_SIZE(box, sign);
#endif
    return box;
}

bool
mp_number_has_box(PyObject *o)
{
    int overflow = 0;
    if (PyLong_CheckExact(o)) {
        (void)PyLong_AsLongLongAndOverflow(o, &overflow);
    }
    return overflow == 0;
}

PyObject *
mp_number_box(PyObject *o)
{
    assert(PyLong_CheckExact(o) || PyFloat_CheckExact(o));
    if (PyFloat_CheckExact(o)) {
        return PyFloat_FromDouble(PyFloat_AS_DOUBLE(o));
    }
    long long value = PyLong_AsLongLong(o);
    return value >= -5 && value <= 256 ? small_int_box((long)value)
                                       : PyLong_FromLongLong(value);
}

/* An int beyond int64: the sum with zero is a new object. */
static PyObject *
big_int_box(PyObject *o)
{
    PyObject *zero = PyLong_FromLong(0);
    PyObject *box = zero == NULL ? NULL : PyNumber_Add(o, zero);
    Py_XDECREF(zero);
    if (box == o) {
        Py_CLEAR(box);
    }
    return box;
}

PyObject *
mp_value_box(PyObject *o)
{
    if (PyBool_Check(o)) {
        PyObject *box = small_int_box(o == Py_True);
        if (box != NULL) {
            Py_SET_TYPE(box, &PyBool_Type);
        }
        return box;
    }
    if (PyComplex_CheckExact(o)) {
        return PyComplex_FromCComplex(((PyComplexObject *)o)->cval);
    }
    if (PyUnicode_CheckExact(o) && PyUnicode_GET_LENGTH(o) > 0) {  // else a singleton
        Py_ssize_t n = PyUnicode_GET_LENGTH(o);
        PyObject *box = PyUnicode_New(n, PyUnicode_MAX_CHAR_VALUE(o));
        if (box != NULL && PyUnicode_CopyCharacters(box, 0, o, 0, n) < 0) {
            Py_CLEAR(box);
        }
        return box;
    }
    if (PyFloat_CheckExact(o) || (PyLong_CheckExact(o) && mp_number_has_box(o))) {
        return mp_number_box(o);
    }
    return PyLong_CheckExact(o) ? big_int_box(o) : NULL;
}

void
mp_value_box_end(PyObject *box)
{
    if (PyBool_Check(box)) {
        Py_SET_TYPE(box, &PyLong_Type);  // (bools are never freed)
    }
}
#else
PyObject *
mp_value_box(PyObject *o)
{
    return NULL;
}

void
mp_value_box_end(PyObject *box)
{
}

bool
mp_number_has_box(PyObject *o)
{
    return false;
}

PyObject *
mp_number_box(PyObject *o)
{
    return Py_NewRef(o);
}
#endif

/* -- Subclasses -------------------------------------------------------------------- */

/* From 3.12 on those of static types are kept with the interpreter. */
static PyObject *
subclasses_borrow(PyTypeObject *type)
{
    PyObject *known = PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
                          ? (PyObject *)type->tp_subclasses
                          : NULL;
    return known != NULL && PyDict_CheckExact(known) ? known : NULL;
}

static bool
is_live_ref(PyObject *ref)
{
    return PyWeakref_CheckRef(ref) && mp_weakref_borrow(ref) != Py_None;
}

PyObject *
mp_subclasses_refs(PyTypeObject *type)
{
    PyObject *known = subclasses_borrow(type), *key, *ref;
    Py_ssize_t pos = 0, n = 0;
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        return NULL;
    }
    while (known != NULL && PyDict_Next(known, &pos, &key, &ref)) {
        n += is_live_ref(ref);
    }
    PyObject *refs = PyTuple_New(n);
    pos = n = 0;
    while (refs != NULL && known != NULL && PyDict_Next(known, &pos, &key, &ref)) {
        if (is_live_ref(ref)) {
            PyTuple_SET_ITEM(refs, n++, Py_NewRef(ref));
        }
    }
    mp_err_drop();
    return refs;
}

bool
mp_subclasses_are(PyTypeObject *type, PyObject *refs)
{
    PyObject *known = subclasses_borrow(type), *key, *ref;
    Py_ssize_t pos = 0, n = 0;
    while (known != NULL && PyDict_Next(known, &pos, &key, &ref)) {
        if (is_live_ref(ref)
            && (n == PyTuple_GET_SIZE(refs) || PyTuple_GET_ITEM(refs, n++) != ref)) {
            return false;
        }
    }
    return n == PyTuple_GET_SIZE(refs);
}
