/*
 * layers.c - budgets of layers
 *
 * In proportion, and within bounds: where proportions break bounds, those of
 * the side that is broken by more rows are settled at their bound, and the
 * others share what is left, until none is broken.  Settling one side can only
 * relieve the other, so nothing settled has to be taken back.
 */
#include "layers.h"

#include "tokens.h"

/* Each open layer's part, before rounding, of what settled ones leave of
   'total'.  Returns by how much the parts grow when bounds cut them. */
static double divide(csp__share *shares, uint32_t n, uint64_t total)
{
    double left = (double)total;
    double weight = 0.0;
    double growth = 0.0;
    uint32_t n_open = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (shares[i].settled) {
            left -= (double)shares[i].rows;
        } else {
            weight += shares[i].weight;
            n_open++;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        csp__share *s = &shares[i];
        if (s->settled)
            continue;
        s->ideal =
            weight > 0.0 ? left * s->weight / weight : left / (double)n_open;
        if (s->ideal < (double)s->low)
            growth += (double)s->low - s->ideal;
        else if (s->ideal > (double)s->high)
            growth -= s->ideal - (double)s->high;
    }
    return growth;
}

/* Settle layers that break the bounds on the worse side; false if none did. */
static bool settle(csp__share *shares, uint32_t n, double growth)
{
    bool any = false;

    for (uint32_t i = 0; i < n; i++) {
        csp__share *s = &shares[i];
        const bool below = growth >= 0.0 && s->ideal < (double)s->low;
        const bool above = growth <= 0.0 && s->ideal > (double)s->high;
        if (s->settled || !(below || above))
            continue;
        s->rows = below ? s->low : s->high;
        s->settled = any = true;
    }
    return any;
}

/* The open layer that rounding down took most from; NULL if none is open. */
static csp__share *most_cut(csp__share *shares, uint32_t n)
{
    csp__share *most = NULL;

    for (uint32_t i = 0; i < n; i++) {
        csp__share *s = &shares[i];
        if (!s->settled && s->rows < s->high &&
            (most == NULL ||
             s->ideal - (double)s->rows > most->ideal - (double)most->rows))
            most = s;
    }
    return most;
}

void csp__apportion(csp__share *shares, uint32_t n, uint64_t total)
{
    csp__share *next;

    for (uint32_t i = 0; i < n; i++)
        shares[i].settled = false;
    while (settle(shares, n, divide(shares, n, total)))
        continue;
    for (uint32_t i = 0; i < n; i++) {
        if (!shares[i].settled)
            shares[i].rows = (uint32_t)shares[i].ideal;
        total -= shares[i].rows;
    }
    for (; total > 0 && (next = most_cut(shares, n)) != NULL; total--) {
        next->rows++;
        next->settled = true; /* at most one row each */
    }
}

double csp__pyramid(uint32_t layer, uint32_t n_layers, double slope)
{
    if (n_layers == 1)
        return 1.0;
    return 1.0 + slope * (1.0 - 2.0 * (double)layer / (double)(n_layers - 1));
}

/* Share of x + y that is at least 'threshold' times its maximum. */
static double density_of(const float *x, const float *y, size_t n,
                         double threshold)
{
    float max = 0.0f;
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        max = x[i] + y[i] > max ? x[i] + y[i] : max;
    if (max <= 0.0f)
        return 0.0;
    const double least = threshold * (double)max;
    for (size_t i = 0; i < n; i++)
        count += (double)(x[i] + y[i]) >= least;
    return (double)count / (double)n;
}

double csp__density(const csp_importance *importance, const csp_tokens *tokens,
                    const csp_config *config)
{
    const uint64_t protected_rows = (uint64_t)config->sinks + config->recent;
    double sum = 0.0;
    uint32_t n = 0;

    for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
        const size_t at = (size_t)g * importance->capacity + config->sinks;
        const uint32_t count = csp__count(tokens, g);
        if (count <= protected_rows)
            continue;
        sum +=
            density_of(importance->intra + at, importance->inter + at,
                       count - (size_t)protected_rows, config->layer_threshold);
        n++;
    }
    return n > 0 ? sum / (double)n : 0.0;
}
