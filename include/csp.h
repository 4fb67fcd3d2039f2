/*
 * csp.h - Cross-Self Pruning of key/value caches
 *
 * A vision-language prompt is mostly image tokens, and its key/value (KV) cache
 * costs memory and decode time.  This library keeps the tokens that matter.
 * Attention inside a modality (intra) and across modalities (inter) is ranked
 * apart and the best of each is kept; the attention mass of what was dropped
 * can be put back as a sink logit or a residual value.
 *
 *   attention --csp_score--> importance --csp_select--> kept --csp_compact-->
 *       \___________________ csp_calibrate ___________/ --> sink logits   cache
 *
 * Method: Pei, Huang, Xu, "Cross-Self KV Cache Pruning", arXiv 2412.04652.
 * The README writes out the equations E1..E12 named below.
 *
 * Words.  n_heads query heads share n_kv_heads KV heads in equal groups.  A
 * *token* is a position of the sequence, a *cached row* is where its key and
 * value lie; they are the same until the first prune.  *Sinks* are the first
 * cached rows, *recent* the last; both are protected, the others candidates.
 *
 * Rules that hold for every function:
 *
 *   Errors   Outputs come last.  On error every output, cache included, is
 *            bit-identical to before.  One exception: csp_score (not
 *            csp_pruner_score) may leave the importance of that call
 *            unspecified with CSP_E_NOT_FINITE.  "View errors" are CSP_E_NULL,
 *            SHAPE, GQA, SPAN, INDEX, STRIDE, OVERFLOW, DTYPE and CAPACITY,
 *            each for what it is named after.
 *   NULL     A pointer may be NULL only where that is said, or where the count
 *            that goes with it is zero.
 *   Memory   The core allocates nothing: scratch is the caller's, of any
 *            alignment and at least ..._workspace_size() bytes.  That function
 *            reads counts, strides and settings, never data, and returns 0 if
 *            they are invalid (the verb then names the error), else more.  Only
 *            csp_pruner allocates, by its own allocator.  Views need no
 *            alignment, and nothing outside a view is read or written.
 *            Scratch and outputs overlap nothing else unless that is said; only
 *            where CSP_E_OVERLAP is named it is checked.
 *   Threads  Nothing has hidden state or creates a thread.  Calls that write
 *            to distinct memory may run concurrently.
 *   Bits     Importance, kept tokens and reasons, calibration and summaries are
 *            the same bits on every kernel tier and for any number of workers;
 *            not on BLAS paths.
 *   Host     Nothing aborts, prints, reads the environment or changes the
 *            floating-point mode, which is assumed to be the default one.  In
 *            other roundings, or without subnormals, numbers are others.  Good
 *            input may raise any exception flag (mask traps) and set errno.
 *            What a BLAS does is its own affair; only CSP_PATH_BLAS calls it.
 */
#ifndef CSP_H
#define CSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CSP_VERSION_MAJOR 0
#define CSP_VERSION_MINOR 1
#define CSP_VERSION_PATCH 0

#ifndef CSP_API
#if defined(_WIN32) && defined(CSP_SHARED) && defined(CSP_BUILD)
#define CSP_API __declspec(dllexport)
#elif defined(_WIN32) && defined(CSP_SHARED)
#define CSP_API __declspec(dllimport)
#elif defined(__GNUC__)
#define CSP_API __attribute__((visibility("default")))
#else
#define CSP_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status -------------------------------------------------------------- */

/* Values never change; treat one you do not know as an error. */
typedef enum csp_status {
    CSP_OK = 0,
    CSP_E_NULL = 1,        /* a required pointer is NULL */
    CSP_E_SHAPE = 2,       /* a count is zero or two counts disagree */
    CSP_E_GQA = 3,         /* n_heads is no multiple of n_kv_heads */
    CSP_E_SPAN = 4,        /* spans overlap, are unordered or out of range */
    CSP_E_STRIDE = 5,      /* a stride is too small, or rows not contiguous */
    CSP_E_OVERFLOW = 6,    /* sizes exceed the address space or a counter */
    CSP_E_DTYPE = 7,       /* unknown or unsuitable element type */
    CSP_E_CONFIG = 8,      /* a setting or enum is out of its range */
    CSP_E_BUDGET = 9,      /* protected tokens or lists exceed the budget */
    CSP_E_WORKSPACE = 10,  /* the workspace is too small */
    CSP_E_CAPACITY = 11,   /* an output array is too small */
    CSP_E_NOT_FINITE = 12, /* NaN or infinity where a number is needed */
    CSP_E_OVERLAP = 13,    /* memory that must be apart is not */
    CSP_E_INDEX = 14,      /* an index list is out of range or not ascending */
    CSP_E_MEMORY = 15,     /* the allocator returned NULL */
    CSP_E_STATE = 16,      /* the pruner is not in the state this call needs */
    CSP_E_UNSUPPORTED = 17 /* not in this build or on this CPU */
} csp_status;

/* Static English text for 'status'; "unknown status" for any other value. */
CSP_API const char *csp_status_string(csp_status status);

/* Version of the library linked: major * 10000 + minor * 100 + patch. */
CSP_API int csp_version(void);

/* ---- Views --------------------------------------------------------------- */

typedef enum csp_dtype { CSP_F32 = 0, CSP_F16 = 1, CSP_BF16 = 2 } csp_dtype;

/*
 * Numbers [n_heads][n_rows][n_cols], native endianness, strides in bytes.
 *
 * Serves scores (rows are queries, columns keys), queries, keys and values
 * (rows are tokens, columns channels) and attention outputs.  Transposed
 * values, [head][channel][token] in memory, have row_stride = element size and
 * col_stride = the distance of two channels.  A stride is not looked at where
 * its count is 1; inputs may repeat memory with stride 0.
 */
typedef struct csp_tensor {
    const void *data;
    csp_dtype dtype;
    uint32_t n_heads, n_rows, n_cols;
    size_t head_stride, row_stride, col_stride;
} csp_tensor;

/* View of a packed array [n_heads][n_rows][n_cols]. */
CSP_API csp_tensor csp_tensor_packed(const void *data, csp_dtype dtype,
                                     uint32_t n_heads, uint32_t n_rows,
                                     uint32_t n_cols);

#define CSP_MAX_MODALITIES 16

/* Tokens [begin, end) are of 'modality'; tokens in no span are of 0 (text). */
typedef struct csp_span {
    uint32_t begin, end;
    uint32_t modality; /* < CSP_MAX_MODALITIES */
} csp_span;

/*
 * Which tokens the cached rows of each KV head hold.
 *
 * 'n_keys'     cached rows of each KV head; views of keys, values and scores
 *              may be padded beyond, what lies there is never read.
 * 'counts'     [n_kv_heads] rows in use where heads differ, each <= n_keys;
 *              NULL: n_keys everywhere.
 * 'spans'      ascending, disjoint, inside [0, n_tokens).
 * 'n_tokens'   length of the sequence that spans describe; 0 means n_keys.
 * 'positions'  [n_kv_heads][capacity] the token of each row, ascending; NULL:
 *              row i holds token i, as in a cache that was never pruned.
 */
