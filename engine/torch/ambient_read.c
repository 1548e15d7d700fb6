/* torch/ambient_read.c - the rows of torch/ambient.def, and how one is read. */
#include "torch/ambient_rows.h"

#include <string.h>

#include "compat/compat.h"
#include "torch/ambient_own.h"
#include "torch/modes.h"
#include "torch/tensor.h"

#define NO_ARG     READ_CALL, NULL
#define ARG_TRUE   READ_CALL, "True"
#define AS_VALUE   READ_VALUE, NULL
#define IF_CUDA    READ_CUDA, NULL
#define AS_KEYS    READ_KEYS, NULL
#define AS_NESTING READ_NESTING, NULL
#define AS_OWN     READ_OWN, NULL
#define ON(arg)    READ_CALL, arg

#define NO_PROBE          PROBE_NONE, NULL, NULL, 0, 0, false
#define BY_KEYS           PROBE_BY_KEYS, NULL, NULL, 0, 0, false  // by DISPATCH_KEYS
#define OWN(what)         PROBE_OWN, NULL, NULL, MP_OWN_##what, 0, false
#define KEYS(symbol)      PROBE_KEYS, symbol, NULL, 0, 0, false   // words of the thread
#define BYTE(symbol)      PROBE_BYTE, symbol, NULL, 0, 0, true    // extern bool
#define WORD(symbol)      PROBE_WORD, symbol, NULL, 0, 0, false   // T *const &f()
#define LONG(symbol)      PROBE_LONG, symbol, NULL, 0, 0, false   // int64_t f()
#define COUNT(symbol)     PROBE_COUNT, symbol, NULL, 0, 0, false  // int f()
#define NESTING(up, down) PROBE_NESTING, up, down, 0, 0, false   // int up(), int down()
#define BOOL(symbol)      PROBE_CALL, symbol, NULL, 0, 0, true   // bool f()
#define ENUM(symbol)      PROBE_CALL, symbol, NULL, 0, 0, false  // small enum f()
/* const T &f(): the bool in byte `at`, a bit of a byte (bit_find of ambient_find.c) */
#define FLAG_AT(symbol, at) PROBE_FLAG_AT, symbol, NULL, at, 0, false
#define BIT_OF(symbol, bit) PROBE_BIT_OF, symbol, NULL, bit, 0, true
/* cudaError_t f(int8_t *device), AOTITorchError f(int32_t device, void **stream) */
#define DEVICE(symbol) PROBE_DEVICE, symbol, NULL, 0, 0, false
#define STREAM(symbol) PROBE_STREAM, symbol, NULL, 0, 0, false
/* small enum f(device type) */
#define ENUM_OF(symbol, a) PROBE_CALL_OF, symbol, NULL, a, 0, false
/* bool Context::f(), small enum Context::f(), small enum Context::f(enum, enum) */
#define OPTION(symbol)        PROBE_CONTEXT, symbol, NULL, 0, 0, true
#define CHOICE(symbol)        PROBE_CONTEXT, symbol, NULL, 0, 0, false
#define SETTING(symbol, a, b) PROBE_CONTEXT_OF, symbol, NULL, a, b, false

