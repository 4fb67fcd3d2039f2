/*
 * context_parallel.c - keys split over ranks
 *
 * Each rank holds a slice of the cache, all heads of it, and sees the window's
 * logits for its own keys only, as with ring attention.
 *
 *   1. A row's log-sum-exp is merged: the maximum by MPI_Allreduce, then the
 *      sums of exponentials.
 *   2. With it the slice's exp(x - lse) are softmax probabilities, only not all
 *      of a row.  With the same lse csp_score turns them into n-softmax weights
 *      (E1); 'positions' tells it which tokens the slice holds, so modalities
 *      and what a row may see are right.
 *   3. The importance of all slices is gathered, 5 x heads x keys floats, as
 *      the best rows of a head may lie anywhere; each rank plans, takes what
 *      is its own of each list and compacts its slice.
 *
 * The lse and the exponentials here are not the library's, so importance is not
 * bit for bit that of one process: it is within rounding, and rows that tie but
 * for that may be chosen otherwise.  This scene has none that close: its plan
 * stays the same if all importance is off by 1e-4, and it is by less than 2e-5.
 */
#include "ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size, spoilt;
static part own; /* keys of this rank */

static float logits[HEADS * WINDOW * TOKENS]; /* [HEADS][WINDOW][own.n] */
static float lse[HEADS * WINDOW];

/* ---- Scoring ------------------------------------------------------------- */

/* Keys of the slice that a row of the window may see. */
static uint32_t n_visible(uint32_t row)
{
    const uint32_t end = TOKENS - WINDOW + row % WINDOW + 1;

    if (end <= own.begin)
        return 0;
    return end - own.begin < own.n ? end - own.begin : own.n;
}

/* Log-sum-exp of every row over all slices; logits become probabilities. */
static void soften(void)
{
    static float max[HEADS * WINDOW];
    static double sum[HEADS * WINDOW];
    const int n_rows = HEADS * WINDOW;

    for (uint32_t row = 0; row < HEADS * WINDOW; row++) {
        max[row] = -INFINITY;
        for (uint32_t k = 0; k < n_visible(row); k++)
            max[row] = fmaxf(max[row], logits[row * own.n + k]);
    }
    MPI_Allreduce(MPI_IN_PLACE, max, n_rows, MPI_FLOAT, MPI_MAX,
                  MPI_COMM_WORLD);
    for (uint32_t row = 0; row < HEADS * WINDOW; row++) {
        sum[row] = 0.0;
        for (uint32_t k = 0; k < n_visible(row); k++)
            sum[row] += exp((double)logits[row * own.n + k] - (double)max[row]);
    }
    MPI_Allreduce(MPI_IN_PLACE, sum, n_rows, MPI_DOUBLE, MPI_SUM,
                  MPI_COMM_WORLD);
    for (uint32_t row = 0; row < HEADS * WINDOW; row++) {
        const double x = (double)max[row] + log(sum[row]);
        lse[row] = (float)x;
        for (uint32_t k = 0; k < n_visible(row); k++) {
            float *logit = &logits[row * own.n + k];
            *logit = (float)exp((double)*logit - x);
        }
    }
}

/* The slice is a cache of own.n rows that hold tokens from own.begin on. */
static csp_tokens slice_tokens(void)
{
    static uint32_t positions[KV_HEADS * TOKENS];
    csp_tokens tokens = scene_tokens(KV_HEADS);

    for (uint32_t i = 0; i < KV_HEADS * own.n; i++)
        positions[i] = own.begin + i % own.n;
    tokens.n_tokens = TOKENS;
    tokens.n_keys = own.n;
    tokens.positions = positions;
    tokens.capacity = own.n;
    return tokens;
}

static csp_status score_slice(const float *values, layer_sums *sums)
{
    const csp_tokens tokens = slice_tokens();
    const csp_importance importance = scene_part(sums, 0, own.begin);
    csp_attention attention = {.source = CSP_PROBABILITIES,
                               .first_query = TOKENS - WINDOW};
    const csp_tensor v =
        csp_tensor_packed(values, CSP_F32, KV_HEADS, own.n, DIM);

    attention.scores = csp_tensor_packed(logits, CSP_F32, HEADS, WINDOW, own.n);
    attention.lse = csp_tensor_packed(lse, CSP_F32, HEADS, WINDOW, 1);
    return scene_score(&attention, &tokens, &v, &importance);
}

/* A piece is a column: one key of all heads. */
static void gather(layer_sums *sums)
{
    int counts[KV_HEADS], begins[KV_HEADS];
    MPI_Datatype strided, column;

    ranks_parts(TOKENS, size, counts, begins);
    MPI_Type_vector(KV_HEADS, 1, TOKENS, MPI_FLOAT, &strided);
    MPI_Type_create_resized(strided, 0, sizeof(float), &column);
    MPI_Type_commit(&column);
    ranks_gather(sums, counts, begins, column);
    MPI_Type_free(&column);
    MPI_Type_free(&strided);
}

