/*
 * prune_options.c - reading the options of `csp prune`
 *
 * A table says of each how its argument is read and where it goes.
 */
#include "prune_options.h"

#include "pool.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* getopt's numbers of these options begin here. */
enum { FIRST_CODE = 256, MAX_OWN = 16 };

/* A name for a value; a list of them ends with no name. */
typedef struct choice {
    const char *name;
    int value;
} choice;

typedef struct row row;

struct row {
    const char *name;
    outcome (*take)(const row *r, const char *text, prune_options *o);
    size_t offset; /* in prune_options */
    uint32_t low, high;
    const choice *choices;
};

/* ---- Arguments ----------------------------------------------------------- */

static void *field(prune_options *o, const row *r)
{
    return (char *)o + r->offset;
}

static outcome take_text(const row *r, const char *text, prune_options *o)
{
    if (*text == '\0')
        return fail(BAD_USAGE, "--%s: expected a name", r->name);
    *(const char **)field(o, r) = text;
    return DONE;
}

static outcome take_count(const row *r, const char *text, prune_options *o)
{
    if (!parse_count(text, r->low, r->high, field(o, r)))
        return fail(BAD_USAGE,
                    "--%s: found '%s', expected a number from %u to %u",
                    r->name, text, r->low, r->high);
    return DONE;
}

static outcome take_amount(const row *r, const char *text, prune_options *o)
{
    if (!parse_amount(text, field(o, r)))
        return fail(BAD_USAGE,
                    "--%s: found '%s', expected a number of tokens, or a"
                    " percentage such as 12.5%%",
                    r->name, text);
    return DONE;
}

static outcome take_real(const row *r, const char *text, prune_options *o)
{
    if (!parse_real(text, field(o, r)))
        return fail(BAD_USAGE, "--%s: found '%s', expected a number >= 0",
                    r->name, text);
    return DONE;
}

static outcome take_share(const row *r, const char *text, prune_options *o)
{
    o->auto_share = strcmp(text, "auto") == 0;
    if (!o->auto_share && !parse_fraction(text, field(o, r)))
        return fail(BAD_USAGE,
                    "--%s: found '%s', expected auto or a number from 0 to 1"
                    " such as 0.25",
                    r->name, text);
    return DONE;
}

static const choice *find_choice(const choice *choices, const char *name)
{
    for (; choices->name != NULL; choices++)
        if (strcmp(choices->name, name) == 0)
            return choices;
    return NULL;
}

static outcome take_choice(const row *r, const char *text, prune_options *o)
{
    char all[128] = "";
    const choice *found = find_choice(r->choices, text);

    if (found != NULL) {
        *(int *)field(o, r) = found->value;
        return DONE;
    }
    for (const choice *c = r->choices; c->name != NULL; c++) {
        if (c != r->choices)
            strncat(all, ", ", sizeof all - strlen(all) - 1);
        strncat(all, c->name, sizeof all - strlen(all) - 1);
    }
    return fail(BAD_USAGE, "--%s: found '%s', expected one of %s", r->name,
                text, all);
}

/* none, avg:WIDTH or max:WIDTH */
static outcome take_pool(const row *r, const char *text, prune_options *o)
{
    const bool maximum = strncmp(text, "max:", 4) == 0;

    o->pooling = CSP_POOL_NONE;
    o->pool_width = 1;
    if (strcmp(text, "none") == 0)
        return DONE;
    if ((!maximum && strncmp(text, "avg:", 4) != 0) ||
        !parse_count(text + 4, 1, r->high, &o->pool_width) ||
        o->pool_width % 2 == 0)
        return fail(BAD_USAGE,
                    "--%s: found '%s', expected none, avg:WIDTH or max:WIDTH"
                    " with an odd width",
                    r->name, text);
    o->pooling = maximum ? CSP_POOL_MAX : CSP_POOL_AVG;
    return DONE;
}

/* none, or words with commas between them; the last kind of value weight
   counts */
static outcome take_weights(const row *r, const char *text, prune_options *o)
{
    static const char *const words[] = {"value-norm", "value-distance",
                                        "visible-rows"};
    const char *at = text;

    o->weigh_values = o->center_values = o->weigh_rows = false;
    if (strcmp(text, "none") == 0)
        return DONE;
    for (;;) {
        size_t length = strcspn(at, ",");
        int which = 0;
        while (which < 3 && (strlen(words[which]) != length ||
                             strncmp(at, words[which], length) != 0))
            which++;
        if (which == 3)
            return fail(BAD_USAGE,
                        "--%s: found '%s', expected none, value-norm or"
                        " value-distance, visible-rows, with a comma between",
                        r->name, text);
        if (which == 2) {
            o->weigh_rows = true;
        } else {
            o->weigh_values = true;
            o->center_values = which == 1;
        }
        if (at[length] == '\0')
            return DONE;
        at += length + 1;
    }
}

