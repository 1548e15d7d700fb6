/* trace/record.h - watch one run of a callable and turn it into a plan. */
#ifndef MP_RECORD_H
#define MP_RECORD_H

#include "engine.h"
#include "plan/plan.h"

typedef enum {
#define ABORT(id, slug, what, hint, kind) MP_AB_##id,
#include "plan/aborts.def"
#undef ABORT
    MP_AB_COUNT
} mp_abort_id;

typedef struct {
    mp_abort_id id;
    PyObject *detail;  // owned str or NULL: "len of <type>" ...
    PyObject *file;    // owned str or NULL
    int line;          // 0 if unknown
    bool unwatched;    // nothing was watched: this call could not be, the next one may
} mp_abort_info;

const char *mp_abort_slug(mp_abort_id id);
const char *mp_abort_text(mp_abort_id id);
const char *mp_abort_hint(mp_abort_id id);
const char *mp_abort_kind(mp_abort_id id);
void mp_abort_clear(mp_abort_info *info);

/* What a run in pieces asks of whoever keeps its segments. */
typedef enum {
    MP_ARRIVE_RECORD,  // no entry: record from here
    MP_ARRIVE_FOLLOW,  // the same, to compare it with an entry: it ends where that does
    MP_ARRIVE_LEAVE,   // an entry answers: leave the call
    MP_ARRIVE_PASS,    // nothing begins here
    MP_ARRIVE_STOP,    // let the call end unwatched
} mp_arrival;

typedef struct {
    /* The run has come to a point; its values are borrowed from the frames.  Runs no
     * Python unless it answers FOLLOW or STOP; keeps what it needs of the point before it
     * answers LEAVE. */
    mp_arrival (*arrive)(void *ctx, const mp_point *point);
    /* A segment has ended at a break.  Takes plan over, also on failure; NULL: there was
     * nothing in it.  0 / -1. */
    int (*depart)(void *ctx, mp_plan *plan, const mp_abort_info *why);
    /* From the next time on, or from the one behind it, break before this instruction. */
    void (*avoid)(void *ctx, PyCodeObject *code, int index, bool at_once,
                  const mp_abort_info *why);
    /* Is that so?  Borrowed tuple (code, mp_abort_id, detail), or NULL. */
    PyObject *(*avoids)(void *ctx, PyCodeObject *code, int index);
    /* Does the number in this register of the guards keep changing? */
    bool (*changes)(void *ctx, const mp_guards *guards, int32_t reg);
    void (*rebuilt)(void *ctx);  // the frames of mp_record_resume hold their values now
    /* After FOLLOW: has the entry looked at value `at` of its row? */
    bool (*reads)(void *ctx, int32_t at);
    /* Does it end before the instruction that `avoids` was asked for, although that can be
     * recorded this time? */
    bool (*ends)(void *ctx);
    /* Where the call keeps addresses of functions and classes that gaps have made: an owned
     * set, or NULL. */
    PyObject **(*gap_made)(void *ctx);
} mp_host;

/* torch.compiler.is_compiling() in a run: what it answers, and whether somebody asked. */
typedef enum {
    MP_TELL_FALSE,    // as in eager
    MP_TELL_PROGRAM,  // True, but for torch's own modules
    MP_TELL_ALL,      // True
} mp_tells;

typedef struct {
    mp_tells tells;
    bool trial;   // the run is given up before it changes anything outside of itself
    bool asked;   // out: by the program, not by torch's own modules
    bool values;  // out: it broke where a value, or what depends on one, was needed
} mp_compiling;

/* Call fn(*args) watched.  Returns the call's own result (or NULL with its own exception).
 * *plan is set to a new plan if the run can be reused, else NULL and *why is filled.
 * fn is the root Python function; args as after binding: see call/dispatch.c.
 * compiling: what the run is told; filled.
 * outputs: NULL, or a list that gets the tensors that the graph of the plan returns.
 * host: NULL, or whom a run in pieces asks: then *plan is that of its last segment, and a
 * run that was left answers NULL without an exception. */
MP_MAYRUN PyObject *mp_record_call(PyObject *callable, PyObject *const *args,
                                   size_t nargsf, PyObject *kwnames,
                                   PyObject *root_function, int64_t max_instructions,
                                   PyObject *outputs, const mp_host *host, void *ctx,
                                   mp_compiling *compiling, mp_plan **plan,
                                   mp_abort_info *why);
/* Run on from a break, up to the end of the call, in segments.  As mp_record_call;
 * root_function is that of the first frame. */
MP_MAYRUN PyObject *mp_record_resume(mp_point *point, const mp_exit *exit,
                                     int64_t max_instructions, const mp_host *host,
                                     void *ctx, mp_compiling *compiling, mp_plan **plan,
                                     mp_abort_info *why);
/* Is this thread recording now? */
bool mp_recording(void);
/* Fill the registries: with NULL, at import, what needs no torch; later with the keywords
 * of setup_torch().  0 / -1. */
int mp_record_setup(PyObject *setup);

/* The effect class of a callable: one of cfunc/rules.def, or "torch" (a row of setup_torch),
 * "python" (runs in frames, which are watched), "numpy".  NULL: no row. */
const char *mp_record_class_of(PyObject *callable);
/* cfunc/builtins.def and cfunc/rules.def for people: new lists of dicts. */
PyObject *mp_record_rows(void);
PyObject *mp_record_rules(void);
/* op_flags.def for Python: a new dict from name to number. */
PyObject *mp_record_op_flags(void);

/* Registry of torch callables, filled by Python once: register(callable, flags). */
enum {
#define FLAG(name, text) MP_TORCH_BIT_##name,
#define COMBINED(name, flags, text)
#include "trace/op_flags.def"
#undef FLAG
#undef COMBINED
};
typedef enum {
#define FLAG(name, text)            MP_TORCH_##name = 1 << MP_TORCH_BIT_##name,
#define COMBINED(name, flags, text) MP_TORCH_##name = (flags),
#include "trace/op_flags.def"
#undef FLAG
#undef COMBINED
} mp_torch_flags;

/* magpy.config.is_compiling. */
typedef enum { MP_COMPILING_AUTO, MP_COMPILING_TRUE, MP_COMPILING_FALSE } mp_knob;
void mp_compiling_set(mp_knob knob);
mp_knob mp_compiling_knob(void);
/* What a run is told that nobody has tried otherwise. */
mp_compiling mp_compiling_plain(void);

#endif
