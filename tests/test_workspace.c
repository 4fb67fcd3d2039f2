/*
 * test_workspace.c - size arithmetic, scratch of the verbs
 */
#include "test.h"

#include "workspace.h"

TEST(mul_refuses_what_does_not_fit)
{
    size_t product = 7;

    assert_true(csp__mul(SIZE_MAX, 1, &product));
    assert_true(product == SIZE_MAX);
    assert_true(csp__mul(0, SIZE_MAX, &product));
    assert_int_equal(product, 0);
    product = 7;
    assert_false(csp__mul(SIZE_MAX, 2, &product));
    assert_false(csp__mul(SIZE_MAX / 2 + 1, 2, &product));
    assert_int_equal(product, 7);
}

TEST(add_refuses_what_does_not_fit)
{
    size_t sum = 7;

    assert_true(csp__add(SIZE_MAX - 1, 1, &sum));
    assert_true(sum == SIZE_MAX);
    sum = 7;
    assert_false(csp__add(SIZE_MAX, 1, &sum));
    assert_int_equal(sum, 7);
}

TEST(arena_measures_as_it_carves)
{
    csp__arena measure = {0};
    assert_null(csp__arena_take(&measure, 3, 5, 4));
    assert_null(csp__arena_take(&measure, 1, 0, 4));
    assert_null(csp__arena_take(&measure, 1, 1, 1));
    const size_t size = csp__arena_size(&measure);

    for (size_t skew = 0; skew < CSP__ALIGNMENT; skew++) {
        unsigned char *bytes = calloc(1, size + skew);
        csp__arena arena = csp__arena_over(bytes + skew);
        unsigned char *a = csp__arena_take(&arena, 3, 5, 4);
        csp__arena_take(&arena, 1, 0, 4);
        unsigned char *b = csp__arena_take(&arena, 1, 1, 1);
        assert_int_equal((uintptr_t)a % CSP__ALIGNMENT, 0);
        assert_int_equal((uintptr_t)b % CSP__ALIGNMENT, 0);
        assert_true(a >= bytes + skew && b >= a + 60);
        assert_true(b + 1 <= bytes + skew + size);
        free(bytes);
    }
}

TEST(arena_of_nothing_is_not_zero)
{
    const csp__arena arena = {0};

    assert_true(csp__arena_size(&arena) > 0);
}

TEST(arena_remembers_overflow)
{
    csp__arena arena = {0};

    csp__arena_take(&arena, SIZE_MAX, 2, 1);
    csp__arena_take(&arena, 1, 1, 1);
    assert_int_equal(csp__arena_size(&arena), 0);
    arena = (csp__arena){0};
    csp__arena_take(&arena, SIZE_MAX / 2 + 1, 2, 1); /* as if it were 0 */
    assert_int_equal(csp__arena_size(&arena), 0);
    arena = (csp__arena){0};
    csp__arena_take(&arena, 1, SIZE_MAX / 4 + 1, 4);
    assert_int_equal(csp__arena_size(&arena), 0);
    arena = (csp__arena){0};
    csp__arena_take(&arena, 1, SIZE_MAX - 2,
                    1); /* fits, but not with its padding */
    assert_int_equal(csp__arena_size(&arena), 0);
    arena = (csp__arena){0};
    csp__arena_take(&arena, 1, SIZE_MAX / 2 + 1, 1);
    csp__arena_take(&arena, 1, SIZE_MAX / 2 + 1, 1);
    assert_int_equal(csp__arena_size(&arena), 0);
}

/* ---- The verbs ----------------------------------------------------------- */

/* One head, three queries, nine keys; keys 5..8 are dropped. */
typedef struct fixture {
    float numbers[64];
    float sums[4][16];
    double mass[2];
    uint32_t rows[16];
    uint32_t count;
    csp_tokens tokens;
    csp_attention attention;
    csp_config config;
    csp_tensor values;
    csp_importance importance;
    csp_kept kept;
    csp_calibration calibration;
} fixture;

