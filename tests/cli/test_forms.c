/*
 * test_forms.c - the same scores in every form of file give the same decision
 */
#include "golden_case.h"

#include "elements.h"

/* ---- Bytes --------------------------------------------------------------- */

/* Scores in C order to those of a file: another type, order of axes, order of
   bytes. */
typedef struct form {
    const char *descr;
    uint32_t size;
    bool fortran, big;
    uint32_t n_layers; /* 0: no such axis; else the same in every layer */
} form;

static void put(unsigned char *to, const form *like, float x)
{
    const double wide = (double)x;
    unsigned char bytes[8];
    const bool swap = element_is_swapped(!like->big);

    if (like->size == 8)
        memcpy(bytes, &wide, 8);
    else
        memcpy(bytes, &x, 4);
    for (uint32_t i = 0; i < like->size; i++)
        to[i] = bytes[swap ? like->size - 1 - i : i];
}

/* Where element i of C order is in an array whose first axis is the fastest. */
static size_t fortran_place(size_t i, uint32_t rank, const uint32_t *shape)
{
    size_t place = 0, stride = 1, rest = i, below = 1;

    for (uint32_t a = 0; a < rank; a++)
        below *= shape[a];
    for (uint32_t a = 0; a < rank; a++) {
        below /= shape[a];
        place += rest / below * stride;
        rest %= below;
        stride *= shape[a];
    }
    return place;
}

static void write_form(const golden_case *g, const char *path, const form *like)
{
    const uint32_t n_layers = like->n_layers > 0 ? like->n_layers : 1;
    const uint32_t shape[] = {n_layers, g->n_heads, g->n_queries, g->n_keys};
    const uint32_t skipped = like->n_layers > 0 ? 0 : 1;
    const size_t n = case_size(g) * n_layers;
    float *x = case_floats(g);
    unsigned char *bytes = malloc(n * like->size);

    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        const size_t at =
            like->fortran ? fortran_place(i, 4 - skipped, shape + skipped) : i;
        put(bytes + at * like->size, like, x[i % case_size(g)]);
    }
    write_npy(path, like->descr, like->fortran, 4 - skipped, shape + skipped,
              bytes, n * like->size);
    free(bytes);
    free(x);
}

/* ---- .npy ---------------------------------------------------------------- */

static void check_npy(const golden_case *g, const folder *f)
{
    static const form forms[] = {
        {"<f4", 4, false, false, 1}, {"<f4", 4, false, false, 3},
        {"<f4", 4, true, false, 0},  {"<f4", 4, true, false, 2},
        {">f4", 4, false, true, 0},  {">f4", 4, true, true, 2},
        {"<f8", 8, false, false, 0}, {"<f8", 8, true, false, 2},
        {">f8", 8, false, true, 0},
    };

    for (size_t i = 0; i < COUNT(forms); i++) {
        write_form(g, in_folder(f, "scores.npy"), &forms[i]);
        command_line line = case_line(g, in_folder(f, "scores.npy"));
        assert_case(g, f, &line, forms[i].n_layers);
    }
}

static void check_global(const golden_case *g, const folder *f)
{
    static const form two = {"<f4", 4, false, false, 2};

    if (g->n_kv_heads > 1)
        return; /* a list for all heads is another decision */
    write_form(g, in_folder(f, "scores.npy"), &two);
    command_line line = case_line(g, in_folder(f, "scores.npy"));
    add_word(&line, "--scope=global");
    assert_case(g, f, &line, 2);
}

/* ---- .safetensors -------------------------------------------------------- */

/* Two tensors, the second being the scores. */
static void write_safetensors(const char *path, const golden_case *g,
                              const char *dtype, const void *bytes, size_t size)
{
    char header[512] = {0};
    const size_t length = 256;
    unsigned char *file = calloc(1, 8 + length + 4 + size);

    assert_non_null(file);
    snprintf(header, sizeof header,
             "{\"other\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":"
             "[0,4]},\"scores\":{\"dtype\":\"%s\",\"shape\":[%u,%u,%u],"
             "\"data_offsets\":[4,%zu]}}",
             dtype, (unsigned)g->n_heads, (unsigned)g->n_queries,
             (unsigned)g->n_keys, 4 + size);
    assert_true(strlen(header) <= length);
    file[1] = (unsigned char)(length >> 8);
    memset(file + 8, ' ', length);
    memcpy(file + 8, header, strlen(header));
    memcpy(file + 8 + length + 4, bytes, size);
    write_bytes(path, file, 8 + length + 4 + size);
    free(file);
}

/* Halves as they are, all else as floats; numbers are little-endian. */
static void check_safetensors(const golden_case *g, const folder *f)
{
    const size_t item = g->is_f16 ? 2 : 4;
    const size_t size = case_size(g) * item;
    unsigned char *bytes = malloc(size);

    assert_non_null(bytes);
    memcpy(bytes, g->scores.data, size);
    if (element_is_swapped(true))
        elements_swap(bytes, case_size(g), (uint32_t)item);
    write_safetensors(in_folder(f, "scores.safetensors"), g,
                      g->is_f16 ? "F16" : "F32", bytes, size);
    command_line line = case_line(g, in_folder(f, "scores.safetensors"));
    add_word(&line, "--tensor=scores");
    assert_case(g, f, &line, 0);
    free(bytes);
}

