/* guard/proof.h - what a proof is made of, and how one operation is proved.  Private to guard/.
 *
 * guard/prove.c finds the words of one operation; guard/words.c puts them in order and compares
 * them. */
#ifndef MP_GUARD_PROOF_H
#define MP_GUARD_PROOF_H

#include "guard/guard.h"

/* Renewals that find a word changed before its guard is run instead. */
enum { MP_WORDS_STRIKES = 3 };

/* The column `words` of guards.def. */
typedef enum {
    BY_STEP,      // nothing proves it: it is run
    BY_NOTHING,   // it holds always
    BY_ADDRESS,   // it follows from which objects the registers hold
    BY_VALUE,     // the same, if they are the very objects
    BY_DICT,      // the version of a dict
    BY_TYPE,      // the type of the object
    BY_SIZE,      // its number of items
    BY_SET,       // the table of a set
    BY_PLACE,     // the pointer in its place
    BY_ITEM,      // size and items
    BY_VERSION,   // the version of a type
    BY_FUNCTION,  // the version of a function, or its parts
    BY_MODULES,   // the version of sys.modules
    BY_TENSOR,    // metadata
    BY_LAST,      // run after all others
} mp_words_by;

/* By kind. */
extern const uint8_t mp_words_rows[];

typedef struct {
    const uint64_t *at;
    uint64_t want;
} word;

typedef struct {
    int32_t upto;  // words before it
    int32_t op;
    int32_t tensor;  // TENSOR test of what a load gives that is not stable; -1: none
    bool stable;     // a load that must give what it gave
} step;

struct mp_words {
    word *words;
    int32_t n_words, cap_words;
    mp_tensor_seen *tensors;
    int32_t n_tensors, cap_tensors;
    step *steps;
    int32_t n_steps, cap_steps;
    int32_t n_early;    // steps before the tensors
    PyObject **regs;    // borrowed
    uint64_t *digests;  // of what proves op i, dict n_ops + d; 0: nothing
    uint8_t *strikes;   // the same
    int32_t n_ops;      // of the program when it was made
    int32_t made;
    uint8_t checks;  // that succeeded before
    bool ready, off;
};

/* Invariant (3) of guard/words.c. */
typedef enum { LOOSE, NEAR, FIXED } word_state;

typedef struct {
    word_state state;
    bool typed;      // its type was compared, or can be no other
    bool is_dict;    // it is one whatever its address holds
    bool versioned;  // the version of this dict was compared
    bool read;       // an object is loaded through it
    int32_t dict;    // record of the program, or -1
} mp_proof_reg;

typedef struct {
    mp_guards *g;
    struct mp_words *w;
    PyObject *const *regs;  // of the check that has succeeded
    mp_proof_reg *state;
    uint64_t *digests;  // the new ones
    int32_t *table;     // of words by address: index + 1, open addressing
    uint32_t mask;
    bool *done;       // ops
    uint64_t digest;  // of what is being proved
    const mp_guard *op;
    bool failed;  // no memory
} mp_prover;

static inline uint64_t
mp_words_mix(uint64_t h, uint64_t more)
{
    return (h ^ more) * 0x9e3779b97f4a7c15ULL + (h >> 29) + 1;
}

/* One operation: words, or a step. */
void mp_prove(mp_prover *p, int32_t i);
/* A step that is run; stable: a load that must give what it gave.  The metadata of a tensor are
 * tested by the step that loads it. */
void mp_prove_by_step(mp_prover *p, int32_t i, bool stable);

#ifdef MP_TESTING
bool mp_words_leave_out(const mp_guard *op);  // a planted hole
#else
static inline bool
mp_words_leave_out(const mp_guard *op)
{
    return false;
}
#endif

#endif