typedef struct csp_tokens {
    uint32_t n_kv_heads;
    uint32_t n_keys;
    const uint32_t *counts;
    const csp_span *spans;
    uint32_t n_spans;
    uint32_t n_tokens;
    const uint32_t *positions;
    uint32_t capacity; /* elements from one head of 'positions' to the next */
} csp_tokens;

typedef enum csp_source {
    CSP_LOGITS = 0,        /* masked: -inf or <= -1e30, in f16 <= -65504 */
    CSP_PROBABILITIES = 1, /* softmax rows; masked: 0 */
    CSP_QUERY_KEY = 2      /* queries and keys: the library makes the logits */
} csp_source;

/* Which keys a query row may see, besides what logits mask themselves. */
typedef enum csp_mask {
    CSP_CAUSAL = 0, /* its own token and earlier; later ones are not read */
    CSP_FULL = 1    /* every key: prefix-LM images, encoders, masked logits */
} csp_mask;

typedef enum csp_lse_unit {
    CSP_LSE_NATURAL = 0,
    CSP_LSE_BASE2 = 1
} csp_lse_unit;

/*
 * The attention of some query rows of one layer: the observation window, or
 * the chunk of it that an engine has at hand.
 *
 * 'first_query'  token of query row 0; row r is token first_query + r.
 * 'scores'       [n_heads][n_queries][>= n_keys]; columns are cached rows and
 *                contiguous.  Logits are in true units: scaled, soft-capped.
 * 'lse'          with CSP_PROBABILITIES, [n_heads][n_queries][1] f32, the
 *                log-sum-exp of each row in 'lse_unit'; data NULL: unknown.
 *
 * With CSP_QUERY_KEY instead of scores:
 *
 * 'queries'      [n_heads][n_queries][head_dim].
 * 'keys'         [n_kv_heads][>= n_keys][head_dim], as cached (after RoPE).
 * 'scale'        logit = scale * (q . k), usually 1 / sqrt(head_dim).
 * 'softcap'      logit = softcap * tanh(logit / softcap); 0: none.
 */
typedef struct csp_attention {
    csp_source source;
    csp_mask mask;
    uint32_t first_query;
    csp_tensor scores, lse;
    csp_lse_unit lse_unit;
    csp_tensor queries, keys;
    float scale, softcap;
} csp_attention;

/* ---- Configuration ------------------------------------------------------- */

typedef enum csp_selection {
    CSP_EXACT = 0,       /* E5: both lists, joined, filled up to the budget */
    CSP_UNION = 1,       /* E6, as the published code: A or B, no filling up */
    CSP_INTERSECTION = 2 /* E6, the paper's Eq. 3 to the letter: A and B */
} csp_selection;

/* Who shares a list of kept rows.  csp_select sees one array of heads: hand it
   a layer's heads for CSP_PER_LAYER, all layers' heads for CSP_GLOBAL. */
typedef enum csp_scope {
    CSP_PER_HEAD = 0,
    CSP_PER_LAYER = 1,
    CSP_GLOBAL = 2
} csp_scope;

/* How heads are put together for a shared list. */
typedef enum csp_reduce { CSP_SUM = 0, CSP_MEAN = 1 } csp_reduce;

typedef enum csp_pooling {
    CSP_POOL_NONE = 0,
    CSP_POOL_AVG = 1,
    CSP_POOL_MAX = 2
} csp_pooling;

typedef enum csp_tier {
    CSP_TIER_AUTO = 0,   /* the best this CPU has */
    CSP_TIER_SCALAR = 1, /* portable C */
    CSP_TIER_AVX2 = 2,   /* with FMA and F16C */
    CSP_TIER_AVX512 = 3, /* F, BW, VL, DQ, and what AVX2 needs */
    CSP_TIER_NEON = 4    /* AArch64 */
} csp_tier;

/* Who does a product that BLAS can do too. */
typedef enum csp_path {
    CSP_PATH_AUTO = 0,   /* own kernels */
    CSP_PATH_KERNEL = 1, /* own kernels: the same bits everywhere */
    CSP_PATH_BLAS = 2    /* CSP_E_UNSUPPORTED in a build without BLAS */
} csp_path;

/* Which code computes; all zero is automatic. */
typedef struct csp_compute {
    csp_tier tier;
    csp_path product;     /* logits of CSP_QUERY_KEY */
    csp_path column_sums; /* sums of csp_score over rows; those of CSP_QUERY_KEY
                             beyond 16,384 keys are always own kernels' */
} csp_compute;

/*
 * How csp_pruner_plan divides n_layers * budget rows among layers.
 *
 * EQUAL     each layer has the budget.
 * PYRAMID   linearly, from (1 + layer_slope) * budget in the first layer to
 *           (1 - layer_slope) * budget in the last (PyramidKV, arXiv
 *           2406.02069, where beta is 1 / (1 - layer_slope)).
 * SPARSITY  in proportion to how dense a layer's attention is, after VL-Cache
 *           (arXiv 2410.23317): the share of candidates whose intra + inter is
 *           at least layer_threshold times the largest of their head, averaged
 *           over KV heads.  VL-Cache looks at each row of attention, this at
 *           the sums over rows that importance is, before weights and pooling.
 *
 * All hold for each head's budget, with CSP_EXACT, single rows and a list for
 * each layer or head.
 */
typedef enum csp_layer_spread {
    CSP_LAYERS_EQUAL = 0,
    CSP_LAYERS_PYRAMID = 1,
    CSP_LAYERS_SPARSITY = 2
} csp_layer_spread;

/* For n_intra: what the budget leaves beside protected rows and n_inter. */
#define CSP_REST UINT32_MAX

/*
 * All settings of the pipeline.  Fill it with csp_config_init or
 * csp_config_preset, then change what you like; each verb looks at its own
 * part.  Counts are tokens of one KV head.
 */
