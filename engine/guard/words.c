/* guard/words.c - proofs are made and compared.
 *
 * Invariants
 *   (1) When a word is compared, all words, steps and arguments before it were as in the proof.
 *       So the object that it lies in is alive, and has the layout that it had: the chain from
 *       a root to it was compared, parents before children.
 *   (2) Roots are what the program owns, or knows to be alive (`dead`), and the arguments.
 *   (3) A register is FIXED if equality so far implies that it holds the very object it held;
 *       NEAR if it holds an object at the same address, which may be another one: then all that
 *       is asked of it is proved from its memory, the type first; LOOSE if neither.
 *   (4) What a step reads is a register that this check has loaded or proved, so a step that
 *       fails tells that the guard fails.  A word that differs tells nothing: the whole program
 *       is checked, and makes the next proof.
 *   (5) `regs` of registers that are not LOOSE are written by renewals only.
 * Ownership: a proof owns no object and is dereferenced in the order of (1) alone. */
#include "guard/words.h"

#include <string.h>

#include "guard/plant.h"
#include "guard/proof.h"
#include "guard/run.h"

enum {
    WORDS_AFTER = 2,   // checks that succeed before a proof is made
    WORDS_SMALL = 64,  // operations of a program that may have steps alone
    WORDS_SHARE = 3,   // of others at least 1 - 1/n must be proved
};

void
mp_words_free(struct mp_words *w)
{
    if (w == NULL) {
        return;
    }
    PyMem_Free(w->words);
    PyMem_Free(w->tensors);
    PyMem_Free(w->steps);
    PyMem_Free(w->regs);
    PyMem_Free(w->digests);
    PyMem_Free(w->strikes);
    PyMem_Free(w);
}

mp_words_count
mp_guards_count_words(const mp_guards *g)
{
    const struct mp_words *w = g->words;
    return w == NULL || !w->ready
               ? (mp_words_count){0, 0, 0, w == NULL ? 0 : w->made}
               : (mp_words_count){w->n_words, w->n_tensors, w->n_steps, w->made};
}

/* -- Planted holes ------------------------------------------------------------------ */

#ifdef MP_TESTING

static int words_planted = -1;  // kind
#ifdef NDEBUG
static bool words_checked = false;
#else
static bool words_checked = true;
#endif
static int64_t words_wrong;

int
mp_words_plant(const char *id)
{
    int rc = mp_plant_find(id, mp_guard_id, MP_G_COUNT, &words_planted);
    words_checked = words_checked || words_planted >= 0;  // what a hole does is counted
    return rc;
}

bool
mp_words_check(bool on)
{
    bool was = words_checked;
    words_checked = on;
    return was;
}

int64_t
mp_words_wrong(void)
{
    return words_wrong;
}

bool
mp_words_leave_out(const mp_guard *op)
{
    return (int)op->kind == words_planted;
}

/* A proof that holds, and the check that it stands for.  room: other registers. */
static void
words_compare(mp_guards *g, PyObject *const *args, PyObject **room)
{
    if (!words_checked) {
        return;
    }
    bool same = mp_guards_check(g, args, room);
    for (int32_t r = 0; r < g->n_regs && same; r++) {
        same = room[r] == g->words->regs[r];
    }
    words_wrong += !same;
    assert(same || words_planted >= 0);
}

#else

static inline void
words_compare(mp_guards *g, PyObject *const *args, PyObject **room)
{
}

#endif

/* -- The order ----------------------------------------------------------------------- */

/* Tests of an argument alone stand first: they tell calls of other shapes at once. */
static bool
prover_is_early(const mp_prover *p, const mp_guard *op)
{
    return op->dst < 0 && op->a >= 0 && op->b < 0
           && p->g->ops[p->g->def[op->a]].kind == MP_G_LOAD_ARG
           && p->state[op->a].state == LOOSE && mp_words_rows[op->kind] != BY_LAST;
}

