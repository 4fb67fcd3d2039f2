/*
 * test_huge.c - attention and values of more than 2^31 and 2^32 elements
 */
#include "huge_fixture.h"

#if HUGE_MAPS

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    assert_non_null(memory);
    return memory;
}

/* The numbers of an array that are not zero. */
static size_t count_nonzero(const float *x, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += x[i] != 0.0f;
    return count;
}

static csp_importance new_importance(uint32_t n_heads, uint32_t n_keys)
{
    return (csp_importance){
        .intra = zeros((size_t)n_heads * n_keys, sizeof(float)),
        .inter = zeros((size_t)n_heads * n_keys, sizeof(float)),
        .capacity = n_keys};
}

static void free_importance(csp_importance *importance)
{
    free(importance->intra);
    free(importance->inter);
    free(importance->value_norm);
}

static csp_status score(const csp_attention *attention,
                        const csp_tokens *tokens, const csp_config *config,
                        const csp_importance *importance)
{
    const size_t size = csp_score_workspace_size(attention, tokens, config);
    void *workspace = malloc(size);

    assert_true(size > 0);
    assert_non_null(workspace);
    const csp_status status =
        csp_score(attention, tokens, config, workspace, size, importance);
    free(workspace);
    return status;
}

/* ---- Score --------------------------------------------------------------- */

/* [64][513][131072] in f16: 2^32 elements and 2^23 more. */
enum { FAR_HEADS = 64, FAR_KV = 8, FAR_ROWS = 513, FAR_KEYS = 131072 };

static csp_attention far_probabilities(unsigned char *map)
{
    csp_attention a = {.source = CSP_PROBABILITIES,
                       .mask = CSP_FULL,
                       .first_query = FAR_KEYS - FAR_ROWS};

    a.scores = csp_tensor_packed(map, CSP_F16, FAR_HEADS, FAR_ROWS, FAR_KEYS);
    return a;
}

static size_t far_size(void)
{
    return (size_t)FAR_HEADS * FAR_ROWS * FAR_KEYS * TWO_BYTES;
}

/* Score planted probabilities; 'first_vote' is the first row to be read. */
static void score_far(uint32_t first_vote)
{
    unsigned char *map = sparse(far_size());
    const csp_attention a = far_probabilities(map);
    const csp_tokens tokens = {.n_kv_heads = FAR_KV, .n_keys = FAR_KEYS};
    csp_importance importance = new_importance(FAR_KV, FAR_KEYS);
    csp_config config;

    assert_ok(csp_config_init(&config));
    config.n = 0.0;
    config.first_vote = a.first_query + first_vote;
    plant_half(map, &a.scores, 0, FAR_ROWS - 1, 7, HALF);
    plant_half(map, &a.scores, 33, FAR_ROWS - 2, 5, ONE); /* past 2^31 */
    plant_half(map, &a.scores, 63, FAR_ROWS - 2, FAR_KEYS - 1, HALF);
    plant_half(map, &a.scores, 63, FAR_ROWS - 1, FAR_KEYS - 1,
               ONE); /* the last */

    assert_ok(score(&a, &tokens, &config, &importance));

    const size_t n = (size_t)FAR_KV * FAR_KEYS;
    assert_true(importance.intra[7] == 0.5f);
    assert_true(importance.intra[4 * FAR_KEYS + 5] == 1.0f);
    assert_true(importance.intra[n - 1] == 1.5f);
    assert_int_equal(count_nonzero(importance.intra, n), 3);
    assert_int_equal(count_nonzero(importance.inter, n), 0);
    free_importance(&importance);
    munmap(map, far_size());
}

TEST(score_finds_probabilities_past_4_g_elements)
{
    score_far(FAR_ROWS - 2);
}

/* Each of the elements is read: counters, not only offsets. */
TEST(score_reads_4_g_elements)
{
    score_far(0);
}

/* [32][8193][8193] in f32: 2^31 elements and some. */
enum { SQUARE_HEADS = 32, SQUARE = 8193 };