typedef struct csp_config {
    size_t struct_size; /* set by the initialiser */
    csp_compute compute;

    /* csp_score */
    double n;            /* E1's n >= 0; 0 is softmax */
    uint32_t first_vote; /* query rows of earlier tokens do not vote */

    /* csp_select: ranking, in the order it is applied */
    bool weigh_rows;     /* E12: divide by the rows that could see the key */
    bool weigh_values;   /* E12: multiply by importance.value_norm */
    bool center_values;  /* csp_pruner_set_values: csp_value_distances in place
                            of csp_value_norms */
    csp_reduce reduce;   /* over heads, for a shared list */
    csp_pooling pooling; /* E3, over the rows before the recent ones */
    uint32_t pool_width; /* odd */

    /* csp_select: choice */
    csp_selection selection;
    csp_scope scope;
    uint32_t budget;  /* CSP_EXACT: rows kept, protected ones included */
    uint32_t sinks;   /* first cached rows, protected */
    uint32_t recent;  /* last cached rows, protected */
    uint32_t n_intra; /* best by intra; CSP_REST with CSP_EXACT only */
    uint32_t n_inter; /* best by inter */
    bool auto_share;  /* E12: divide n_intra + n_inter by the mass of each */
    uint32_t block;   /* rows are kept in blocks of so many; 1: single rows */

    /* csp_select: shares of the budget, with CSP_EXACT and block = 1 only */
    double head_floor;   /* [0, 1] of its budget that a head keeps; below 1 the
                            rest goes to the best of all heads; CSP_PER_HEAD */
    uint32_t span_quota; /* rows that each span of modality > 0 keeps, if it has
                            as many */

    /* csp_pruner_plan */
    csp_layer_spread layer_spread;
    double layer_slope;     /* CSP_LAYERS_PYRAMID: in [0, 1) */
    double layer_threshold; /* CSP_LAYERS_SPARSITY: in (0, 1] */

    /* csp_pruner_apply */
    double decay; /* factor on carried importance: 0 forgets, 1 sums */
} csp_config;

/*
 * Plain settings: n = 1, exact selection per head, every row votes, no weights,
 * no pooling, nothing protected, budget 0, n_intra = CSP_REST, n_inter = 0,
 * block = 1, head_floor = 1, span_quota = 0, layers equal, layer_slope = 0,
 * layer_threshold = 0.01 (VL-Cache's), decay = 1.  Presets leave those for
 * shares as they are here.  Returns CSP_OK or CSP_E_NULL.
 */
CSP_API csp_status csp_config_init(csp_config *config);

typedef enum csp_preset {
    CSP_PRESET_DEFAULT = 0,   /* exact, per head, auto share, distances */
    CSP_PRESET_PAPER = 1,     /* intersection, per layer, heads averaged */
    CSP_PRESET_REFERENCE = 2, /* the published code: union, per head */
    CSP_PRESET_SNAPKV = 3,    /* last 32 rows vote, average pooling 7, n = 0 */
    CSP_PRESET_H2O = 4,       /* every row votes, half is recent, n = 0 */
    CSP_PRESET_STREAMING = 5, /* 4 sinks, the rest recent; needs no scores */
    CSP_PRESET_AGNOSTIC = 6   /* DEFAULT where the question comes later */
} csp_preset;

/*
 * Settings of a named method for a prompt of 'n_keys' tokens of which about
 * 'budget' are to be kept by each KV head.
 *
 * DEFAULT is for a prompt that ends with its question: the rows of the last
 * twentieth vote, at least one (set first_vote to where the question begins if
 * you know), and as many tokens are recent, at most a third of the budget.
 * AGNOSTIC is for a context whose questions are not known yet: every row votes,
 * keys are weighed by the rows that could see them, too, and at most a quarter
 * is recent.  Both weigh by distances of values, which you give, and protect
 * the first token from a budget of 32 on.  Right answers of two trained models
 * chose all that; README has them on prompts that did not.
 *
 * In PAPER, REFERENCE and SNAPKV recent tokens are a tenth of the prompt
 * (SNAPKV: 32) but at most half the budget, and their rows vote, at least one.
 * In H2O half of the budget is recent, in STREAMING no row votes.  PAPER and
 * REFERENCE list half of the rest by intra, half by inter, REFERENCE by
 * csp_config_set_reference.  SNAPKV, H2O and STREAMING rank jointly: n_intra =
 * n_inter = 0, all is filled up by intra + inter.
 *
 * Returns CSP_OK; CSP_E_NULL; CSP_E_CONFIG for an unknown preset; CSP_E_BUDGET
 * if budget > n_keys; CSP_E_OVERFLOW for REFERENCE of CSP_REST tokens.
 */
CSP_API csp_status csp_config_preset(csp_preset preset, uint32_t n_keys,
                                     uint32_t budget, csp_config *config);

/*
 * Set budget, recent, n_inter and n_intra from ratios (E4), each rounded to the
 * nearest token: budget = keep * n_keys; recent = recent * n_keys, at most what
 * the budget leaves beside config->sinks; n_inter = inter_share of the rest;
 * n_intra = the exact remainder, so that rounding loses no token.  Set sinks
 * before; auto_share and first_vote stay as they are.
 *
 * Returns CSP_OK; CSP_E_NULL; CSP_E_CONFIG unless each ratio is in [0, 1];
 * CSP_E_BUDGET if the budget is below config->sinks.
 */
CSP_API csp_status csp_config_set_ratios(uint32_t n_keys, double keep,
                                         double recent, double inter_share,
                                         csp_config *config);

/*
 * Set n_intra, n_inter, recent, first_vote and budget (their sum), nothing
 * else, by the integer arithmetic of the published code (E6), in double:
 *
 *   hh = int(n_keys * hh_ratio)
 *   R = int(n_keys * recent_ratio), the last rows that vote
 *   recent = R if bias == 1 else int(R * bias)
 *   k = hh + R - recent
 *   n_inter, n_intra = int(k * inter_share), int(k * (1 - inter_share)), or
 *   1, 308 if inter_share <= 0
 *
 * Returns CSP_OK; CSP_E_NULL; CSP_E_CONFIG if a ratio is not in [0, 1], bias
 * not in [0, 2^20] or inter_share above 1; CSP_E_BUDGET if k < 0;
 * CSP_E_OVERFLOW.
 */
CSP_API csp_status csp_config_set_reference(uint32_t n_keys, double hh_ratio,
                                            double recent_ratio, double bias,
                                            double inter_share,
                                            csp_config *config);

/* Whether this build has BLAS paths. */
CSP_API bool csp_has_blas(void);

/* Whether 'tier' can run here; CSP_TIER_AUTO always can. */
CSP_API bool csp_has_tier(csp_tier tier);

/* ---- Score: attention -> importance -------------------------------------- */

/*
 * Importance of one layer's cached rows, arrays [n_kv_heads][capacity].
 *
 * 'intra', 'inter'  E2: attention received from query rows of the key's own
 *                   modality, and of others, summed over rows and query heads.
 * 'intra_rows', 'inter_rows'  how many voting rows of each kind could see the
 *                   key; both NULL: not counted (config.weigh_rows needs them).
 * 'value_norm'      by csp_value_norms or csp_value_distances; NULL: unknown
 *                   (config.weigh_values needs it).
 *
 * All but value_norm are plain sums: zero them, then add chunks of a prompt,
 * decode steps or machines in any number.
 */
typedef struct csp_importance {
    float *intra, *inter;
    float *intra_rows, *inter_rows;
    float *value_norm;
    uint32_t capacity; /* elements from one head to the next, >= n_keys */
} csp_importance;

