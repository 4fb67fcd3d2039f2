/*
 * output.c - table or JSON
 */
#include "program.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Text ---------------------------------------------------------------- */

static char *text_of(const report *r, const llama_token *tokens, uint32_t n)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(r->model);
    const int32_t size =
        llama_detokenize(vocab, tokens, (int32_t)n, NULL, 0, false, true);
    const int32_t room = size < 0 ? -size : size;
    char *text = allocate((size_t)room + 1, 1);

    llama_detokenize(vocab, tokens, (int32_t)n, text, room, false, true);
    return text;
}

/* ---- Table --------------------------------------------------------------- */

static void print_line(const trial *t)
{
    printf("%5.1f%%  %-10s %6u %9.1f %9.1f %9.1f %8.1f %7.1f   %5.3f  %8.5f",
           t->percent, method_names[t->how], t->n_kept,
           (double)t->cache_bytes / 1024.0, (double)t->buffer_bytes / 1024.0,
           (double)t->state_bytes / 1024.0, t->prune_seconds * 1e3,
           t->tokens_per_second, t->agreement, t->divergence);
    if (isfinite(t->loss))
        printf("  %7.4f", t->loss);
    putchar('\n');
}

static void print_generated(const report *r)
{
    for (uint32_t i = 0; i < r->n_trials; ++i) {
        const trial *t = &r->trials[i];
        char *text = text_of(r, t->generated, r->n_generated);

        printf("\n%.1f %% %s:\n%s\n", t->percent, method_names[t->how], text);
        free(text);
    }
}

void print_table(const report *r)
{
    printf("%s: %u tokens of prompt, %.1f s to prefill and score by %s\n",
           r->model_path, r->p->n_tokens, r->prefill_seconds,
           r->engine->score_flash ? "queries and keys" : "softmax");
    printf("pruned by %s; %u tokens after it, %s\n\n", r->mode, r->r->n_tokens,
           r->p->continuation ? "of the text" : "as the full cache goes on");
    printf("%6s  %-10s %6s %9s %9s %9s %8s %7s   %5s  %8s  %7s\n", "budget",
           "method", "cells", "cache", "buffer", "state", "prune", "decode",
           "top-1", "KL", "loss");
    printf("%6s  %-10s %6s %9s %9s %9s %8s %7s\n", "", "", "", "KiB", "KiB",
           "KiB", "ms", "tok/s");
    for (uint32_t i = 0; i < r->n_trials; ++i)
        print_line(&r->trials[i]);
    if (r->n_generated > 0)
        print_generated(r);
}

/* ---- JSON ---------------------------------------------------------------- */

static void add_number(cJSON *object, const char *name, double x)
{
    if (!(isfinite(x) ? cJSON_AddNumberToObject(object, name, x)
                      : cJSON_AddNullToObject(object, name)))
        fail("--json", "out of memory");
}

static void add_string(cJSON *object, const char *name, const char *text)
{
    if (!cJSON_AddStringToObject(object, name, text))
        fail("--json", "out of memory");
}

static void add_tokens(cJSON *object, const char *name,
                       const llama_token *tokens, uint32_t n)
{
    cJSON *array = cJSON_AddArrayToObject(object, name);

    for (uint32_t i = 0; i < n; ++i)
        if (!cJSON_AddItemToArray(array, cJSON_CreateNumber(tokens[i])))
            fail("--json", "out of memory");
}

static cJSON *json_of(const report *r, const trial *t)
{
    cJSON *object = cJSON_CreateObject();

    add_string(object, "method", method_names[t->how]);
    add_number(object, "budget_percent", t->percent);
    add_number(object, "cells", t->n_kept);
    add_number(object, "cache_bytes", (double)t->cache_bytes);
    add_number(object, "buffer_bytes", (double)t->buffer_bytes);
    add_number(object, "state_bytes", (double)t->state_bytes);
    add_number(object, "prune_seconds", t->prune_seconds);
    add_number(object, "tokens_per_second", t->tokens_per_second);
    add_number(object, "top1_agreement", t->agreement);
    add_number(object, "kl", t->divergence);
    add_number(object, "loss", t->loss);
    if (t->generated) {
        char *text = text_of(r, t->generated, r->n_generated);

        add_tokens(object, "generated", t->generated, r->n_generated);
        add_string(object, "text", text);
        free(text);
    }
    return object;
}

void print_json(const report *r)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *trials;
    char *text;

    add_string(object, "model", r->model_path);
    add_string(object, "llama_version", llama_version());
    add_string(object, "mode", r->mode);
    add_string(object, "scores", r->engine->score_flash ? "qk" : "softmax");
    add_number(object, "prompt_tokens", r->p->n_tokens);
    add_number(object, "prefill_seconds", r->prefill_seconds);
    add_tokens(object, "continuation", r->r->tokens, r->r->n_tokens);
    trials = cJSON_AddArrayToObject(object, "trials");
    for (uint32_t i = 0; i < r->n_trials; ++i)
        if (!cJSON_AddItemToArray(trials, json_of(r, &r->trials[i])))
            fail("--json", "out of memory");
    if (!(text = cJSON_Print(object)))
        fail("--json", "out of memory");
    puts(text);
    cJSON_free(text);
    cJSON_Delete(object);
}
