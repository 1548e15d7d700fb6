/* cfunc/set.c - methods that change a set. */
#include "cfunc/cfunc.h"
#include "objects/rows.h"
#include "read/read.h"

bool
mp_set_is_constant(PyObject *set)
{
    PyObject *key;
    Py_ssize_t pos = 0;
    Py_hash_t hash;
    bool constant = PyAnySet_Check(set);
    while (constant && mp_set_next(set, &pos, &key, &hash)) {
        constant = mp_is_constant(key);
    }
    return constant;
}

mp_rc
mp_write_set_by(mp_trace *T, mp_node *n, const mp_call *c)
{
    char letter = (char)mp_data_of(c->callee);
    Py_ssize_t count = c->nargs - 1;
    bool many = letter == '|' || letter == '\\', none = letter == '0' || letter == 'p';
    if (letter == 0 || c->count != c->nargs || (!many && count != !none)) {
        return mp_write_content(T, n);
    }
    mp_rc rc = none ? mp_write_set(T, n, letter, NULL) : MP_OK;
    for (Py_ssize_t k = 1; k < c->nargs && rc == MP_OK; k++) {
        rc = mp_write_set(T, n, letter, c->args[k]);
    }
    return rc;
}