/*
 * Add the attention of one layer, or of a chunk of its query rows, to
 * 'importance' (E1, E2).
 *
 * Probabilities with 'lse' become n-softmax weights; without, they are the
 * weights and config->n must be 0.  Rows of tokens below config->first_vote and
 * rows that see nothing add zero.  'value_norm' is left alone.
 *
 * The relative error of a weight is below 3e-6 (weights below 2^-125 may be 0),
 * the sum of R of them adds at most R * 2^-24: bounds of the worst case, usual
 * errors are below 1e-6.  A score is read once, in rows much unlike the one
 * before three times.  Of CSP_QUERY_KEY a few rows of logits exist at a time;
 * beyond 16,384 keys a few pieces of rows do, and are computed twice.
 * O(heads * queries * keys), times head_dim.  The workspace is two floats a key
 * and little else; up to 1 MiB more for CSP_QUERY_KEY of at most 256 channels,
 * up to 512 KiB more for column sums by BLAS.
 *
 * Returns CSP_OK; view errors; CSP_E_CONFIG; CSP_E_WORKSPACE;
 * CSP_E_UNSUPPORTED; CSP_E_NOT_FINITE if a score that is read, or an lse, is
 * NaN or +inf.
 */
CSP_API csp_status csp_score(const csp_attention *attention,
                             const csp_tokens *tokens, const csp_config *config,
                             void *workspace, size_t workspace_size,
                             const csp_importance *importance);
CSP_API size_t csp_score_workspace_size(const csp_attention *attention,
                                        const csp_tokens *tokens,
                                        const csp_config *config);

/*
 * 2-norms of the value rows [n_kv_heads][>= n_keys][value_dim] (E12).
 *
 * 'norms'  receives [n_kv_heads][capacity], the rows in use.
 *
 * Without channels norms are zero.  Reads the values twice, first to check
 * them.  Returns CSP_OK; view errors; CSP_E_NOT_FINITE if the square of a norm
 * is not a finite float.
 */
CSP_API csp_status csp_value_norms(const csp_tensor *values,
                                   const csp_tokens *tokens, uint32_t capacity,
                                   float *norms);

/*
 * Like csp_value_norms(), but of what each value row differs from the mean of
 * its head's rows in use.  That is what a token is worth: softmax over the
 * others puts their mean in the place of one that was dropped.
 *
 * Means are added up in double, row by row.  Reads the values three times.
 * Errors as csp_value_norms, and CSP_E_WORKSPACE.
 */
CSP_API csp_status csp_value_distances(const csp_tensor *values,
                                       const csp_tokens *tokens,
                                       void *workspace, size_t workspace_size,
                                       uint32_t capacity, float *distances);
CSP_API size_t csp_value_distances_workspace_size(uint32_t n_kv_heads,
                                                  uint32_t value_dim);

/* ---- Select: importance -> kept rows ------------------------------------- */

/* Why a row was kept, exactly one of these.  Values never change; 0 is none of
   them, so that it can stand for a row that was dropped. */
typedef enum csp_reason {
    CSP_REASON_PROTECTED = 1, /* a sink or recent, or in a block with one */
    CSP_REASON_INTRA = 2,     /* on the list by intra only */
    CSP_REASON_INTER = 3,     /* on the list by inter only */
    CSP_REASON_BOTH = 4,      /* on both */
    CSP_REASON_FILLED = 5,    /* by what the lists left of the budget */
    CSP_REASON_CLAIMED = 6    /* by its span's quota */
} csp_reason;

/*
 * Kept cached rows: 'n_lists' ascending lists [n_lists][capacity], counts[i]
 * rows each.  One list is every head's; otherwise list g is KV head g's.
 *
 * 'n_both'   [n_lists] rows on both lists, 0 if all is kept; NULL: unwanted.
 * 'reasons'  [n_lists][capacity] why, a csp_reason for each element of 'rows';
 *            NULL: unwanted.  Only csp_select and the pruner's plan fill it in,
 *            other functions do not look at it.
 */
typedef struct csp_kept {
    uint32_t *rows;
    uint32_t *counts;
    uint32_t *n_both;
    uint32_t n_lists;
    uint32_t capacity; /* elements from one list to the next */
    uint8_t *reasons;
} csp_kept;

/*
 * Choose the cached rows to keep (E5, E6, after E3 and E12).
 *
 * Ranking: each head's importance, divided by visible rows and multiplied by
 * value norms if the settings say so; heads put together for a shared list;
 * pooled over the rows before the recent ones, with zeros beyond both ends.
 * Order everywhere: score descending, then row ascending.
 *
 * CSP_EXACT         A = n_intra best candidates by intra among those above
 *                   zero, B = n_inter best by inter likewise; A, B, then the
 *                   best others by intra + inter, zeros allowed.  Keeps
 *                   exactly min(budget, rows) rows, with head_floor < 1 of all
 *                   heads together.
 * CSP_UNION         A and B as above but zeros allowed; keeps A or B.  The
 *                   budget is not looked at, here and below.
 * CSP_INTERSECTION  the same lists; keeps A and B.
 *
 * All keep the protected rows.  With auto_share n_inter is that part of n_intra
 * + n_inter which inter has of the candidates' scores, averaged over the heads
 * of the array.  With block > 1 whole blocks [i * block, (i + 1) * block) are
 * chosen, the last maybe short: scores are summed over a block, one with a
 * protected row is protected, and budget, n_intra and n_inter are rounded down
 * to blocks (CSP_EXACT: the lists to what protected blocks leave, too).
 *
 * With span_quota > 0 each span of modality > 0 first claims its best
 * candidates by intra + inter, until min(span_quota, its rows) rows are
 * protected or claimed, so that no image vanishes.  The other candidates are
 * chosen as above from what that leaves; n_intra and n_inter shrink in
 * proportion, to the nearest row.  In a list that heads share, spans are where
 * the first head's rows have them.
 *
 * With head_floor < 1 the heads share min(n_kv_heads * budget, all rows) rows
 * (AdaKV, arXiv 2407.11550).  First each keeps what is its own, min(its rows,
 * max(protected and claimed rows, head_floor * budget to the nearest)), as
 * above, with lists in proportion; then the best candidates left by intra +
 * inter, whichever head they are in, fill up: score descending, head ascending,
 * row ascending.  The scores compared are those that are ranked: of all heads
 * sums of as many softmax rows, with weigh_values times value norms, so that a
 * head of large values gets more.  With head_floor = 1 each head keeps
 * min(budget, its rows), whatever others leave.
 *
 * Reasons: a protected row is PROTECTED, a claimed one CLAIMED and on no list,
 * a listed one INTRA, INTER or BOTH (n_both of them); others are FILLED, those
 * too that heads share.  Where the budget, or what is a head's own, holds all
 * its rows, nothing is claimed or listed: they are PROTECTED or FILLED.
 * CSP_UNION and CSP_INTERSECTION go by their lists even where these hold
 * everything: they fill nothing up, and CSP_INTERSECTION knows PROTECTED and
 * BOTH alone.
 *
 * 'kept'  n_lists is n_kv_heads for CSP_PER_HEAD, else 1; capacity is at least
 *         csp_kept_bound().  Nothing behind the rows of a list is written.
 *
 * O(n_kv_heads * n_keys), times pool_width.  The workspace is independent of
 * n_kv_heads unless head_floor < 1, when it grows by 8.25 bytes for each row of
 * each head.  Returns CSP_OK; view errors
 * (CSP_E_NULL also for missing norms or visible rows, CSP_E_SHAPE for counts
 * that differ under a shared list); CSP_E_CONFIG; CSP_E_UNSUPPORTED;
 * CSP_E_BUDGET if, with CSP_EXACT, protected rows or blocks, or these and the
 * lists, or protected and claimed rows of a list that drops any, exceed the
 * budget; CSP_E_WORKSPACE; CSP_E_NOT_FINITE.
 */
