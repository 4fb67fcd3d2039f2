/*
 * test_usage.c - what csp prune refuses, with which exit code, in one line
 */
#include "scores_file.h"

#include <sys/stat.h>

/* Words after "csp prune", apart by spaces; SCORES and VALUES are files that
   are there, OUT is a folder to be made. */
typedef struct refusal {
    const char *words;
    int code;
    const char *says; /* a part of the message */
} refusal;

static const refusal refusals[] = {
    {"", 1, "expected a file of scores"},
    {"SCORES", 1, "expected a --budget"},
    {"SCORES SCORES --budget 5", 1, "expected one file"},
    {"SCORES --budget 5 --nonsense", 1, "unknown option --nonsense"},
    {"SCORES --budget 5 -x", 1, "unknown option -x"},
    {"SCORES --budget 5 -xy", 1, "unknown option -x"},
    {"SCORES --budget 5 --json=3", 1, "unknown option --json=3"},
    {"SCORES --budget", 1, "--budget: expected an argument"},
    {"SCORES --budget 5 --budget 6", 1, "--budget is given twice"},
    {"SCORES --budget 5 --out OUT --out OUT", 1, "--out is given twice"},
    {"SCORES --budget 5 --out=", 1, "--out"},
    /* numbers */
    {"SCORES --budget -1", 1, "--budget: found '-1'"},
    {"SCORES --budget 5x", 1, "--budget: found '5x'"},
    {"SCORES --budget 101%", 1, "--budget"},
    {"SCORES --budget 4294967296", 1, "--budget"},
    {"SCORES --budget 5 --sinks 1%", 1, "--sinks"},
    {"SCORES --budget 5 --recent 1.5", 1, "--recent"},
    {"SCORES --budget 5 --n -1", 1, "--n"},
    {"SCORES --budget 5 --n nan", 1, "--n"},
    {"SCORES --budget 5 --inter 1e1", 1, "--inter"},
    {"SCORES --budget 5 --intra all", 1, "--intra"},
    {"SCORES --budget 5 --inter-share 1.1", 1, "--inter-share"},
    {"SCORES --budget 5 --inter-share half", 1, "--inter-share"},
    {"SCORES --budget 5 --block 0", 1, "--block"},
    {"SCORES --budget 5 --threads 0", 1, "--threads"},
    {"SCORES --budget 5 --threads 257", 1, "--threads"},
    {"SCORES --budget 5 --kv-heads 0", 1, "--kv-heads"},
    {"SCORES --budget 5 --kv-heads 3", 1, "no multiple"},
    {"SCORES --budget 5 --first-query 4294967291", 1, "--first-query"},
    /* words */
    {"SCORES --budget 5 --kind softmax", 1, "expected one of logits, probs"},
    {"SCORES --budget 5 --mask none", 1, "expected one of causal, full"},
    {"SCORES --budget 5 --dtype f32", 1, "expected one of bf16"},
    {"SCORES --budget 5 --select all", 1, "--select: found 'all'"},
    {"SCORES --budget 5 --scope token", 1, "--scope"},
    {"SCORES --budget 5 --preset best", 1, "--preset"},
    {"SCORES --budget 5 --tier sse", 1, "--tier"},
    {"SCORES --budget 5 --pool avg", 1, "--pool"},
    {"SCORES --budget 5 --pool avg:4", 1, "odd"},
    {"SCORES --budget 5 --pool min:3", 1, "--pool"},
    {"SCORES --budget 5 --weights norm", 1, "--weights"},
    {"SCORES --budget 5 --weights visible-rows,", 1, "--weights"},
    {"SCORES --budget 5 --tensor=", 1, "--tensor"},
    /* spans */
    {"SCORES --budget 5 --spans=", 1, "--spans"},
    {"SCORES --budget 5 --spans 1:3", 1, "BEGIN:END=MODALITY"},
    {"SCORES --budget 5 --spans 1:3=picture", 1, "BEGIN:END=MODALITY"},
    {"SCORES --budget 5 --spans 1:3=16", 1, "BEGIN:END=MODALITY"},
    {"SCORES --budget 5 --spans 1:3=image,", 1, "BEGIN:END=MODALITY"},
    {"SCORES --budget 5 --spans 1:99999999999=1", 1, "BEGIN:END=MODALITY"},
    {"SCORES --budget 5 --spans 3:3=image", 1, "3:3 is empty"},
    {"SCORES --budget 5 --spans 1:5=image,4:6=1", 1, "begins before"},
    {"SCORES --budget 5 --spans 1:21=image", 2, "ends at 21"},
    {"SCORES --budget 5 --spans 1:2=1 --spans-file SPANS", 1, "exclude"},
    /* contradictions */
    {"SCORES --budget 5 --inter-share auto --inter 1", 1, "excludes"},
    {"SCORES --budget 5 --inter-share 0.5 --intra 1", 1, "excludes"},
    {"SCORES --budget 5 --sinks 3 --recent 3", 1, "below 3 sinks"},
    {"SCORES --budget 5 --sinks 1 --inter 3 --intra 2", 1, "lists of 2 and 3"},
    {"SCORES --budget 10% --recent 15%", 1, "0 sinks and 3 recent"},
    {"SCORES --select reference", 1, "both lists"},
    {"SCORES --select intersection --inter 3", 1, "both lists"},
    {"SCORES --preset csp", 1, "needs a --budget"},
    {"SCORES --preset csp --budget 5", 1, "need --values"},
    {"SCORES --budget 5 --weights value-norm", 1, "need --values"},
    {"SCORES --budget 5 --kind probs", 1, "need --lse"},
    {"SCORES --budget 5 --lse SCORES", 1, "--kind probs"},
    {"SCORES --budget 5 --values-tensor v", 1, "with --values"},
    {"SCORES --budget 5 --lse-tensor v", 1, "with --lse"},
    /* input */
    {"NOWHERE --budget 5", 3, "cannot be opened"},
    {"FOLDER --budget 5", 2, "directory"},
    {"SPANS --budget 5", 2, "SPANS"},
    {"SCORES --budget 5 --tensor x", 2, "no tensor x"},
    {"VECTOR --budget 5", 2, "expected [heads][queries][keys]"},
    {"BYTES --budget 5", 2, "expected floating-point numbers"},
    {"SHORTS --budget 5", 2, "or --dtype bf16"},
    {"TALL --budget 5", 2, "--first-query has to say"},
    {"NAN --budget 5 --out OUT", 2, "layer 1, KV head 2"},
    {"SCORES --budget 5 --values VALUES2", 2, "expected [3][4][20]"},
    {"HALVES --budget 2 --kind probs --n 0", 2, "expected probabilities"},
    {"FLOATS --budget 2 --kind probs --n 0", 2, "expected probabilities"},
    {"SCORES --budget 5 --values SPANS", 2, "SPANS"},
    {"SCORES --budget 5 --values VALUES --values-tensor v", 2, "tensor v"},
    {"SCORES --budget 5 --kind probs --lse VALUES", 2, "expected [3][4][5]"},
    {"SCORES --budget 5 --spans-file NOWHERE", 3, "cannot be opened"},
    {"SCORES --budget 5 --spans-file BAD1", 2, "integer of digits only"},
    {"SCORES --budget 5 --spans-file BAD2", 2, "item 1 is not"},
    {"SCORES --budget 5 --spans-file BAD3", 2, "is not JSON"},
    {"SCORES --budget 5 --spans-file BAD4", 2, "expected a list"},
    {"SCORES --budget 5 --spans-file BAD5", 2, "begins before"},
    {"SCORES --budget 5 --spans-file BAD6", 2, "item 2 is not"},
    {"SCORES --budget 5 --spans-file LONG", 2, "1048577 bytes, expected at"},
    /* output */
    {"SCORES --budget 5 --out NOWHERE/deep", 3, "cannot be made"},
    {"SCORES --budget 5 --out SPANS", 3, "is no folder"},
    {"SCORES --budget 5 --out FULL", 3, "FULL"},
};

