/* torch/ambient_rows.h - the rows of torch/ambient.def, and what this torch has of them.
 * Private to torch/ambient*.c. */
#ifndef MP_AMBIENT_ROWS_H
#define MP_AMBIENT_ROWS_H

#include "torch/ambient.h"

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

/* How the number is read; see the macros of ambient_read.c. */
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
} mp_ambient_row;

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
typedef struct {
    bool active;
    PyObject *getter;  // owned; C function, or dict of the module (AS_VALUE)
    PyObject *setter;  // owned; NULL if the row has none
    PyObject *arg;     // owned; argument of getter and setter; NULL for none
    PyObject *name;    // owned; interned str of the attribute (AS_VALUE)
    PyObject *usual;   // owned; what a refuse row must answer
    bool probed;       // `probe` may be used
    int offset;        // of the byte that BIT_OF reads
    bool placed;       // its place tells the state (torch/ambient_place.h)
    uint64_t seen;     // version of the dict in which AS_VALUE was as usual
    probe_count undo;  // see mp_ambient_row
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
} mp_ambient_access;

extern const mp_ambient_row mp_ambient_rows[N_ROWS];
extern mp_ambient_access mp_ambient_found[N_ROWS];
extern const void *mp_ambient_context;  // at::globalContext()
extern PyObject *mp_ambient_cuda;       // owned; names of torch.cuda
extern PyObject *mp_ambient_cuda_name;  // owned; "_initialized"

/* The two words of the thread's dispatch keys; NULL: this torch hides them. */
const uint64_t *mp_ambient_keys(void);
/* What the getter of row i answers: new reference, or NULL with an exception set. */
PyObject *mp_ambient_answer(int i);
/* The state of row i, read through its probe. */
int64_t mp_ambient_number(int i);
/* Equal scalars of one type: answers of torch are bools, None, dtypes, ints, strings, or tuples of
 * these. */
bool mp_ambient_equal(PyObject *a, PyObject *b);
/* Where getter and probe must tell the same, a bool or a number: do they? */
bool mp_ambient_agrees(int i, PyObject *answer, int64_t number);

#endif
