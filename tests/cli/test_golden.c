/*
 * test_golden.c - a command line from each case.json gives its mask and its
 * importance
 */
#include "golden_case.h"

static command_line line_of(const golden_case *g)
{
    char scores[2 * MAX_PATH];

    snprintf(scores, sizeof scores, "%s/scores.npy", g->path);
    return case_line(g, scores);
}

static void check_options(const golden_case *g, const folder *f)
{
    command_line line = line_of(g);

    assert_case(g, f, &line, 0);
    assert_int_equal(count_files(in_folder(f, "out")), 6);
}

TEST(prune_gives_the_mask_and_importance_of_every_case)
{
    for_each_case(check_options);
}

/* The same spans from a file, without the text. */
static void check_spans_file(const golden_case *g, const folder *f)
{
    golden_case other = *g;
    command_line line = line_of(g);

    write_bytes(in_folder(f, "spans.json"), g->spans_json,
                strlen(g->spans_json));
    add_word(&line, "--spans-file");
    add_word(&line, "%s", in_folder(f, "spans.json"));
    other.spans[0] = '\0';
    assert_case(&other, f, &line, 0);
}

TEST(prune_reads_the_spans_of_every_case_from_a_file)
{
    for_each_case(check_spans_file);
}

/* What the file masks already is the same by either rule. */
static void check_mask_full(const golden_case *g, const folder *f)
{
    command_line line = line_of(g);

    add_word(&line, "--mask=full");
    assert_case(g, f, &line, 0);
}

TEST(prune_gives_the_same_by_the_mask_in_the_file_alone)
{
    for_each_case(check_mask_full);
}

static void check_threads(const golden_case *g, const folder *f)
{
    static const int threads[] = {1, 2, 7};

    for (size_t i = 0; i < COUNT(threads); i++) {
        command_line line = line_of(g);
        add_word(&line, "--threads=%d", threads[i]);
        add_word(&line, "--tier=%s", i == 1 ? "scalar" : "auto");
        assert_case(g, f, &line, 0);
    }
}

TEST(prune_gives_the_same_by_threads_and_tiers)
{
    for_each_case(check_threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prune_gives_the_mask_and_importance_of_every_case),
        cmocka_unit_test(prune_reads_the_spans_of_every_case_from_a_file),
        cmocka_unit_test(prune_gives_the_same_by_the_mask_in_the_file_alone),
        cmocka_unit_test(prune_gives_the_same_by_threads_and_tiers),
    };

    return RUN(tests);
}
