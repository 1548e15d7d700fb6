/* trace/library.c - modules whose frames may run below an operation.
 *
 * Setup adds those of torch and numpy.  A frame that belongs to no module is the user's. */
#include "trace/trace.h"

#include <string.h>

static char *default_prefixes[] = {(char *)"abc", (char *)"importlib",
                                   (char *)"collections.abc", (char *)"weakref",
                                   (char *)"_weakrefset"};
static char **skip_prefixes = default_prefixes;
static Py_ssize_t n_skip_prefixes = Py_ARRAY_LENGTH(default_prefixes);

bool
mp_is_library(PyObject *globals)
{
    const char *text = mp_module_name(globals);
    if (text == NULL) {
        return false;  // a frame that belongs to no module is the user's
    }
    for (Py_ssize_t i = 0; i < n_skip_prefixes; i++) {
        size_t len = strlen(skip_prefixes[i]);
        if (strncmp(text, skip_prefixes[i], len) == 0  // mp-ok: sys.modules agrees
            && (text[len] == '\0' || text[len] == '.'
                || skip_prefixes[i][len - 1] == '.')) {
            return true;
        }
    }
    return false;
}

int
mp_library_init(PyObject *prefixes)
{
    if (skip_prefixes != default_prefixes) {
        return 0;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(prefixes);
    Py_ssize_t base = Py_ARRAY_LENGTH(default_prefixes);
    char **copies = PyMem_Calloc((size_t)(base + count), sizeof(*copies));
    if (copies == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(copies, default_prefixes, sizeof(default_prefixes));
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t size;
        const char *text =
            PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(prefixes, i), &size);
        char *copy = text == NULL ? NULL : PyMem_Malloc((size_t)size + 1);
        if (copy == NULL) {
            return -1;
        }
        memcpy(copy, text, (size_t)size + 1);
        copies[base + i] = copy;
    }
    skip_prefixes = copies;  // for the life of the process
    n_skip_prefixes = base + count;
    return 0;
}