CSP_API csp_status csp_select(const csp_importance *importance,
                              const csp_tokens *tokens,
                              const csp_config *config, void *workspace,
                              size_t workspace_size, const csp_kept *kept);
CSP_API size_t csp_select_workspace_size(const csp_tokens *tokens,
                                         const csp_config *config);

/* Rows one list can hold at most; 0 also for a NULL, no heads or invalid
   settings.  Of the tokens it takes the numbers of heads and rows as they are.
   With head_floor < 1 that is what the heads share less what the others own;
   their counts are read. */
CSP_API uint32_t csp_kept_bound(const csp_tokens *tokens,
                                const csp_config *config);

/*
 * What selections kept.  Sums: zero the struct, then add heads, layers, rounds.
 * Retained attention mass is intra_kept / intra_total, and so for inter.
 */
typedef struct csp_report {
    uint64_t n_heads; /* KV heads added */
    uint64_t n_keys;  /* cached rows */
    uint64_t n_kept;
    uint64_t n_both; /* stood in both lists */
    uint64_t keys_of_modality[CSP_MAX_MODALITIES];
    uint64_t kept_of_modality[CSP_MAX_MODALITIES];
    double intra_total, inter_total;    /* importance of all rows */
    double intra_kept, inter_kept;      /* of kept rows */
    uint64_t bytes_before, bytes_after; /* K and V */
} csp_report;

/*
 * Add a selection, over all heads of the arrays, to 'report'.
 *
 * 'token_size'  bytes of one token in one KV head, K and V together.
 *
 * Returns CSP_OK or view errors.
 */
CSP_API csp_status csp_report_add(const csp_importance *importance,
                                  const csp_tokens *tokens,
                                  const csp_kept *kept, uint64_t token_size,
                                  csp_report *report);

/* ---- Forms of a kept list ------------------------------------------------ */

/*
 * Each function turns one ascending list of 'n_kept' rows below 'n_keys' into a
 * form that engines take.  'capacity' is the size of the output array; what
 * suffices is said.  They return CSP_OK, CSP_E_NULL, CSP_E_INDEX or
 * CSP_E_CAPACITY.
 */

/* Bytes: mask[0..n_keys) = 1 where kept, else 0. */
CSP_API csp_status csp_kept_mask(const uint32_t *kept, uint32_t n_kept,
                                 uint32_t n_keys, uint8_t *mask);

/* Bits: row i is bit i % 8 of bits[i / 8], of ceil(n_keys / 8) bytes. */
CSP_API csp_status csp_kept_bits(const uint32_t *kept, uint32_t n_kept,
                                 uint32_t n_keys, uint8_t *bits);

typedef struct csp_range {
    uint32_t begin, end; /* exclusive */
} csp_range;

/* Maximal runs of kept rows; n_kept suffice. */
CSP_API csp_status csp_kept_ranges(const uint32_t *kept, uint32_t n_kept,
                                   uint32_t n_keys, uint32_t capacity,
                                   csp_range *ranges, uint32_t *n_ranges);

/* Maximal runs of dropped rows; n_kept + 1 suffice. */
CSP_API csp_status csp_dropped_ranges(const uint32_t *kept, uint32_t n_kept,
                                      uint32_t n_keys, uint32_t capacity,
                                      csp_range *ranges, uint32_t *n_ranges);

/* Blocks of 'block' rows (0: CSP_E_CONFIG) that hold a kept row; n_kept
   suffice. */
CSP_API csp_status csp_kept_blocks(const uint32_t *kept, uint32_t n_kept,
                                   uint32_t n_keys, uint32_t block,
                                   uint32_t capacity, uint32_t *blocks,
                                   uint32_t *n_blocks);

/* Row 'src' moves to row 'dst' < src. */
typedef struct csp_move {
    uint32_t src, dst;
} csp_move;

/* Moves that compact a cache, in the order to do them; n_kept suffice. */
CSP_API csp_status csp_kept_moves(const uint32_t *kept, uint32_t n_kept,
                                  uint32_t n_keys, uint32_t capacity,
                                  csp_move *moves, uint32_t *n_moves);

/*
 * Page table of the pruned cache in compressed sparse rows, one sequence a
 * list, as paged attention kernels take it.
 *
 * 'pages'      [n_lists][ceil(n_keys / page_tokens)], the table before.
 * 'compacted'  true: kept rows were moved to the front, so the first pages
 *              stay.  False: nothing moved, so kept rows must fill whole pages
 *              (config.block = page_tokens), else CSP_E_SHAPE; a short page at
 *              the end of the cache is whole.
 * 'capacity'   of 'indices'; n_lists * ceil(n_keys / page_tokens) suffice.
 * 'indptr'     receives n_lists + 1 offsets into 'indices'.
 * 'indices'    receives the pages that stay.
 * 'last_page'  receives [n_lists] rows used in the last page, 0 if none.
 *
 * Also returns CSP_E_CONFIG if page_tokens is 0.
 */
CSP_API csp_status csp_kept_pages(const csp_kept *kept, uint32_t n_keys,
                                  uint32_t page_tokens, const uint32_t *pages,
                                  bool compacted, uint32_t capacity,
                                  uint32_t *indptr, uint32_t *indices,
                                  uint32_t *last_page);

/* ---- Compact: kept rows move together ------------------------------------ */

/*
 * Opaque cells [n_heads][n_channels][n_tokens] of cell_size bytes, strides in
 * bytes, not looked at where the count is 1:
 *
 *   [head][token][dim]  one channel, cell_size = dim * element size
 *   [token][head][dim]  the same cells, other strides
 *   [head][dim][token]  n_channels = dim, cell_size = element size
 *   quantised rows      one channel, cell_size = bytes of a head's blocks
 *   positions, sums     one channel, cell_size = 4
 *   pages               'pages' maps token / page_tokens to a page below
 *                       n_pages, which lies at page * page_stride; NULL: none.
 *                       That its entries are distinct is the caller's duty.
 */
typedef struct csp_cells {
    void *data;
    uint32_t n_heads, n_channels, n_tokens;
    size_t cell_size;
    size_t head_stride, channel_stride, token_stride;
    const uint32_t *pages;
    uint32_t page_tokens, n_pages;
    size_t page_stride;
} csp_cells;