TEST(score_of_a_whole_prompt_past_2_g_elements_is_the_formula)
{
    const size_t size = (size_t)SQUARE_HEADS * SQUARE * SQUARE * sizeof(float);
    unsigned char *map = sparse(size);
    const csp_tokens tokens = {.n_kv_heads = SQUARE_HEADS, .n_keys = SQUARE};
    csp_attention a = {.source = CSP_LOGITS, .mask = CSP_CAUSAL};
    csp_importance importance = new_importance(SQUARE_HEADS, SQUARE);
    csp_config config;
    const uint32_t last = SQUARE - 1;
    a.scores = csp_tensor_packed(map, CSP_F32, SQUARE_HEADS, SQUARE, SQUARE);
    assert_ok(csp_config_init(&config));
    config.first_vote = last;
    plant_float(map, &a.scores, 31, last, 100, 9.0f);
    plant_float(map, &a.scores, 31, last, last, 10.0f);

    assert_ok(score(&a, &tokens, &config, &importance));

    const float *far = importance.intra + (size_t)31 * SQUARE;
    const double others = 1.0 + (SQUARE - 2); /* n = 1, and exp(0) each */
    const double total = others + exp(9.0) + exp(10.0);
    assert_near(importance.intra[0], 1.0 / (1.0 + SQUARE), 4e-6);
    assert_near(far[0], 1.0 / total, 4e-6);
    assert_near(far[100], exp(9.0) / total, 4e-6);
    assert_near(far[last], exp(10.0) / total, 4e-6);
    free_importance(&importance);
    munmap(map, size);
}

/* The second head of queries, and the last keys of each head. */
TEST(score_multiplies_queries_and_keys_gib_apart)
{
    enum { DIM = 64, KEYS = 40 };
    const size_t size = 9 * GIB;
    unsigned char *map = sparse(2 * size);
    const csp_tokens tokens = {.n_kv_heads = 2, .n_keys = KEYS};
    csp_attention a = {.source = CSP_QUERY_KEY,
                       .mask = CSP_FULL,
                       .first_query = KEYS - 1,
                       .scale = 1.0f};
    csp_importance importance = new_importance(2, KEYS);
    csp_config config;
    a.queries = csp_tensor_packed(map, CSP_F32, 2, 1, DIM);
    a.queries.head_stride = size - GIB / 2;
    a.keys = csp_tensor_packed(map + size, CSP_F32, 2, KEYS, DIM);
    a.keys.head_stride = GIB / 1024;
    a.keys.row_stride = size / 50; /* the last key is 7 GiB away */
    assert_ok(csp_config_init(&config));
    plant_float(map, &a.queries, 1, 0, DIM - 1, 2.0f);
    plant_float(map + size, &a.keys, 1, KEYS - 1, DIM - 1, 3.0f);

    assert_ok(score(&a, &tokens, &config, &importance));

    const double total = 1.0 + (KEYS - 1) + exp(6.0);
    assert_near(importance.intra[0], 1.0 / (1.0 + KEYS), 4e-6);
    assert_near(importance.intra[KEYS], 1.0 / total, 4e-6);
    assert_near(importance.intra[2 * KEYS - 1], exp(6.0) / total, 4e-6);
    free_importance(&importance);
    munmap(map, 2 * size);
}

/* ---- Values -------------------------------------------------------------- */

/* [16][2^23][64] in f16: 2^33 elements of which the first rows are in use. */
static csp_tensor many_values(unsigned char *map)
{
    return csp_tensor_packed(map, CSP_F16, 16, 1u << 23, 64);
}

TEST(value_norms_of_heads_past_4_g_elements)
{
    enum { KEYS = 100 };
    unsigned char *map = sparse(16 * GIB);
    const csp_tensor values = many_values(map);
    const csp_tokens tokens = {.n_kv_heads = 16, .n_keys = KEYS};
    float norms[16 * KEYS];
    memset(norms, 0, sizeof norms);
    plant_half(map, &values, 9, 3, 0, HALF);
    plant_half(map, &values, 15, KEYS - 1, 63, ONE);

    assert_ok(csp_value_norms(&values, &tokens, KEYS, norms));

    assert_true(norms[9 * KEYS + 3] == 0.5f);
    assert_true(norms[16 * KEYS - 1] == 1.0f);
    assert_int_equal(count_nonzero(norms, COUNT(norms)), 2);
    munmap(map, 16 * GIB);
}

