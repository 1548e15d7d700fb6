/* swap.c - what an object holds, exchanged without a trace.
 *
 * The collector's view (tp_traverse) tells what an object holds, but not where.  Containers
 * whose memory we know are looked through; in the body of any other object a word is a
 * reference if the collector finds it as often as it stands there. */
#include "compat/private.h"

#if MP_CAN_WATCH

typedef struct {
    PyObject *from, *to;
    Py_ssize_t found, done;
} swap;

static void
swap_slot(swap *s, PyObject **slot)
{
    if (*slot == s->from) {
        *slot = Py_NewRef(s->to);
        s->done++;
    }
}

#ifdef DICT_VERSION_INCREMENT
enum { WATCHER_BITS = DICT_VERSION_INCREMENT - 1 };
#else
enum { WATCHER_BITS = 0 };
#endif

/* The dict has another version, which no dict has had: what was proved by the old one (another
 * thread may have, of a value that leaves now) no longer holds.  Runs no code: a dict of our own
 * takes the next version, and has room. */
static void
swap_version(PyDictObject *d)
{
#if PY_VERSION_HEX >= 0x030e0000
    (void)d;  // has none
#else
    static PyObject *clock;  // owned, for the process
    static bool turn;
    int collects = PyGC_Disable();
    turn = !turn;
    clock = clock != NULL ? clock : PyDict_New();
    if (collects) {
        PyGC_Enable();
    }
    if (clock == NULL
        || PyDict_SetItem(clock, Py_None, turn ? Py_True : Py_False) < 0) {
        mp_err_drop();
        d->ma_version_tag &= WATCHER_BITS;  // no version is 0
        return;
    }
    d->ma_version_tag =
        (((PyDictObject *)clock)->ma_version_tag & ~(uint64_t)WATCHER_BITS)
        | (d->ma_version_tag & WATCHER_BITS);
#endif
}

static void
swap_dict(swap *s, PyDictObject *d)
{
    PyDictKeysObject *keys = d->ma_keys;
    Py_ssize_t before = s->done;
    for (Py_ssize_t i = 0; i < keys->dk_nentries; i++) {
        if (d->ma_values != NULL) {
            swap_slot(s, &d->ma_values->values[i]);
        }
        else if (DK_IS_UNICODE(keys)) {
            swap_slot(s, &DK_UNICODE_ENTRIES(keys)[i].me_value);
        }
        else {
            swap_slot(s, &DK_ENTRIES(keys)[i].me_key);
            swap_slot(s, &DK_ENTRIES(keys)[i].me_value);
        }
    }
    if (s->done > before) {
        swap_version(d);
    }
}

/* The values of an instance that has no dict yet. */
static void
swap_inline(swap *s, PyObject *o)
{
    PyDictKeysObject *keys = ((PyHeapTypeObject *)Py_TYPE(o))->ht_cached_keys;
#if PY_VERSION_HEX >= 0x030d0000
    PyDictValues *values = PyType_HasFeature(Py_TYPE(o), Py_TPFLAGS_INLINE_VALUES)
                                   && _PyObject_InlineValues(o)->valid
                               ? _PyObject_InlineValues(o)
                               : NULL;
#elif PY_VERSION_HEX >= 0x030c0000
    char *word = ((char **)o)[-3];  // odd: not a dict
    PyDictValues *values =
        ((uintptr_t)word & 1) != 0 ? (PyDictValues *)(word + 1) : NULL;
#else
    PyDictValues *values = ((PyDictValues **)o)[-4];
#endif
    for (Py_ssize_t i = 0; values != NULL && keys != NULL && i < keys->dk_nentries;
         i++) {
        swap_slot(s, &values->values[i]);
    }
}

static int
count_visit(PyObject *o, void *ctx)
{
    swap *s = ctx;
    s->found += o == s->from;
    return 0;
}

static PyCodeObject *
generator_code(PyObject *o)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyGen_GetCode((PyGenObject *)o);
#else
    return (PyCodeObject *)Py_NewRef(((PyGenObject *)o)->gi_code);
#endif
}

/* How many items stand behind the body.  R: few types with items keep their number where
 * Py_SIZE looks; of an unknown one only the body is looked at. */
static Py_ssize_t
count_items(PyObject *o)
{
    if (PyTuple_Check(o)) {
        return PyTuple_GET_SIZE(o);
    }
    PyCodeObject *code = PyGen_Check(o)     ? generator_code(o)
                         : PyFrame_Check(o) ? PyFrame_GetCode((PyFrameObject *)o)
                                            : NULL;
    Py_ssize_t n = code == NULL ? 0 : code->co_nlocalsplus + code->co_stacksize;
    Py_XDECREF(code);
    return n;
}

/* The words of the object itself. */
static void
swap_body(swap *s, PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    PyObject **words = (PyObject **)o;
    Py_ssize_t stand = 0, head = (Py_ssize_t)(sizeof(PyObject) / sizeof(*words));
    s->found = 0;
    if (type->tp_traverse != NULL) {
        type->tp_traverse(o, count_visit, s);
    }
    if (s->found == 0) {
        return;
    }
    Py_ssize_t size = type->tp_basicsize + count_items(o) * type->tp_itemsize;
    Py_ssize_t n = size / (Py_ssize_t)sizeof(*words);
    for (Py_ssize_t i = head; i < n; i++) {
        stand += words[i] == s->from;
    }
    for (Py_ssize_t i = head; stand == s->found && i < n; i++) {
        swap_slot(s, &words[i]);
    }
}

/* A class keeps what its attributes hold in a dict, and a cache of look-ups in front of it. */
static PyObject *
holder_borrow(PyObject *o)
{
    return PyType_Check(o) ? ((PyTypeObject *)o)->tp_dict : o;
}

void
mp_swap_held(PyObject *holder, PyObject *from, PyObject *to)
{
    swap s = {from, to, 0, 0};
    PyObject *o = holder_borrow(holder);
    if (PyDict_Check(o)) {
        swap_dict(&s, (PyDictObject *)o);
    }
    else if (PyList_Check(o)) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(o); i++) {
            swap_slot(&s, &((PyListObject *)o)->ob_item[i]);
        }
    }
    else if (PyAnySet_Check(o)) {
        PySetObject *set = (PySetObject *)o;
        for (Py_ssize_t i = 0; i <= set->mask; i++) {
            swap_slot(&s, &set->table[i].key);
        }
    }
    if (PyType_HasFeature(Py_TYPE(o), Py_TPFLAGS_MANAGED_DICT)) {
        swap_inline(&s, o);
    }
    if (PyRange_Check(
            o)) {  // the collector does not know it: start, stop, step, length
        for (int i = 0; i < 4; i++) {
            swap_slot(&s, (PyObject **)((PyObject *)o + 1) + i);
        }
    }
    else if (!PyAnySet_Check(o)) {  // a small set has its table in its body
        swap_body(&s, o);
    }
    if (s.done > 0 && o != holder) {
        PyType_Modified((PyTypeObject *)holder);
    }
    for (Py_ssize_t i = 0; i < s.done; i++) {
        Py_DECREF(from);
    }
}

void
mp_visit_held(PyObject *holder, visitproc visit, void *ctx)
{
    PyObject *o = holder_borrow(holder);
    if (Py_TYPE(o)->tp_traverse != NULL) {
        (void)Py_TYPE(o)->tp_traverse(o, visit, ctx);
    }
}
#else
void
mp_swap_held(PyObject *holder, PyObject *from, PyObject *to)
{
}

void
mp_visit_held(PyObject *holder, visitproc visit, void *ctx)
{
}
#endif
