/* torch/modes.h - torch-function modes of the program around a call: `with torch.device(...)`,
 * torch.set_default_device. */
#ifndef MP_MODES_H
#define MP_MODES_H

#include "engine.h"

enum { MP_MODES_NONE = 0, MP_MODES_OTHER = -1 };

/* Once torch is loaded. */
void mp_modes_init(void);
/* Is any mode on? */
bool mp_modes_on(void);
/* Which modes are on in this thread: none, a number that stands for their devices, or modes other
 * than torch's for devices.  Never fails; without modes, never runs Python. */
int64_t mp_modes_now(void);
/* These devices, the outermost first: new tuple. */
PyObject *mp_modes_devices(void);
/* Put the modes of these devices on, where those on now are some more or some less.  0; -1: exception. */
int mp_modes_restore(PyObject *devices);

#endif
