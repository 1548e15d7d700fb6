/* trace/host.h - what a recording with segments asks of the session that runs it, and
 * what it answers to is_compiling(). */
#ifndef MP_HOST_H
#define MP_HOST_H

#include "guard/place.h"
#include "plan/abort.h"
#include "plan/plan.h"

/* What a recording with segments asks of the session that keeps them. */
typedef enum {
    MP_ARRIVE_RECORD,  // no entry: record from here
    MP_ARRIVE_FOLLOW,  // the same, to compare it with an entry: it ends where that does
    MP_ARRIVE_LEAVE,   // an entry answers: leave the call
    MP_ARRIVE_PASS,    // nothing begins here
    MP_ARRIVE_STOP,    // let the call end unwatched
} mp_arrival;

typedef struct {
    /* The run has come to a point; its values are borrowed from the frames.  Runs no
     * Python unless it answers FOLLOW or STOP; keeps what it needs of the point before it
     * answers LEAVE. */
    mp_arrival (*arrive)(void *ctx, const mp_point *point);
    /* A segment has ended at a break.  Takes plan over, also on failure; NULL: there was
     * nothing in it.  0 / -1. */
    int (*depart)(void *ctx, mp_plan *plan, const mp_abort_info *why);
    /* From the next time on, or from the one behind it, break before this instruction. */
    void (*avoid)(void *ctx, PyCodeObject *code, int index, bool at_once,
                  const mp_abort_info *why);
    /* Is that so?  Borrowed tuple (code, mp_abort_id, detail), or NULL. */
    PyObject *(*avoids)(void *ctx, PyCodeObject *code, int index);
    /* Does the number in this register of the guards keep changing? */
    bool (*changes)(void *ctx, const mp_guards *guards, int32_t reg);
    void (*rebuilt)(void *ctx);  // the frames of mp_record_resume hold their values now
    /* After FOLLOW: has the entry looked at value `at` of its row? */
    bool (*reads)(void *ctx, int32_t at);
    /* Does it end before the instruction that `avoids` was asked for, although that can be
     * recorded this time? */
    bool (*ends)(void *ctx);
    /* Where the call keeps addresses of functions and classes that gaps have made: an owned
     * set, or NULL. */
    PyObject **(*gap_made)(void *ctx);
} mp_host;

/* torch.compiler.is_compiling() in a run: what it answers, and whether somebody asked. */
typedef enum {
    MP_TELL_FALSE,    // as in eager
    MP_TELL_PROGRAM,  // True, but for torch's own modules
    MP_TELL_ALL,      // True
} mp_tells;

typedef struct {
    mp_tells tells;
    bool flow;    // branches on tensors become operations
    bool trial;   // the run is given up before it changes what cannot be put back
    bool hopes;   // if it breaks at a value after all, a trial follows at once
    bool asked;   // out: by the program, not by torch's own modules
    bool values;  // out: it broke where a value, or what depends on one, was needed
    const mp_marks *numbers;  // borrowed: which ones become symbols; NULL: none ...
    uint32_t age;             // ... as they were when they had this age
    PyObject *compiler;       // borrowed: what graphs are compiled by; NULL: nothing
    PyObject
        *left;  // out: owned list of (dict, key, value) that a trial has written, or
                // NULL; it was put back
} mp_compiling;

/* magpy.config.is_compiling. */
typedef enum { MP_COMPILING_AUTO, MP_COMPILING_TRUE, MP_COMPILING_FALSE } mp_knob;
void mp_compiling_set(mp_knob knob);
mp_knob mp_compiling_knob(void);
/* magpy.config.control_flow: branches on tensors become operations. */
void mp_flow_set(bool on);
bool mp_flow(void);
/* What a run is told that nobody has tried otherwise. */
mp_compiling mp_compiling_plain(void);

#endif
