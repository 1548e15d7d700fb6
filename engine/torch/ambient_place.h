/* torch/ambient_place.h - state that is compared where it lies.  Private to torch/ambient*.c.
 *
 * Most getters of torch load a byte, of the process or of the thread, and do nothing else.  The
 * words in which these bytes lie are compared in one loop, and nobody is asked. */
#ifndef MP_AMBIENT_PLACE_H
#define MP_AMBIENT_PLACE_H

#include "torch/ambient_rows.h"

enum { MP_AMBIENT_WORDS = 24 };

/* Find the places of all rows, whose probes were found before. */
void mp_ambient_places_find(void);
/* The words of this thread; NULL: they cannot be had here. */
const uint64_t *const *mp_ambient_places(void);
/* What matters of them, now. */
void mp_ambient_words_take(const uint64_t *const *at, uint64_t *words);
bool mp_ambient_words_same(const uint64_t *const *at, const uint64_t *words);
/* Does the place of row i tell what its probe, or its getter, has just told?  If not, it is no
 * place of the row from now on. */
void mp_ambient_place_check(int i, PyObject *answer, int64_t number);

/* The active rows that no word tells of. */
const int *mp_ambient_asked(int *n);

#endif
