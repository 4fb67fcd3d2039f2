/*
 * prune_table.c - what a decision amounts to, on one screen
 *
 * However many layers, heads and modalities there are: at most 24 lines.
 */
#include "prune_summary.h"

#include "prune_files.h"

#include <math.h>
#include <stdio.h>

enum { MAX_MODALITY_LINES = 7, MAX_NAME = 2048 };

static void print_name(const char *name)
{
    char text[MAX_NAME];

    escape(text, sizeof text, name);
    fputs(text, stdout);
}

static void print_settings(const prune_summary *s)
{
    const prune_options *o = s->options;
    const csp_config *c = &s->config;

    if (o->given[OPTION_PRESET])
        printf("preset %s, ", prune_choice_name(OPTION_PRESET, o->preset));
    printf("%s, n = %g, %s selection per %s\n",
           prune_choice_name(OPTION_KIND, o->kind), c->n,
           prune_choice_name(OPTION_SELECT, (int)c->selection),
           c->scope == CSP_GLOBAL
               ? "model"
               : prune_choice_name(OPTION_SCOPE, (int)c->scope));
    if (c->selection == CSP_EXACT)
        printf("budget %u, ", c->budget);
    printf("%u sinks, %u recent, lists: ", c->sinks, c->recent);
    if (c->auto_share)
        printf("shared by mass\n");
    else if (c->n_intra == CSP_REST)
        printf("%u inter, the rest intra\n", c->n_inter);
    else
        printf("%u inter, %u intra\n", c->n_inter, c->n_intra);
}

static void print_head(const prune_summary *s)
{
    const prune_shape *shape = &s->shape;

    print_name(s->options->scores);
    printf(": %s, %u KV heads, queries are tokens %u to %u\n", s->scores,
           shape->n_kv_heads, shape->first_query,
           shape->first_query + shape->n_queries - 1);
    print_settings(s);
}

/* Tokens of a head and what is kept of them, on average over all heads. */
static void print_modality(const char *name, uint64_t n_keys, uint64_t n_kept,
                           uint64_t n_heads)
{
    printf("  %-14s %10.1f %10.1f %9.1f %%\n", name,
           (double)n_keys / (double)n_heads, (double)n_kept / (double)n_heads,
           100.0 * (double)n_kept / (double)n_keys);
}

static void print_modalities(const csp_report *all)
{
    uint64_t n_keys = 0, n_kept = 0;
    uint32_t lines = 0;

    printf("\n  %-14s %10s %10s\n", "of a head", "tokens", "kept");
    for (uint32_t m = 0; m < CSP_MAX_MODALITIES; m++) {
        if (all->keys_of_modality[m] == 0)
            continue;
        if (lines++ < MAX_MODALITY_LINES) {
            print_modality(modality_name(m), all->keys_of_modality[m],
                           all->kept_of_modality[m], all->n_heads);
        } else {
            n_keys += all->keys_of_modality[m];
            n_kept += all->kept_of_modality[m];
        }
    }
    if (n_keys > 0)
        print_modality("others", n_keys, n_kept, all->n_heads);
    print_modality("all", all->n_keys, all->n_kept, all->n_heads);
    printf("  %-14s %10s %10.1f\n", "in both lists", "",
           (double)all->n_both / (double)all->n_heads);
}

/* Of all heads together, and the head that is left least. */
static void print_mass(const prune_summary *s, const char *name,
                       double (*part)(const csp_report *r))
{
    const size_t n = (size_t)s->shape.n_layers * s->shape.n_kv_heads;
    const double all = part(&s->all);
    size_t least = n;

    for (size_t i = 0; i < n; i++)
        if (!isnan(part(&s->heads[i])) &&
            (least == n || part(&s->heads[i]) < part(&s->heads[least])))
            least = i;
    if (isnan(all) || least == n) {
        printf("  %-14s %10s\n", name, "none");
        return;
    }
    printf("  %-14s %8.1f %% %8.1f %%  layer %zu, KV head %zu\n", name,
           100.0 * all, 100.0 * part(&s->heads[least]),
           least / s->shape.n_kv_heads, least % s->shape.n_kv_heads);
}

void prune_summary_print(const prune_summary *s, const char *folder)
{
    const prune_times *t = &s->times;

    print_head(s);
    print_modalities(&s->all);
    printf("\n  %-14s %10s %10s\n", "retained mass", "all heads", "least");
    print_mass(s, "intra", retained_intra);
    print_mass(s, "inter", retained_inter);
    print_mass(s, "both", retained);
    printf("\nseconds: read %.3f, score %.3f, select %.3f, calibrate %.3f\n",
           t->read, t->score, t->select, t->calibrate);
    if (!s->shape.has_sinks)
        puts("no sink logits: probabilities without --lse do not say what was"
             " dropped");
    if (folder == NULL)
        return;
    printf("written to ");
    print_name(folder);
    printf(": %s\n", prune_files_list(&s->shape));
}