/* ---- Files --------------------------------------------------------------- */

static void write_text(const folder *f, const char *name, const char *text)
{
    write_bytes(in_folder(f, name), text, strlen(text));
}

static void write_bad_spans(const folder *f)
{
    write_text(f, "SPANS", "[[1, 3, \"image\"]]");
    write_text(f, "BAD1", "[[1, 3.5, 1]]");
    write_text(f, "BAD2", "[[1, 3]]");
    write_text(f, "BAD3", "[[1, 3, 1]");
    write_text(f, "BAD4", "{\"spans\": [[1, 3, 1]]}");
    write_text(f, "BAD5", "[[1, 3, 1], [2, 4, 1]]");
    write_text(f, "BAD6", "[[1, 3, 1], [5, 9007199254740992, 1]]");
}

/* Spans behind so many blanks that they make a MiB and a byte. */
static void write_long_spans(const folder *f)
{
    static char text[(1 << 20) + 1];
    static const char spans[] = "[[1, 3, 1]]";
    const size_t n = sizeof text - (sizeof spans - 1);

    memset(text, ' ', n);
    memcpy(text + n, spans, sizeof spans - 1);
    write_bytes(in_folder(f, "LONG"), text, sizeof text);
}

static void write_files(const folder *f)
{
    static const uint32_t count[] = {6}, tall[] = {1, 3, 2},
                          small[] = {1, 2, 3};
    static const unsigned char zeros[24];
    uint16_t halves[] = {0x3800, 0x8000, 0x0000, /* 0.5, -0, 0 */
                         0x0000, 0x8001, 0x0000};
    float floats[] = {0.5f, -0.0f, 0.0f, 0.0f, 0.0f, -1e-30f};

    write_scores(in_folder(f, "SCORES"), NO_NAN);
    /* the second layer's third head */
    write_scores(in_folder(f, "NAN"), (HEADS + 2) * (size_t)QUERIES * KEYS + 3);
    write_values(in_folder(f, "VALUES"), HEADS);
    write_values(in_folder(f, "VALUES2"), 2);
    write_npy(in_folder(f, "VECTOR"), "<f4", false, 1, count, zeros, 24);
    write_npy(in_folder(f, "BYTES"), "|u1", false, 3, small, zeros, 6);
    write_npy(in_folder(f, "SHORTS"), "<u2", false, 3, small, zeros, 12);
    if (element_is_swapped(true))
        elements_swap(halves, COUNT(halves), sizeof *halves);
    write_npy(in_folder(f, "HALVES"), "<f2", false, 3, small, halves, 12);
    write_f32(in_folder(f, "FLOATS"), 3, small, floats, COUNT(floats));
    write_npy(in_folder(f, "TALL"), "<f4", false, 3, tall, zeros, 24);
    write_bad_spans(f);
    write_long_spans(f);
    assert_int_equal(mkdir(in_folder(f, "FOLDER"), 0700), 0);
    /* A folder stands where a file would. */
    assert_int_equal(mkdir(in_folder(f, "FULL"), 0700), 0);
    assert_int_equal(mkdir(in_folder(f, "FULL/mask.npy"), 0700), 0);
}