/* ---- Compacting ---------------------------------------------------------- */

static bool in_slice(uint32_t token)
{
    return token >= own.begin && token - own.begin < own.n;
}

/* What the plan keeps of the slice, as rows of the slice. */
static void cut(const layer_plan *plan, layer_plan *mine)
{
    memset(mine, 0, sizeof *mine);
    mine->n_lists = plan->n_lists;
    for (uint32_t g = 0; g < plan->n_lists; g++)
        for (uint32_t i = 0; i < plan->counts[g]; i++)
            if (in_slice(plan->rows[g][i]))
                mine->rows[g][mine->counts[g]++] = plan->rows[g][i] - own.begin;
}

static csp_status compact(float *values, layer_plan *mine)
{
    const csp_cells cache =
        csp_cells_packed(values, KV_HEADS, own.n, DIM * sizeof *values);
    const csp_kept kept = {.rows = mine->rows[0],
                           .counts = mine->counts,
                           .n_lists = mine->n_lists,
                           .capacity = KEEP};

    return csp_compact(&cache, 1, &kept, NULL);
}

/* Whether the first rows of the slice are those of the plan's tokens in it. */
static bool in_front(const float *values, const layer_plan *plan)
{
    float row[DIM];

    for (uint32_t g = 0; g < plan->n_lists; g++) {
        const float *at = values + (size_t)g * own.n * DIM;
        for (uint32_t i = 0; i < plan->counts[g]; i++) {
            if (!in_slice(plan->rows[g][i]))
                continue;
            scene_values(g, 1, plan->rows[g][i], 1, row);
            if (!ranks_same_bits(at, row, sizeof row))
                return false;
            at += DIM;
        }
    }
    return true;
}

/* ---- Comparing ----------------------------------------------------------- */

static double difference(const float *a, const float *b)
{
    double largest = 0.0;

    for (size_t i = 0; i < (size_t)KV_HEADS * TOKENS; i++)
        if (a[i] != b[i])
            largest = fmax(largest, fabs((double)a[i] - (double)b[i]) /
                                        fabs((double)b[i]));
    return largest;
}

/* Rank 0 has what one process found; all know its plan. */
static bool compare(const layer_sums *sums, const layer_sums *alone,
                    const layer_plan *plan, const layer_plan *alone_plan)
{
    const bool same = ranks_all(memcmp(plan, alone_plan, sizeof *plan) == 0);
    double apart = 0.0;

    if (rank == 0) {
        apart = fmax(difference(sums->intra[0], alone->intra[0]),
                     difference(sums->inter[0], alone->inter[0]));
        printf("plan %08x on %d ranks: %s; importance differs by %.1e\n",
               (unsigned)ranks_digest(plan), size,
               same ? "as one process" : "NOT AS ONE PROCESS", apart);
    }
    /* Twice the bound of csp_score, for sums of GROUP * WINDOW weights. */
    return ranks_all(same && apart <= 2 * (3e-6 + GROUP * WINDOW * 0x1p-24));
}

static void report_slices(const layer_plan *mine)
{
    uint32_t least = 0, most;

    for (uint32_t g = 0; g < mine->n_lists; g++)
        least += mine->counts[g];
    most = least;
    MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_UINT32_T, MPI_MIN,
                  MPI_COMM_WORLD);
    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_UINT32_T, MPI_MAX,
                  MPI_COMM_WORLD);
    if (rank == 0)
        printf("slices keep %u to %u rows of all heads together\n",
               (unsigned)least, (unsigned)most);
}

static bool run(void)
{
    static float values[KV_HEADS * TOKENS * DIM];
    static layer_sums sums, alone;
    static layer_plan plan, alone_plan, mine;
    csp_config config;

    if (!ranks_fit(size))
        return false;
    own = ranks_part(TOKENS, rank, size);
    scene_logits(0, HEADS, own.begin, own.n, logits);
    scene_values(0, KV_HEADS, own.begin, own.n, values);
    if (rank == spoilt)
        logits[0] = NAN;
    soften();
    if (!ranks_fine(score_slice(values, &sums), "scoring") ||
        !ranks_fine(scene_config(CSP_PER_HEAD, &config), "settings") ||
        !ranks_alone(&config, &alone, &alone_plan))
        return false;
    gather(&sums);
    const csp_importance importance = scene_part(&sums, 0, 0);
    if (!ranks_fine(scene_select(&importance, &config, KV_HEADS, &plan),
                    "selecting"))
        return false;
    cut(&plan, &mine);
    if (!ranks_fine(compact(values, &mine), "compacting"))
        return false;
    report_slices(&mine);
    const bool front = ranks_all(in_front(values, &plan));
    if (!front && rank == 0)
        printf("KEPT ROWS ARE NOT IN FRONT\n");
    return compare(&sums, &alone, &plan, &alone_plan) && front;
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const bool good = ranks_options(argc, argv, &spoilt) && run();
    MPI_Finalize();
    return good ? 0 : 1;
}
