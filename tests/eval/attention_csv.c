/*
 * attention_csv.c - a tally as CSV, one number a row
 */
#include "attention_tables.h"

#include "support.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What stands before the value; NULL or negative: empty. */
typedef struct key {
    const char *table, *moment, *method, *what;
    int64_t budget, layer, head;
    double x; /* NaN: empty */
} key;

static const key blank = {.budget = -1, .layer = -1, .head = -1};

static void write_text(FILE *file, const char *text)
{
    fprintf(file, "%s,", text != NULL ? text : "");
}

static void write_count(FILE *file, int64_t n)
{
    if (n >= 0)
        fprintf(file, "%lld", (long long)n);
    fputc(',', file);
}

/* A value that does not exist has no row. */
static void write_row(FILE *file, const key *k, double value)
{
    if (isnan(value))
        return;
    write_text(file, k->table);
    write_text(file, k->moment);
    write_text(file, k->method);
    write_count(file, k->budget);
    write_text(file, k->what);
    write_count(file, k->layer);
    write_count(file, k->head);
    if (!isnan(k->x))
        fprintf(file, "%.9g", k->x);
    fprintf(file, ",%.9g\n", value);
}

static void write_error(FILE *file, key *k, const errors *e)
{
    k->table = "error_mean";
    write_row(file, k, errors_mean(e));
    k->table = "error_norm";
    write_row(file, k, errors_norm(e));
}

static void write_errors(FILE *file, const tally *t, key k, moment when,
                         study_method method, uint32_t budget)
{
    for (uint32_t c = 0; c < n_corrections; ++c) {
        const errors *heads = tally_errors(t, when, method, budget, c);
        const errors total = tally_total(t, when, method, budget, c);

        k.what = corrections[c].name;
        k.layer = k.head = -1;
        write_error(file, &k, &total);
        if (!(total.rows > 0.0))
            continue;
        for (uint32_t i = 0; i < t->n_layers * t->n_heads; ++i) {
            k.layer = i / t->n_heads;
            k.head = i % t->n_heads;
            write_error(file, &k, &heads[i]);
        }
    }
}

static void write_retained(FILE *file, key k, const char *table,
                           const csp_report *r)
{
    k.table = table;
    k.what = "all";
    write_row(file, &k,
              (r->intra_kept + r->inter_kept) /
                  (r->intra_total + r->inter_total));
    k.what = "intra";
    write_row(file, &k, r->intra_kept / r->intra_total);
    k.what = "inter";
    write_row(file, &k, r->inter_kept / r->inter_total);
}

static void write_overlaps(FILE *file, const tally *t, key k, moment when,
                           study_method method, uint32_t budget)
{
    k.table = "overlap";
    for (uint32_t other = 0; other < N_STUDY_METHODS; ++other) {
        const overlap *o =
            &t->overlaps[tally_overlap(when, budget, method, other)];

        k.what = study_method_names[other];
        write_row(file, &k, o->jaccard / o->n);
    }
}

static void write_pruning(FILE *file, const tally *t, moment when,
                          study_method method, uint32_t budget)
{
    const size_t at = tally_report(when, method, budget);
    key k = blank;

    k.moment = moment_names[when];
    k.method = study_method_names[method];
    k.budget = budget_percent[budget];
    k.x = (double)NAN;
    write_errors(file, t, k, when, method, budget);
    write_retained(file, k, "retained_window", &t->window[at]);
    write_retained(file, k, "retained_later", &t->later[at]);
    write_overlaps(file, t, k, when, method, budget);
}

/* Of a layer, and of each of its heads. */
static void write_gap(FILE *file, const tally *t, uint32_t layer)
{
    key k = blank;

    k.layer = layer;
    k.x = (double)NAN;
    for (uint32_t kind = 0; kind < N_GAP_KINDS; ++kind) {
        k.what = gap_kind_names[kind];
        k.head = -1;
        k.table = "gap";
        write_row(file, &k,
                  gap_of(&t->gap, layer, 0, t->n_heads, kind).divergence);
        for (uint32_t h = 0; h < t->n_heads; ++h) {
            const gap_figures f = gap_of(&t->gap, layer, h, 1, kind);

            k.head = h;
            k.table = "gap";
            write_row(file, &k, f.divergence);
            k.table = "gap_pairs";
            write_row(file, &k, f.pairs);
            k.table = "gap_mass";
            write_row(file, &k, f.mass);
        }
    }
}

static void write_density(FILE *file, const tally *t, uint32_t layer)
{
    key k = blank;

    k.table = "density";
    k.layer = layer;
    for (int inter = 0; inter < 2; ++inter) {
        double density[GAP_BINS];

        gap_density(&t->gap, layer, inter != 0, density);
        k.what = inter != 0 ? "inter" : "intra";
        for (uint32_t b = 0; b < GAP_BINS; ++b) {
            k.x = ((double)b + 0.5 - GAP_BINS) / GAP_BINS_PER_NAT;
            write_row(file, &k, density[b]);
        }
    }
}

FILE *open_csv(const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL)
        die(path, "%s", strerror(errno));
    return file;
}

void write_csv(const tally *t, FILE *file, const char *path)
{
    fprintf(file, "table,moment,method,budget,what,layer,head,x,value\n");
    for (uint32_t when = 0; when < N_MOMENTS; ++when)
        for (uint32_t m = 0; m < N_STUDY_METHODS; ++m)
            for (uint32_t b = 0; b < N_BUDGETS; ++b)
                write_pruning(file, t, when, m, b);
    for (uint32_t l = 0; l < t->n_layers; ++l) {
        write_gap(file, t, l);
        write_density(file, t, l);
    }
    const bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        die(path, "cannot be written");
}
