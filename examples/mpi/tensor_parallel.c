/*
 * tensor_parallel.c - heads split over ranks: four ways to one plan
 *
 * Each rank scores its own heads.  What has to be communicated depends on who
 * shares a list of kept rows (floats that each rank contributes or passes on):
 *
 *   per head   nothing, with lists of fixed length (auto_share is an average
 *              over the heads of a layer).  Bit for bit as one process.
 *   gathered   5 x heads x keys: the importance of every head.  csp_select then
 *              sees the very arrays that it would have in one process.
 *   chained    2 x keys: heads are added to the sum in their order, from rank
 *              to rank; the last tells all.  The same additions in the same
 *              order, so the same bits, but ranks wait for one another.
 *   reduced    2 x keys by MPI_Allreduce, which may add in any order: MPI only
 *              recommends that the same arguments in the same order give the
 *              same result, and says nothing of other numbers of ranks.  The
 *              last bits differ, and so may rows that tie but for them.
 *
 * A shared list ranks heads put together *after* their weights (E12): the norm
 * of a value row is its head's own.  So chained and reduced sums are of weighed
 * scores, and csp_select takes them as those of one head without weights.
 */
#include "ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct totals {
    float intra[TOKENS], inter[TOKENS];
} totals;

static int rank, size, spoilt;
static part own; /* KV heads of this rank */

/* ---- Scoring ------------------------------------------------------------- */

static csp_status score_own(layer_sums *sums)
{
    static float logits[HEADS * WINDOW * TOKENS];
    static float values[KV_HEADS * TOKENS * DIM];
    const csp_tokens tokens = scene_tokens(own.n);
    const csp_importance importance = scene_part(sums, own.begin, 0);
    csp_attention attention = {.first_query = TOKENS - WINDOW};
    const csp_tensor v = csp_tensor_packed(values, CSP_F32, own.n, TOKENS, DIM);

    scene_logits(own.begin * GROUP, own.n * GROUP, 0, TOKENS, logits);
    scene_values(own.begin, own.n, 0, TOKENS, values);
    if (rank == spoilt)
        logits[0] = NAN;
    attention.scores =
        csp_tensor_packed(logits, CSP_F32, own.n * GROUP, WINDOW, TOKENS);
    return scene_score(&attention, &tokens, &v, &importance);
}

/* ---- Sums over heads ----------------------------------------------------- */

/* A head's score of each key, with the weights of E12. */
static void weigh_head(const layer_sums *sums, uint32_t g, totals *head)
{
    for (uint32_t k = 0; k < TOKENS; k++) {
        const float intra_rows = sums->intra_rows[g][k];
        const float inter_rows = sums->inter_rows[g][k];
        head->intra[k] = intra_rows > 0 ? sums->intra[g][k] / intra_rows : 0;
        head->inter[k] = inter_rows > 0 ? sums->inter[g][k] / inter_rows : 0;
        head->intra[k] *= sums->value_norm[g][k];
        head->inter[k] *= sums->value_norm[g][k];
    }
}

/* Products are rounded before they are added, as csp_select does it. */
static void add_heads(const layer_sums *sums, part heads, totals *total)
{
    static totals head;

    for (uint32_t g = heads.begin; g < heads.begin + heads.n; g++) {
        weigh_head(sums, g, &head);
        for (uint32_t k = 0; k < TOKENS; k++) {
            total->intra[k] += head.intra[k];
            total->inter[k] += head.inter[k];
        }
    }
}

/* Settings for a sum over heads, whose weights are in it already.  The share of
   inter is an average over heads, so of all ranks' heads. */
