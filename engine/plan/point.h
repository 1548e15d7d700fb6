/* plan/point.h - a place where a call can go on: its frames, stopped between two
 * instructions.
 *
 * The values of a point lie in one row, outermost frame first: the function of the frame,
 * the instance that its call in progress makes (or NULL), then its slots (locals, cells,
 * value stack; NULL: empty).  The key of a point says which code stands where and which
 * values are NULL, so all rows with the same key have the same shape. */
#ifndef MP_POINT_H
#define MP_POINT_H

#include "compat/compat.h"

enum { MP_POINT_FUNC, MP_POINT_MADE, MP_POINT_SLOTS };  // offsets in a frame's values

typedef struct {
    PyCodeObject *code;  // borrowed: the owner of the point keeps its codes (mp_point)
    int32_t index;       // code unit to go on at; outer frames: the call in progress
    int32_t first;       // of its values in the row
    int32_t n_slots;
    uint8_t how;  // mp_resume_how, outer frames
} mp_point_frame;

typedef struct {
    mp_point_frame *frames;
    int32_t n_frames;
    PyObject **values;
    int32_t n_values;
    bool
        owns;  // the values are references; a point that is only looked at borrows them
} mp_point;

/* Where the frames of a segment stand at its end.  What a value is: index into the tuple
 * that the replay answers, or one of these. */
enum {
    MP_EXIT_NULL = -1,
    MP_EXIT_ENTRY = -2  // ENTRY - k: value k of the entry's row
};
typedef struct {
    mp_point_frame *frames;
    int32_t n_frames;
    int32_t *from;
    int32_t n_values;
    PyObject *codes;   // owned tuple: keeps the frames' code
    int32_t at;        // the instruction of the break, in the innermost frame
    int32_t n_guards;  // asked for by the run until then, without that instruction ...
    int32_t n_looked;  // ... and by that; -1: it can be recorded, but was not to be
    bool unseen;       // it was not even looked at
} mp_exit;

/* Room for a point of this size; 0 / -1. */
int mp_point_init(mp_point *p, int32_t n_frames, int32_t n_values);
void mp_point_own(mp_point *p);
MP_MAYRUN void mp_point_clear(mp_point *p);
uint64_t mp_point_hash(const mp_point *p);    // of where it is, not of its values
PyObject *mp_point_key(const mp_point *p);    // new bytes
PyObject *mp_point_codes(const mp_point *p);  // new tuple
/* The state after a segment: owned values.  entry: where the segment began, or NULL. */
int mp_point_after(mp_point *p, const mp_exit *exit, PyObject *values,
                   const mp_point *entry);
/* Run the frames of an owned point, watched by ops if there are any.  They take the
 * values over; the functions stay. */
MP_MAYRUN PyObject *mp_point_run(mp_point *p, const mp_watch_ops *ops, void *ctx);

void mp_exit_free(mp_exit *exit);

#endif
