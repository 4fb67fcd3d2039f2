/*
 * test_prune_table.c - the screen that csp prune prints, to the letter
 */
#include "cli_test.h"

#include "prune_summary.h"

enum { N_HEADS = 4 }; /* two of each of two layers */

static prune_options options;
static csp_report heads[N_HEADS];
static prune_summary summary;
static const char *folder;

/* Of every head 10 tokens, 6 of them text; 5 are kept. */
static void make_summary(void)
{
    memset(heads, 0, sizeof heads);
    options = (prune_options){.scores = "s\x1b.npy"};
    summary = (prune_summary){.options = &options,
                              .shape = {.n_layers = 2,
                                        .n_heads = 8,
                                        .n_kv_heads = 2,
                                        .n_queries = 3,
                                        .n_keys = 10,
                                        .first_query = 7,
                                        .has_sinks = true},
                              .heads = heads,
                              .times = {0.5, 1.25, 0.125, 2.0},
                              .scores = "f32 [2][8][3][10]"};
    csp_config_init(&summary.config);
    summary.config.budget = 5;
    summary.config.sinks = 1;
    summary.config.recent = 2;
    summary.all = (csp_report){.n_heads = N_HEADS,
                               .n_keys = 40,
                               .n_kept = 20,
                               .n_both = 6,
                               .keys_of_modality = {24, 16},
                               .kept_of_modality = {14, 6},
                               .intra_total = 8.0,
                               .intra_kept = 6.0,
                               .inter_total = 2.0,
                               .inter_kept = 0.5};
    for (int i = 0; i < N_HEADS; i++) {
        heads[i] = (csp_report){.intra_total = 2.0, .inter_total = 0.5};
        heads[i].intra_kept = i == 1 ? 0.75 : 1.75;
        heads[i].inter_kept = i == 2 ? 0.03125 : 0.25;
    }
    heads[0].inter_total = heads[0].inter_kept = 0.0; /* sees no others */
    folder = NULL;
}

static outcome print(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    prune_summary_print(&summary, folder);
    return DONE;
}

static void assert_printed(const char *part)
{
    const char *none[] = {NULL};

    assert_int_equal(run_command(print, none), DONE);
    if (strstr(command_output, part) == NULL)
        fail_msg("no \"%s\" in \"%s\"", part, command_output);
}

TEST(screen_has_settings_tokens_mass_and_times)
{
    make_summary();

    assert_printed("");

    assert_string_equal(
        command_output,
        "s\\x1b.npy: f32 [2][8][3][10], 2 KV heads, queries are tokens 7 to 9\n"
        "logits, n = 1, exact selection per head\n"
        "budget 5, 1 sinks, 2 recent, lists: 0 inter, the rest intra\n"
        "\n"
        "  of a head          tokens       kept\n"
        "  text                  6.0        3.5      58.3 %\n"
        "  image                 4.0        1.5      37.5 %\n"
        "  all                  10.0        5.0      50.0 %\n"
        "  in both lists                    1.5\n"
        "\n"
        "  retained mass   all heads      least\n"
        "  intra              75.0 %     37.5 %  layer 0, KV head 1\n"
        "  inter              25.0 %      6.2 %  layer 1, KV head 0\n"
        "  both               65.0 %     40.0 %  layer 0, KV head 1\n"
        "\n"
        "seconds: read 0.500, score 1.250, select 0.125, calibrate 2.000\n");
}

TEST(settings_are_told_as_they_are)
{
    make_summary();
    options.given[OPTION_PRESET] = true;
    options.preset = CSP_PRESET_H2O;
    options.kind = CSP_PROBABILITIES;
    summary.config.n = 0.25;
    summary.config.selection = CSP_UNION;
    summary.config.scope = CSP_GLOBAL;
    summary.config.n_intra = 3;
    summary.config.n_inter = 4;
    assert_printed(
        "preset h2o, probs, n = 0.25, reference selection per model\n"
        "1 sinks, 2 recent, lists: 4 inter, 3 intra\n");

    summary.config.auto_share = true;
    summary.config.scope = CSP_PER_LAYER;
    assert_printed("selection per layer\n"
                   "1 sinks, 2 recent, lists: shared by mass\n");
}

TEST(mass_that_is_nowhere_is_none)
{
    make_summary();
    summary.all.inter_total = summary.all.inter_kept = 0.0;
    for (int i = 0; i < N_HEADS; i++)
        heads[i].inter_total = heads[i].inter_kept = 0.0;

    assert_printed("  inter                none\n");
}

TEST(modalities_beyond_the_seventh_are_together)
{
    make_summary();
    for (int m = 0; m < 9; m++) {
        summary.all.keys_of_modality[m] = 4;
        summary.all.kept_of_modality[m] = m > 6 ? 1 : 2;
    }

    assert_printed("  6                     1.0        0.5      50.0 %\n"
                   "  others                2.0        0.5      25.0 %\n"
                   "  all                  10.0        5.0      50.0 %\n");
    assert_null(strstr(command_output, "  7 "));

    for (int m = 7; m < 9; m++)
        summary.all.keys_of_modality[m] = 0;
    assert_printed("  all    ");
    assert_null(strstr(command_output, "others"));
}

TEST(folder_and_files_are_named)
{
    make_summary();
    assert_printed("seconds");
    assert_null(strstr(command_output, "written"));
    folder = "o\x1bt";

    assert_printed("written to o\\x1bt: mask.npy, keep.npy, importance.npy, "
                   "reasons.npy, sink_logits.npy, summary.json\n");

    summary.shape.value_dim = 3;
    assert_printed(", sink_logits.npy, residual.npy, summary.json\n");

    summary.shape.has_sinks = false;
    assert_printed("no sink logits: probabilities without --lse do not say "
                   "what was dropped\nwritten to o\\x1bt: mask.npy, keep.npy, "
                   "importance.npy, reasons.npy, summary.json\n");
}

TEST(names_of_any_length_are_cut)
{
    char name[3000];

    make_summary();
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    options.scores = name;

    assert_printed(": f32 [2][8][3][10], 2 KV heads");
    assert_int_equal(strspn(command_output, "x"), 2044);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(screen_has_settings_tokens_mass_and_times),
        cmocka_unit_test(settings_are_told_as_they_are),
        cmocka_unit_test(mass_that_is_nowhere_is_none),
        cmocka_unit_test(modalities_beyond_the_seventh_are_together),
        cmocka_unit_test(folder_and_files_are_named),
        cmocka_unit_test(names_of_any_length_are_cut),
    };

    return RUN(tests);
}
