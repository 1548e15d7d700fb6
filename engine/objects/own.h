/* objects/own.h - the engine's own callables, as the recorder has to know them. */
#ifndef MP_OWN_H
#define MP_OWN_H

#include "engine.h"

/* magpy._engine.CallSlot(member, function): the descriptor below `__call__` of compiled
 * modules.  Create the type once, keep it for the life of the process, add it to the
 * module. */
int mp_call_slot_init(PyObject *module);
/* Its member descriptor, NULL if o is no CallSlot. */
PyObject *mp_call_slot_member_borrow(PyObject *o);

/* What o calls when it runs eager, NULL if o is no CompiledFunction.  (__wrapped__ can
 * be overwritten by Python, this cannot.) */
PyObject *mp_compiled_original_borrow(PyObject *o);
/* call/compiled.c tells what stands behind its objects. */
void mp_own_register(PyTypeObject *compiled, PyObject *(*original_borrow)(PyObject *));

#endif
