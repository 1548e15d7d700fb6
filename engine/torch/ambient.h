/* torch/ambient.h - state of torch and Python that no argument carries (torch/ambient.def). */
#ifndef MP_AMBIENT_H
#define MP_AMBIENT_H

#include "engine.h"

/* Each row of torch/ambient.def: AMBIENT(id, "module", "getter", ARG, POLICY, "hint", PROBE,
 * "what it is"); the columns are explained there.
 * POLICY guard: recorded at entry, compared at every hit.
 * POLICY refuse: must have its default (the hint); else no recording, no hit. */

/* Resolve the getters; torch must be imported.  Without it no row is active. */
int mp_ambient_init(void);

typedef struct mp_ambient mp_ambient;  // one snapshot of all guard rows

/* NULL + *refused = what is on (static text, no exception) when a refuse row objects;
 * NULL + *refused = NULL with an exception set on error. */
mp_ambient *mp_ambient_take(const char **refused);
void mp_ambient_free(mp_ambient *a);
int mp_ambient_visit(mp_ambient *a, visitproc visit, void *arg);
/* 1 / 0.  Getters are C functions; no user code runs.  Never raises. */
int mp_ambient_check(const mp_ambient *a);
/* List of lines "torch.is_grad_enabled() == False": new list. */
PyObject *mp_ambient_text(const mp_ambient *a);
/* What `mp_ambient_check` compares, hashable: new tuple. */
PyObject *mp_ambient_state(const mp_ambient *a);
/* Put the process into this state, as far as rows have setters: 0 / -1. */
int mp_ambient_restore(const mp_ambient *a);
/* Does that make this state of `from`? */
bool mp_ambient_can_restore(const mp_ambient *a, const mp_ambient *from);

#ifdef MP_TESTING
/* The row with this id is not compared; NULL: all are.  0, or -1 with ValueError. */
int mp_ambient_plant(const char *id);
/* Compare words, or ask for each row: what was it before? */
bool mp_ambient_use_words(bool on);
/* The ids of the rows that each check asks for, because no word tells of them: new list. */
PyObject *mp_ambient_asked_ids(void);
#endif

#endif
