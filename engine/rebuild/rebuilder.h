/* rebuild/rebuilder.h - making one replay; private to rebuild/. */
#ifndef MP_REBUILDER_H
#define MP_REBUILDER_H

#include "plan/plan.h"
#include "rebuild/shape.h"
#include "trace/trace.h"

typedef struct {
    mp_trace *T;
    mp_replay *p;
    PyObject *regs;     // owned dict: address -> register (scan: what is known of it)
    PyObject *outputs;  // owned list of Values
    bool cyclic;        // some object reaches itself
    PyObject **later;   // made, to be filled: borrowed from what is rebuilt
    int n_later, cap_later;
    int32_t n_hooked;  // so many hooks are set by now
} mp_rebuilder;

/* Registers are stored above the scan's marks, so that one table serves both passes. */
enum { REG_BASE = 8 };

/* Note what an address stands for: a register + REG_BASE, or a mark of the scan.  0 / -1. */
int mp_rebuild_mark(mp_rebuilder *b, PyObject *obj, int mark);
/* The object that guards loaded into this register is needed; its register in the replay. */
mp_rc mp_rebuild_source_add(mp_rebuilder *b, int32_t reg);
int32_t mp_rebuild_source(mp_rebuilder *b, int32_t reg);
/* First pass: what the object needs.  Of all items of vec, or of each second one. */
mp_rc mp_rebuild_scan(mp_rebuilder *b, PyObject *obj);
mp_rc mp_rebuild_scan_all(mp_rebuilder *b, PyObject **vec, int count, int step);
/* Second pass: emit what makes the object.  make_all allocates *regs (PyMem). */
mp_rc mp_rebuild_make(mp_rebuilder *b, PyObject *obj, int32_t *reg);
mp_rc mp_rebuild_make_all(mp_rebuilder *b, PyObject **vec, int count, int32_t **regs);
/* What was put off because of a cycle; attributes of tensors of the run. */
mp_rc mp_rebuild_make_later(mp_rebuilder *b);
mp_rc mp_rebuild_make_attrs(mp_rebuilder *b);
mp_rc mp_rebuild_emit(mp_rebuilder *b, mp_effect_kind kind, PyObject *obj, int32_t a,
                      int32_t c, const int32_t *items, int count, int32_t *reg);

/* -- hooks.c ----------------------------------------------------------------------- */

/* Hooks of the run, whether or not it keeps their handles.  In the second pass they are set
 * first, in the order of the program. */
mp_rc mp_rebuild_scan_hooks(mp_rebuilder *b);
mp_rc mp_rebuild_make_hooks(mp_rebuilder *b);
/* The hook with this handle is set. */
mp_rc mp_rebuild_emit_hook(mp_rebuilder *b, PyObject *handle, const mp_shape *s,
                           const int32_t *items, int32_t *reg);

/* -- journal.c --------------------------------------------------------------------- */

mp_rc mp_rebuild_scan_write(mp_rebuilder *b, const mp_write *w);
bool mp_rebuild_shows(const mp_trace *T, int i);
mp_rc mp_rebuild_check_contexts(mp_trace *T);
/* All of the replay: values, writes, result. */
mp_rc mp_rebuild_emit_writes(mp_rebuilder *b);

#endif
