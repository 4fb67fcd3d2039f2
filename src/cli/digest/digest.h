/*
 * digest.h - fixed cases, and a digest of all bits that come out of them
 *
 * A case is made from its number by integers and exact arithmetic alone, so it
 * is the same on every machine.  What it is fed to must not be BLAS, which is
 * outside the promise.  `csp selftest` and the tests run them.
 */
#ifndef DIGEST_H
#define DIGEST_H

#include "csp.h"
#include "random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAX_KV_HEADS = 3,
    MAX_HEADS = 9,
    MAX_QUERIES = 12,
    MAX_KEYS = 1300,
    MAX_DIM = 300,
    MAX_SPANS = 5,
    ARRAY_SIZE = 1 << 20
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A view and the memory it looks at. */
typedef struct array {
    csp_tensor view;
    unsigned char *data;
    unsigned char memory[ARRAY_SIZE];
} array;

/* One case: views into the arrays of the same struct. */
typedef struct sample {
    random_source random;
    uint32_t n_heads, n_kv_heads, n_queries, n_keys, n_tokens, dim;
    csp_span spans[MAX_SPANS];
    uint32_t counts[MAX_KV_HEADS];
    uint32_t positions[MAX_KV_HEADS * MAX_KEYS];
    csp_tokens tokens;
    csp_attention attention;
    csp_config config;
    array scores, lse, queries, keys, values;
    csp_status status; /* the first but CSP_OK since it was drawn */
} sample;

/* Note what a call returns that has no reason to fail. */
static inline void expect_ok(sample *s, csp_status status)
{
    if (s->status == CSP_OK)
        s->status = status;
}

/*
 * Draw case number 'seed'.  'fresh': of a sequence that was never pruned, the
 * last query being the last token.
 */
void draw_case(sample *s, uint64_t seed, bool fresh);

/* The parts of it: numbers of the views, of shapes and settings drawn before;
   and settings. */
void draw_attention(sample *s);
void draw_values(sample *s);
void draw_settings(sample *s);

/* ---- Digests ------------------------------------------------------------- */

#define DIGEST_START UINT64_C(0xcbf29ce484222325)

/* FNV-1a over the bytes of numbers, lowest byte first. */
void digest_bits(uint64_t *digest, uint64_t bits, int n_bytes);
void digest_words(uint64_t *digest, const uint32_t *x, size_t n);
void digest_floats(uint64_t *digest, const float *x, size_t n);
void digest_doubles(uint64_t *digest, const double *x, size_t n);

/* What becomes of the tokens that a selection drops, summed up. */
void digest_moments(uint64_t *digest, sample *s, const csp_kept *kept);

/* What the verbs make of a case on a tier. */
uint64_t digest_verbs(sample *s, csp_tier tier);

/* What a pruner makes of a fresh case on a tier; 'parallel' may be NULL. */
uint64_t digest_round(sample *s, csp_tier tier, const csp_parallel *parallel);

/* ---- The record ---------------------------------------------------------- */

/* The digests of the first cases, then of the first rounds, each as 8 bytes
   into one more digest: */
enum { DIGEST_CASES = 4000, DIGEST_ROUNDS = 100 };
#define DIGEST_RECORDED UINT64_C(0xf3ffc64a4f711360)

#endif
