/* call/verifier.h - what a call asks of verify mode.
 *
 * Calls stand below verify mode and do not know it: it hands this table in (mp_verify). */
#ifndef MP_VERIFIER_H
#define MP_VERIFIER_H

#include "call/session.h"

/* A call of which segments are verified; lives on the C stack (verify/call.c). */
struct mp_verification {
    mp_CompiledObject *op;  // borrowed from the caller of the compiled function
    mp_compiling *told;     // borrowed; what is_compiling() answers
    mp_entry *entry;    // owned; the segment in progress is compared with it, or NULL
    PyObject *notes;    // owned; of its graph's dry run, or NULL
    PyObject *outputs;  // owned list: gets the tensors of the plan in the making
    PyObject *stop;     // owned; what mp_host.avoids answers where the entry ends
    int64_t seen;       // instructions of the segment so far
    bool due;           // this instruction is where the entry ends
    bool strayed;       // as many as the entry has, and not where it ends
    bool counts;        // the segment in progress is the call's hit
    PyObject *report;   // owned; the first divergence, or NULL
    PyObject *error;    // owned; an interrupt during verification, or NULL
};

typedef struct {
    /* Run the entry's graph dry.  0, or -1 with an exception set.  *notes: new, or NULL if
     * there is nothing to run. */
    int (*dry)(PyObject *verifier, const mp_entry *entry, PyObject *const *inputs,
               PyObject **notes);
    /* The segments of this call are verified: 0 / -1.  s and v must be there until
     * `finish`, which raises what a report asks for, or answers result. */
    int (*start)(mp_verification *v, mp_session *s);
    PyObject *(*finish)(mp_verification *v, PyObject *result);
    /* The segment that begins is compared with entry. */
    void (*follow)(mp_verification *v, mp_entry *entry, PyObject *notes);
    /* mp_host.avoids, .ends and .reads of such a segment. */
    PyObject *(*avoids)(mp_verification *v, PyCodeObject *code, int index);
    bool (*ends)(const mp_verification *v);
    bool (*reads)(const mp_verification *v, int32_t at);
    /* It has ended with a plan, or raised exc, or cannot be planned.  0; -1: the rest of
     * the call is not verified. */
    int (*judge)(mp_verification *v, const mp_plan *fresh, PyObject *exc,
                 const mp_abort_info *why);
    /* An exception of the verifier is set: drop it, but keep an interrupt for the end of
     * the call. */
    void (*failed)(mp_verification *v);
    /* The real call, which is compared with the entry and counted. notes: of the dry
     * run, or NULL. The caller holds a reference to entry. */
    PyObject *(*call)(mp_CompiledObject *op, mp_entry *entry, PyObject *notes,
                      PyObject *const *args, size_t nargsf, PyObject *kwnames);
} mp_verifier;

/* All but the tests run Python.  Set once, when the module is made. */
extern const mp_verifier *mp_verify;

#endif
