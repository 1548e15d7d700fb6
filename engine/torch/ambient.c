/* torch/ambient.c - state of torch and Python that no argument carries.
 *
 * A snapshot holds, per row of torch/ambient.def, the answer of the getter and the number
 * that the row's probe gave at that moment.  A check compares numbers, and answers only
 * where the loaded torch has no probe.
 * R: a probe whose answer contradicts its getter when the engine starts is never used.
 *
 * Ownership: the resolved getters live until the process ends; a snapshot owns its
 * answers, which are immutable scalars.  Re-entrancy: getters, setters and probes are C
 * functions without callbacks; the collector is held while getters run in a check.
 */
#include "torch/ambient.h"

#include <string.h>

#include "compat/compat.h"
#include "torch/ambient_own.h"
#include "torch/hooks.h"
#include "torch/tensor.h"

enum {
#define AMBIENT(id, module, getter, arg, policy, hint, probe, what) ROW_##id,
#include "torch/ambient.def"
#undef AMBIENT
    N_ROWS
};

typedef enum { POLICY_guard, POLICY_refuse } ambient_policy;

/* How the answer is read. */
typedef enum {
    READ_CALL,
    READ_VALUE,
    READ_CUDA,
    READ_KEYS,
    READ_NESTING,
    READ_OWN,
} ambient_reader;

/* How the number is read; see the macros below. */
typedef enum {
    PROBE_NONE,
    PROBE_BYTE,
    PROBE_WORD,
    PROBE_LONG,
    PROBE_COUNT,
    PROBE_NESTING,
    PROBE_FLAG_AT,
    PROBE_BIT_OF,
    PROBE_DEVICE,
    PROBE_STREAM,
    PROBE_CALL,
    PROBE_CALL_OF,
    PROBE_CONTEXT,
    PROBE_CONTEXT_OF,
    PROBE_KEYS,
    PROBE_BY_KEYS,
    PROBE_OWN,
} ambient_prober;

typedef struct {
    const char *id, *module, *getter;
    ambient_reader reader;
    const char *arg;  // of the getter; "True" is the constant; NULL for none
    ambient_policy policy;
    const char *hint;
    ambient_prober prober;
    const char *symbol;
    const char *undo;  // symbol of the function that takes back what the probe did
    int a, b;          // arguments of the probe
    bool is_truth;     // the probe gives the getter's own bool
    const char *what;
} ambient_row;

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
/* const T &f(): the bool in byte `at`, a bit of the first byte */
#define FLAG_AT(symbol, at) PROBE_FLAG_AT, symbol, NULL, at, 0, false
#define BIT_OF(symbol, bit) PROBE_BIT_OF, symbol, NULL, bit, 0, true
/* cudaError_t f(int8_t *device), AOTITorchError f(int32_t device, void **stream) */
#define DEVICE(symbol) PROBE_DEVICE, symbol, NULL, 0, 0, false
#define STREAM(symbol) PROBE_STREAM, symbol, NULL, 0, 0, false
/* bool f(device type), small enum f(device type) */
#define BOOL_OF(symbol, a) PROBE_CALL_OF, symbol, NULL, a, 0, true
#define ENUM_OF(symbol, a) PROBE_CALL_OF, symbol, NULL, a, 0, false
/* bool Context::f(), small enum Context::f(), small enum Context::f(enum, enum) */
#define OPTION(symbol)        PROBE_CONTEXT, symbol, NULL, 0, 0, true
#define CHOICE(symbol)        PROBE_CONTEXT, symbol, NULL, 0, 0, false
#define SETTING(symbol, a, b) PROBE_CONTEXT_OF, symbol, NULL, a, b, false

