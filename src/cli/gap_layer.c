/*
 * gap_layer.c - how differently a layer weighs its own modality and others
 *
 * Row by row: scores become weights, and each run of keys of one modality is
 * counted on the side it belongs to.
 */
#include "gap_layer.h"

#include "elements.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct gap_counter {
    density_scale scale;
    density_counts intra, inter;
    uint64_t n_zero; /* weights 0 in float, of visible keys */
    double curves[2][DENSITY_POINTS];
    const char *name;
    uint32_t layer;
    uint32_t n_keys;
    float row[]; /* [n_keys] */
};

outcome gap_counter_create(uint32_t n_keys, gap_counter **counter)
{
    gap_counter *c = malloc(sizeof *c + (size_t)n_keys * sizeof(float));

    if (c == NULL)
        return fail(INTERNAL, "not enough memory for counting weights");
    c->n_keys = n_keys;
    density_scale_init(&c->scale);
    gap_counter_reset(c);
    *counter = c;
    return DONE;
}

void gap_counter_free(gap_counter *counter)
{
    free(counter);
}

void gap_counter_reset(gap_counter *counter)
{
    memset(&counter->intra, 0, sizeof counter->intra);
    memset(&counter->inter, 0, sizeof counter->inter);
    counter->n_zero = 0;
}

static const void *row_of(const csp_tensor *t, uint32_t head, uint32_t row)
{
    return (const unsigned char *)t->data + head * t->head_stride +
           row * t->row_stride;
}

/* The first 'n_seen' scores of a row as floats; masked logits, as csp.h has
   them, become -INFINITY. */
static void load_row(gap_counter *c, const csp_tensor *scores, bool logits,
                     const void *row, uint32_t n_seen)
{
    static const element types[] = {[CSP_F32] = ELEMENT_F32,
                                    [CSP_F16] = ELEMENT_F16,
                                    [CSP_BF16] = ELEMENT_BF16};
    const float masked = scores->dtype == CSP_F16 ? -65504.0f : -1e30f;

    elements_to_floats(types[scores->dtype], row, n_seen, c->row);
    for (uint32_t i = 0; logits && i < n_seen; i++)
        if (c->row[i] <= masked)
            c->row[i] = -INFINITY;
}

static uint64_t count_above(const float *x, uint32_t n, float limit)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < n; i++)
        count += x[i] > limit;
    return count;
}

/* Logits become weights; *n_zero receives how many of them are 0 though their
   keys are visible. */
static outcome weigh_logits(gap_counter *c, uint32_t n_seen, double n,
                            uint64_t *n_zero)
{
    const csp_tensor view = csp_tensor_packed(c->row, CSP_F32, 1, 1, n_seen);
    const uint64_t n_visible = count_above(c->row, n_seen, -INFINITY);
    const csp_status status = csp_nsoftmax(&view, n, NULL, NULL, c->row);

    if (status != CSP_OK)
        return fail(BAD_INPUT, "%s: layer %u, weights of a row of logits: %s",
                    c->name, c->layer, csp_status_string(status));
    *n_zero = n_visible - count_above(c->row, n_seen, 0.0f);
    return DONE;
}

/* Probabilities with a log-sum-exp become weights; others are. */
static outcome weigh_probabilities(gap_counter *c,
                                   const csp_attention *attention,
                                   uint32_t n_seen, double n, uint32_t head,
                                   uint32_t row)
{
    const double unit =
        attention->lse_unit == CSP_LSE_BASE2 ? 0.69314718055994531 : 1.0;
    double factor = 1.0;
    float lse;

    if (attention->lse.data != NULL && n > 0.0) {
        memcpy(&lse, row_of(&attention->lse, head, row), sizeof lse);
        if (isnan(lse) || lse == INFINITY)
            return fail(BAD_INPUT,
                        "%s: layer %u, log-sum-exp of head %u, query %u is %g",
                        c->name, c->layer, head, row, (double)lse);
        factor = 1.0 / (1.0 + n * exp(-unit * (double)lse));
    }
    for (uint32_t i = 0; i < n_seen; i++) {
        if (!(c->row[i] >= 0.0f) || c->row[i] > FLT_MAX)
            return fail(BAD_INPUT,
                        "%s: layer %u, probability %g of key %u, expected 0 to"
                        " 1",
                        c->name, c->layer, (double)c->row[i], i);
        c->row[i] = (float)((double)c->row[i] * factor);
    }
    return DONE;
}

/* The end of the run of tokens from 'begin' on that are of one modality; spans
   before *next are behind. */
