/*
 * guard_pages.h - kernels on memory between pages that cannot be touched
 *
 * The pages of an input are read-only to the kernel and written through a
 * second mapping of the same memory, so that a call costs no system call.
 */
#ifndef GUARD_PAGES_H
#define GUARD_PAGES_H

#include "test.h"

#include "kernels.h"

/* Bytes of a slot: whole pages, however large these are. */
#define SLOT_SIZE ((size_t)1 << 16)

/* Bytes on each side of an output that are looked at. */
#define CANARIES 128u

typedef struct slot {
    unsigned char *view; /* what kernels see */
    unsigned char *back; /* the same bytes, to fill in and to look at */
} slot;

/* Where in a slot an array lies. */
typedef struct place {
    bool at_end;   /* it ends where the slot does, or begins there */
    size_t offset; /* but for so many bytes, */
    size_t row;    /* and so many rows of the same length, */
    size_t pad;    /* with so many bytes between two of them */
} place;

slot new_slot(bool writable);

/* Nobody may read there; nor write. */
void *nowhere(const slot *s);

/* Where 'size' bytes, a multiple of 'unit', go. */
size_t start_of(const place *p, size_t size, size_t unit);

/* The array as a kernel sees it; of no bytes nowhere. */
void *put(const slot *s, const place *p, const void *bytes, size_t size,
          size_t unit);

/* Likewise, what is around it can be checked. */
void *put_output(const slot *s, const place *p, const void *bytes, size_t size,
                 size_t unit);

/* Whether all around the array of an output is as it was. */
bool is_clean(const slot *s, const place *p, size_t size, size_t unit);

/* ---- Trials -------------------------------------------------------------- */

/* Four of the widest vectors of floats and one; of words of bits, for keys. */
enum { MAX_LENGTH = 4 * 16 + 1, MAX_KEYS = 4 * 64 + 1 };

/* What to read, apart from what to write. */
extern slot in[3], out[2];

/* Numbers of each type, and keys. */
extern unsigned char numbers[CSP__N_DTYPES][4 * MAX_KEYS];
extern uint32_t keys[MAX_KEYS];

extern bool all_places;
extern uint64_t n_calls;

/* One call: a tier against the scalar kernels. */
typedef struct trial {
    const csp__kernels *scalar, *tier;
    csp_dtype dtype;
    size_t n, size; /* elements, bytes of one */
    place at;
} trial;

/* cmocka's: slots and numbers. */
int set_up_slots(void **state);

/* On every tier of this CPU, for every length and at many places. */
void try_tiers(size_t max_n, int n_dtypes, void (*run)(const trial *t));

/* Finite numbers near 1. */
void fill(float *x, size_t n);

void fail_trial(const trial *t, const char *what);

/* Input number i: n numbers of the trial's type, or floats. */
const void *numbers_of(const trial *t, int i);
const float *floats_of(const trial *t, int i, const float *x);

/* Output number i, before and after. */
float *output_of(const trial *t, int i, const float *x);
void check_output(const trial *t, int i, const void *expected, size_t size,
                  size_t unit);
void check_floats(const trial *t, int i, const float *expected);
void check_result(const trial *t, double got, double expected);

/* ---- Kernels of guard_pages_vectors.c ------------------------------------ */

void try_floats(const trial *t);
void try_order(const trial *t);
void try_keys(const trial *t);
void try_narrow(const trial *t);
void try_products(const trial *t);
void try_cells(const trial *t);

#endif
