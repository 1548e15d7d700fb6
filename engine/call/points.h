/* call/points.h - the places in a compiled function's calls where segments begin. */
#ifndef MP_POINTS_H
#define MP_POINTS_H

#include "call/cache.h"

typedef struct {
    PyObject *codes;  // owned tuple, outermost first: keeps the addresses in the key
    int32_t index;    // code unit of the innermost
    mp_cache cache;
    int failed;  // recordings in a row that began here and could not end
    int empty;   // segments that held nothing
} mp_resume_point;

typedef struct {
    PyObject *index;  // owned dict: key of a point -> its number; NULL: none yet
    mp_resume_point **at;
    int32_t n, cap;
    uint64_t serial;    // changes when the table is cleared
    PyObject *avoided;  // owned dict: (code, code unit) as bytes -> (code, mp_abort_id,
                        // detail, is it to be avoided now?); NULL: none
    PyObject
        *changing;  // owned set of sources of numbers that keep changing; NULL: none
} mp_points;

/* The place, made if it is new.  NULL without an exception: there are too many. */
mp_resume_point *mp_points_find(mp_points *points, const mp_point *p);
/* Recordings break before this instruction, for this reason: it failed when it had begun,
 * or nothing could be planned behind it.  Unless at_once, the first time is let pass. */
int mp_points_avoid(mp_points *points, PyCodeObject *code, int index, bool at_once,
                    int reason, PyObject *detail);
/* Borrowed row of `avoided`, or NULL. */
PyObject *mp_points_avoids(const mp_points *points, PyCodeObject *code, int index);
/* Guard `at` of a plan keeps failing.  If it pins a number, or with `texts` a text,
 * recordings break before they load that from now on. */
int mp_points_note_change(mp_points *points, const mp_guards *guards, int32_t at,
                          bool texts);
bool mp_points_changes(const mp_points *points, const mp_guards *guards, int32_t reg);
/* For users: (file, line) where calls go on there.  New tuple. */
PyObject *mp_points_place(const mp_resume_point *point);
int mp_points_visit(mp_points *points, visitproc visit, void *arg);
MP_MAYRUN void mp_points_clear(mp_points *points);

#endif
