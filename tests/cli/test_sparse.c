/*
 * test_sparse.c - files of more than 2^31 bytes, or of 2^32 elements
 *
 * Usage: test_cli_sparse [--whole]
 *
 * What is not written of a file is a hole, which costs no disk and reads as
 * zero; a few numbers planted far out are all that counts.  An offset that goes
 * through 32 bits anywhere finds a zero.  --whole: four times the layers, for
 * more than 2^32 elements.  Skipped where files cannot be so large.
 */
#include "program.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "../../examples/npy.h" /* there is another in src/cli */

/* Layers of 2^22 elements: of scores, and of a cache. */
enum { FEW_LAYERS = 258, HEADS = 2, QUERIES = 512, KEYS = 4096, DIM = 512 };

/* What the program may have in memory, also when sanitizers add theirs. */
#define MOST_RESIDENT_KIB (400L * 1024)

/* Of a file of write_npy(); of f16. */
enum { HEADER = 128, ITEM = 2 };

static uint32_t n_layers = FEW_LAYERS;
static folder the_folder;

/* Element 'at' of an array; its bytes in a file. */
typedef struct plant {
    uint64_t at;
    unsigned char bytes[ITEM];
} plant;

static const unsigned char half[ITEM] = {0x00, 0x38};
static const unsigned char one[ITEM] = {0x00, 0x3c};

static plant planted(uint64_t at, const unsigned char *bytes)
{
    return (plant){at, {bytes[0], bytes[1]}};
}

static void write_sparse(const char *path, const uint32_t *shape,
                         const plant *plants, size_t n_plants)
{
    const uint64_t n = (uint64_t)shape[0] * shape[1] * shape[2] * shape[3];

    write_npy(path, "<f2", false, 4, shape, "\0", ITEM);
    const int file = open(path, O_WRONLY);
    assert_true(file >= 0);
    if (sizeof(off_t) < 8 || ftruncate(file, (off_t)(HEADER + ITEM * n)) != 0) {
        close(file);
        print_message("no file of %u GiB: skipped\n", (unsigned)(n >> 29));
        skip();
    }
    for (size_t i = 0; i < n_plants; i++)
        assert_int_equal(pwrite(file, plants[i].bytes, ITEM,
                                (off_t)(HEADER + ITEM * plants[i].at)),
                         ITEM);
    assert_int_equal(close(file), 0);
}

static void assert_runs(command_line *line)
{
    char text[200];
    struct rusage used;

    const int code = run_program(&the_folder, line);
    read_text(in_folder(&the_folder, ERROR_FILE), text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(code, 0);
    assert_int_equal(getrusage(RUSAGE_CHILDREN, &used), 0);
    assert_true(used.ru_maxrss < MOST_RESIDENT_KIB);
}

static uint64_t score_at(uint32_t layer, uint32_t head, uint32_t query,
                         uint32_t key)
{
    return (((uint64_t)layer * HEADS + head) * QUERIES + query) * KEYS + key;
}

/* Each head keeps the first two, or what was planted. */
TEST(prune_finds_scores_far_out)
{
    const uint32_t last = n_layers - 1;
    const uint32_t shape[] = {n_layers, HEADS, QUERIES, KEYS};
    const plant plants[] = {
        planted(score_at(0, 1, 3, 7), half),
        planted(score_at(last - 1, 0, QUERIES - 1, 99), half),
        planted(score_at(last, 1, QUERIES - 2, KEYS - 3), one),
        planted(score_at(last, 1, QUERIES - 1, KEYS - 1), half),
    };
    const char *const path = in_folder(&the_folder, "scores.npy");
    npy_array keep;
    write_sparse(path, shape, plants, COUNT(plants));

    command_line line = start_line("prune");
    add_word(&line, "%s", path);
    add_word(&line, "--kind=probs");
    add_word(&line, "--preset=h2o");
    add_word(&line, "--recent=0");
    add_word(&line, "--n=0");
    add_word(&line, "--budget=2");
    add_word(&line, "--mask=full");
    add_word(&line, "--out=%s", in_folder(&the_folder, "out"));
    assert_runs(&line);

    assert_true(npy_read(in_folder(&the_folder, "out/keep.npy"), "<u4", &keep));
    assert_int_equal(keep.shape[0], n_layers);
    assert_int_equal(keep.shape[2], 2);
    for (uint32_t layer = 0; layer < n_layers; layer++)
        for (uint32_t head = 0; head < HEADS; head++) {
            const uint32_t *rows =
                (const uint32_t *)keep.data + 2 * (layer * HEADS + head);
            uint32_t expected[2] = {0, 1};
            if (layer == 0 && head == 1)
                expected[1] = 7;
            if (layer == last - 1 && head == 0)
                expected[1] = 99;
            if (layer == last && head == 1) {
                expected[0] = KEYS - 3;
                expected[1] = KEYS - 1;
            }
            assert_memory_equal(rows, expected, sizeof expected);
        }
    free(keep.data);
    remove(path);
}

/* Of each head the first and the last row. */
static void write_lists(const char *path)
{
    const uint32_t shape[] = {n_layers, HEADS, 2};
    const size_t n = (size_t)n_layers * HEADS * 2;
    uint8_t *rows = calloc(n, 4);

    assert_non_null(rows);
    for (size_t i = 1; i < n; i += 2) {
        rows[4 * i] = (KEYS - 1) & 0xff;
        rows[4 * i + 1] = (KEYS - 1) >> 8;
    }
    write_npy(path, "<u4", false, 3, shape, rows, 4 * n);
    free(rows);
}

TEST(compact_finds_rows_far_out)
{
    const uint32_t last = n_layers - 1;
    const uint32_t shape[] = {n_layers, HEADS, KEYS, DIM};
    const uint64_t n = (uint64_t)n_layers * HEADS * KEYS * DIM;
    const plant plants[] = {planted(1, half), planted(n - 1, one),
                            planted(n - 1 - DIM, half)};
    const char *const path = in_folder(&the_folder, "cache.npy");
    npy_array rows;
    write_sparse(path, shape, plants, COUNT(plants));
    write_lists(in_folder(&the_folder, "keep.npy"));

    command_line line = start_line("compact");
    add_word(&line, "%s", path);
    add_word(&line, "--keep=%s", in_folder(&the_folder, "keep.npy"));
    add_word(&line, "--out=%s", in_folder(&the_folder, "rows.npy"));
    assert_runs(&line);

    assert_true(npy_read(in_folder(&the_folder, "rows.npy"), "<f2", &rows));
    assert_int_equal(rows.shape[0], last + 1);
    assert_int_equal(rows.shape[2], 2);
    const uint16_t *halves = rows.data;
    const size_t n_kept = (size_t)n_layers * HEADS * 2 * DIM;
    for (size_t i = 0; i < n_kept; i++)
        assert_int_equal(halves[i], i == 1            ? 0x3800
                                    : i == n_kept - 1 ? 0x3c00
                                                      : 0);
    free(rows.data);
    remove(path);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prune_finds_scores_far_out, begin, end),
        cmocka_unit_test_setup_teardown(compact_finds_rows_far_out, begin, end),
    };

    if (argc > 1 && strcmp(argv[1], "--whole") == 0)
        n_layers = 4 * FEW_LAYERS;
    return RUN(tests);
}