/* ---- Table --------------------------------------------------------------- */

static const choice dtypes[] = {{"bf16", 1}, {NULL, 0}};
static const choice kinds[] = {
    {"logits", CSP_LOGITS}, {"probs", CSP_PROBABILITIES}, {NULL, 0}};
static const choice masks[] = {
    {"causal", CSP_CAUSAL}, {"full", CSP_FULL}, {NULL, 0}};
static const choice presets[] = {
    {"csp", CSP_PRESET_DEFAULT},         {"agnostic", CSP_PRESET_AGNOSTIC},
    {"paper", CSP_PRESET_PAPER},         {"reference", CSP_PRESET_REFERENCE},
    {"snapkv", CSP_PRESET_SNAPKV},       {"h2o", CSP_PRESET_H2O},
    {"streaming", CSP_PRESET_STREAMING}, {NULL, 0}};
static const choice selections[] = {{"exact", CSP_EXACT},
                                    {"reference", CSP_UNION},
                                    {"intersection", CSP_INTERSECTION},
                                    {NULL, 0}};
static const choice scopes[] = {{"head", CSP_PER_HEAD},
                                {"layer", CSP_PER_LAYER},
                                {"global", CSP_GLOBAL},
                                {NULL, 0}};
static const choice tiers[] = {
    {"auto", CSP_TIER_AUTO}, {"scalar", CSP_TIER_SCALAR},
    {"avx2", CSP_TIER_AVX2}, {"avx512", CSP_TIER_AVX512},
    {"neon", CSP_TIER_NEON}, {NULL, 0}};

#define TO(member) offsetof(prune_options, member)

static const row rows[N_PRUNE_OPTIONS] = {
    [OPTION_TENSOR] = {"tensor", take_text, TO(tensor), 0, 0, NULL},
    [OPTION_DTYPE] = {"dtype", take_choice, TO(bf16), 0, 0, dtypes},
    [OPTION_KIND] = {"kind", take_choice, TO(kind), 0, 0, kinds},
    [OPTION_LSE] = {"lse", take_text, TO(lse), 0, 0, NULL},
    [OPTION_LSE_TENSOR] = {"lse-tensor", take_text, TO(lse_tensor), 0, 0, NULL},
    [OPTION_MASK] = {"mask", take_choice, TO(mask), 0, 0, masks},
    [OPTION_FIRST_QUERY] = {"first-query", take_count, TO(first_query), 0,
                            UINT32_MAX - 1, NULL},
    [OPTION_KV_HEADS] = {"kv-heads", take_count, TO(kv_heads), 1, UINT32_MAX,
                         NULL},
    [OPTION_VALUES] = {"values", take_text, TO(values), 0, 0, NULL},
    [OPTION_VALUES_TENSOR] = {"values-tensor", take_text, TO(values_tensor), 0,
                              0, NULL},
    [OPTION_SPANS] = {"spans", take_text, TO(spans_text), 0, 0, NULL},
    [OPTION_SPANS_FILE] = {"spans-file", take_text, TO(spans_file), 0, 0, NULL},
    [OPTION_PRESET] = {"preset", take_choice, TO(preset), 0, 0, presets},
    [OPTION_N] = {"n", take_real, TO(n), 0, 0, NULL},
    [OPTION_BUDGET] = {"budget", take_amount, TO(budget), 0, 0, NULL},
    [OPTION_SINKS] = {"sinks", take_count, TO(sinks), 0, UINT32_MAX - 1, NULL},
    [OPTION_RECENT] = {"recent", take_amount, TO(recent), 0, 0, NULL},
    [OPTION_INTRA] = {"intra", take_count, TO(intra), 0, CSP_REST - 1, NULL},
    [OPTION_INTER] = {"inter", take_count, TO(inter), 0, CSP_REST - 1, NULL},
    [OPTION_INTER_SHARE] = {"inter-share", take_share, TO(inter_share), 0, 0,
                            NULL},
    [OPTION_SELECT] = {"select", take_choice, TO(select), 0, 0, selections},
    [OPTION_SCOPE] = {"scope", take_choice, TO(scope), 0, 0, scopes},
    [OPTION_BLOCK] = {"block", take_count, TO(block), 1, UINT32_MAX, NULL},
    [OPTION_POOL] = {"pool", take_pool, TO(pooling), 1, UINT16_MAX, NULL},
    [OPTION_WEIGHTS] = {"weights", take_weights, 0, 0, 0, NULL},
    [OPTION_TIER] = {"tier", take_choice, TO(tier), 0, 0, tiers},
    [OPTION_THREADS] = {"threads", take_count, TO(threads), 1, MAX_WORKERS,
                        NULL}};

