/* objects/warning.h - warnings that a replay shows again. */
#ifndef MP_WARNING_H
#define MP_WARNING_H

#include "engine.h"

/* Is this what a warning effect holds (effect/effects.def)? */
bool mp_warning_check(PyObject *what);
/* Warn of it: the registry of its globals and the filters decide whether it is shown.  text:
 * in place of what it holds, or NULL.  0, or -1 with an exception. */
MP_MAYRUN int mp_warning_show(PyObject *what, PyObject *text);
/* All registries of warnings forget what was shown: the filters have changed. */
int mp_warning_forget(PyObject *filters_mutated);
/* _engine._ears(): what a filter of warnings compares texts with, in the place of a pattern.
 * Those of this thread match, and it knows then that there were some. */
PyObject *mp_warning_ears(PyObject *module, PyObject *none);

#endif