static void set_up(fixture *f)
{
    memset(f, 0, sizeof *f);
    f->tokens = (csp_tokens){.n_kv_heads = 1, .n_keys = 9};
    f->attention.mask = CSP_FULL;
    f->attention.scores = csp_tensor_packed(f->numbers, CSP_F32, 1, 3, 9);
    f->values = csp_tensor_packed(f->numbers, CSP_F32, 1, 9, 4);
    f->importance = (csp_importance){
        .intra = f->sums[0], .inter = f->sums[1], .capacity = 16};
    for (uint32_t i = 0; i < 16; i++)
        f->rows[i] = i;
    f->count = 5;
    f->kept = (csp_kept){
        .rows = f->rows, .counts = &f->count, .n_lists = 1, .capacity = 16};
    f->calibration = (csp_calibration){.log_mass = &f->mass[0],
                                       .rows = &f->mass[1],
                                       .value = f->sums[2],
                                       .n_heads = 1,
                                       .value_dim = 4};
    assert_ok(csp_config_init(&f->config));
    f->config.budget = 5;
}

static csp_status score(fixture *f, void *workspace, size_t size)
{
    return csp_score(&f->attention, &f->tokens, &f->config, workspace, size,
                     &f->importance);
}

static csp_status choose(fixture *f, void *workspace, size_t size)
{
    return csp_select(&f->importance, &f->tokens, &f->config, workspace, size,
                      &f->kept);
}

static csp_status calibrate(fixture *f, void *workspace, size_t size)
{
    return csp_calibrate(&f->attention, &f->tokens, &f->kept, &f->values,
                         &f->config.compute, workspace, size, &f->calibration);
}

/* A verb takes just so many bytes, at any address, and touches none behind. */
static void check_verb(csp_status (*verb)(fixture *, void *, size_t),
                       fixture *f, size_t size)
{
    assert_true(size > 0);
    for (size_t skew = 0; skew < 4; skew++) {
        guarded memory =
            guard(NULL, size + skew); /* what is behind is the guard page */
        fixture before = *f;
        assert_status(verb(f, memory.data, size - 1), CSP_E_WORKSPACE);
        assert_memory_equal(f, &before, sizeof before);
        assert_ok(verb(f, memory.data, size));
        assert_memory_equal(memory.data + size, "\xa5\xa5\xa5\xa5", skew);
        *f = before;
        unguard(&memory);
    }
    for (size_t skew = 1; skew < 64; skew += 9) {
        unsigned char *bytes = malloc(size + skew);
        assert_ok(verb(f, bytes + skew, size));
        free(bytes);
    }
    assert_status(verb(f, NULL, size), CSP_E_NULL);
}

TEST(score_uses_its_workspace_and_no_more)
{
    fixture f;
    set_up(&f);

    check_verb(score, &f,
               csp_score_workspace_size(&f.attention, &f.tokens, &f.config));
}

TEST(score_of_queries_and_keys_uses_its_workspace_and_no_more)
{
    fixture f;
    set_up(&f);
    f.attention.source = CSP_QUERY_KEY;
    f.attention.queries = csp_tensor_packed(f.numbers, CSP_F16, 1, 3, 5);
    f.attention.keys = csp_tensor_packed(f.numbers, CSP_F16, 1, 9, 5);
    f.attention.scale = 1.0f;

    check_verb(score, &f,
               csp_score_workspace_size(&f.attention, &f.tokens, &f.config));
    check_verb(calibrate, &f,
               csp_calibrate_workspace_size(&f.attention, &f.tokens, 4));
}

TEST(select_uses_its_workspace_and_no_more)
{
    fixture f;
    set_up(&f);

    check_verb(choose, &f, csp_select_workspace_size(&f.tokens, &f.config));
}

TEST(calibrate_uses_its_workspace_and_no_more)
{
    fixture f;
    set_up(&f);

    check_verb(calibrate, &f,
               csp_calibrate_workspace_size(&f.attention, &f.tokens, 4));
}

TEST(workspace_size_reads_no_data)
{
    fixture f;
    set_up(&f);
    const guarded nothing = guard(NULL, 0); /* what follows is out of reach */
    f.attention.scores.data = NULL;
    f.tokens.counts = f.tokens.positions = (void *)nothing.data;
    f.tokens.capacity = 9;
    f.tokens.spans = (void *)nothing.data;
    f.tokens.n_spans = 2;

    assert_true(csp_select_workspace_size(&f.tokens, &f.config) > 0);
    assert_true(csp_score_workspace_size(&f.attention, &f.tokens, &f.config) >
                0);
    f.attention.source = CSP_QUERY_KEY;
    f.attention.queries = csp_tensor_packed(NULL, CSP_F32, 1, 3, 5);
    f.attention.keys = csp_tensor_packed(NULL, CSP_F32, 1, 9, 5);
    assert_true(csp_score_workspace_size(&f.attention, &f.tokens, &f.config) >
                0);
    assert_true(csp_calibrate_workspace_size(&f.attention, &f.tokens, 4) > 0);
    munmap(nothing.map, nothing.map_size + (size_t)sysconf(_SC_PAGESIZE));
}

