/* number/row.h - the rows of numbers.def.  Private to number/. */
#ifndef MP_NUMBER_ROW_H
#define MP_NUMBER_ROW_H

#include "number/number.h"

/* Operands of a row. */
enum { A = 1, B = 2, REG = 4, INDEX = 8 };

enum {
    RESULT_GIVEN,
    RESULT_INT,
    RESULT_FLOAT,
    RESULT_TRUTH,
    RESULT_ARITH,
    RESULT_POWER,
    RESULT_BITS,
    RESULT_ALIKE,
};

enum { BY_ENGINE, BY_CPYTHON };

typedef struct {
    const char *id;
    uint8_t operands, result;
    uint8_t by;                 // who computes it
    const char *format;         // NULL: that of a call
    const char *module, *name;  // of a function, else NULL
} mp_number_row;

extern const mp_number_row mp_number_rows[MP_N_COUNT];
/* Owned for the process; NULL: no function, or this CPython has none. */
extern PyObject *mp_number_functions[MP_N_COUNT];

#endif
