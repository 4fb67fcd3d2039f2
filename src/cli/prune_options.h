/*
 * prune_options.h - what the options of `csp prune` say
 *
 * Two commands have them, each with some of its own beside.
 */
#ifndef CLI_PRUNE_OPTIONS_H
#define CLI_PRUNE_OPTIONS_H

#include "numbers.h"
#include "prune.h"
#include "spans.h"

#include <getopt.h>

/* In the order of --help. */
enum prune_option {
    OPTION_TENSOR,
    OPTION_DTYPE,
    OPTION_KIND,
    OPTION_LSE,
    OPTION_LSE_TENSOR,
    OPTION_MASK,
    OPTION_FIRST_QUERY,
    OPTION_KV_HEADS,
    OPTION_VALUES,
    OPTION_VALUES_TENSOR,
    OPTION_SPANS,
    OPTION_SPANS_FILE,
    OPTION_PRESET,
    OPTION_N,
    OPTION_BUDGET,
    OPTION_SINKS,
    OPTION_RECENT,
    OPTION_INTRA,
    OPTION_INTER,
    OPTION_INTER_SHARE,
    OPTION_SELECT,
    OPTION_SCOPE,
    OPTION_BLOCK,
    OPTION_POOL,
    OPTION_WEIGHTS,
    OPTION_TIER,
    OPTION_THREADS,
    N_PRUNE_OPTIONS
};

/* Enumerations are those of csp.h, as int; what was not given is what
   `csp prune` does without it. */
struct prune_options {
    bool given[N_PRUNE_OPTIONS];
    bool help; /* --help was met: nothing else counts */
    const char *scores, *tensor;
    const char *lse, *lse_tensor, *values, *values_tensor;
    int bf16; /* 1: 16-bit unsigned integers are bfloat16 */
    int kind, mask;
    uint32_t first_query, kv_heads;
    const char *spans_text, *spans_file;
    span_list spans; /* read from one of these */
    int preset;
    double n;
    amount budget, recent;
    uint32_t sinks, intra, inter, block;
    bool auto_share;
    fraction inter_share;
    int select, scope;
    int pooling;
    uint32_t pool_width;
    bool weigh_values, center_values, weigh_rows;
    int tier;
    uint32_t threads;
};

/*
 * A command's own options: those of 'options', which ends with zeros, and the
 * letters among them, such as "o:".  'take' is called with an option's 'val',
 * which is below 256.
 */
typedef struct own_options {
    const struct option *options;
    const char *letters;
    outcome (*take)(void *context, int option, const char *argument);
    void *context;
} own_options;

/*
 * Read a command line, where argv[0] is the name of the command: options in any
 * order and one argument, the file of scores; and the spans.
 */
outcome prune_options_parse(int argc, char **argv, const own_options *own,
                            prune_options *o);
void prune_options_free(prune_options *o);

/* Print the part of --help that says what they do. */
void prune_options_help(void);

/* What an option is called, and the names its values have. */
const char *prune_option_name(enum prune_option option);
const char *prune_choice_name(enum prune_option option, int value);

/*
 * The settings for a prompt of 'n_keys' tokens: those of the preset, or plain
 * ones, and over them what options say.
 */
outcome prune_options_config(const prune_options *o, uint32_t n_keys,
                             csp_config *config);

#endif /* CLI_PRUNE_OPTIONS_H */
