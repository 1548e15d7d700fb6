/* objects/names.c - the texts of names.def, interned.
 *
 * They are made before anything else of the engine, so that whoever looks one up has no failure
 * of its own to handle, and they stay: guards hold them by address. */
#include "objects/names.h"

PyObject *mp_names[MP_NAME_COUNT];

int
mp_names_init(void)
{
    static const char *const texts[] = {
#define NAME(id, text) text,
#include "objects/names.def"
#undef NAME
    };
    for (int i = 0; i < MP_NAME_COUNT; i++) {
        if (mp_names[i] == NULL
            && (mp_names[i] = PyUnicode_InternFromString(texts[i])) == NULL) {
            return -1;
        }
    }
    return 0;
}
