/* torch/hooks.h - default hooks for saved tensors (torch.autograd.graph.saved_tensors_hooks). */
#ifndef MP_HOOKS_H
#define MP_HOOKS_H

#include "engine.h"

/* Which hooks are on in this thread.  Those of torch (checkpoint, save_on_cpu) run no code of
 * the program while a graph runs. */
typedef enum { MP_HOOKS_NONE, MP_HOOKS_OF_TORCH, MP_HOOKS_OTHER } mp_hooks;

/* Never fails; without hooks, never runs Python. */
mp_hooks mp_hooks_now(void);

#endif