/* ---- Running ------------------------------------------------------------- */

/* Words in capitals are files of the folder. */
static command_line line_of(const folder *f, const char *words)
{
    command_line line = start_line("prune");
    char word[128];
    int used;

    for (; sscanf(words, " %127s%n", word, &used) == 1; words += used) {
        const bool is_file = word[0] >= 'A' && word[0] <= 'Z';
        add_word(&line, "%s", is_file ? in_folder(f, word) : word);
    }
    return line;
}

static void assert_refused(const folder *f, const refusal *r)
{
    char errors[1024], output[16];
    command_line line = line_of(f, r->words);
    const int before = count_files(f->path);
    const int code = run_program(f, &line);

    read_text(in_folder(f, ERROR_FILE), errors, sizeof errors);
    read_text(in_folder(f, OUTPUT_FILE), output, sizeof output);
    if (code != r->code)
        fail_msg("csp prune %s: exit code %d, not %d: %s", r->words, code,
                 r->code, errors);
    if (strstr(errors, r->says) == NULL)
        fail_msg("csp prune %s: %s has no '%s'", r->words, errors, r->says);
    if (strncmp(errors, "csp: ", 5) != 0 ||
        strchr(errors, '\n') != errors + strlen(errors) - 1)
        fail_msg("csp prune %s: not one line: %s", r->words, errors);
    assert_string_equal(output, "");
    if (count_files(f->path) != before)
        fail_msg("csp prune %s left something behind", r->words);
}

TEST(prune_refuses_in_one_line_and_leaves_nothing)
{
    folder f = make_folder();

    write_files(&f);
    write_bytes(in_folder(&f, OUTPUT_FILE), NULL, 0);
    write_bytes(in_folder(&f, ERROR_FILE), NULL, 0);
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused(&f, &refusals[i]);
    assert_int_equal(count_files(in_folder(&f, "FULL")), 1);
    assert_int_equal(rmdir(in_folder(&f, "FULL/mask.npy")), 0);
    remove_folder(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prune_refuses_in_one_line_and_leaves_nothing),
    };

    return RUN(tests);
}
