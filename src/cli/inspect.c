/*
 * inspect.c - csp inspect: what is in a file
 */
#include "commands.h"
#include "file.h"
#include "inspect.h"
#include "npy.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct options {
    const char *path, *tensor;
    bool bf16, json, help;
    row_kind kind;
} options;

static outcome print_help(void)
{
    puts("usage: csp inspect FILE [options]\n"
         "\n"
         "Print type, shape and byte order of a .npy file or of a tensor of a\n"
         ".safetensors file, range and mean of its numbers, how many are NaN,\n"
         "infinite or masked, and the mean entropy of its rows where they are\n"
         "attention.  Without --tensor, the tensors of a .safetensors file.\n"
         "\n"
         "  --tensor NAME        a tensor of a .safetensors file\n"
         "  --dtype bf16         16-bit unsigned integers are bfloat16\n"
         "  --kind logits|probs  what the rows are; else by their numbers\n"
         "  --json               one JSON object instead of text");
    return flush_output();
}

static outcome take_value(int code, const char *value, options *o)
{
    if (code == 't') {
        o->tensor = value;
    } else if (code == 'd') {
        if (strcmp(value, "bf16") != 0)
            return fail(BAD_USAGE, "inspect: --dtype %s: expected bf16", value);
        o->bf16 = true;
    } else if (strcmp(value, "logits") == 0) {
        o->kind = ROWS_LOGITS;
    } else if (strcmp(value, "probs") == 0) {
        o->kind = ROWS_PROBABILITIES;
    } else {
        return fail(BAD_USAGE, "inspect: --kind %s: expected logits or probs",
                    value);
    }
    return DONE;
}

static outcome read_options(int argc, char **argv, options *o)
{
    static const struct option known[] = {
        {"tensor", required_argument, NULL, 't'},
        {"dtype", required_argument, NULL, 'd'},
        {"kind", required_argument, NULL, 'k'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    outcome result = DONE;
    int code;

    opterr = 0;
    while (result == DONE &&
           (code = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (code == '?')
            return fail(BAD_USAGE,
                        "inspect: %s: unknown, or without a value; "
                        "see csp inspect --help",
                        argv[optind - 1]);
        if (code == 'h')
            o->help = true;
        else if (code == 'j')
            o->json = true;
        else
            result = take_value(code, optarg, o);
    }
    if (result != DONE || o->help)
        return result;
    if (optind != argc - 1)
        return fail(BAD_USAGE, "inspect: expected one FILE; see csp inspect "
                               "--help");
    o->path = argv[optind];
    return DONE;
}

/* Read the header of a .safetensors file; *is_one says whether it is one. */
static outcome read_tensors(const char *path, bool *is_one, safetensors *s)
{
    unsigned char bytes[9];
    uint64_t size;
    int descriptor;
    outcome result = file_open(path, &descriptor, &size);

    *is_one = false;
    if (result != DONE)
        return result;
    if (size >= sizeof bytes) {
        result = file_read(path, descriptor, 0, bytes, sizeof bytes);
        *is_one = result == DONE && safetensors_begins(bytes, size) &&
                  memcmp(bytes, NPY_MAGIC, NPY_MAGIC_SIZE) != 0;
    }
    if (*is_one)
        result =
            safetensors_read(path, descriptor, size, SAFETENSORS_MAX_HEADER, s);
    close(descriptor);
    return result;
}

static outcome inspect_array(const options *o)
{
    array a;
    statistics s;
    outcome result = array_open(o->path, o->tensor, o->bf16, &a);

    if (result != DONE)
        return result;
    result = statistics_of(&a, o->kind, &s);
    if (result == DONE)
        result = inspect_print(o->path, o->tensor, &a, &s, o->json);
    array_close(&a);
    return result;
}

outcome command_inspect(int argc, char **argv)
{
    options o = {0};
    safetensors s;
    bool has_tensors = false;
    outcome result = read_options(argc, argv, &o);

    if (result != DONE)
        return result;
    if (o.help)
        return print_help();
    if (o.tensor == NULL)
        result = read_tensors(o.path, &has_tensors, &s);
    if (result != DONE)
        return result;
    if (!has_tensors)
        return inspect_array(&o);
    result = inspect_print_table(o.path, &s, o.json);
    safetensors_free(&s);
    return result;
}