TEST(value_distances_of_rows_that_lie_far_apart)
{
    enum { KEYS = 4097, DIM = 8 };
    const size_t row = 2 * GIB / 1024; /* 2 MiB: the last row is at 8 GiB */
    unsigned char *map = sparse((KEYS + 1) * row);
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = KEYS};
    csp_tensor values = csp_tensor_packed(map, CSP_F32, 1, KEYS, DIM);
    float distances[KEYS];
    unsigned char workspace[4096];
    values.row_stride = row;
    plant_float(map, &values, 0, KEYS - 1, 2, 4097.0f); /* the mean is 1 */
    assert_in_range(csp_value_distances_workspace_size(1, DIM), 1,
                    sizeof workspace);

    assert_ok(csp_value_distances(&values, &tokens, workspace, sizeof workspace,
                                  KEYS, distances));

    for (uint32_t i = 0; i < KEYS - 1; i++)
        assert_near(distances[i], 1.0, 1e-6);
    assert_near(distances[KEYS - 1], 4096.0, 1e-6);
    munmap(map, (KEYS + 1) * row);
}

/* ---- Calibrate ----------------------------------------------------------- */

TEST(calibrate_adds_what_is_dropped_past_4_g_elements)
{
    unsigned char *map = sparse(far_size());
    csp_attention a = far_probabilities(map);
    const csp_tokens tokens = {.n_kv_heads = FAR_KV, .n_keys = FAR_KEYS};
    double log_mass[FAR_HEADS] = {0}, rows[FAR_HEADS] = {0};
    uint32_t kept_rows[] = {0}, count = 1;
    const csp_kept kept = {
        .rows = kept_rows, .counts = &count, .n_lists = 1, .capacity = 1};
    const csp_calibration sums = {
        .log_mass = log_mass, .rows = rows, .n_heads = FAR_HEADS};
    float *lse = zeros((size_t)FAR_HEADS * 2, sizeof *lse);
    /* The last two rows of each head as a chunk. */
    unsigned char *chunk = map + (size_t)(FAR_ROWS - 2) * FAR_KEYS * TWO_BYTES;
    a.scores.data = chunk;
    a.scores.n_rows = 2;
    a.first_query = FAR_KEYS - 2;
    a.lse = csp_tensor_packed(lse, CSP_F32, FAR_HEADS, 2, 1);
    plant_half(chunk, &a.scores, 63, 1, FAR_KEYS - 1, HALF);
    const size_t size = csp_calibrate_workspace_size(&a, &tokens, 0);
    void *workspace = zeros(1, size);

    assert_ok(
        csp_calibrate(&a, &tokens, &kept, NULL, NULL, workspace, size, &sums));

    assert_true(rows[62] == 0.0 && rows[63] == 1.0);
    assert_near(log_mass[63], log(0.5), 4e-6);
    free(workspace);
    free(lse);
    munmap(map, far_size());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_finds_probabilities_past_4_g_elements),
        cmocka_unit_test(score_reads_4_g_elements),
        cmocka_unit_test(
            score_of_a_whole_prompt_past_2_g_elements_is_the_formula),
        cmocka_unit_test(score_multiplies_queries_and_keys_gib_apart),
        cmocka_unit_test(value_norms_of_heads_past_4_g_elements),
        cmocka_unit_test(value_distances_of_rows_that_lie_far_apart),
        cmocka_unit_test(calibrate_adds_what_is_dropped_past_4_g_elements),
    };

    return RUN(tests);
}

#else

int main(void)
{
    puts("no maps beyond 4 GiB: skipped");
    return 0;
}

#endif
