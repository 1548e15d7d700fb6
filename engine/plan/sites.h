/* plan/sites.h - which instruction of the program each guard and each operation came from.
 *
 * A row is an instruction, and the row of the call that led to its frame.  The logs are
 * marked where the row changes: positions from a mark up to the next one came from the row of
 * the mark.  Nothing is made but rows while the program runs; lines and names are looked up
 * when somebody asks. */
#ifndef MP_SITES_H
#define MP_SITES_H

#include "engine.h"

typedef struct {
    int32_t code;    // its number in mp_sites.codes
    int32_t index;   // code unit
    int32_t caller;  // row, or -1
    int32_t self;    // guard register of the frame's first argument, or -1
} mp_site_row;

typedef struct {
    int32_t first;  // position
    int32_t row;    // or -1
} mp_site_mark;

typedef struct {
    mp_site_mark *at;  // owned, in order
    int32_t n, cap;
    int32_t end;  // of the positions that are marked
} mp_site_marks;

typedef struct {
    PyObject *codes;    // owned list; NULL while recording (mp_trace.codes)
    mp_site_row *rows;  // owned; a caller stands before what it calls
    int32_t n_rows, cap_rows;
    mp_site_marks guards, ops;
} mp_sites;

void mp_sites_fini(mp_sites *s);
/* Positions up to `end` that have no mark yet came from this row.  A log that was cut loses
 * marks.  Without memory they keep the row before. */
void mp_sites_mark(mp_site_marks *marks, int32_t end, int32_t row);
/* Where a position came from: row, or -1. */
int32_t mp_sites_row(const mp_site_marks *marks, int32_t position);
/* (file, line, function) of the row and its callers, the outermost first: new list. */
PyObject *mp_sites_stack(const mp_sites *s, int32_t row);
/* (file, line, function, caller) of all rows: new list. */
PyObject *mp_sites_rows(const mp_sites *s);

#endif
