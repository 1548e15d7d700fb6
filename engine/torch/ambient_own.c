/* torch/ambient_own.c - what the C library and the processor keep, as numbers.
 *
 * Asked at each hit: no call here allocates, blocks or runs Python, as long as all is as usual. */
#include "torch/ambient_own.h"

#include <fenv.h>
#include <locale.h>
#include <string.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "compat/compat.h"
#include "torch/hooks.h"
#include "torch/modes.h"

/* How this thread rounds, and whether it takes tiny numbers for zero. */
static int64_t
float_mode(void)
{
#if defined(__SSE__)
    return (int64_t)(_mm_getcsr() & 0xE040u);  // FTZ, rounding, DAZ
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(fpcr));
    return (int64_t)(fpcr & 0x01C00000u);  // rounding, FZ
#else
    return fegetround();
#endif
}

enum { LOCALES = 3, LOCALE_SHORT = 32 };

/* The names of the locales that texts of numbers and dates, and classes of characters in
 * bytes, ask for. */
static void
locale_names(const char *names[LOCALES])
{
    static const int categories[LOCALES] = {LC_NUMERIC, LC_TIME, LC_CTYPE};
    for (int i = 0; i < LOCALES; i++) {
        const char *name = setlocale(categories[i], NULL);
        names[i] = name == NULL ? "" : name;
    }
}

static int64_t
locale_hash(const char *const names[LOCALES])
{
    uint64_t hash = 0;
    for (int i = 0; i < LOCALES; i++) {
        for (const char *c = names[i]; *c != '\0'; c++) {
            hash = mp_hash_mix(hash, (unsigned char)*c);
        }
        hash = mp_hash_mix(hash, 0xFFu);
    }
    return (int64_t)(hash >> 1);
}

/* The hash of the names, which are mostly those of last time. */
static int64_t
locale_number(void)
{
    static char seen[LOCALES][LOCALE_SHORT];
    static int64_t number;
    const char *names[LOCALES];
    bool same = number != 0;
    locale_names(names);
    for (int i = 0; i < LOCALES && same; i++) {
        same = strcmp(names[i], seen[i]) == 0;  // mp-ok: names of locales
    }
    if (same) {
        return number;
    }
    int64_t hash = locale_hash(names);
    bool fit = true;
    for (int i = 0; i < LOCALES && fit; i++) {
        fit = strlen(names[i]) < LOCALE_SHORT;
    }
    number = fit ? hash : 0;
    for (int i = 0; i < LOCALES && fit; i++) {
        memcpy(seen[i], names[i], strlen(names[i]) + 1);
    }
    return hash;
}

int64_t
mp_own_state(mp_own what)
{
    switch (what) {
    case MP_OWN_FLOATS:
        return float_mode();
    case MP_OWN_LOCALE:
        return locale_number();
    case MP_OWN_DIGITS:
        return mp_int_max_digits();
    case MP_OWN_DEPTH:
        return Py_GetRecursionLimit();
    case MP_OWN_HOOKS:
        return mp_hooks_now();
    case MP_OWN_MODES:
        return mp_modes_now();
    }
    Py_UNREACHABLE();
}
