/*
 * prune_input.c - the files that `csp prune` reads, a layer at a time
 *
 * Headers are compared before anything is read, and no layer is allocated that
 * its file has not the bytes for.
 */
#include "prune_input.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- One file ------------------------------------------------------------ */

static bool dtype_of(element e, csp_dtype *dtype)
{
    if (!element_is_float(e))
        return false;
    *dtype = e == ELEMENT_F16    ? CSP_F16
             : e == ELEMENT_BF16 ? CSP_BF16
                                 : CSP_F32;
    return true;
}

static outcome open_file(const char *path, const char *tensor, bool bf16,
                         input_file *f)
{
    const outcome result = array_open(path, tensor, bf16, &f->array);

    if (result != DONE)
        return result;
    f->is_open = true;
    if (!dtype_of(f->array.element, &f->dtype))
        return fail(BAD_INPUT, "%s: is %s, expected floating-point numbers%s",
                    f->array.name, array_describe(&f->array),
                    f->array.element == ELEMENT_U16 ? ", or --dtype bf16" : "");
    return DONE;
}

/* Whether every count is in [1, 2^32 - 1]. */
static bool counts_fit(const array *a)
{
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->shape[i] == 0 || a->shape[i] > UINT32_MAX)
            return false;
    return true;
}

static outcome allocate(uint32_t n_layers, bool as_floats, input_file *f)
{
    const size_t size =
        as_floats || f->dtype == CSP_F32 ? sizeof(float) : sizeof(uint16_t);

    f->n_layer = f->array.n_elements / n_layers;
    if (f->n_layer <= SIZE_MAX / size)
        f->data = malloc((size_t)f->n_layer * size);
    return f->data != NULL ? DONE
                           : fail(INTERNAL, "%s: not enough memory for a layer",
                                  f->array.name);
}

static outcome read_file(const input_file *f, uint32_t layer, bool as_floats)
{
    const uint64_t first = layer * f->n_layer;

    if (!f->is_open)
        return DONE;
    return as_floats || f->array.element == ELEMENT_F64
               ? array_read_floats(&f->array, first, f->n_layer, f->data)
               : array_read(&f->array, first, f->n_layer, f->data);
}

/* NaN is for the library to refuse, where it is read. */
static bool has_negative(const input_file *f)
{
    const uint16_t infinite = f->dtype == CSP_F16 ? 0xfc00 : 0xff80;

    if (f->dtype == CSP_F32) {
        const float *x = f->data;
        for (size_t i = 0; i < f->n_layer; i++)
            if (x[i] < 0.0f)
                return true;
        return false;
    }
    const uint16_t *bits = f->data;
    for (size_t i = 0; i < f->n_layer; i++)
        if (bits[i] > 0x8000 && bits[i] <= infinite)
            return true;
    return false;
}

static void close_file(input_file *f)
{
    if (f->is_open)
        array_close(&f->array);
    free(f->data);
}

/* ---- All of them --------------------------------------------------------- */

static outcome take_scores(const prune_options *o, prune_input *in)
{
    const array *a = &in->scores.array;
    outcome result = open_file(o->scores, o->tensor, o->bf16 != 0, &in->scores);

    if (result != DONE)
        return result;
    if ((a->rank != 3 && a->rank != 4) || !counts_fit(a))
        return fail(BAD_INPUT,
                    "%s: is %s, expected [heads][queries][keys] or"
                    " [layers][heads][queries][keys], none of them 0",
                    a->name, array_describe(a));
    const uint64_t *shape = a->shape + (a->rank - 3);
    in->has_layers = a->rank == 4;
    in->n_layers = in->has_layers ? (uint32_t)a->shape[0] : 1;
    in->probabilities = o->kind == CSP_PROBABILITIES;
    in->n_heads = (uint32_t)shape[0];
    in->n_queries = (uint32_t)shape[1];
    in->n_keys = (uint32_t)shape[2];
    in->n_kv_heads = o->given[OPTION_KV_HEADS] ? o->kv_heads : in->n_heads;
    if (in->n_heads % in->n_kv_heads != 0)
        return fail(BAD_USAGE,
                    "--kv-heads %u: %s has %u heads, which is no multiple",
                    in->n_kv_heads, a->name, in->n_heads);
    return allocate(in->n_layers, false, &in->scores);
}