/* ---- bfloat16 ------------------------------------------------------------ */

/* The mask and the importance that a line makes, in place of the case's. */
static void expect_from(golden_case *g, const folder *f, command_line *line)
{
    free(g->mask.data);
    free(g->importance.data);
    if (g->spans[0] != '\0')
        add_word(line, "--spans=%s", g->spans);
    add_word(line, "--out=%s", in_folder(f, "expected"));
    assert_int_equal(run_program(f, line), 0);
    assert_true(npy_read(in_folder(f, "expected/mask.npy"), "|u1", &g->mask));
    assert_true(npy_read(in_folder(f, "expected/importance.npy"), "<f4",
                         &g->importance));
}

/* What floats cut to bfloat16 decide, these decide as 16-bit numbers, too. */
static void check_bf16(const golden_case *original, const folder *f)
{
    golden_case g;
    const uint32_t shape[] = {original->n_heads, original->n_queries,
                              original->n_keys};
    const size_t n = case_size(original);
    float *x = case_floats(original);
    unsigned char *halves = malloc(2 * n);

    load_case(original->path, &g);
    assert_non_null(halves);
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = bits_of_float(x[i]) & 0xffff0000u;
        halves[2 * i] = (unsigned char)(bits >> 16);
        halves[2 * i + 1] = (unsigned char)(bits >> 24);
        put((unsigned char *)(x + i), &(form){"<f4", 4, false, false, 0},
            float_of_bits(bits));
    }
    write_npy(in_folder(f, "cut.npy"), "<f4", false, 3, shape, x,
              n * sizeof *x);
    command_line cut = case_line(&g, in_folder(f, "cut.npy"));
    expect_from(&g, f, &cut);
    write_npy(in_folder(f, "bf16.npy"), "<u2", false, 3, shape, halves, 2 * n);
    command_line line = case_line(&g, in_folder(f, "bf16.npy"));
    add_word(&line, "--dtype=bf16");
    assert_case(&g, f, &line, 0);
    write_safetensors(in_folder(f, "bf16.safetensors"), &g, "BF16", halves,
                      2 * n);
    line = case_line(&g, in_folder(f, "bf16.safetensors"));
    add_word(&line, "--tensor=scores");
    assert_case(&g, f, &line, 0);
    free(halves);
    free(x);
    free_case(&g);
}

/* ---- Probabilities ------------------------------------------------------- */

/* Softmax of a row in place, and the logarithm of its sum. */
static float softmax(float *row, uint32_t n)
{
    double most = (double)-INFINITY, sum = 0.0;

    for (uint32_t i = 0; i < n; i++)
        most = (double)row[i] > most ? (double)row[i] : most;
    for (uint32_t i = 0; i < n; i++)
        sum += most > (double)-INFINITY ? exp((double)row[i] - most) : 0.0;
    for (uint32_t i = 0; i < n; i++)
        row[i] = sum > 0.0 ? (float)(exp((double)row[i] - most) / sum) : 0.0f;
    return sum > 0.0 ? (float)(most + log(sum)) : -INFINITY;
}

/* Floats of memory to those of a file. */
static void write_floats(const char *path, uint32_t rank, const uint32_t *shape,
                         float *x, size_t n)
{
    if (element_is_swapped(true))
        elements_swap(x, n, sizeof *x);
    write_npy(path, "<f4", false, rank, shape, x, n * sizeof *x);
}

static void check_probabilities(const golden_case *g, const folder *f)
{
    const uint32_t shape[] = {g->n_heads, g->n_queries, g->n_keys};
    const size_t n_rows = (size_t)g->n_heads * g->n_queries;
    float *x = case_floats(g);
    float *lse = malloc(n_rows * sizeof *lse);

    assert_non_null(lse);
    for (size_t r = 0; r < n_rows; r++)
        lse[r] = softmax(x + r * g->n_keys, g->n_keys);
    write_floats(in_folder(f, "probs.npy"), 3, shape, x, case_size(g));
    write_floats(in_folder(f, "lse.npy"), 2, shape, lse, n_rows);
    command_line line = case_line(g, in_folder(f, "probs.npy"));
    add_word(&line, "--kind=probs");
    add_word(&line, "--lse=%s", in_folder(f, "lse.npy"));
    assert_case(g, f, &line, 0);
    free(lse);
    free(x);
}

/* ---- Tests --------------------------------------------------------------- */

TEST(prune_reads_types_orders_and_layers_of_npy)
{
    for_each_case(check_npy);
}

TEST(prune_reads_layers_twice_for_one_list)
{
    for_each_case(check_global);
}

TEST(prune_reads_a_tensor_by_its_name)
{
    for_each_case(check_safetensors);
}

TEST(prune_reads_bfloat16)
{
    for_each_case(check_bf16);
}

TEST(prune_takes_probabilities_with_their_log_sum_exp)
{
    for_each_case(check_probabilities);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prune_reads_types_orders_and_layers_of_npy),
        cmocka_unit_test(prune_reads_layers_twice_for_one_list),
        cmocka_unit_test(prune_reads_a_tensor_by_its_name),
        cmocka_unit_test(prune_reads_bfloat16),
        cmocka_unit_test(prune_takes_probabilities_with_their_log_sum_exp),
    };

    return RUN(tests);
}
