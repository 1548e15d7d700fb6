/* objects/file.h - text files whose writes are C code from end to end.
 *
 * print() and write() on such a file run no code of the program, so a replay may do them
 * between its other writes.  A file is a TextIOWrapper or a StringIO, or of a class in
 * Python that leaves alone what C looks up in it, and what lies below a TextIOWrapper is
 * of exact C types.
 *
 * Trusted: a codec in Python (code pages) is the library's own, and so are the error
 * handlers that were registered for it. */
#ifndef MP_FILE_H
#define MP_FILE_H

#include "engine.h"

/* Find the types, and prove the members that are read: 0 or -1 (exception). */
int mp_file_init(void);
/* Is it such an open file, which can encode text: any, or with `ascii` only such text?
 * Runs no user code, allocates no object of the collector, leaves no exception. */
bool mp_file_takes(PyObject *file, bool ascii);
/* Has it the layout of such a file? */
bool mp_file_check(PyObject *file);
/* Write an exact str: 0, or -1 with the exception of the file. */
int mp_file_write(PyObject *file, PyObject *text);
int mp_file_flush(PyObject *file);

#endif