/* Whether the axes behind the layers' are these. */
static bool has_shape(const prune_input *in, const array *a, uint32_t rank,
                      const uint32_t *shape)
{
    const uint32_t before = in->has_layers ? 1 : 0;

    if (a->rank != rank + before ||
        (in->has_layers && a->shape[0] != in->n_layers))
        return false;
    for (uint32_t i = 0; i < rank; i++)
        if (a->shape[i + before] != shape[i])
            return false;
    return true;
}

/* "[32]" in front where there are layers. */
static const char *layers_text(const prune_input *in)
{
    static char text[24];

    text[0] = '\0';
    if (in->has_layers)
        snprintf(text, sizeof text, "[%u]", in->n_layers);
    return text;
}

static outcome take_lse(const prune_options *o, prune_input *in)
{
    const uint32_t shape[] = {in->n_heads, in->n_queries, 1};

    if (o->lse == NULL)
        return DONE;
    const outcome result =
        open_file(o->lse, o->lse_tensor, o->bf16 != 0, &in->lse);
    if (result != DONE)
        return result;
    const array *a = &in->lse.array;
    if (!has_shape(in, a, 2, shape) && !has_shape(in, a, 3, shape))
        return fail(BAD_INPUT, "%s: is %s, expected %s[%u][%u]", a->name,
                    array_describe(a), layers_text(in), shape[0], shape[1]);
    return allocate(in->n_layers, true, &in->lse);
}

static outcome take_values(const prune_options *o, prune_input *in)
{
    if (o->values == NULL)
        return DONE;
    const outcome result =
        open_file(o->values, o->values_tensor, o->bf16 != 0, &in->values);
    if (result != DONE)
        return result;
    const array *a = &in->values.array;
    const uint32_t dim =
        a->rank > 0 && counts_fit(a) ? (uint32_t)a->shape[a->rank - 1] : 0;
    const uint32_t shape[] = {in->n_kv_heads, in->n_keys, dim};
    if (dim == 0 || !has_shape(in, a, 3, shape))
        return fail(BAD_INPUT,
                    "%s: is %s, expected %s[%u][%u][dimension], of %u KV heads",
                    a->name, array_describe(a), layers_text(in), shape[0],
                    shape[1], in->n_kv_heads);
    in->value_dim = dim;
    return allocate(in->n_layers, false, &in->values);
}

static outcome place_queries(const prune_options *o, prune_input *in)
{
    in->first_query = o->first_query;
    if (o->given[OPTION_FIRST_QUERY])
        return in->first_query <= UINT32_MAX - in->n_queries
                   ? DONE
                   : fail(BAD_USAGE, "--first-query %u: is too large",
                          in->first_query);
    if (in->n_queries > in->n_keys)
        return fail(BAD_INPUT,
                    "%s: has %u queries of %u keys: --first-query has to say"
                    " which token the first is",
                    in->scores.array.name, in->n_queries, in->n_keys);
    in->first_query = in->n_keys - in->n_queries;
    return DONE;
}

static outcome check_spans(const prune_options *o, const prune_input *in)
{
    const span_list *s = &o->spans;

    if (s->n == 0 || s->spans[s->n - 1].end <= in->n_keys)
        return DONE;
    return fail(BAD_INPUT, "%s: a span ends at %u, but %s has %u keys",
                o->spans_file != NULL ? o->spans_file : "--spans",
                s->spans[s->n - 1].end, in->scores.array.name, in->n_keys);
}

outcome prune_input_open(const prune_options *o, prune_input *in)
{
    outcome result;

    *in = (prune_input){.n_layers = 0};
    if ((result = take_scores(o, in)) != DONE ||
        (result = take_lse(o, in)) != DONE ||
        (result = take_values(o, in)) != DONE ||
        (result = place_queries(o, in)) != DONE)
        return result;
    return check_spans(o, in);
}

void prune_input_close(prune_input *in)
{
    close_file(&in->scores);
    close_file(&in->lse);
    close_file(&in->values);
}

outcome prune_input_read(const prune_input *in, uint32_t layer)
{
    outcome result;

    if ((result = read_file(&in->scores, layer, false)) != DONE ||
        (result = read_file(&in->lse, layer, true)) != DONE)
        return result;
    if (in->probabilities && has_negative(&in->scores))
        return fail(BAD_INPUT,
                    "%s: layer %u has negative numbers, expected probabilities",
                    in->scores.array.name, layer);
    return read_file(&in->values, layer, false);
}
