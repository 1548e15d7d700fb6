/* effect/effect.h - what a run changed and what it returned: one flat program, replayed in C.
 *
 * Order of a replay (R): build every new object, then commit the writes in program order,
 * then release what they replaced.  Constructors, __post_init__ and setters never run.
 *
 * Registers of the program: [0, n_sources) hold objects that guards loaded and numbers that
 * they computed (strong for the time of the call), then n_graph tensors that the graph returned, then what the program
 * builds, in order. */
#ifndef MP_EFFECT_H
#define MP_EFFECT_H

#include "engine.h"

typedef enum {
#define EFFECT(id, name, operands, format) MP_E_##id,
#include "effect/effects.def"
#undef EFFECT
    MP_E_COUNT
} mp_effect_kind;

typedef struct {
    uint16_t kind;  // mp_effect_kind
    int32_t dst;    // register made by this op; -1 if none.  The ASSIGN writes keep
                    // their new content in a register of their own until the commit
    int32_t a, b;   // registers, or -1
    int32_t items;  // first index into mp_replay.pool
    int32_t count;  // how many items there
    PyObject *obj;  // owned constant, type or key; NULL if none
    bool loose;  // obj is borrowed: the guards' death tells of its own (guard/weak.h);
                 // who replays holds it
} mp_effect;

typedef struct {
    mp_effect *ops;
    int32_t *pool;  // register lists of the ops
    int32_t n_ops, cap_ops, n_pool, cap_pool;
    int32_t n_sources, n_graph, n_regs;
    int32_t
        *source_regs;  // n_sources: guard register that source i comes from, or number
                       // k of the guards as ~k; PyMem
    int32_t cap_sources;
    int32_t n_loose;   // operations whose obj is borrowed
    int32_t n_commit;  // index of the first op that writes; ops before it only build
    int32_t result;    // register that is returned (set by RETURN); -1: None
    bool has_memos;    // some op is MEMO_SET
} mp_replay;

/* Does it do anything but answer? */
static inline bool
mp_replay_writes(const mp_replay *p)
{
    return p->n_commit < p->n_ops
           && !(p->n_commit == p->n_ops - 1 && p->ops[p->n_commit].kind == MP_E_RETURN);
}

/* A kind as effects.def names it; what it does, in words. */
const char *mp_effect_id(int kind);
const char *mp_effect_name(int kind);

mp_replay *mp_replay_new(void);
void mp_replay_free(mp_replay *p);
int mp_replay_visit(mp_replay *p, visitproc visit, void *arg);
/* Append one op; obj is kept (new reference).  n_sources and n_graph must be final
 * before the first op, and no builder or filler may follow a write.  Returns the register
 * made, -1 for none, -2 with an exception set (SystemError: ill-formed; TypeError: obj is
 * a type whose C layout cannot be built this way) and the program unchanged. */
int32_t mp_replay_emit(mp_replay *p, mp_effect_kind kind, PyObject *obj, int32_t a,
                       int32_t b, const int32_t *items, int32_t count);
/* sources: borrowed objects, n_sources of them, kept alive by the caller until the return.
 * graph: borrowed, n_graph tensors.  New reference, or NULL with an exception set; after
 * an exception nothing was committed, unless memory ran out while a container
 * grew in the middle of the commit: then the writes before it stay; or a file
 * raised: then all but what goes to files is done.
 * holds: do the guards hold now, after the graph? Otherwise what is kept for later (MEMO_SET)
 * may be out of date, and is left out. */
MP_MAYRUN PyObject *mp_replay_run(const mp_replay *p, PyObject *const *sources,
                                  PyObject *const *graph, bool holds);
/* Python-like source, one line per op that a reader cares for; source_names are the
 * guards' texts of the sources: new list of str. */
PyObject *mp_replay_text(const mp_replay *p, PyObject *source_names);

#endif