/* View of a packed cache [n_heads][n_tokens] of cells of 'cell_size' bytes. */
CSP_API csp_cells csp_cells_packed(void *data, uint32_t n_heads,
                                   uint32_t n_tokens, size_t cell_size);

/*
 * Move the cells of kept rows to the front, in order, bit for bit (E7).
 *
 * 'src'   [n_views] caches with the same heads: K and V.
 * 'kept'  one list for all heads, or one for each.
 * 'dst'   [n_views] where they go, same heads, channels and cell size; NULL: in
 *         place.  A destination overlaps no source and no other destination;
 *         cells may take turns (K and V interleaved) where strides show it.
 *
 * Every view is checked before the first byte moves.  Cells behind the kept
 * ones keep their bytes.  O(bytes kept); on x86-64 many cells of 64 bytes or a
 * multiple are written past the caches.
 *
 * Returns CSP_OK; view errors (CSP_E_STRIDE if cells of a view overlap,
 * CSP_E_CAPACITY if 'dst' has too few tokens); CSP_E_OVERLAP.
 */
CSP_API csp_status csp_compact(const csp_cells *src, uint32_t n_views,
                               const csp_kept *kept, const csp_cells *dst);

/* ---- Calibrate: what the dropped tokens weighed -------------------------- */

/*
 * Sums over window rows: zero them, then add chunks.
 *
 * 'log_mass'  [n_heads] of log sum_{j dropped, visible} exp(x_rj).
 * 'rows'      [n_heads] of rows that had dropped mass.
 * 'value'     [n_heads][value_dim] of the mean dropped value; NULL: unwanted.
 */
typedef struct csp_calibration {
    double *log_mass, *rows;
    float *value;
    uint32_t n_heads, value_dim;
} csp_calibration;

/*
 * Add the dropped mass that 'attention' saw, per query head (E8, E10).
 *
 * 'attention'  of the cache before compaction; probabilities need an lse.  It
 *              need not be what voted: rows like those to come measure best.
 * 'values'     [n_kv_heads][>= n_keys][value_dim] before compaction; NULL if
 *              sums->value is.
 * 'compute'    NULL: automatic.
 *
 * Cost, determinism and errors as csp_score, and CSP_E_CONFIG for probabilities
 * without lse; on error the sums are as before.  Rows of CSP_QUERY_KEY are kept
 * whole however long they are: the workspace grows by two rows of logits.
 */
CSP_API csp_status csp_calibrate(const csp_attention *attention,
                                 const csp_tokens *tokens, const csp_kept *kept,
                                 const csp_tensor *values,
                                 const csp_compute *compute, void *workspace,
                                 size_t workspace_size,
                                 const csp_calibration *sums);
CSP_API size_t csp_calibrate_workspace_size(const csp_attention *attention,
                                            const csp_tokens *tokens,
                                            uint32_t value_dim);

/*
 * Turn sums into what an engine uses.
 *
 * 'sink_logits'  receives [n_heads] log n, -INFINITY where nothing was dropped:
 *                for attention with sinks, csp_correct or csp_nsoftmax.
 * 'residual'     receives [n_heads][value_dim] mean dropped values, zeros where
 *                nothing was dropped; NULL: unwanted.
 *
 * Returns CSP_OK or CSP_E_NULL.
 */
CSP_API csp_status csp_calibration_finish(const csp_calibration *sums,
                                          float *sink_logits, float *residual);

/*
 * Correct attention outputs over kept keys for the dropped ones, in engines
 * without sinks (E9, E10):
 *
 *   s = 1 / (1 + exp(sink_logit - lse))
 *   out = v + s (out - v), v = residual; v itself where s = 0
 *
 * 'outputs'      [n_heads][n_queries][value_dim].
 * 'lse'          [n_heads][n_queries][1] f32 log-sum-exp over the kept keys.
 * 'sink_logits'  [n_heads]; -INFINITY leaves a head unchanged.
 * 'residual'     [n_heads][value_dim]; NULL: zeros (E9).
 * 'corrected'    receives the result in the layout of 'outputs'; may be
 *                outputs->data.
 *
 * Returns CSP_OK; view errors; CSP_E_CONFIG for an unknown unit; CSP_E_OVERLAP
 * if the two are neither the same nor apart; CSP_E_NOT_FINITE if an lse or sink
 * logit is NaN or +inf, or a residual not finite.
 */
CSP_API csp_status csp_correct(const csp_tensor *outputs, const csp_tensor *lse,
                               csp_lse_unit unit, const float *sink_logits,
                               const float *residual, void *corrected);

/* ---- Moments: a summary of the dropped tokens (E11) ---------------------- */

/*
 * A sink weighs the same for every query.  The dropped tokens did not: as if
 * their keys and values were jointly Gaussian, they weigh
 *
 *   log n(q) = log m + q.mu + q'Sq / 2, of mean value v(q) = vbar + C'q
 *
 * for a scaled query q, with count m, means mu and vbar, covariance S of keys
 * and C of keys with values.  Moments are the sums these come from, a summary
 * is what is kept of them, a fit corrects the mass for the tails of real keys.
 *
 *   csp_moments_add -> csp_summarise -> csp_fit_rows -> csp_correct_summary
 *
 * E11 follows the closed form of MomentKV's first order (arXiv 2606.01563) one
 * order further; README has what it is worth.
 */

/*
 * Sums over the dropped tokens of each KV head: zero them, then add rounds or
 * machines (plain sums, element by element).
 *
 * 'count'      [n_kv_heads]
 * 'key'        [n_kv_heads][key_dim] of k
 * 'value'      [n_kv_heads][value_dim] of v
 * 'key_key'    [n_kv_heads][key_dim][key_dim] of k k'
 * 'key_value'  [n_kv_heads][key_dim][value_dim] of k v'
 */
typedef struct csp_moments {
    double *count, *key, *value, *key_key, *key_value;
    uint32_t n_kv_heads, key_dim, value_dim;
} csp_moments;

/*
 * Add the cached rows that 'kept' drops, before they are gone.
 *
 * 'keys'    [n_kv_heads][>= n_keys][key_dim], as cached (after RoPE).
 * 'values'  [n_kv_heads][>= n_keys][value_dim].
 *
 * Products are added up in float in blocks of 512 tokens around their mean,
 * blocks in double.  O(dropped * key_dim * (key_dim + value_dim)) a KV head;
 * the rows are read twice, first to check them.
 *
 * Returns CSP_OK; view errors; CSP_E_CONFIG; CSP_E_UNSUPPORTED;
 * CSP_E_WORKSPACE; CSP_E_NOT_FINITE if a dropped number is NaN or above 2^58 in
 * magnitude.
 */
CSP_API csp_status csp_moments_add(
    const csp_tensor *keys, const csp_tensor *values, const csp_tokens *tokens,
    const csp_kept *kept, const csp_compute *compute, void *workspace,
    size_t workspace_size, const csp_moments *moments);