static void
prove_arguments(mp_prover *p)
{
    mp_guards *g = p->g;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const mp_guard *op = &g->ops[i];
        if (op->kind == MP_G_LOAD_ARG) {
            p->done[i] = true;
            bool stable = p->state[op->dst].read && p->w->strikes[i] < MP_WORDS_STRIKES;
            p->state[op->dst].state = stable ? NEAR : LOOSE;
            p->digests[i] =
                stable ? mp_words_mix(9, (uint64_t)(uintptr_t)p->regs[op->dst]) : 0;
            mp_prove_by_step(p, i, stable);
        }
    }
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (prover_is_early(p, &g->ops[i])) {
            mp_prove(p, i);
        }
    }
}

static void
prove_all(mp_prover *p)
{
    mp_guards *g = p->g;
    prove_arguments(p);
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (!p->done[i] && mp_words_rows[g->ops[i].kind] != BY_LAST) {
            mp_prove(p, i);
        }
    }
    p->w->n_early = p->w->n_steps;
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (!p->done[i]) {
            mp_prove(p, i);
        }
    }
}

/* What has changed since the last proof is struck, and at last run instead. */
static void
words_strike(struct mp_words *w, const uint64_t *now, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (w->made > 0 && w->digests[i] != 0 && now[i] != 0 && w->digests[i] != now[i]
            && w->strikes[i] < MP_WORDS_STRIKES) {
            w->strikes[i]++;
        }
    }
}

static void
prover_learn(mp_prover *p)
{
    const mp_guards *g = p->g;
    for (int32_t r = 0; r < g->n_regs; r++) {
        p->state[r].dict = -1;
    }
    for (int32_t d = 0; d < g->n_dicts; d++) {
        p->state[g->dicts[d].reg].dict = d;
    }
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (g->ops[i].dst >= 0 && g->ops[i].a >= 0) {
            p->state[g->ops[i].a].read = true;
        }
    }
}

/* Is the proof worth its while? */
static bool
words_pay(const mp_guards *g, const struct mp_words *w)
{
    return g->n_ops <= WORDS_SMALL || w->n_steps <= g->n_ops / WORDS_SHARE;
}

/* Room that depends on the program alone. */
static bool
words_room(struct mp_words *w, const mp_guards *g)
{
    size_t n = (size_t)g->n_ops + (size_t)g->n_dicts + 1;
    if (w->regs != NULL && w->n_ops == g->n_ops) {
        return true;
    }
    PyMem_Free(w->regs);
    PyMem_Free(w->digests);
    PyMem_Free(w->strikes);
    w->made = 0;
    w->n_ops = g->n_ops;
    w->regs = PyMem_Calloc((size_t)g->n_regs + 1, sizeof(*w->regs));
    w->digests = PyMem_Calloc(n, sizeof(*w->digests));
    w->strikes = PyMem_Calloc(n, sizeof(*w->strikes));
    return w->regs != NULL && w->digests != NULL && w->strikes != NULL;
}

static bool
prover_room(mp_prover *p)
{
    const mp_guards *g = p->g;
    size_t n = (size_t)g->n_ops + (size_t)g->n_dicts + 1;
    p->state = PyMem_Calloc((size_t)g->n_regs + 1, sizeof(*p->state));
    p->digests = PyMem_Calloc(n, sizeof(*p->digests));
    p->done = PyMem_Calloc((size_t)g->n_ops + 1, sizeof(*p->done));
    return p->state != NULL && p->digests != NULL && p->done != NULL;
}

/* Make the proof from the registers of a check that has just succeeded. */
static void
words_renew(mp_guards *g, PyObject *const *regs)
{
    struct mp_words *w = g->words;
    mp_prover p = {.g = g, .w = w, .regs = regs};
    w->ready = false;
    w->n_words = w->n_tensors = w->n_steps = 0;
    if (!words_room(w, g) || !prover_room(&p)) {
        w->off = true;
    }
    else {
        prover_learn(&p);
        prove_all(&p);
        words_strike(w, p.digests, g->n_ops + g->n_dicts);
        memcpy(w->digests, p.digests,
               ((size_t)g->n_ops + (size_t)g->n_dicts) * sizeof(*w->digests));
        memcpy(w->regs, regs, (size_t)g->n_regs * sizeof(*regs));
        w->made++;
        w->off = p.failed || !words_pay(g, w);
        w->ready = !w->off;
    }
    PyMem_Free(p.state);
    PyMem_Free(p.digests);
    PyMem_Free(p.done);
    PyMem_Free(p.table);
}

