/*
 * mass.c - what a summary says of one query (E11)
 */
#include "mass.h"

#include <string.h>

#include "moments.h"
#include "numeric.h"
#include "views.h"

void csp__mass_carve(csp__mass *mass, const csp_summary *summary,
                     csp__arena *arena)
{
    const size_t rank = summary->rank;

    mass->summary = summary;
    mass->keys =
        csp__arena_take(arena, 1 + 2 * rank, summary->key_dim, sizeof(float));
    mass->values =
        csp__arena_take(arena, 1 + rank, summary->value_dim, sizeof(float));
    mass->query = csp__arena_take(arena, 1, summary->key_dim, sizeof(float));
    mass->dots = csp__arena_take(arena, 1, 1 + 2 * rank, sizeof(float));
}

void csp__mass_start(csp__mass *mass, uint32_t kv_head)
{
    mass->kv_head = kv_head;
    csp__summary_load(mass->kernels, mass->summary, kv_head, mass->keys,
                      mass->values);
}

/* The square of the query at hand: in double where float is too small. */
static double square_of(const csp__mass *mass, size_t dim)
{
    float lanes[16] = {0.0f};
    double sum = 0.0;

    mass->kernels->add_squares(mass->query, dim, lanes);
    const float square = csp__fold(lanes);
    if (csp__is_finite(square))
        return (double)square;
    for (size_t i = 0; i < dim; i++)
        sum += (double)mass->query[i] * (double)mass->query[i];
    return sum;
}

bool csp__mass_of(csp__mass *mass, const csp_tensor *queries, float scale,
                  uint32_t head, uint32_t query, csp__log_mass *log_mass)
{
    const csp_summary *s = mass->summary;
    const size_t dim = s->key_dim, n_dots = 1 + 2 * (size_t)s->rank;

    csp__load(mass->kernels, queries, csp__row_at(queries, head, query), dim,
              mass->query);
    mass->kernels->product(mass->query, 1, mass->keys, dim, n_dots, dim, scale,
                           mass->dots, n_dots);
    double sum = (double)s->variance[mass->kv_head] * (double)scale *
                 (double)scale * square_of(mass, dim);
    for (uint32_t i = 1; i <= s->rank; i++)
        sum += (double)mass->dots[i] * (double)mass->dots[i];
    *log_mass = (csp__log_mass){.linear = (double)s->log_count[mass->kv_head] +
                                          (double)mass->dots[0],
                                .quadratic = 0.5 * sum};
    return mass->kernels->all_finite(mass->dots, n_dots) && sum <= DBL_MAX &&
           log_mass->linear <= DBL_MAX;
}
