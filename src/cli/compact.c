/*
 * compact.c - csp compact: a stored cache by a list of kept rows
 *
 * One layer at a time: read, gathered by csp_compact, written.
 */
#include "cache_layout.h"
#include "commands.h"
#include "keep_list.h"
#include "output.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 256 };

typedef struct options {
    const char *cache, *keep, *out, *tensor;
    layout layout;
    bool help;
} options;

/* Everything that lives until the end. */
typedef struct job {
    array cache;
    cache_shape shape;
    keep_list keep;
    uint32_t fewest, most;         /* rows kept by a head */
    unsigned char *before, *after; /* a layer */
} job;

/* ---- Options ------------------------------------------------------------- */

static outcome print_help(void)
{
    puts("usage: csp compact CACHE --keep keep.npy --out FILE [options]\n"
         "\n"
         "Write the kept rows of a cache of keys or values to FILE, a .npy "
         "file of\n"
         "the same type.  CACHE is a .npy or a .safetensors file, keep.npy "
         "what\n"
         "csp prune wrote.  Where heads keep different numbers of rows, the "
         "others\n"
         "are padded with zeros.\n"
         "\n"
         "  --keep FILE      lists of kept rows, [heads][kept] or\n"
         "                   [layers][heads][kept]\n"
         "  --out FILE       the file to write\n"
         "  --layout NAME    head-token    [layers][heads][keys][dim], the "
         "default\n"
         "                   token-head    [layers][keys][heads][dim]\n"
         "                   head-channel  [layers][heads][dim][keys]\n"
         "                   each with or without the layers\n"
         "  --tensor NAME    a tensor of a .safetensors file");
    return flush_output();
}

static outcome take_value(int code, const char *value, options *o)
{
    if (code == 'k')
        o->keep = value;
    else if (code == 'o')
        o->out = value;
    else if (code == 't')
        o->tensor = value;
    else if (!layout_of_name(value, &o->layout))
        return fail(BAD_USAGE,
                    "compact: --layout %s: expected head-token, token-head or "
                    "head-channel",
                    value);
    return DONE;
}

static outcome read_options(int argc, char **argv, options *o)
{
    static const struct option known[] = {
        {"keep", required_argument, NULL, 'k'},
        {"out", required_argument, NULL, 'o'},
        {"tensor", required_argument, NULL, 't'},
        {"layout", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    outcome result = DONE;
    int code;

    opterr = 0;
    while (result == DONE && !o->help &&
           (code = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (code == '?')
            return fail(BAD_USAGE,
                        "compact: %s: unknown, or without a value; "
                        "see csp compact --help",
                        argv[optind - 1]);
        o->help = code == 'h';
        if (!o->help)
            result = take_value(code, optarg, o);
    }
    if (result != DONE || o->help)
        return result;
    if (optind != argc - 1 || o->keep == NULL || o->out == NULL)
        return fail(BAD_USAGE, "compact: expected one CACHE, --keep and --out; "
                               "see csp compact --help");
    o->cache = argv[optind];
    return DONE;
}

/* ---- Work ---------------------------------------------------------------- */

/* Every list is read before anything is written. */
static outcome count_rows(job *j)
{
    outcome result = DONE;

    j->fewest = UINT32_MAX;
    for (uint32_t i = 0; i < j->keep.n_layers && result == DONE; i++) {
        result = keep_list_read(&j->keep, i);
        for (uint32_t h = 0; h < j->keep.n_lists && result == DONE; h++) {
            const uint32_t n = j->keep.counts[h];
            j->fewest = n < j->fewest ? n : j->fewest;
            j->most = n > j->most ? n : j->most;
        }
    }
    return result;
}

static outcome compact_layer(job *j, uint32_t layer, output *out)
{
    const cache_shape *c = &j->shape;
    const csp_cells src = cache_cells(c, j->before, c->n_keys);
    const csp_cells dst = cache_cells(c, j->after, j->most);
    const csp_kept kept = {.rows = j->keep.rows,
                           .counts = j->keep.counts,
                           .n_lists = j->keep.n_lists,
                           .capacity = j->keep.width};
    const size_t size = cache_layer_size(c, j->most);
    outcome result = keep_list_read(&j->keep, layer);

    if (result == DONE)
        result = array_read(&j->cache, layer * c->layer_elements,
                            c->layer_elements, j->before);
    if (result != DONE)
        return result;
    memset(j->after, 0, size);
    const csp_status status = csp_compact(&src, 1, &kept, &dst);
    if (status != CSP_OK)
        return fail(INTERNAL, "%s: layer %u cannot be compacted: %s",
                    j->cache.name, layer, csp_status_string(status));
    return output_write(out, j->after, size);
}

static outcome write_layers(job *j, output *out)
{
    const array *a = &j->cache;
    uint64_t shape[MAX_RANK];

    memcpy(shape, a->shape, sizeof shape);
    shape[cache_key_axis(a, j->shape.layout)] = j->most;
    outcome result = output_npy(out, element_npy(a->element), a->rank, shape);
    for (uint32_t i = 0; i < j->shape.n_layers && result == DONE; i++) {
        progress("compact", i, j->shape.n_layers);
        if (j->most > 0)
            result = compact_layer(j, i, out);
    }
    progress_end();
    return result;
}

static outcome print_summary(const options *o, const job *j)
{
    char name[MAX_NAME], out[MAX_NAME];

    escape(name, sizeof name, j->cache.name);
    escape(out, sizeof out, o->out);
    printf("%s: %s\n", name, array_describe(&j->cache));
    printf("%s: %u of %u rows, %.1f %%\n", out, j->most, j->shape.n_keys,
           100.0 * j->most / j->shape.n_keys);
    if (j->fewest < j->most)
        printf("heads keep %u to %u rows: shorter ones end in zeros, the "
               "keep list has the counts\n",
               j->fewest, j->most);
    if (j->cache.element == ELEMENT_BF16)
        puts("bfloat16 is written as u2, which is what .npy has for it");
    return flush_output();
}

static outcome write_file(const options *o, job *j)
{
    output out;
    outcome result = output_open(o->out, &out);

    if (result != DONE)
        return result;
    result = write_layers(j, &out);
    if (result != DONE) {
        output_abandon(&out, 1);
        return result;
    }
    result = output_commit(&out, 1);
    return result == DONE ? print_summary(o, j) : result;
}

static outcome compact_cache(const options *o, job *j)
{
    const cache_shape *c = &j->shape;
    outcome result = cache_shape_of(&j->cache, o->layout, &j->shape);

    if (result == DONE)
        result = keep_list_open(o->keep, c->n_layers, c->n_heads, c->n_keys,
                                &j->keep);
    if (result != DONE)
        return result;
    result = count_rows(j);
    if (result == DONE) {
        j->before = malloc(cache_layer_size(c, c->n_keys));
        j->after = malloc(cache_layer_size(c, j->most) + 1);
        if (j->before == NULL || j->after == NULL)
            result = fail(INTERNAL, "%s: not enough memory for a layer",
                          j->cache.name);
        else
            result = write_file(o, j);
    }
    free(j->before);
    free(j->after);
    keep_list_close(&j->keep);
    return result;
}

outcome command_compact(int argc, char **argv)
{
    options o = {0};
    job j = {0};
    outcome result = read_options(argc, argv, &o);

    if (result != DONE)
        return result;
    if (o.help)
        return print_help();
    result = array_open(o.cache, o.tensor, false, &j.cache);
    if (result != DONE)
        return result;
    result = compact_cache(&o, &j);
    array_close(&j.cache);
    return result;
}
