/* guard/field.h - C struct members that LOAD_FIELD reads.  Private to guard/. */
#ifndef MP_GUARD_FIELD_H
#define MP_GUARD_FIELD_H

#include "guard/guard.h"

/* Find the members of guard/fields.def: 0 or -1. */
int mp_guard_field_init(void);
/* Read one (mp_field): borrowed or NULL. */
PyObject *mp_guard_field_borrow(PyObject *o, int64_t field);
/* Where o keeps it, if it is a pointer of the object's own that mp_guard_field_borrow answers (NULL
 * there stands for None); else NULL. */
PyObject *const *mp_guard_field_place(PyObject *o, int64_t field);
/* An attribute of a module: new reference. */
PyObject *mp_guard_import(const char *module_name, const char *name);
/* The same, which must be a type. */
PyTypeObject *mp_guard_import_type(const char *module_name, const char *name);

#endif
