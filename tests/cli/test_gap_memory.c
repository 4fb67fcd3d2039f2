/*
 * test_gap_memory.c - csp gap of many layers that hold next to nothing
 *
 * What a layer takes must be in proportion to what the file has of it, not to
 * the curves that are drawn.
 */
#include "program.h"

#include <sys/resource.h>

enum { LAYERS = 2000, KEYS = 2, ITEM = 2 };

/* What the program may have in memory, also in an emulator; two curves of each
   layer would take 164 MiB. */
#define MOST_RESIDENT_KIB (100L * 1024)

/* Sanitizers hold back what was freed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_MEASURED 0
#elif defined(__has_feature)
#define IS_MEASURED                                                            \
    !(__has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||   \
      __has_feature(thread_sanitizer))
#else
#define IS_MEASURED 1
#endif

static folder the_folder;

/* An 8 KB file of f16, all of it zero, of which the first key is an image. */
static command_line start_gap(void)
{
    static const unsigned char zeros[LAYERS * KEYS * ITEM];
    const uint32_t shape[] = {LAYERS, 1, 1, KEYS};
    const char *const path = in_folder(&the_folder, "scores.npy");
    command_line line = start_line("gap");

    write_npy(path, "<f2", false, 4, shape, zeros, sizeof zeros);
    add_word(&line, "%s", path);
    add_word(&line, "--spans=0:1=image");
    return line;
}

static void assert_runs_in_little_memory(command_line *line)
{
    char text[200];
    struct rusage used;

    const int code = run_program(&the_folder, line);
    read_text(in_folder(&the_folder, ERROR_FILE), text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(code, 0);
    assert_int_equal(getrusage(RUSAGE_CHILDREN, &used), 0);
    if (IS_MEASURED)
        assert_true(used.ru_maxrss < MOST_RESIDENT_KIB);
}

/* How many lines of a file have 'part' in them. */
static int count_lines(const char *name, const char *part)
{
    static char line[65536];
    FILE *file = fopen(in_folder(&the_folder, name), "r");
    int n = 0;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        n += strstr(line, part) != NULL;
    fclose(file);
    return n;
}

TEST(table_of_many_layers_takes_little_memory)
{
    command_line line = start_gap();

    assert_runs_in_little_memory(&line);

    assert_int_equal(count_lines(OUTPUT_FILE, "3.31e-01"), LAYERS);
}

TEST(plot_of_many_layers_takes_little_memory)
{
    command_line line = start_gap();
    add_word(&line, "--plot=%s", in_folder(&the_folder, "gap.svg"));

    assert_runs_in_little_memory(&line);

    assert_int_equal(count_lines("gap.svg", ">layer "), LAYERS);
    assert_int_equal(count_lines("gap.svg", "class=\"intra\" d=\"M"),
                     LAYERS + 1);
    assert_int_equal(count_lines("gap.svg", "</svg>"), 1);
}

TEST(json_of_many_layers_takes_little_memory)
{
    command_line line = start_gap();
    add_word(&line, "--json");

    assert_runs_in_little_memory(&line);

    assert_int_equal(count_lines(OUTPUT_FILE, "\"density\""), LAYERS);
    assert_int_equal(count_lines(OUTPUT_FILE, "\t\t}, {\n"), LAYERS - 1);
    assert_int_equal(count_lines(OUTPUT_FILE, "\t\t}]\n"), 1);
}

static int begin(void **state)
{
    (void)state;
    the_folder = make_folder();
    return 0;
}

static int end(void **state)
{
    (void)state;
    remove_folder(&the_folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            table_of_many_layers_takes_little_memory, begin, end),
        cmocka_unit_test_setup_teardown(plot_of_many_layers_takes_little_memory,
                                        begin, end),
        cmocka_unit_test_setup_teardown(json_of_many_layers_takes_little_memory,
                                        begin, end),
    };
    return RUN(tests);
}