const char *prune_option_name(enum prune_option option)
{
    return rows[option].name;
}

const char *prune_choice_name(enum prune_option option, int value)
{
    const choice *c = rows[option].choices;

    while (c->name != NULL && c->value != value)
        c++;
    return c->name;
}

/* ---- Command line -------------------------------------------------------- */

static outcome take_row(int index, const char *text, prune_options *o)
{
    if (o->given[index])
        return fail(BAD_USAGE, "--%s is given twice", rows[index].name);
    o->given[index] = true;
    return rows[index].take(&rows[index], text, o);
}

/* All options in one table for getopt; --help comes first. */
static void list_options(const own_options *own, struct option *all)
{
    struct option *at = all;

    *at++ = (struct option){"help", no_argument, NULL, FIRST_CODE - 1};
    for (int i = 0; i < N_PRUNE_OPTIONS; i++)
        *at++ = (struct option){rows[i].name, required_argument, NULL,
                                FIRST_CODE + i};
    for (const struct option *o = own->options; o->name != NULL; o++)
        *at++ = *o;
    *at = (struct option){NULL, 0, NULL, 0};
}

/* Whether getopt does not know a letter, which may be in front of others in its
   word; of a long option it says 0, or the number if that takes no argument. */
static bool is_letter(int unknown)
{
    return unknown < 0 || (unknown > ' ' && unknown < FIRST_CODE - 1);
}

static outcome take_option(int code, const char *word, const own_options *own,
                           prune_options *o)
{
    if (code == ':')
        return fail(BAD_USAGE, "%s: expected an argument", word);
    if (code == '?' && is_letter(optopt))
        return fail(BAD_USAGE, "unknown option -%c; see --help", optopt);
    if (code == '?')
        return fail(BAD_USAGE, "unknown option %s; see --help", word);
    if (code >= FIRST_CODE)
        return take_row(code - FIRST_CODE, optarg, o);
    o->help = o->help || code == FIRST_CODE - 1;
    return o->help ? DONE : own->take(own->context, code, optarg);
}

static outcome take_all(int argc, char **argv, const own_options *own,
                        prune_options *o)
{
    struct option all[N_PRUNE_OPTIONS + MAX_OWN + 2];
    char letters[2 * MAX_OWN + 3] = "+:"; /* stop at every other word */
    outcome result = DONE;

    strncat(letters, own->letters, (size_t)2 * MAX_OWN);
    list_options(own, all);
    opterr = 0;
    while (result == DONE && !o->help) {
        const int code = getopt_long(argc, argv, letters, all, NULL);
        if (code != -1) {
            result = take_option(code, argv[optind - 1], own, o);
        } else if (optind < argc) {
            if (o->scores != NULL)
                return fail(BAD_USAGE,
                            "%s: expected one file of scores, not"
                            " another",
                            argv[optind]);
            o->scores = argv[optind++];
        } else {
            break;
        }
    }
    return result;
}

static outcome read_spans(prune_options *o)
{
    if (o->spans_text != NULL && o->spans_file != NULL)
        return fail(BAD_USAGE, "--spans and --spans-file exclude each other");
    if (o->spans_text != NULL)
        return spans_parse(o->spans_text, &o->spans);
    return o->spans_file != NULL ? spans_read(o->spans_file, &o->spans) : DONE;
}

outcome prune_options_parse(int argc, char **argv, const own_options *own,
                            prune_options *o)
{
    *o = (prune_options){.n = 1.0, .block = 1, .pool_width = 1};
    const outcome result = take_all(argc, argv, own, o);

    if (result != DONE || o->help)
        return result;
    if (o->scores == NULL)
        return fail(BAD_USAGE, "expected a file of scores; see csp %s --help",
                    argv[0]);
    if (o->given[OPTION_INTER_SHARE] &&
        (o->given[OPTION_INTER] || o->given[OPTION_INTRA]))
        return fail(BAD_USAGE, "--inter-share excludes --inter and --intra");
    if ((o->lse == NULL && o->lse_tensor != NULL) ||
        (o->values == NULL && o->values_tensor != NULL))
        return fail(BAD_USAGE,
                    "--lse-tensor goes with --lse, --values-tensor with"
                    " --values");
    if (o->lse != NULL && o->kind != CSP_PROBABILITIES)
        return fail(BAD_USAGE, "--lse goes with --kind probs alone");
    return read_spans(o);
}

void prune_options_free(prune_options *o)
{
    spans_free(&o->spans);
}