CSP_API size_t csp_moments_workspace_size(uint32_t key_dim, uint32_t value_dim);

/*
 * The dropped tokens of one layer in the memory of 1 + 1.5 rank of them.
 *
 * 'keys'       [n_kv_heads][1 + 2 rank][key_dim]: mu; the first eigenvectors
 *              of S times the roots of what their eigenvalues have above
 *              'variance'; the left singular vectors u_i of C.
 * 'values'     [n_kv_heads][1 + rank][value_dim]: vbar; C'u_i.
 * 'log_count'  [n_kv_heads] log m; -INFINITY where nothing was dropped.
 * 'variance'   [n_kv_heads] mean of S's other eigenvalues, not below 0.
 * 'dtype'      of 'keys' and 'values', which need that type's alignment only.
 * 'rank'       <= key_dim; 0: means and one variance.  1 brings most of what
 *              there is to gain, 4 nearly all.
 */
typedef struct csp_summary {
    void *keys, *values;
    float *log_count, *variance;
    csp_dtype dtype;
    uint32_t n_kv_heads, key_dim, value_dim, rank;
} csp_summary;

/* Bytes of all arrays of a summary; pointers are not looked at.  0 for an
   unknown type or too large a product. */
CSP_API size_t csp_summary_size(const csp_summary *summary);

/*
 * Turn moments into a summary.  A KV head costs O(key_dim^2 (key_dim +
 * value_dim)), more for every eight of 'rank'; with rank 0, which needs no
 * eigenvectors, O(key_dim (key_dim + value_dim)).
 *
 * Returns CSP_OK; CSP_E_NULL; CSP_E_SHAPE if counts are zero or disagree;
 * CSP_E_DTYPE; CSP_E_OVERFLOW; CSP_E_WORKSPACE; CSP_E_NOT_FINITE if moments are
 * not finite, or too large for 'dtype'.
 */
CSP_API csp_status csp_summarise(const csp_moments *moments, void *workspace,
                                 size_t workspace_size,
                                 const csp_summary *summary);
CSP_API size_t csp_summarise_workspace_size(uint32_t key_dim,
                                            uint32_t value_dim);

/* Add to 'moments' what the summary of an earlier round says of its tokens:
   with rank = key_dim all of it, else nearly.  Errors as csp_summarise. */
CSP_API csp_status csp_summary_expand(const csp_summary *summary,
                                      void *workspace, size_t workspace_size,
                                      const csp_moments *moments);
CSP_API size_t csp_summary_expand_workspace_size(const csp_summary *summary);

#define CSP_FIT_SUMS 6

/*
 * Mass of the dropped tokens as fitted, arrays [n_heads] of query heads:
 *
 *   log n(q) = min(limit, log m + q.mu + offset + slope q'Sq / 2)
 */
typedef struct csp_fit {
    float *offset, *slope, *limit;
} csp_fit;

/*
 * Add the rows of a window, whose dropped mass is known, to the sums of a fit.
 *
 * 'attention'  of the cache before compaction, as in csp_calibrate; 'queries'
 *              and 'scale' are set whatever the source, 'softcap' is 0.
 * 'summary'    of the tokens that 'kept' drops, and maybe of earlier ones.
 * 'sums'       [n_heads][CSP_FIT_SUMS]: zero them, then add chunks, by this
 *              function only: one of them is a maximum.
 *
 * Cost, determinism and errors as csp_calibrate; CSP_E_CONFIG also for a
 * softcap; CSP_E_NOT_FINITE also for queries.
 */
CSP_API csp_status csp_fit_rows(const csp_attention *attention,
                                const csp_tokens *tokens, const csp_kept *kept,
                                const csp_summary *summary,
                                const csp_compute *compute, void *workspace,
                                size_t workspace_size, double *sums);
CSP_API size_t csp_fit_rows_workspace_size(const csp_attention *attention,
                                           const csp_tokens *tokens,
                                           const csp_summary *summary);

/*
 * Turn sums into a fit: least squares with 0 <= slope <= 1, and the largest
 * mass seen as limit.  Where no row missed anything limit is -INFINITY, so
 * that nothing is corrected.  Returns CSP_OK or CSP_E_NULL.
 */
CSP_API csp_status csp_fit_finish(const double *sums, uint32_t n_heads,
                                  const csp_fit *fit);

/*
 * Correct attention outputs over kept keys by a summary of the dropped ones:
 *
 *   s = 1 / (1 + exp(log n(q) - lse))
 *   out = v(q) + s (out - v(q))
 *
 * 'outputs'    [n_heads][n_queries][value_dim].
 * 'queries'    [n_heads][n_queries][key_dim], and logit = scale * (q . k).
 * 'lse'        [n_heads][n_queries][1] f32 log-sum-exp over the kept keys.
 * 'fit'        NULL: log n(q) as it is.
 * 'corrected'  receives the result in the layout of 'outputs'; may be
 *              outputs->data.  Where nothing was dropped, the same bits.
 *
 * 1 + 2 rank dot products and 1 + rank additions of rows for a query; twice, to
 * find what is not finite before anything is written.
 *
 * Returns CSP_OK; view errors; CSP_E_CONFIG; CSP_E_UNSUPPORTED;
 * CSP_E_WORKSPACE; CSP_E_OVERLAP; CSP_E_NOT_FINITE if an lse is NaN or +inf, a
 * number of the fit NaN or infinite ('limit': NaN), or a query's product with
 * the summary not finite.
 */
CSP_API csp_status csp_correct_summary(
    const csp_tensor *outputs, const csp_tensor *queries, float scale,
    const csp_tensor *lse, csp_lse_unit unit, const csp_summary *summary,
    const csp_fit *fit, const csp_compute *compute, void *workspace,
    size_t workspace_size, void *corrected);
CSP_API size_t csp_correct_summary_workspace_size(const csp_summary *summary);

/*
 * Replace each row of logits by exp(x_j) / (n + sum_i exp(x_i)) (E1), for
 * engines that compute attention themselves.
 *
 * 'logits'       [n_heads][n_rows][n_cols], rows contiguous, true units; masked
 *                as in CSP_LOGITS.  A fully masked row becomes zero, for any n.
 * 'n'            >= 0, finite; 0 is softmax.
 * 'sink_logits'  [n_heads] log n of each head in place of 'n'; NULL: none.
 * 'compute'      NULL: automatic.
 * 'weights'      receives the result in the layout and type of 'logits'; may be
 *                logits->data.
 *
 * Relative error below 3e-6 in f32, weights below 2^-125 may be 0; f16 and bf16
 * are rounded once more.  All rows are read before any is written, to find NaN
 * and +inf.
 *
 * Returns CSP_OK; view errors; CSP_E_CONFIG; CSP_E_UNSUPPORTED; CSP_E_OVERLAP;
 * CSP_E_NOT_FINITE.
 */
CSP_API csp_status csp_nsoftmax(const csp_tensor *logits, double n,
                                const float *sink_logits,
                                const csp_compute *compute, void *weights);