const mp_ambient_row mp_ambient_rows[N_ROWS] = {
#define AMBIENT(id, module, getter, arg, policy, hint, probe, what)                    \
    {#id, module, getter, arg, POLICY_##policy, hint, probe, what},
#include "torch/ambient.def"
#undef AMBIENT
};

mp_ambient_access mp_ambient_found[N_ROWS];
const void *mp_ambient_context;  // at::globalContext()
PyObject *mp_ambient_cuda;       // owned; names of torch.cuda
PyObject *mp_ambient_cuda_name;  // owned; "_initialized"
static _Thread_local const uint64_t *thread_keys;
static _Thread_local int8_t thread_device = -1;  // as device_probe saw it; -1: ask

/* -- Reading one row ------------------------------------------------------------- */

const uint64_t *
mp_ambient_keys(void)
{
    if (thread_keys == NULL) {
        // The symbol is thread-local: dlsym answers for the thread that asks.
        thread_keys = mp_torch_symbol(mp_ambient_rows[ROW_DISPATCH_KEYS].symbol);
    }
    return thread_keys;
}

/* Asking before torch.cuda has started would start the driver, and a process that has done
 * so cannot fork workers.  Until then it is as it is when it has: device 0, no capture.  (A
 * compiler may start it, between a recording and its first hit.) */
static bool
cuda_is_ready(void)
{
    static uint64_t seen;  // version of the dict when `ready` was read
    static bool ready;
    uint64_t version = mp_dict_version(mp_ambient_cuda);
    if (version != seen) {
        ready =
            PyDict_GetItemWithError(mp_ambient_cuda, mp_ambient_cuda_name) == Py_True;
        seen = version;
    }
    return ready;
}

static int64_t
device_probe(int i)
{
    int8_t device = 0;
    if (cuda_is_ready() && mp_ambient_found[i].probe.device(&device) != 0) {
        return -2;
    }
    thread_device = device;
    return device;
}

/* The default stream cannot be captured, and telling it from others is cheap; asking
 * the driver takes half a microsecond. */
static int64_t
stream_probe(int i)
{
    void *stream = NULL;
    if (!cuda_is_ready()) {
        return 0;
    }
    if (mp_ambient_found[i].probe.stream(thread_device, &stream) == 0
        && stream == NULL) {
        return 0;
    }
    int collecting = PyGC_Disable();
    PyObject *capturing = PyObject_CallNoArgs(mp_ambient_found[i].getter);
    int64_t answer = capturing == NULL ? -2 : capturing == Py_True;
    Py_XDECREF(capturing);
    mp_err_drop();  // mp-ok: a state that cannot be read equals no other
    if (collecting) {
        PyGC_Enable();
    }
    return answer;
}

/* The kind of the probe says how its C++ function is called and what it returns. */
int64_t
mp_ambient_number(int i)
{
    switch (mp_ambient_rows[i].prober) {
    case PROBE_BYTE:
        return *mp_ambient_found[i].probe.byte;
    case PROBE_WORD:
        return (intptr_t)*mp_ambient_found[i].probe.word();
    case PROBE_LONG:
        return mp_ambient_found[i].probe.number();
    case PROBE_COUNT:
        return mp_ambient_found[i].probe.count();
    case PROBE_NESTING:
        mp_ambient_found[i].probe.count();
        return mp_ambient_found[i].undo();
    case PROBE_FLAG_AT:
        return (
            (const uint8_t *)mp_ambient_found[i].probe.words())[mp_ambient_rows[i].a];
    case PROBE_BIT_OF:
        return ((const uint8_t *)mp_ambient_found[i]
                    .probe.words())[mp_ambient_found[i].offset]
                   >> mp_ambient_rows[i].a
               & 1;
    case PROBE_DEVICE:
        return device_probe(i);
    case PROBE_STREAM:
        return stream_probe(i);
    case PROBE_CALL:
        return mp_ambient_found[i].probe.call();
    case PROBE_CALL_OF:
        return mp_ambient_found[i].probe.call_of(mp_ambient_rows[i].a);
    case PROBE_CONTEXT:
        return mp_ambient_found[i].probe.context(mp_ambient_context);
    case PROBE_CONTEXT_OF:
        return mp_ambient_found[i].probe.context_of(
            mp_ambient_context, mp_ambient_rows[i].a, mp_ambient_rows[i].b);
    case PROBE_OWN:
        return mp_own_state((mp_own)mp_ambient_rows[i].a);
    case PROBE_NONE:
    case PROBE_KEYS:
    case PROBE_BY_KEYS:
        break;
    }
    return 0;
}

static PyObject *
value_read(int i)
{
    PyObject *value =
        PyDict_GetItemWithError(mp_ambient_found[i].getter, mp_ambient_found[i].name);
    if (value == NULL && !PyErr_Occurred()) {
        PyErr_Format(PyExc_AttributeError, "%s.%s is gone", mp_ambient_rows[i].module,
                     mp_ambient_rows[i].getter);
    }
    return Py_XNewRef(value);
}

/* There is no getter for a depth, but both ways to change it tell it. */
static PyObject *
nesting_read(int i)
{
    PyObject *more = PyObject_CallNoArgs(mp_ambient_found[i].getter);
    if (more == NULL) {
        return NULL;
    }
    Py_DECREF(more);
    return PyObject_CallNoArgs(mp_ambient_found[i].setter);
}

PyObject *
mp_ambient_answer(int i)
{
    switch (mp_ambient_rows[i].reader) {
    case READ_VALUE:
        return value_read(i);
    case READ_KEYS: {
        const uint64_t *keys = mp_ambient_keys();
        if (keys == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "torch's dispatch keys are gone");
            return NULL;
        }
        return Py_BuildValue("KK", keys[0], keys[1]);
    }
    case READ_CUDA:
        if (!cuda_is_ready()) {
            return PyErr_Occurred()                            ? NULL
                   : mp_ambient_rows[i].prober == PROBE_STREAM ? Py_NewRef(Py_False)
                                                               : PyLong_FromLong(0);
        }
        break;
    case READ_NESTING:
        return nesting_read(i);
    case READ_OWN:
        return i == ROW_FUNCTION_MODE ? mp_modes_devices()
                                      : PyLong_FromLongLong(mp_ambient_number(i));
    case READ_CALL:
        break;
    }
    return PyObject_Vectorcall(mp_ambient_found[i].getter, &mp_ambient_found[i].arg,
                               mp_ambient_found[i].arg != NULL, NULL);
}

bool
mp_ambient_equal(PyObject *a, PyObject *b)
{
    if (a == b) {
        return true;
    }
    bool by_value =
        PyLong_CheckExact(a) || PyUnicode_CheckExact(a) || PyTuple_CheckExact(a);
    if (!by_value || !Py_IS_TYPE(a, Py_TYPE(b))) {
        return false;
    }
    int same = PyObject_RichCompareBool(a, b, Py_EQ);
    if (same < 0) {
        mp_err_drop();  // mp-ok: "not known to be equal" is the answer
    }
    return same == 1;
}

bool
mp_ambient_agrees(int i, PyObject *answer, int64_t number)
{
    if (answer == Py_True || answer == Py_False) {
        bool same =
            mp_ambient_rows[i].is_truth || mp_ambient_rows[i].prober == PROBE_STREAM;
        return !same || number == (answer == Py_True);
    }
    return !PyLong_CheckExact(answer) || PyLong_AsLongLong(answer) == number;
}