static const ambient_row rows[N_ROWS] = {
#define AMBIENT(id, module, getter, arg, policy, hint, probe, what)                    \
    {#id, module, getter, arg, POLICY_##policy, hint, probe, what},
#include "torch/ambient.def"
#undef AMBIENT
};

typedef uint8_t (*probe_call)(void);
typedef uint8_t (*probe_call_of)(int);
typedef uint8_t (*probe_context)(const void *);
typedef uint8_t (*probe_context_of)(const void *, int, int);
typedef int64_t (*probe_long)(void);
typedef int (*probe_count)(void);
typedef void *const *(*probe_word)(void);
typedef const intptr_t *(*probe_words)(void);
typedef int (*probe_device)(int8_t *);
typedef int32_t (*probe_stream)(int32_t, void **);

/* What init found of each row. */
static struct {
    bool active;
    PyObject *getter;  // owned; C function, or dict of the module (AS_VALUE)
    PyObject *setter;  // owned; NULL if the row has none
    PyObject *arg;     // owned; argument of getter and setter; NULL for none
    PyObject *name;    // owned; interned str of the attribute (AS_VALUE)
    PyObject *usual;   // owned; what a refuse row must answer
    bool probed;       // `probe` may be used
    probe_count undo;  // see ambient_row
    union {
        void *address;
        probe_call call;
        probe_call_of call_of;
        probe_context context;
        probe_context_of context_of;
        probe_long number;
        probe_count count;
        probe_word word;
        probe_words words;
        probe_device device;
        probe_stream stream;
        const bool *byte;
    } probe;
} found[N_ROWS];

static const void *global_context;  // at::globalContext()
static PyObject *cuda_dict;         // owned; names of torch.cuda
static PyObject *cuda_name;         // owned; "_initialized"
static _Thread_local const uint64_t *thread_keys;
static _Thread_local int8_t thread_device = -1;  // as device_probe saw it; -1: ask

struct mp_ambient {
    PyObject *answers[N_ROWS];  // owned; NULL for rows that are not active
    int64_t numbers[N_ROWS];    // of the probes
    uint64_t keys[2];
};

/* -- Reading one row ------------------------------------------------------------- */

static const uint64_t *
keys_of_thread(void)
{
    if (thread_keys == NULL) {
        // The symbol is thread-local: dlsym answers for the thread that asks.
        thread_keys = mp_torch_symbol(rows[ROW_DISPATCH_KEYS].symbol);
    }
    return thread_keys;
}

/* Asking before torch.cuda has started would start the driver, and a process that has done
 * so cannot fork workers.  Until then it is as it is when it has: device 0, no capture.  (A
 * compiler may start it, between a recording and its first hit.) */
static bool
cuda_is_ready(void)
{
    return PyDict_GetItemWithError(cuda_dict, cuda_name) == Py_True;
}

static int64_t
device_probe(int i)
{
    int8_t device = 0;
    if (cuda_is_ready() && found[i].probe.device(&device) != 0) {
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
    if (found[i].probe.stream(thread_device, &stream) == 0 && stream == NULL) {
        return 0;
    }
    PyObject *capturing = PyObject_CallNoArgs(found[i].getter);
    if (capturing == NULL) {
        mp_err_drop();  // mp-ok: a state that cannot be read equals no other
        return -2;
    }
    int64_t answer = capturing == Py_True;
    Py_DECREF(capturing);
    return answer;
}

/* The state of row i, read through its C++ function.  The kind of the probe says how it
 * is called and what it returns. */
static inline int64_t
probe_read_row(int i)
{
    switch (rows[i].prober) {
    case PROBE_BYTE:
        return *found[i].probe.byte;
    case PROBE_WORD:
        return (intptr_t)*found[i].probe.word();
    case PROBE_LONG:
        return found[i].probe.number();
    case PROBE_COUNT:
        return found[i].probe.count();
    case PROBE_NESTING:
        found[i].probe.count();
        return found[i].undo();
    case PROBE_FLAG_AT:
        return ((const uint8_t *)found[i].probe.words())[rows[i].a];
    case PROBE_BIT_OF:
        return *(const uint8_t *)found[i].probe.words() >> rows[i].a & 1;
    case PROBE_DEVICE:
        return device_probe(i);
    case PROBE_STREAM:
        return stream_probe(i);
    case PROBE_CALL:
        return found[i].probe.call();
    case PROBE_CALL_OF:
        return found[i].probe.call_of(rows[i].a);
    case PROBE_CONTEXT:
        return found[i].probe.context(global_context);
    case PROBE_CONTEXT_OF:
        return found[i].probe.context_of(global_context, rows[i].a, rows[i].b);
    case PROBE_OWN:
        return mp_own_state((mp_own)rows[i].a);
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
    PyObject *value = PyDict_GetItemWithError(found[i].getter, found[i].name);
    if (value == NULL && !PyErr_Occurred()) {
        PyErr_Format(PyExc_AttributeError, "%s.%s is gone", rows[i].module,
                     rows[i].getter);
    }
    return Py_XNewRef(value);
}

/* There is no getter for a depth, but both ways to change it tell it. */
static PyObject *
nesting_read(int i)
{
    PyObject *more = PyObject_CallNoArgs(found[i].getter);
    if (more == NULL) {
        return NULL;
    }
    Py_DECREF(more);
    return PyObject_CallNoArgs(found[i].setter);
}

/* New reference, or NULL with an exception set. */
static PyObject *
ambient_answer(int i)
{
    switch (rows[i].reader) {
    case READ_VALUE:
        return value_read(i);
    case READ_KEYS: {
        const uint64_t *keys = keys_of_thread();
        if (keys == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "torch's dispatch keys are gone");
            return NULL;
        }
        return Py_BuildValue("KK", keys[0], keys[1]);
    }
    case READ_CUDA:
        if (!cuda_is_ready()) {
            return PyErr_Occurred()                 ? NULL
                   : rows[i].prober == PROBE_STREAM ? Py_NewRef(Py_False)
                                                    : PyLong_FromLong(0);
        }
        break;
    case READ_NESTING:
        return nesting_read(i);
    case READ_OWN:
        return PyLong_FromLongLong(probe_read_row(i));
    case READ_CALL:
        break;
    }
    return PyObject_Vectorcall(found[i].getter, &found[i].arg, found[i].arg != NULL,
                               NULL);
}

/* Equal scalars of one type: answers of torch are bools, None, dtypes, ints, strings,
 * or tuples of these. */
static bool
answer_equal(PyObject *a, PyObject *b)
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

/* -- Snapshots ------------------------------------------------------------------- */

void
mp_ambient_free(mp_ambient *a)
{
    if (a == NULL) {
        return;
    }
    for (int i = 0; i < N_ROWS; i++) {
        Py_CLEAR(a->answers[i]);
    }
    PyMem_Free(a);
}

int
mp_ambient_visit(mp_ambient *a, visitproc visit, void *arg)
{
    for (int i = 0; i < N_ROWS; i++) {
        Py_VISIT(a->answers[i]);
    }
    return 0;
}

/* Where getter and probe must tell the same: a bool, a number. */
static bool
probe_agrees(int i, PyObject *answer, int64_t number)
{
    if (answer == Py_True || answer == Py_False) {
        bool same = rows[i].is_truth || rows[i].prober == PROBE_STREAM;
        return !same || number == (answer == Py_True);
    }
    return !PyLong_CheckExact(answer) || PyLong_AsLongLong(answer) == number;
}

/* MP_ABORTED: the row refuses.  A getter that raises (settings that torch finds
 * contradictory) refuses too. */
static mp_rc
ambient_take_row(mp_ambient *a, int i)
{
    a->answers[i] = ambient_answer(i);
    if (a->answers[i] == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) {
            return MP_ERR;
        }
        mp_err_drop();
        return MP_ABORTED;
    }
    if (found[i].probed) {
        a->numbers[i] = probe_read_row(i);
        found[i].probed = probe_agrees(i, a->answers[i], a->numbers[i]);
    }
    bool refuses =
        rows[i].policy == POLICY_refuse && !answer_equal(a->answers[i], found[i].usual);
    // (Hooks of the program would run below each operation.)
    refuses = refuses || (i == ROW_SAVED_HOOKS && a->numbers[i] == MP_HOOKS_OTHER);
    return refuses ? MP_ABORTED : MP_OK;
}

mp_ambient *
mp_ambient_take(const char **refused)
{
    *refused = NULL;
    mp_ambient *a = PyMem_Calloc(1, sizeof *a);
    if (a == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    const uint64_t *keys = found[ROW_DISPATCH_KEYS].active ? keys_of_thread() : NULL;
    if (keys != NULL) {
        memcpy(a->keys, keys, sizeof a->keys);
    }
    mp_rc rc = MP_OK;
    for (int i = 0; i < N_ROWS && rc == MP_OK; i++) {
        rc = found[i].active ? ambient_take_row(a, i) : MP_OK;
        if (rc == MP_ABORTED) {
            *refused = rows[i].what;
        }
    }
    if (rc != MP_OK) {
        mp_ambient_free(a);
        return NULL;
    }
    return a;
}

/* -- Checking -------------------------------------------------------------------- */

static bool
ambient_answer_same(const mp_ambient *a, int i)
{
    PyObject *now = ambient_answer(i);
    if (now == NULL) {
        mp_err_drop();  // mp-ok: a state that cannot be read is not the recorded one
        return false;
    }
    bool same = answer_equal(now, a->answers[i]);
    Py_DECREF(now);
    return same;
}

static bool
ambient_row_same(const mp_ambient *a, int i)
{
    if (found[i].probed) {
        return probe_read_row(i) == a->numbers[i];
    }
    switch (rows[i].prober) {
    case PROBE_KEYS:
        return true;  // mp_ambient_check has compared them
    case PROBE_BY_KEYS:
        return found[ROW_DISPATCH_KEYS].active || ambient_answer_same(a, i);
    default:
        return ambient_answer_same(a, i);
    }
}

int
mp_ambient_check(const mp_ambient *a)
{
    if (found[ROW_DISPATCH_KEYS].active) {
        const uint64_t *keys = keys_of_thread();
        if (keys == NULL || keys[0] != a->keys[0] || keys[1] != a->keys[1]) {
            return 0;
        }
    }
    int collecting = PyGC_Disable();
    bool same = true;
    for (int i = 0; i < N_ROWS && same; i++) {
        same = !found[i].active || ambient_row_same(a, i);
    }
    if (collecting) {
        PyGC_Enable();
    }
    return same;
}

/* -- Texts ----------------------------------------------------------------------- */

static PyObject *
ambient_row_text(const mp_ambient *a, int i)
{
    const ambient_row *row = &rows[i];
    if (row->reader == READ_KEYS) {
        return PyUnicode_FromFormat("torch's dispatch keys == %R", a->answers[i]);
    }
    if (row->reader == READ_VALUE) {
        return PyUnicode_FromFormat("%s.%s == %R", row->module, row->getter,
                                    a->answers[i]);
    }
    if (row->reader == READ_NESTING) {
        return PyUnicode_FromFormat("depth of torch.autocast == %R", a->answers[i]);
    }
    if (row->reader == READ_OWN) {
        return PyUnicode_FromFormat("%s == %R", row->what, a->answers[i]);
    }
    const char *quote = row->arg != NULL ? "'" : "";
    return PyUnicode_FromFormat("%s.%s(%s%s%s) == %R", row->module, row->getter, quote,
                                row->arg != NULL ? row->arg : "", quote, a->answers[i]);
}

PyObject *
mp_ambient_text(const mp_ambient *a)
{
    PyObject *lines = PyList_New(0);
    for (int i = 0; i < N_ROWS && lines != NULL; i++) {
        if (a->answers[i] == NULL || rows[i].policy != POLICY_guard) {
            continue;
        }
        PyObject *line = ambient_row_text(a, i);
        if (line == NULL || PyList_Append(lines, line) < 0) {
            Py_CLEAR(lines);
        }
        Py_XDECREF(line);
    }
    return lines;
}

PyObject *
mp_ambient_state(const mp_ambient *a)
{
    PyObject *state = PyTuple_New(N_ROWS);
    for (int i = 0; i < N_ROWS && state != NULL; i++) {
        PyTuple_SET_ITEM(state, i,
                         Py_NewRef(a->answers[i] != NULL ? a->answers[i] : Py_None));
    }
    return state;
}

/* -- Restoring ------------------------------------------------------------------- */

/* Two rows, one setter: f(mode, warn_only=...). */
static PyObject *
restore_deterministic(const mp_ambient *a, PyObject *set)
{
    PyObject *warn = a->answers[ROW_DETERMINISTIC_WARN];
    PyObject *args[2] = {a->answers[ROW_DETERMINISTIC], warn};
    PyObject *names = warn == NULL ? NULL : Py_BuildValue("(s)", "warn_only");
    if (names == NULL) {
        return PyErr_Occurred() ? NULL : PyObject_CallOneArg(set, args[0]);
    }
    PyObject *done = PyObject_Vectorcall(set, args, 1, names);
    Py_DECREF(names);
    return done;
}

/* Step by step back to the recorded depth. */
static PyObject *
restore_nesting(const mp_ambient *a, int i, PyObject *now)
{
    long wanted = PyLong_AsLong(a->answers[i]), at = PyLong_AsLong(now);
    PyObject *depth = Py_NewRef(now);
    while (at != wanted && depth != NULL) {
        PyObject *step = at < wanted ? found[i].getter : found[i].setter;
        Py_SETREF(depth, PyObject_CallNoArgs(step));
        at += at < wanted ? 1 : -1;
    }
    return depth;
}

static PyObject *
restore_call(const mp_ambient *a, int i, PyObject *now)
{
    if (rows[i].reader == READ_NESTING) {
        return restore_nesting(a, i, now);
    }
    if (i == ROW_DETERMINISTIC || i == ROW_DETERMINISTIC_WARN) {
        return restore_deterministic(a, found[i].setter);
    }
    PyObject *args[2] = {found[i].arg, a->answers[i]};
    size_t first = found[i].arg == NULL;
    return PyObject_Vectorcall(found[i].setter, args + first, 2 - first, NULL);
}

static int
restore_row(const mp_ambient *a, int i)
{
    if (found[i].setter == NULL || a->answers[i] == NULL || a->answers[i] == Py_None) {
        return 0;
    }
    PyObject *now = ambient_answer(i);
    if (now == NULL) {
        return -1;
    }
    PyObject *done = Py_None;
    if (!answer_equal(now, a->answers[i])) {
        done = restore_call(a, i, now);
        Py_XDECREF(done);
    }
    Py_DECREF(now);
    return done == NULL ? -1 : 0;
}

int
mp_ambient_restore(const mp_ambient *a)
{
    for (int i = 0; i < N_ROWS; i++) {
        if (found[i].active && restore_row(a, i) < 0) {
            return -1;
        }
    }
    return 0;
}

bool
mp_ambient_can_restore(const mp_ambient *a, const mp_ambient *from)
{
    bool can = true;
    for (int i = 0; i < N_ROWS && can; i++) {
        // Dispatch keys follow from the rows of autocast and inference mode.
        can = !found[i].active || found[i].setter != NULL || rows[i].reader == READ_KEYS
              || answer_equal(a->answers[i], from->answers[i]);
    }
    return can;
}

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
    mp_rc rc = path_find(torch, rows[i].module, &module);
    if (rc != MP_OK) {
        return rc;
    }
    found[i].name = PyUnicode_InternFromString(rows[i].getter);
    if (PyModule_Check(module)) {
        found[i].getter = Py_NewRef(PyModule_GetDict(module));
    }
    Py_DECREF(module);
    if (found[i].name == NULL) {
        return MP_ERR;
    }
    if (found[i].getter == NULL) {
        return MP_ABORTED;
    }
    int there = PyDict_Contains(found[i].getter, found[i].name);
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
    const ambient_row *row = &rows[i];
    if (row->arg != NULL) {
        bool constant = strcmp(row->arg, "True") == 0;
        found[i].arg = constant ? Py_NewRef(Py_True) : PyUnicode_FromString(row->arg);
        if (found[i].arg == NULL) {
            return MP_ERR;
        }
    }
    if (row->policy == POLICY_refuse) {
        found[i].usual = usual_parse(row->hint);
        return found[i].usual == NULL ? MP_ERR : MP_OK;
    }
    if (row->hint[0] == '\0') {
        return MP_OK;
    }
    mp_rc rc = function_find(torch, row->module, row->hint, &found[i].setter);
    bool needed = row->reader == READ_NESTING;
    return rc == MP_ABORTED && !needed ? MP_OK : rc;
}

/* A probe that could agree by chance is tried: module.on(...), then module.off(...), on a
 * state that is `before`. */
static const struct {
    ambient_prober prober;
    int64_t before;
    const char *on, *off;
} switches[] = {
    {PROBE_FLAG_AT, 0, "_saved_tensors_hooks_disable", "_saved_tensors_hooks_enable"},
    {PROBE_BIT_OF, 1, "_set_fwd_grad_enabled", "_set_fwd_grad_enabled"},
};

/* The state is another one while it is switched, and the same again afterwards. */
static bool
switch_shows(PyObject *module, int i, size_t k)
{
    int64_t before = switches[k].before, during = before;
    PyObject *done = NULL;
    if (probe_read_row(i) != before) {
        return false;
    }
    done = switches[k].prober == PROBE_FLAG_AT
               ? PyObject_CallMethod(module, switches[k].on, "s", "")
               : PyObject_CallMethod(module, switches[k].on, "O", Py_False);
    if (done != NULL) {
        during = probe_read_row(i);
        Py_DECREF(done);
        done = switches[k].prober == PROBE_BIT_OF
                   ? PyObject_CallMethod(module, switches[k].off, "O", Py_True)
                   : PyObject_CallMethod(module, switches[k].off, NULL);
        Py_XDECREF(done);
    }
    return done != NULL && during != before && probe_read_row(i) == before;
}

/* 0 / -1. */
static int
probe_confirm(PyObject *torch, int i)
{
    for (size_t k = 0; k < Py_ARRAY_LENGTH(switches); k++) {
        if (switches[k].prober == rows[i].prober) {
            PyObject *module = NULL;
            mp_rc rc = path_find(torch, rows[i].module, &module);
            found[i].probed = rc == MP_OK && switch_shows(module, i, k);
            Py_XDECREF(module);
        }
    }
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    mp_err_drop();
    return 0;
}

/* Use the probe if it is there and tells what the getter tells.  0 / -1. */
static int
probe_find(PyObject *torch, int i)
{
    ambient_prober prober = rows[i].prober;
    if (prober == PROBE_OWN) {
        found[i].probed = true;
    }
    if (rows[i].symbol == NULL || prober == PROBE_KEYS) {
        return 0;
    }
    found[i].probe.address = mp_torch_symbol(rows[i].symbol);
    if (rows[i].undo != NULL) {
        void *undo = mp_torch_symbol(rows[i].undo);
        memcpy(&found[i].undo, &undo, sizeof undo);
        if (undo == NULL) {
            return 0;
        }
    }
    bool needs_context = prober == PROBE_CONTEXT || prober == PROBE_CONTEXT_OF;
    if (found[i].probe.address == NULL || (needs_context && global_context == NULL)) {
        return 0;
    }
    PyObject *answer = ambient_answer(i);
    if (answer == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) {
            return -1;
        }
        mp_err_drop();
        return 0;
    }
    found[i].probed = probe_agrees(i, answer, probe_read_row(i));
    Py_DECREF(answer);
    return found[i].probed ? probe_confirm(torch, i) : 0;
}