static csp_config summed_config(const layer_sums *sums, csp_config config)
{
    double shares[2] = {0.0, 0.0}; /* their sum, and of how many heads */
    static totals head;

    for (uint32_t g = own.begin; g < own.begin + own.n; g++) {
        double intra = 0.0, inter = 0.0;
        weigh_head(sums, g, &head);
        for (uint32_t k = config.sinks; k < TOKENS - config.recent; k++) {
            intra += (double)head.intra[k];
            inter += (double)head.inter[k];
        }
        if (intra + inter > 0.0) {
            shares[0] += inter / (intra + inter);
            shares[1] += 1.0;
        }
    }
    MPI_Allreduce(MPI_IN_PLACE, shares, 2, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    const uint32_t k = config.budget - config.sinks - config.recent;
    const double share = shares[1] > 0.0 ? shares[0] / shares[1] : 0.0;
    config.n_inter = (uint32_t)(k * share + 0.5);
    config.n_intra = k - config.n_inter;
    config.auto_share = config.weigh_rows = config.weigh_values = false;
    return config;
}

static void chain(const layer_sums *sums, totals *total)
{
    const int n = sizeof *total / sizeof(float);

    memset(total, 0, sizeof *total);
    if (rank > 0)
        MPI_Recv(total, n, MPI_FLOAT, rank - 1, 0, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    add_heads(sums, own, total);
    if (rank < size - 1)
        MPI_Send(total, n, MPI_FLOAT, rank + 1, 0, MPI_COMM_WORLD);
    MPI_Bcast(total, n, MPI_FLOAT, size - 1, MPI_COMM_WORLD);
}

static void reduce(const layer_sums *sums, totals *total)
{
    memset(total, 0, sizeof *total);
    add_heads(sums, own, total);
    MPI_Allreduce(MPI_IN_PLACE, total, sizeof *total / sizeof(float), MPI_FLOAT,
                  MPI_SUM, MPI_COMM_WORLD);
}

static csp_status select_sum(totals *total, const csp_config *config,
                             layer_plan *plan)
{
    const csp_importance importance = {
        .intra = total->intra, .inter = total->inter, .capacity = TOKENS};

    return scene_select(&importance, config, 1, plan);
}

/* ---- The ways ------------------------------------------------------------ */

/* Whether every rank has the plan; rank 0 says so. */
static bool report(const char *way, bool same, const layer_plan *alone)
{
    same = ranks_all(same);
    if (rank == 0)
        printf("%-9s plan %08x on %d ranks: %s\n", way,
               (unsigned)ranks_digest(alone), size,
               same ? "as one process" : "NOT AS ONE PROCESS");
    return same;
}

static bool per_head(layer_sums *sums)
{
    static layer_sums all;
    static layer_plan alone, mine;
    const csp_importance importance = scene_part(sums, own.begin, 0);
    csp_config config;

    csp_status e = scene_config(CSP_PER_HEAD, &config);
    config.auto_share = false;
    config.n_inter = (KEEP - config.sinks - config.recent) / 2;
    if (e == CSP_OK)
        e = scene_select(&importance, &config, own.n, &mine);
    if (!ranks_fine(e, "per head") || !ranks_alone(&config, &all, &alone))
        return false;
    return report("per head",
                  memcmp(mine.counts, alone.counts + own.begin,
                         own.n * sizeof *mine.counts) == 0 &&
                      memcmp(mine.rows, alone.rows + own.begin,
                             own.n * sizeof *mine.rows) == 0,
                  &alone);
}

/* 'sums' receives the heads of all ranks; rank 0 knows them from 'whole'. */
static bool gathered(layer_sums *sums, const csp_config *config,
                     const layer_sums *whole, const layer_plan *alone)
{
    static layer_plan plan;
    int counts[KV_HEADS], begins[KV_HEADS];
    MPI_Datatype head;

    ranks_parts(KV_HEADS, size, counts, begins);
    MPI_Type_contiguous(TOKENS, MPI_FLOAT, &head);
    MPI_Type_commit(&head);
    ranks_gather(sums, counts, begins, head);
    MPI_Type_free(&head);
    const csp_importance importance = scene_part(sums, 0, 0);
    return ranks_fine(scene_select(&importance, config, KV_HEADS, &plan),
                      "gathered") &&
           report("gathered",
                  memcmp(&plan, alone, sizeof plan) == 0 &&
                      (rank > 0 || ranks_same_bits(sums, whole, sizeof *sums)),
                  alone);
}

/* 'sums' has all heads by now: the chain's sum must be theirs, bit for bit. */
static bool chained(const csp_config *config, const layer_sums *sums,
                    totals *total, const layer_plan *alone)
{
    static totals expected;
    static layer_plan plan;

    add_heads(sums, (part){.begin = 0, .n = KV_HEADS}, &expected);
    return ranks_fine(select_sum(total, config, &plan), "chained") &&
           report("chained",
                  memcmp(&plan, alone, sizeof plan) == 0 &&
                      ranks_same_bits(total, &expected, sizeof expected),
                  alone);
}

/* The largest difference of two sums, relative to them. */
static double difference(const totals *a, const totals *b)
{
    double largest = 0.0;

    for (uint32_t k = 0; k < TOKENS; k++) {
        const double intra = (double)b->intra[k], inter = (double)b->inter[k];
        if (intra > 0.0)
            largest = fmax(largest, fabs((double)a->intra[k] / intra - 1.0));
        if (inter > 0.0)
            largest = fmax(largest, fabs((double)a->inter[k] / inter - 1.0));
    }
    return largest;
}

/* How many rows of a plan the other has not. */
static uint32_t n_missing(const layer_plan *plan, const layer_plan *alone)
{
    uint32_t n = plan->counts[0], i = 0;

    for (uint32_t j = 0; j < alone->counts[0] && i < plan->counts[0];) {
        const uint32_t a = plan->rows[0][i], b = alone->rows[0][j];
        n -= a == b;
        i += a <= b;
        j += b <= a;
    }
    return n;
}

/* Sums are those in order but for rounding, at most 2^-23 for each addition.
   No scores of this scene are that close, so that the plan is the same. */
static bool reduced(const csp_config *config, totals *total,
                    const totals *in_order, const layer_plan *alone)
{
    static layer_plan plan;
    const double apart = difference(total, in_order);

    if (!ranks_fine(select_sum(total, config, &plan), "reduced"))
        return false;
    if (rank == 0)
        printf("reduced   sums differ by %.1e, at most %.1e; %u of %u rows "
               "are others\n",
               apart, (KV_HEADS - 1) * 0x1p-23,
               (unsigned)n_missing(&plan, alone), (unsigned)plan.counts[0]);
    return report("reduced",
                  memcmp(&plan, alone, sizeof plan) == 0 &&
                      apart <= (KV_HEADS - 1) * 0x1p-23,
                  alone);
}

static bool run(void)
{
    static layer_sums sums, whole;
    static layer_plan alone;
    static totals in_order, any_order;
    csp_config config;

    if (!ranks_fit(size))
        return false;
    own = ranks_part(KV_HEADS, rank, size);
    if (!ranks_fine(score_own(&sums), "scoring") ||
        !ranks_fine(scene_config(CSP_PER_LAYER, &config), "settings") ||
        !ranks_alone(&config, &whole, &alone))
        return false;

    const csp_config summed = summed_config(&sums, config);
    chain(&sums, &in_order);
    reduce(&sums, &any_order);
    bool good = per_head(&sums);
    good &= gathered(&sums, &config, &whole, &alone);
    good &= chained(&summed, &sums, &in_order, &alone);
    good &= reduced(&summed, &any_order, &in_order, &alone);
    return good;
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
