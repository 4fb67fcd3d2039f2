/*
 * attention_tables.c - a tally as tables, and figures
 */
#include "attention_tables.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The budget of tables that show one. */
enum { SHOWN_BUDGET = 3 };

static void print_number(double x)
{
    if (isnan(x))
        printf(" %6s", "-");
    else
        printf(" %6.3f", x);
}

static uint32_t correction_named(const char *name)
{
    uint32_t c = 0;

    while (c + 1 < n_corrections && strcmp(corrections[c].name, name) != 0)
        ++c;
    return c;
}

/* ---- Errors -------------------------------------------------------------- */

static void print_budgets(const char *first, const char *second)
{
    printf("%-10s %-15s", first, second);
    for (uint32_t b = 0; b < N_BUDGETS; ++b)
        printf("  %3u %%", budget_percent[b]);
    putchar('\n');
}

static bool was_run(const tally *t, moment when, study_method m, uint32_t c)
{
    return tally_total(t, when, m, N_BUDGETS - 1, c).rows > 0.0;
}

static void print_errors(const tally *t, moment when,
                         double (*form)(const errors *))
{
    print_budgets("method", "correction");
    for (uint32_t m = 0; m < N_STUDY_METHODS; ++m)
        for (uint32_t c = 0; c < n_corrections; ++c) {
            if (!was_run(t, when, m, c))
                continue;
            printf("%-10s %-15s", study_method_names[m], corrections[c].name);
            for (uint32_t b = 0; b < N_BUDGETS; ++b) {
                const errors e = tally_total(t, when, m, b, c);

                print_number(form(&e));
            }
            putchar('\n');
        }
}

/* ---- Retained attention -------------------------------------------------- */

static double share(double part, double whole)
{
    return whole > 0.0 ? part / whole : (double)NAN;
}

static void print_share(const char *method, const char *what, moment when,
                        study_method m, const csp_report *reports,
                        double (*of)(const csp_report *))
{
    printf("%-10s %-15s", method, what);
    for (uint32_t b = 0; b < N_BUDGETS; ++b)
        print_number(of(&reports[tally_report(when, m, b)]));
    putchar('\n');
}

static double retained(const csp_report *r)
{
    return share(r->intra_kept + r->inter_kept,
                 r->intra_total + r->inter_total);
}

static double retained_intra(const csp_report *r)
{
    return share(r->intra_kept, r->intra_total);
}

static double retained_inter(const csp_report *r)
{
    return share(r->inter_kept, r->inter_total);
}

static double image_rows(const csp_report *r)
{
    return share((double)r->kept_of_modality[1], (double)r->n_kept);
}

static void print_retained(const tally *t, moment when)
{
    print_budgets("method", "share of");
    for (uint32_t m = 0; m < N_STUDY_METHODS; ++m) {
        const char *name = study_method_names[m];

        print_share(name, "window", when, m, t->window, retained);
        print_share("", "later", when, m, t->later, retained);
        print_share("", "later, to text", when, m, t->later, retained_intra);
        print_share("", "later, to image", when, m, t->later, retained_inter);
        print_share("", "rows: image", when, m, t->later, image_rows);
    }
}

/* ---- Overlap ------------------------------------------------------------- */

static double jaccard(const tally *t, moment when, uint32_t budget,
                      study_method a, study_method b)
{
    const overlap *o = &t->overlaps[tally_overlap(when, budget, a, b)];

    return share(o->jaccard, o->n);
}

static void print_overlaps(const tally *t, moment when, uint32_t budget)
{
    printf("%-10s", "");
    for (uint32_t m = 0; m < N_STUDY_METHODS; ++m)
        printf(" %9s", study_method_names[m]);
    putchar('\n');
    for (uint32_t i = 0; i < N_STUDY_METHODS; ++i) {
        printf("%-10s", study_method_names[i]);
        for (uint32_t j = 0; j < N_STUDY_METHODS; ++j)
            printf(" %9.2f", jaccard(t, when, budget, i, j));
        putchar('\n');
    }
}

/* ---- Layers and heads ---------------------------------------------------- */

static const char *const shown[] = {"plain", "n1", "calibrated", "residual",
                                    "moments1"};
enum { N_SHOWN = sizeof shown / sizeof *shown };

static errors layer_errors(const tally *t, moment when, uint32_t correction,
                           uint32_t layer)
{
    const errors *e =
        tally_errors(t, when, STUDY_CSP, SHOWN_BUDGET, correction) +
        (size_t)layer * t->n_heads;
    errors sum = {0};

    for (uint32_t h = 0; h < t->n_heads; ++h) {
        sum.rows += e[h].rows;
        sum.relative += e[h].relative;
        sum.squares += e[h].squares;
        sum.reference += e[h].reference;
    }
    return sum;
}

