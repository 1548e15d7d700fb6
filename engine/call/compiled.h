/* call/compiled.h - layout of a CompiledFunction.  Private to call/compiled.c (the object) and
 * call/dispatch.c (its call). */
#ifndef MP_COMPILED_H
#define MP_COMPILED_H

#include "call/bind.h"
#include "call/cache.h"
#include "call/points.h"
#include "call/stats.h"
#include "guard/place.h"

typedef struct {
    PyObject_HEAD  // mp-ok: a type of our own
    vectorcallfunc vectorcall;
    PyObject *wrapped;   // owned; what the user gave; NULL only after tp_clear
    mp_target target;    // its parts are NULL only after tp_clear
    PyObject *compiler;  // owned or NULL
    PyObject *on_event;  // owned or NULL
    PyObject *on_abort;  // owned; NULL unless fullgraph
    PyObject *on_copy;   // owned or NULL
    PyObject *verifier;  // owned or NULL; see verify/verify.h
    PyObject *judge;     // owned or NULL; see call/trial.h
    PyObject *weakrefs;
    mp_cache cache;    // of the call's begin
    mp_points points;  // of the places where calls go on after a break
    mp_stats stats;
    int flow;        // branches on tensors become operations; -1: as the knob says
    mp_marks marks;  // which numbers become symbols
    struct mp_news *news;  // owned; what the listener does not yet know of them
    int64_t max_instructions;
    int32_t max_entries;
    int32_t verify_every;   // every so many hits one is verified; 0: none
    int32_t verify_left;    // hits until the next one
    int32_t trials_failed;  // in a row (call/trial.c)
    bool tries;             // there may be trials
    int8_t once;            // calls that broke where later ones do not (call/past.c)
    bool hoped;  // a recording has waited for a trial that was to follow at once
    bool fullgraph;
    bool segments;  // calls may have graph breaks
    char disabled;  // T_BOOL
} mp_CompiledObject;

/* The vectorcall of a CompiledFunction. */
MP_MAYRUN PyObject *mp_dispatch_call(PyObject *self, PyObject *const *args,
                                     size_t nargsf, PyObject *kwnames);

#endif