/* ---- Pruner: one sequence, all layers ------------------------------------ */

/*
 * Owns importance, positions and plan of one sequence.  A round is: score every
 * layer, in chunks as attention is computed; plan; read the plan; apply.  The
 * next round scores the tokens that came since, with the importance of the
 * kept ones carried over.  Not for concurrent calls.
 */
typedef struct csp_pruner csp_pruner;

/* 'allocate' returns memory aligned as malloc's, or NULL; size > 0. */
typedef struct csp_allocator {
    void *context;
    void *(*allocate)(void *context, size_t size);
    void (*deallocate)(void *context, void *memory);
} csp_allocator;

/*
 * Parallel-for.  'run' calls work(argument, w) once for each w below n_workers,
 * at the same time or not, and returns when all have returned.  Workers take
 * tasks as they come: a slow one holds up nobody, and one that is never called
 * costs only time.
 */
typedef struct csp_parallel {
    void *context;
    uint32_t n_workers; /* >= 1; each has scratch of its own */
    void (*run)(void *context, uint32_t n_workers,
                void (*work)(void *argument, uint32_t worker), void *argument);
} csp_parallel;

/*
 * 'config', 'allocator', 'parallel' are copied; the hooks may be NULL: malloc
 * and free, serial.
 *
 * Returns CSP_OK; CSP_E_NULL; CSP_E_SHAPE if a count is zero; CSP_E_CONFIG;
 * CSP_E_BUDGET; CSP_E_UNSUPPORTED; CSP_E_OVERFLOW; CSP_E_MEMORY.
 */
CSP_API csp_status csp_pruner_create(uint32_t n_layers, uint32_t n_kv_heads,
                                     const csp_config *config,
                                     const csp_allocator *allocator,
                                     const csp_parallel *parallel,
                                     csp_pruner **pruner);

/* NULL is fine. */
CSP_API void csp_pruner_destroy(csp_pruner *pruner);

/* Forget the sequence and its spans; settings stay.  CSP_OK or CSP_E_NULL. */
CSP_API csp_status csp_pruner_reset(csp_pruner *pruner);

/* Use other settings from now on, say a decode-time budget.  Drops a plan not
   applied, and values taken if center_values is another.  Errors as
   csp_pruner_create. */
CSP_API csp_status csp_pruner_configure(csp_pruner *pruner,
                                        const csp_config *config);

/*
 * Set the modality spans of the sequence, in tokens; copied, replacing earlier
 * ones.  They may reach beyond the tokens seen so far, and must be set before
 * rows that they concern are scored.  Returns CSP_OK; CSP_E_NULL; CSP_E_SPAN;
 * CSP_E_OVERFLOW; CSP_E_MEMORY.
 */
CSP_API csp_status csp_pruner_set_spans(csp_pruner *pruner,
                                        const csp_span *spans,
                                        uint32_t n_spans);

/*
 * Add a chunk of attention of 'layer' (csp_score, head by head by the hook).
 *
 * The layer's cache holds every token up to the chunk's last query, less what
 * was pruned: each head's kept rows, then a row a token.  Chunks come in
 * ascending order of their last token; one of no queries only says, by
 * first_query, how many tokens there are (CSP_PRESET_STREAMING needs no more).
 * Drops a plan not applied.
 *
 * Returns as csp_score; CSP_E_SHAPE for an unknown layer; CSP_E_STATE for a
 * chunk that ends before an earlier one; CSP_E_MEMORY.
 */
CSP_API csp_status csp_pruner_score(csp_pruner *pruner, uint32_t layer,
                                    const csp_attention *attention);

/*
 * Take the norms of all cached value rows of 'layer', or with
 * config.center_values their distances, for config.weigh_values, between its
 * last chunk and the plan; a plan not applied is dropped.  Errors as
 * csp_value_norms; CSP_E_SHAPE for an unknown layer; CSP_E_MEMORY.
 */
CSP_API csp_status csp_pruner_set_values(csp_pruner *pruner, uint32_t layer,
                                         const csp_tensor *values);

/*
 * Select for every layer, with budgets by config.layer_spread.  Those of
 * PYRAMID and SPARSITY add up to min(n_layers * budget, rows of all layers)
 * exactly, a layer's rows being those of its longest head.  Each is at least
 * the protected and claimed rows and at most the layer's rows; what bounds take
 * or give, the other layers share in proportion.  Fractions are rounded up
 * where they are largest, in the first of equals.  n_intra and n_inter follow
 * in proportion.
 *
 * Errors as csp_select; CSP_E_BUDGET also if protected and claimed rows of all
 * layers exceed n_layers * budget; CSP_E_STATE if layers have not seen the same
 * tokens, value norms are asked for and missing, or heads that are to share a
 * list hold different tokens after earlier rounds; CSP_E_MEMORY.
 */
CSP_API csp_status csp_pruner_plan(csp_pruner *pruner);

/*
 * Views into the pruner, to read, until its next change: a layer's rows and
 * their positions (n_tokens is UINT32_MAX, as spans may reach beyond what was
 * seen), importance, planned lists with n_both and reasons (CSP_E_STATE without
 * a plan).
 * With them the core works on a pruner's layer: csp_report_add, forms of lists.
 * Return CSP_OK, CSP_E_NULL or CSP_E_SHAPE.
 */
CSP_API csp_status csp_pruner_tokens(const csp_pruner *pruner, uint32_t layer,
                                     csp_tokens *tokens);
CSP_API csp_status csp_pruner_importance(const csp_pruner *pruner,
                                         uint32_t layer,
                                         csp_importance *importance);
CSP_API csp_status csp_pruner_kept(const csp_pruner *pruner, uint32_t layer,
                                   csp_kept *kept);

/*
 * Add the mass that the plan drops from 'layer' (csp_calibrate, head by head by
 * the hook), before it is applied.  Errors as csp_calibrate; CSP_E_SHAPE for an
 * unknown layer; CSP_E_STATE without a plan; CSP_E_MEMORY.
 */
CSP_API csp_status csp_pruner_calibrate(csp_pruner *pruner, uint32_t layer,
                                        const csp_attention *attention,
                                        const csp_tensor *values,
                                        const csp_calibration *sums);

/*
 * Carry out the plan: compact every layer's caches, then the pruner's own
 * importance (times config.decay) and positions.
 *
 * 'caches'  [n_layers][n_views], as csp_compact's src, layer by layer; NULL
 *           with n_views = 0 where the engine moves the rows itself.
 * 'dst'     the same shape, or NULL: in place.
 *
 * Every layer is checked before the first byte moves; allocates nothing.
 * Errors as csp_compact; CSP_E_STATE without a plan.
 */
CSP_API csp_status csp_pruner_apply(csp_pruner *pruner, const csp_cells *caches,
                                    uint32_t n_views, const csp_cells *dst);

#ifdef __cplusplus
}
#endif

#endif /* CSP_H */