TEST(workspace_size_of_no_keys_is_not_zero)
{
    fixture f;
    set_up(&f);
    f.tokens.n_keys = 0;

    assert_true(csp_score_workspace_size(&f.attention, &f.tokens, &f.config) >
                0);
    assert_true(csp_select_workspace_size(&f.tokens, &f.config) > 0);
    assert_true(csp_calibrate_workspace_size(&f.attention, &f.tokens, 0) > 0);
}

TEST(workspace_size_of_invalid_arguments_is_zero)
{
    fixture f;
    set_up(&f);
    const csp_tokens no_heads = {.n_keys = 9};
    csp_config other = f.config;
    other.struct_size = 1;
    csp_attention gaps = f.attention;
    gaps.scores.col_stride = 8;

    assert_int_equal(csp_score_workspace_size(NULL, &f.tokens, &f.config), 0);
    assert_int_equal(csp_score_workspace_size(&f.attention, NULL, &f.config),
                     0);
    assert_int_equal(csp_score_workspace_size(&f.attention, &f.tokens, NULL),
                     0);
    assert_int_equal(
        csp_score_workspace_size(&f.attention, &no_heads, &f.config), 0);
    assert_int_equal(csp_score_workspace_size(&f.attention, &f.tokens, &other),
                     0);
    assert_int_equal(csp_score_workspace_size(&gaps, &f.tokens, &f.config), 0);
    assert_int_equal(csp_select_workspace_size(NULL, &f.config), 0);
    assert_int_equal(csp_select_workspace_size(&f.tokens, NULL), 0);
    assert_int_equal(csp_select_workspace_size(&f.tokens, &other), 0);
    assert_int_equal(csp_calibrate_workspace_size(NULL, &f.tokens, 4), 0);
    assert_int_equal(csp_calibrate_workspace_size(&gaps, &f.tokens, 4), 0);
}

TEST(select_workspace_size_without_heads_is_zero)
{
    fixture f;
    set_up(&f);
    f.tokens.n_kv_heads = 0;

    assert_int_equal(csp_select_workspace_size(&f.tokens, &f.config), 0);
}

TEST(workspace_size_names_overflow)
{
    fixture f;
    set_up(&f);
    char byte;
    const csp_tensor huge = {&byte, CSP_F16, 1, 1, UINT32_MAX, 0, 0, 0};
    f.attention.source = CSP_QUERY_KEY;
    f.attention.queries = huge;
    f.attention.keys = huge;
    f.attention.scale = 1.0f;
    f.tokens.n_keys = 1;

    /* 256 keys of 2^32 floats fit 64 bits, but no 32-bit address space. */
    if (SIZE_MAX == UINT32_MAX)
        assert_status(score(&f, &byte, 1), CSP_E_OVERFLOW);
    else
        assert_status(score(&f, &byte, 1), CSP_E_WORKSPACE);
    f.attention.queries.n_rows = 2;
    f.attention.queries.row_stride = SIZE_MAX;
    assert_status(score(&f, &byte, 1), CSP_E_OVERFLOW);
    assert_int_equal(
        csp_score_workspace_size(&f.attention, &f.tokens, &f.config), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mul_refuses_what_does_not_fit),
        cmocka_unit_test(add_refuses_what_does_not_fit),
        cmocka_unit_test(arena_measures_as_it_carves),
        cmocka_unit_test(arena_of_nothing_is_not_zero),
        cmocka_unit_test(arena_remembers_overflow),
        cmocka_unit_test(score_uses_its_workspace_and_no_more),
        cmocka_unit_test(
            score_of_queries_and_keys_uses_its_workspace_and_no_more),
        cmocka_unit_test(select_uses_its_workspace_and_no_more),
        cmocka_unit_test(calibrate_uses_its_workspace_and_no_more),
        cmocka_unit_test(workspace_size_reads_no_data),
        cmocka_unit_test(workspace_size_of_no_keys_is_not_zero),
        cmocka_unit_test(workspace_size_of_invalid_arguments_is_zero),
        cmocka_unit_test(select_workspace_size_without_heads_is_zero),
        cmocka_unit_test(workspace_size_names_overflow),
    };

    return RUN(tests);
}