/* Find the getter and the probe of row i in this torch.  A row without a getter is not
 * active. */
static int
ambient_find(PyObject *torch, int i)
{
    mp_rc rc = MP_ABORTED;
    switch (rows[i].reader) {
    case READ_KEYS:
        rc = keys_of_thread() != NULL ? MP_OK : MP_ABORTED;
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
        rc = function_find(torch, rows[i].module, rows[i].getter, &found[i].getter);
        break;
    }
    if (rc == MP_OK) {
        rc = ambient_complete(torch, i);
        found[i].active = rc == MP_OK;
    }
    return rc == MP_ERR || (found[i].active && probe_find(torch, i) < 0) ? -1 : 0;
}

/* What rows share. */
static int
shared_find(PyObject *torch)
{
    PyObject *cuda;
    void *(*context)(void) = NULL;
    void *address = mp_torch_symbol("_ZN2at13globalContextEv");
    memcpy(&context, &address, sizeof address);
    global_context = context == NULL ? NULL : context();

    mp_rc rc = path_find(torch, "torch.cuda", &cuda);
    if (rc == MP_OK) {
        cuda_dict = PyModule_Check(cuda) ? Py_NewRef(PyModule_GetDict(cuda)) : NULL;
        Py_DECREF(cuda);
    }
    cuda_name = PyUnicode_InternFromString("_initialized");
    if (cuda_dict == NULL) {
        cuda_dict = rc == MP_ERR ? NULL : PyDict_New();
    }
    if (cuda_dict == NULL || cuda_name == NULL) {
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
    int rc = done ? 0 : shared_find(torch);
    for (int i = 0; i < N_ROWS && rc == 0 && !done; i++) {
        rc = ambient_find(torch, i);
    }
    done = rc == 0;
    Py_DECREF(torch);
    return rc;
}
