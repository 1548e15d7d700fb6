/* torch/levels.h - levels of torch.func and of forward differentiation.
 *
 * A tensor of a level wraps one of the level below.  A wrapper has no memory, and a count of
 * writes that need not be that of the memory; what is below all wrappers has both. */
#ifndef MP_LEVELS_H
#define MP_LEVELS_H

#include "engine.h"

/* How to close what is open is said by magpy/levels.py: setup["close_levels"].  0 / -1. */
int mp_levels_init(PyObject *setup);
/* From now on there may be tensors of levels.  0 / -1. */
int mp_levels_expect(void);
/* Does the tensor belong to a level, be it open or closed?  Never raises. */
bool mp_level_wraps(PyObject *tensor);
/* The tensor below all wrappers: new reference, to the tensor itself if it is none.  Never
 * raises. */
PyObject *mp_level_bare(PyObject *tensor);
/* A graph that had none open when it began has raised: close what it has left.  An exception
 * that is set stays.  0 / -1. */
int mp_levels_close(void);

#endif
