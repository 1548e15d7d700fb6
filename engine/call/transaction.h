/* call/transaction.h - a graph that raises has changed nothing. */
#ifndef MP_TRANSACTION_H
#define MP_TRANSACTION_H

#include "call/hit.h"

/* Warnings of one graph.  The innermost one of a thread takes them. */
typedef struct mp_held_warnings {
    PyObject *messages;  // owned list, or NULL: none yet
    unsigned long thread;
    struct mp_held_warnings *outer;  // of any thread
    bool on;
} mp_held_warnings;

/* From now on, warnings of this thread are listed in place of being shown.  0 / -1; without
 * a function that shows warnings there are none to hold back. */
int mp_warnings_hold(mp_held_warnings *h);
/* No longer; what becomes of `messages` is the caller's business.  An exception may be set,
 * and stays. */
void mp_warnings_let_go(mp_held_warnings *h);
/* Run the graph of a hit: new tuple of its outputs.  NULL: it has raised, and hit->undone
 * says whether torch, generators and inputs are as they were before; then its warnings have
 * not been shown either, and the original can run from the start. */
MP_MAYRUN PyObject *mp_transaction_run(mp_hit *hit);
/* What the compiler says of undoing the graph: (save, restore, flags) or None.  0 / -1. */
int mp_transaction_take(mp_entry *entry, PyObject *undo);
/* The callable that holds warnings back, once per process.  0 / -1. */
int mp_transaction_init(void);

#endif
