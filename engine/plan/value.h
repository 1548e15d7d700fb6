/* plan/value.h - the leaves of a graph spec: `%3` stands for a tensor, `#3` for a number of
 * the guard program. */
#ifndef MP_VALUE_H
#define MP_VALUE_H

#include "engine.h"

/* Create the type once, keep it for the life of the process, add it to the module. */
int mp_value_init(PyObject *module);

PyObject *mp_value_new(Py_ssize_t index);
/* While a log grows, results carry -1 - k for the k-th result; this gives the final
 * number behind n_inputs placeholders.  Other Values keep theirs. */
void mp_value_finish(PyObject *o, Py_ssize_t n_inputs);
int mp_value_check(PyObject *o);         // 1 / 0
Py_ssize_t mp_value_index(PyObject *o);  // o must be a Value

PyObject *mp_number_leaf_new(Py_ssize_t number);
int mp_number_leaf_check(PyObject *o);
Py_ssize_t mp_number_leaf_index(PyObject *o);

/* Go through a tree of arguments or results (graph/tree.c): visit gets each part that is no
 * tuple, list, dict or slice, until it answers other than 0; that is the answer.  tree: or
 * NULL. */
typedef int (*mp_tree_visit)(void *ctx, PyObject *leaf);
int mp_tree_walk(PyObject *tree, mp_tree_visit visit, void *ctx);

#endif
