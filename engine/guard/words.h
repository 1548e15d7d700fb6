/* guard/words.h - proofs: words of memory whose equality implies that a check would succeed.
 *
 * A check that has succeeded leaves a list of words with the values they had.  The next one
 * compares them in one loop and runs only the operations that no word proves.  What must hold,
 * and why, stands in docs/internals/guards.md. */
#ifndef MP_GUARD_WORDS_H
#define MP_GUARD_WORDS_H

#include "guard/guard.h"

/* As mp_guards_check, but by words where it can: the registers, or NULL (g->failed says where;
 * there may be another op that fails and comes before it; `room` means nothing then).
 * They are `room`, of n_regs, or the program's own; and nobody else's until this program is
 * checked again. */
PyObject *const *mp_guards_prove(mp_guards *g, PyObject *const *args, PyObject **room);
void mp_words_free(struct mp_words *w);

/* How many of each a proof has; all 0: there is none. */
typedef struct {
    int32_t words, tensors, steps, made;
} mp_words_count;

mp_words_count mp_guards_count_words(const mp_guards *g);

#ifdef MP_TESTING
/* Kinds of guards (a name of guards.def) whose words are left out, to prove that tests notice;
 * NULL: none.  0, -1 with ValueError. */
int mp_words_plant(const char *id);
/* Is each proof that holds compared with a check?  It is in builds with assertions. */
bool mp_words_check(bool on);
/* So often they did not agree.  Unless words were left out, that stops a build with assertions. */
int64_t mp_words_wrong(void);
#endif

#endif