static uint32_t run_end(const csp_tokens *tokens, uint32_t begin,
                        uint32_t n_seen, uint32_t *next, uint32_t *modality)
{
    uint32_t end = n_seen;

    while (*next < tokens->n_spans && tokens->spans[*next].end <= begin)
        ++*next;
    *modality = 0;
    if (*next < tokens->n_spans) {
        const csp_span *s = &tokens->spans[*next];
        *modality = s->begin <= begin ? s->modality : 0;
        end = s->begin <= begin ? s->end : s->begin;
    }
    return end < n_seen ? end : n_seen;
}

static uint32_t modality_of(const csp_tokens *tokens, uint64_t token)
{
    uint32_t modality = 0;

    for (uint32_t i = 0; i < tokens->n_spans; i++)
        if (tokens->spans[i].begin <= token && token < tokens->spans[i].end)
            modality = tokens->spans[i].modality;
    return modality;
}

static void count_row(gap_counter *c, const csp_tokens *tokens, uint32_t n_seen,
                      uint32_t of_query)
{
    uint32_t next = 0, modality;

    for (uint32_t begin = 0, end; begin < n_seen; begin = end) {
        end = run_end(tokens, begin, n_seen, &next, &modality);
        density_add(&c->scale, c->row + begin, end - begin,
                    modality == of_query ? &c->intra : &c->inter);
    }
}

/* Keys that a query of this token may see. */
static uint32_t seen_by(const gap_counter *c, const csp_attention *attention,
                        uint64_t token)
{
    return attention->mask == CSP_CAUSAL && token < c->n_keys
               ? (uint32_t)token + 1
               : c->n_keys;
}

outcome gap_count(gap_counter *c, const char *name, uint32_t layer,
                  const csp_attention *attention, const csp_tokens *tokens,
                  double n)
{
    const csp_tensor *scores = &attention->scores;
    const bool logits = attention->source == CSP_LOGITS;
    outcome result = DONE;

    c->name = name;
    c->layer = layer;
    for (uint32_t r = 0; r < scores->n_rows; r++) {
        const uint64_t token = (uint64_t)attention->first_query + r;
        const uint32_t seen = seen_by(c, attention, token);
        const uint32_t modality = modality_of(tokens, token);
        for (uint32_t h = 0; h < scores->n_heads && result == DONE; h++) {
            uint64_t n_zero = 0;
            load_row(c, scores, logits, row_of(scores, h, r), seen);
            result = logits ? weigh_logits(c, seen, n, &n_zero)
                            : weigh_probabilities(c, attention, seen, n, h, r);
            if (result == DONE)
                count_row(c, tokens, seen, modality);
            c->n_zero += n_zero;
        }
    }
    return result;
}

void gap_finish(gap_counter *counter, gap_layer *layer)
{
    const density_counts *intra = &counter->intra;
    const density_counts *inter = &counter->inter;

    layer->n_intra = intra->n;
    layer->n_inter = inter->n;
    layer->n_tiny = intra->tiny + inter->tiny + counter->n_zero;
    layer->median_intra = density_quantile(intra, 0.5);
    layer->median_inter = density_quantile(inter, 0.5);
    layer->bandwidth = fmax(density_bandwidth(intra), density_bandwidth(inter));
    layer->intra = counter->curves[0];
    layer->inter = counter->curves[1];
    density_curve(intra, layer->bandwidth, layer->intra);
    density_curve(inter, layer->bandwidth, layer->inter);
    layer->divergence =
        density_divergence(layer->intra, layer->inter, DENSITY_POINTS);
}

void gap_counted(const gap_counter *counter, const density_counts **intra,
                 const density_counts **inter)
{
    *intra = &counter->intra;
    *inter = &counter->inter;
}

/* Points where a curve is above a thousandth of its peak. */
static void find_support(const double *curve, size_t *first, size_t *last)
{
    double peak = 0.0;

    for (size_t i = 0; i < DENSITY_POINTS; i++)
        peak = fmax(peak, curve[i]);
    for (size_t i = 0; i < DENSITY_POINTS; i++) {
        if (!(curve[i] > 1e-3 * peak))
            continue;
        *first = i < *first ? i : *first;
        *last = i > *last ? i : *last;
    }
}

void gap_support(const gap_layer *layer, size_t *first, size_t *last)
{
    *first = DENSITY_POINTS - 1;
    *last = 0;
    find_support(layer->intra, first, last);
    find_support(layer->inter, first, last);
    if (*first > *last)
        *first = *last = DENSITY_POINTS / 2;
}