/* -- A proof is compared -------------------------------------------------------------- */

typedef enum { WORDS_HOLD, WORDS_FAIL, WORDS_STALE } words_answer;

MP_INLINE bool
words_same(const word *at, const word *end)
{
    for (; at < end; at++) {
        if (*at->at != at->want) {
            return false;
        }
    }
    return true;
}

/* What a load finds, NULL: nothing; arguments and their items without a call. */
MP_INLINE PyObject *
step_load(const mp_guard *op, PyObject *const *args, PyObject *const *regs)
{
    if (op->kind == MP_G_LOAD_ARG) {
        return args[op->n];
    }
    if (op->kind == MP_G_LOAD_ITEM && PyTuple_CheckExact(regs[op->a])
        && (uint64_t)op->n < (uint64_t)PyTuple_GET_SIZE(regs[op->a])) {
        return PyTuple_GET_ITEM(regs[op->a], op->n);
    }
    return mp_guard_load(op, args, regs);
}

/* A load with the test of its tensor. */
MP_INLINE words_answer
step_take_tensor(mp_guards *g, const step *s, PyObject *const *args)
{
    const mp_guard *load = &g->ops[s->op];
    PyObject **regs = g->words->regs;
    PyObject *o = step_load(load, args, regs);
    regs[load->dst] = o;
    g->failed = o == NULL ? s->op : s->tensor;
    return o != NULL && mp_tensor_meta_check(o, g->ops[s->tensor].meta) ? WORDS_HOLD
                                                                        : WORDS_FAIL;
}

MP_INLINE words_answer
words_step(mp_guards *g, const step *s, PyObject *const *args)
{
    mp_guard *op = &g->ops[s->op];
    PyObject **regs = g->words->regs;
    if (s->tensor >= 0) {
        return step_take_tensor(g, s, args);
    }
    if (s->stable) {
        return step_load(op, args, regs) == regs[op->dst] ? WORDS_HOLD : WORDS_STALE;
    }
    g->failed = s->op;
    return mp_guard_run(g, op, args, regs) ? WORDS_HOLD : WORDS_FAIL;
}

static words_answer
words_hold(mp_guards *g, PyObject *const *args)
{
    const struct mp_words *w = g->words;
    words_answer answer = WORDS_HOLD;
    const word *at = w->words;
    int32_t s = 0;
    g->n_valued = 0;
    for (; s < w->n_early && answer == WORDS_HOLD; s++) {
        const word *end = w->words + w->steps[s].upto;
        answer = words_same(at, end) ? words_step(g, &w->steps[s], args) : WORDS_STALE;
        at = end;
    }
    if (answer == WORDS_HOLD && !words_same(at, w->words + w->n_words)) {
        return WORDS_STALE;
    }
    for (int32_t t = 0; t < w->n_tensors && answer == WORDS_HOLD; t++) {
        answer = mp_tensor_as_seen(&w->tensors[t]) ? WORDS_HOLD : WORDS_STALE;
    }
    for (; s < w->n_steps && answer == WORDS_HOLD; s++) {
        answer = words_step(g, &w->steps[s], args);
    }
    return answer;
}

PyObject *const *
mp_guards_prove(mp_guards *g, PyObject *const *args, PyObject **room)
{
    struct mp_words *w = g->words;
    if (w != NULL && w->ready && w->n_ops == g->n_ops && !g->dead) {
        int collecting = PyGC_Disable();  // as in mp_guards_check
        words_answer answer = words_hold(g, args);
        if (collecting) {
            PyGC_Enable();
        }
        if (answer == WORDS_HOLD) {
            g->failed = -1;
            words_compare(g, args, room);
            return w->regs;
        }
        if (answer == WORDS_FAIL) {
            return NULL;
        }
    }
    if (!mp_guards_check(g, args, room)) {
        return NULL;
    }
    if (w == NULL) {
        w = g->words = PyMem_Calloc(1, sizeof(*w));  // NULL: then without
    }
    if (w != NULL && !w->off && ++w->checks >= WORDS_AFTER) {
        w->checks = WORDS_AFTER;
        words_renew(g, room);
    }
    return room;
}
