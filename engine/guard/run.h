/* guard/run.h - one operation of a guard program.  Private to guard/. */
#ifndef MP_GUARD_RUN_H
#define MP_GUARD_RUN_H

#include "guard/guard.h"

/* The object that a load finds, borrowed; NULL is a miss. */
PyObject *mp_guard_load(const mp_guard *op, PyObject *const *args,
                        PyObject *const *regs);
/* A load into regs, or a test. */
bool mp_guard_run(mp_guards *g, mp_guard *op, PyObject *const *args, PyObject **regs);
/* Where o keeps the member of this descriptor; NULL: it is none of o's type. */
PyObject **mp_guard_slot_place(PyObject *o, PyObject *descr);

#endif
