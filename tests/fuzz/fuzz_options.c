/*
 * fuzz_options.c - command lines of `csp prune`, an argument a line
 *
 * What options say has to be settings that the library takes.
 */
#include "fuzz_check.h"

#include "prune_options.h"

#include <string.h>

enum { MAX_ARGUMENTS = 24, MAX_KEYS = 1 << 20 };

static outcome take_own(void *context, int option, const char *argument)
{
    (void)context;
    REQUIRE(option == 'o' && argument != NULL, "options: %d is not ours",
            option);
    return DONE;
}

/* Lines into argv, each in a block of its own; argv[0] is the command's. */
static int split(const uint8_t *data, size_t size, char **argv)
{
    static char name[] = "prune";
    int argc = 0;
    size_t begin = 0;

    argv[argc++] = name;
    for (size_t i = 0; i <= size && argc < MAX_ARGUMENTS; i++) {
        if (i < size && data[i] != '\n' && data[i] != '\0')
            continue;
        if (i > begin) {
            char *word = fuzz_take(i - begin + 1, 0, FUZZ_INPUT);
            memcpy(word, data + begin, i - begin);
            word[i - begin] = '\0';
            argv[argc++] = word;
        }
        begin = i + 1;
    }
    argv[argc] = NULL;
    return argc;
}

/* getopt keeps the place in a word from one command line to the next. */
static void forget_words(void)
{
    static char name[] = "";
    char *argv[] = {name, NULL};

    optind = 0;
    getopt_long(1, argv, "", (const struct option[]){{NULL, 0, NULL, 0}}, NULL);
}

static void check_config(const prune_options *o, uint32_t n_keys)
{
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = n_keys};
    csp_config config;
    const outcome result = prune_options_config(o, n_keys, &config);

    REQUIRE(result == DONE || result == BAD_USAGE, "options: outcome %d",
            (int)result);
    REQUIRE(result != DONE || n_keys > MAX_KEYS ||
                csp_select_workspace_size(&tokens, &config) > 0,
            "options: settings that the library does not take");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
    const own_options own = {options, "o:", take_own, NULL};
    char *argv[MAX_ARGUMENTS + 1];
    prune_options o;
    const int argc = split(data, size, argv);

    forget_words();
    if (prune_options_parse(argc, argv, &own, &o) == DONE && !o.help) {
        check_config(&o, 0);
        check_config(&o, 100);
        check_config(&o, MAX_KEYS);
        check_config(&o, UINT32_MAX);
    }
    prune_options_free(&o);
    fuzz_release();
    return 0;
}
