/*
 * inspect_print.c - what csp inspect prints of one array
 */
#include "inspect.h"
#include "json_print.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>

enum { MAX_NAME = 256 };

/* What both forms print and no one stores. */
typedef struct derived {
    double mean, masked_share, entropy;
    uint64_t n_masked, n_rows, n_entropy_rows;
} derived;

static double ratio(double a, uint64_t b)
{
    return b > 0 ? a / (double)b : (double)NAN;
}

static derived derive(const array *a, const statistics *s)
{
    const bool probabilities = s->kind == ROWS_PROBABILITIES;
    derived d = {.mean = ratio(s->sum, s->n_finite),
                 .n_masked = probabilities ? s->n_zero : s->n_low,
                 .n_rows = s->rows.n_rows,
                 .n_entropy_rows = probabilities ? s->rows.n_mass_rows
                                                 : s->rows.n_logit_rows};

    if (s->kind == ROWS_UNKNOWN)
        d.n_entropy_rows = 0;
    /* A row that is none of probabilities ended their sums. */
    if (probabilities && s->rows.no_probabilities)
        d.n_entropy_rows = 0;
    d.masked_share = ratio((double)d.n_masked, a->n_elements);
    d.entropy =
        ratio(probabilities ? s->rows.mass_entropy : s->rows.logit_entropy,
              d.n_entropy_rows);
    return d;
}

static const char *kind_name(row_kind kind)
{
    switch (kind) {
    case ROWS_UNKNOWN:
        return "unknown";
    case ROWS_LOGITS:
        return "logits";
    case ROWS_PROBABILITIES:
        return "probabilities";
    }
    return "unknown";
}

static const char *byte_order(const array *a)
{
    const bool host_is_little = !element_is_swapped(true);

    if (a->element_size == 1)
        return "none";
    return host_is_little != a->swapped ? "little" : "big";
}

/* ---- For people ---------------------------------------------------------- */

static void print_range(const statistics *s)
{
    if (s->n_finite == 0)
        printf("  range    no finite number\n");
    else if (s->is_float)
        printf("  range    %.9g to %.9g\n", s->min, s->max);
    else
        printf("  range    %lld to %lld\n", (long long)s->min_integer,
               (long long)s->max_integer);
}

static void print_rows(const statistics *s, const derived *d)
{
    if (s->kind == ROWS_UNKNOWN) {
        printf("  entropy  rows are not taken for attention: %s\n", s->why);
        return;
    }
    if (d->n_entropy_rows == 0)
        printf("  entropy  no row has one as %s\n", kind_name(s->kind));
    else
        printf("  entropy  %.6g nats, %.6g bits, mean of %llu of %llu rows\n",
               d->entropy, d->entropy / log(2.0),
               (unsigned long long)d->n_entropy_rows,
               (unsigned long long)d->n_rows);
    printf("  rows     taken for %s: %s\n", kind_name(s->kind), s->why);
}

static void print_text(const array *a, const statistics *s, const derived *d)
{
    char name[MAX_NAME];

    escape(name, sizeof name, a->name);
    printf("%s\n", name);
    printf("  array    %s, %llu numbers, %llu bytes from byte %llu\n",
           array_describe(a), (unsigned long long)a->n_elements,
           (unsigned long long)a->n_elements * a->element_size,
           (unsigned long long)a->begin);
    printf("  order    %s, byte order %s\n",
           a->fortran ? "Fortran, first axis fastest" : "C", byte_order(a));
    print_range(s);
    if (s->n_finite > 0)
        printf("  mean     %.9g\n", d->mean);
    if (!s->is_float)
        return;
    printf("  special  %llu NaN, %llu +inf, %llu -inf\n",
           (unsigned long long)s->n_nan, (unsigned long long)s->n_plus_inf,
           (unsigned long long)s->n_minus_inf);
    printf("  masked   %llu, %.4g %%%s\n", (unsigned long long)d->n_masked,
           a->n_elements > 0 ? 100.0 * d->masked_share : 0.0,
           s->kind == ROWS_PROBABILITIES ? " (zeros)" : "");
    print_rows(s, d);
}

/* ---- JSON ---------------------------------------------------------------- */

static void add_number(cJSON *object, const char *key, bool known, double x)
{
    if (known)
        cJSON_AddNumberToObject(object, key, x);
    else
        cJSON_AddNullToObject(object, key);
}

static void add_header(cJSON *object, const char *path, const char *tensor,
                       const array *a)
{
    json_add_name(object, "file", path);
    if (tensor != NULL)
        json_add_name(object, "tensor", tensor);
    cJSON_AddStringToObject(object, "type", element_name(a->element));
    cJSON_AddStringToObject(object, "byte_order", byte_order(a));
    cJSON_AddStringToObject(object, "order", a->fortran ? "fortran" : "c");
    json_add_counts(object, "shape", a->shape, a->rank);
    json_add_count(object, "numbers", a->n_elements);
    json_add_count(object, "begin", a->begin);
    json_add_count(object, "bytes", a->n_elements * a->element_size);
}

static void add_statistics(cJSON *object, const array *a, const statistics *s,
                           const derived *d)
{
    const bool some = s->n_finite > 0;

    add_number(object, "min", some,
               s->is_float ? s->min : (double)s->min_integer);
    add_number(object, "max", some,
               s->is_float ? s->max : (double)s->max_integer);
    add_number(object, "mean", some, d->mean);
    json_add_count(object, "nan", s->n_nan);
    json_add_count(object, "plus_inf", s->n_plus_inf);
    json_add_count(object, "minus_inf", s->n_minus_inf);
    json_add_count(object, "masked", d->n_masked);
    add_number(object, "masked_share", a->n_elements > 0, d->masked_share);
    cJSON_AddStringToObject(object, "rows_are", kind_name(s->kind));
    cJSON_AddStringToObject(object, "because", s->why);
    json_add_count(object, "rows", d->n_rows);
    json_add_count(object, "entropy_rows", d->n_entropy_rows);
    add_number(object, "mean_entropy_nats", d->n_entropy_rows > 0, d->entropy);
}

outcome inspect_print(const char *path, const char *tensor, const array *a,
                      const statistics *s, bool json)
{
    const derived d = derive(a, s);

    if (!json) {
        print_text(a, s, &d);
        return flush_output();
    }
    cJSON *object = json_begin();
    add_header(object, path, tensor, a);
    add_statistics(object, a, s, &d);
    return json_print(object);
}