static void print_row(const char *layer, const char *head, const errors *e)
{
    const double plain = errors_mean(&e[0]);
    const double moments = errors_mean(&e[N_SHOWN - 1]);

    printf("%5s %4s", layer, head);
    for (uint32_t i = 0; i < N_SHOWN; ++i)
        printf(" %10.3f", errors_mean(&e[i]));
    printf(" %10.3f %8.0f %%\n", plain - moments,
           100.0 * (plain - moments) / plain);
}

static void print_layers(const tally *t, moment when)
{
    printf("%5s %4s", "layer", "head");
    for (uint32_t i = 0; i < N_SHOWN; ++i)
        printf(" %10s", shown[i]);
    printf(" %10s %10s\n", "gain", "of plain");
    for (uint32_t l = 0; l < t->n_layers; ++l) {
        errors e[N_SHOWN];
        char layer[16], head[16];

        snprintf(layer, sizeof layer, "%u", l);
        for (uint32_t h = 0; h < t->n_heads; ++h) {
            for (uint32_t i = 0; i < N_SHOWN; ++i)
                e[i] = tally_errors(
                    t, when, STUDY_CSP, SHOWN_BUDGET,
                    correction_named(shown[i]))[l * t->n_heads + h];
            snprintf(head, sizeof head, "%u", h);
            print_row(layer, head, e);
        }
        for (uint32_t i = 0; i < N_SHOWN; ++i)
            e[i] = layer_errors(t, when, correction_named(shown[i]), l);
        print_row(layer, "all", e);
    }
}

/* ---- Gap ----------------------------------------------------------------- */

static void print_wide(double x, int digits)
{
    if (isnan(x))
        printf(" %10s", "-");
    else
        printf(" %10.*f", digits, x);
}

static void print_gap(const tally *t)
{
    printf("%5s", "layer");
    for (uint32_t k = 0; k < N_GAP_KINDS; ++k)
        printf(" %10s", gap_kind_names[k]);
    printf(" %10s %10s %10s %10s\n", "log intra", "log inter", "pairs", "mass");
    for (uint32_t l = 0; l < t->n_layers; ++l) {
        const gap_figures f = gap_of(&t->gap, l, 0, t->n_heads, GAP_ALL);

        printf("%5u", l);
        for (uint32_t k = 0; k < N_GAP_KINDS; ++k)
            print_wide(gap_of(&t->gap, l, 0, t->n_heads, k).divergence, 4);
        print_wide(f.intra_mean, 2);
        print_wide(f.inter_mean, 2);
        print_wide(f.pairs, 3);
        print_wide(f.mass, 3);
        putchar('\n');
    }
}

/* ---- All ----------------------------------------------------------------- */

static const char *const moment_titles[N_MOMENTS] = {
    [AFTER_CONTEXT] = "pruned after the context",
    [AFTER_QUESTION] = "pruned with the question in the window",
};

static void print_figures(const tally *t)
{
    for (uint32_t i = 0; i < N_SHOWN; ++i)
        for (uint32_t b = 0; b < N_BUDGETS; ++b) {
            const errors e = tally_total(t, AFTER_CONTEXT, STUDY_CSP, b,
                                         correction_named(shown[i]));

            printf("figure output_error_%s_%u %.3f\n",
                   i + 1 == N_SHOWN ? "moments" : shown[i], budget_percent[b],
                   errors_mean(&e));
        }
}

void print_tables(const tally *t)
{
    printf("%u contexts\n", t->n_contexts);
    for (uint32_t when = 0; when < N_MOMENTS; ++when) {
        printf("\n== %s ==\n", moment_titles[when]);
        printf("\nOutput error, mean of |pruned - full| / |full|\n\n");
        print_errors(t, when, errors_mean);
        printf(
            "\nOutput error, sqrt(sum |pruned - full|^2 / sum |full|^2)\n\n");
        print_errors(t, when, errors_norm);
        printf("\nAttention that kept rows had\n\n");
        print_retained(t, when);
        printf("\nOverlap of kept rows at %u %%, Jaccard index\n\n",
               budget_percent[SHOWN_BUDGET]);
        print_overlaps(t, when, SHOWN_BUDGET);
        printf("\nMean error of csp at %u %% by layer and head\n\n",
               budget_percent[SHOWN_BUDGET]);
        print_layers(t, when);
    }
    printf("\n== gap of intra and inter attention ==\n\n"
           "Jensen-Shannon divergence in bits: intra against inter of all, of "
           "text and of\nimage queries; own image against other images.  Means "
           "of log weights;\ninter among all pairs, and of all attention.\n\n");
    print_gap(t);
    putchar('\n');
    print_figures(t);
}
