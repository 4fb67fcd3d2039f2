/*
 * differential.h - one random configuration, and what is checked with it
 *
 * A case is drawn from its seed alone, so that a failure is repeated by naming
 * it.  All memory that the library sees lies in one arena, between guard bytes;
 * what a call did not have to write must be the same afterwards, byte for byte.
 */
#ifndef DIFFERENTIAL_H
#define DIFFERENTIAL_H

#include "csp.h"
#include "oracle.h"
#include "random.h"

#include <setjmp.h>

/* ---- Coverage ------------------------------------------------------------ */

/* Ways in which cache pruning is known to go wrong; each must be met often. */
typedef enum failure_mode {
    F1_MASKED_ROW,     /* a row with every key masked */
    F2_UNREAD_NAN,     /* NaN where nothing may be read */
    F3_HALF_RANGE,     /* n > 0 and f16 rows whose largest logit is below -11 */
    F4_HALF_SUMS,      /* many rows in f16 or bf16 */
    F5_WEAK_PROTECTED, /* protected rows that score lower than dropped ones */
    F6_BUDGET_MET,     /* a budget that has to be met to the row */
    F7_IN_BOTH_LISTS,  /* rows that both lists want */
    F8_SHARE_ROUNDED,  /* a share that rounds a count */
    F9_BUDGET_EDGE, /* budgets, lists or protected rows at or beyond the rows */
    F10_ONE_MODALITY,  /* no importance on one side */
    F11_TIES,          /* kept and dropped rows of equal score */
    F12_NAN_REFUSED,   /* NaN or +inf in what is read */
    F13_GROUPS,        /* several query heads on one KV head */
    F14_CAUSAL_OFFSET, /* query rows that are not the last tokens */
    F15_SIZE_OVERFLOW, /* strides beyond the address space */
    F16_STRIDES, /* gaps, unaligned elements, junk strides of single rows */
    N_FAILURE_MODES
} failure_mode;

typedef struct tally {
    uint64_t n_cases;
    uint64_t n_mismatches;
    uint64_t n_ties; /* choices that rounding may decide either way */
    uint64_t
        n_selections; /* cases with a selection that had something to choose */
    uint64_t modes[N_FAILURE_MODES];
    uint64_t tiers[5];  /* cases on each csp_tier */
    uint64_t dtypes[3]; /* tensors of each csp_dtype */
} tally;

/* ---- Memory -------------------------------------------------------------- */

typedef struct guarded_memory {
    unsigned char *memory;
    unsigned char *before; /* copy to compare with */
    size_t used;
} guarded_memory;

/* Both return whether there was memory; arenas live as long as the program. */
bool arena_init(guarded_memory *arena);

/* Give everything back. */
void arena_reset(guarded_memory *arena);

/* 'size' bytes 'offset' bytes off an 8-byte boundary, between guards. */
void *arena_take(guarded_memory *arena, size_t size, size_t offset);

/* Remember all bytes. */
void arena_snapshot(guarded_memory *arena);

/* These bytes were checked: remember them as they are now. */
void arena_accept(guarded_memory *arena, const void *data, size_t size);

/* Whether all bytes, guards too, are as remembered. */
bool arena_intact(const guarded_memory *arena);

/* ---- A case -------------------------------------------------------------- */

#define MAX_CHUNKS 3

typedef struct diff_case {
    uint64_t seed;
    random_source random;
    guarded_memory arena; /* what the library sees */
    guarded_memory plain; /* what only the oracle sees */
    tally *tally;
    int forced_tier, forced_dtype; /* below 0: drawn */
    bool modes[N_FAILURE_MODES];
    jmp_buf escape; /* where require() goes */

    csp_attention attention;
    csp_tokens tokens;
    csp_config config;
    csp_tensor values;
    csp_importance importance;
    csp_kept kept;
    bool has_kept;

    oracle_layer layer;
    double *value_numbers; /* [n_kv_heads][n_keys][value_dim] */
    double logit_error; /* bound on what float32 dot products may be off by */

    /* Chunks of query rows, the last row of each; keys too grow from one to the
       next. */
    uint32_t chunk_end[MAX_CHUNKS];
    uint32_t n_chunks;
    bool growing;
} diff_case;

void cover(diff_case *c, failure_mode mode);

/* Leave the case with a message unless 'ok'. */
void require(diff_case *c, bool ok, const char *format, ...);

/* Require that nothing but accepted bytes changed. */
void require_intact(diff_case *c, const char *where);

/* Fill in everything but the results. */
void draw_case(diff_case *c);

/* Its second half: numbers for the shapes, tokens and masks drawn before. */
void draw_attention(diff_case *c);
void draw_values(diff_case *c);

/* Settings of csp_select, and importance harder to rank than what csp_score
   left. */
void draw_selection(diff_case *c);
void draw_synthetic(diff_case *c);

/* Zeroed memory that only the oracle sees. */
void *take_plain(diff_case *c, size_t count, size_t size);

/* The attention of query rows [begin, end) alone. */
csp_attention attention_rows(const csp_attention *attention, uint32_t begin,
                             uint32_t end);

/* Draw lists of kept rows; each row with 'percent', all heads the same if one
   list. */
csp_kept draw_kept(diff_case *c, uint32_t n_lists, const uint32_t *n_rows,
                   uint32_t percent);

/* List that KV head g keeps. */
const uint32_t *kept_of(const csp_kept *kept, uint32_t g, uint32_t *count);

/* Uninitialised scratch of the size that the library asks for. */
void *take_workspace(diff_case *c, size_t size);

/* ---- Tensors ------------------------------------------------------------- */

typedef enum tensor_kind {
    TENSOR_ROWS,   /* columns are contiguous, memory may repeat */
    TENSOR_INPUT,  /* any strides, memory may repeat */
    TENSOR_OUTPUT, /* any strides, elements are distinct */
    TENSOR_OUTPUT_ROWS
} tensor_kind;

/* Strides at random and every byte 0xFF, which is NaN in all types. */
csp_tensor draw_tensor(diff_case *c, csp_dtype dtype, uint32_t n_heads,
                       uint32_t n_rows, uint32_t n_cols, tensor_kind kind);

csp_dtype draw_dtype(diff_case *c);

/* Bytes from the first element to behind the last. */
size_t tensor_extent(const csp_tensor *tensor);

/* Bytes from the first element to this one. */
size_t tensor_offset(const csp_tensor *tensor, uint32_t h, uint32_t r,
                     uint32_t col);

void tensor_put(const csp_tensor *tensor, uint32_t h, uint32_t r, uint32_t col,
                double value);
double tensor_get(const csp_tensor *tensor, uint32_t h, uint32_t r,
                  uint32_t col);

/* ---- Checks -------------------------------------------------------------- */

/* Against the oracle. */
void check_score(diff_case *c);
void check_value_norms(diff_case *c);
void check_select(diff_case *c);
void check_report(diff_case *c);
void check_calibrate(diff_case *c);
void check_correct(diff_case *c);
void check_nsoftmax(diff_case *c);
void check_compact(diff_case *c);

/* Break one thing: the call is refused and writes nothing. */
void check_refused_score(diff_case *c);
void check_refused_select(diff_case *c);
void check_refused_calibrate(diff_case *c);
void check_refused_output(diff_case *c); /* compact, nsoftmax, correct */

/* Within relative and absolute bounds; infinities must be equal. */
bool is_near(double actual, double expected, double relative, double absolute);

#endif /* DIFFERENTIAL_H */
