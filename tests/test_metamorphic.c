/*
 * test_metamorphic.c - what must not matter does not
 *
 * Usage: test_metamorphic [--n N]
 *
 * N random layers for each relation, and no oracle: results of a layer are
 * compared with those of the same layer told otherwise.  Where it is told in
 * the same numbers results are the same bits, else within the error that csp.h
 * states.
 */
#include "metamorphic.h"

static uint64_t n_cases = 500;

/* The layer, and told otherwise. */
static sample a, b;
static outcome of_a, of_b;

#define EACH(seed) for (uint64_t seed = 0; seed < n_cases; seed++)

/* ---- The same bits ------------------------------------------------------- */

static void draw_permutation(random_source *random, uint32_t n, uint32_t *to)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t j = random_below(random, i + 1);
        to[i] = i;
        to[i] = to[j];
        to[j] = i;
    }
}

static void permute_tokens(const uint32_t *heads)
{
    for (uint32_t g = 0; g < a.n_kv_heads; g++) {
        b.counts[g] = a.counts[heads[g]];
        memcpy(b.positions + (size_t)g * a.n_keys,
               a.positions + (size_t)heads[g] * a.n_keys,
               a.n_keys * sizeof *b.positions);
    }
}

static void assert_permuted(const uint32_t *heads)
{
    const uint32_t group = a.n_heads / a.n_kv_heads;
    const size_t size = a.n_keys * sizeof(float);

    for (uint32_t g = 0; g < a.n_kv_heads; g++) {
        const size_t at = (size_t)g * a.n_keys;
        const size_t from = (size_t)heads[g] * a.n_keys;
        for (size_t i = 0; i < COUNT(of_a.sums); i++)
            assert_memory_equal(of_b.sums[i] + at, of_a.sums[i] + from, size);
        assert_int_equal(of_b.counts[g], of_a.counts[heads[g]]);
        assert_int_equal(of_b.n_both[g], of_a.n_both[heads[g]]);
        assert_memory_equal(of_b.rows + at, of_a.rows + from, size);
        assert_memory_equal(of_b.reasons + at, of_a.reasons + from, a.n_keys);
        for (uint32_t i = 0; i < group; i++) {
            const uint32_t h = g * group + i, k = heads[g] * group + i;
            assert_true(of_b.log_mass[h] == of_a.log_mass[k]);
            assert_true(of_b.mass_rows[h] == of_a.mass_rows[k]);
            assert_memory_equal(of_b.value + (size_t)h * a.dim,
                                of_a.value + (size_t)k * a.dim,
                                a.dim * sizeof(float));
        }
    }
}

/* Shares are averaged over heads, in their order. */
TEST(permuted_heads_permute_results)
{
    EACH (seed) {
        uint32_t heads[MAX_KV_HEADS];
        draw_any(&a, seed, false);
        a.config.scope = CSP_PER_HEAD;
        a.config.auto_share = false;
        draw_permutation(&a.random, a.n_kv_heads, heads);
        const manner how = {.heads = heads};
        copy_settings(&a, &b);
        copy_tensors(&a, &how, &b);
        permute_tokens(heads);

        run_verbs(&a, true, &of_a);
        run_verbs(&b, true, &of_b);

        assert_permuted(heads);
    }
}

TEST(split_spans_change_nothing)
{
    EACH (seed) {
        static csp_span pieces[2 * MAX_SPANS];
        uint32_t n = 0;
        draw_any(&a, seed, false);
        run_verbs(&a, true, &of_a);

        for (uint32_t i = 0; i < a.tokens.n_spans; i++) {
            const csp_span span = a.spans[i];
            const uint32_t middle =
                span.begin + random_below(&a.random, span.end - span.begin + 1);
            pieces[n++] = (csp_span){span.begin, middle, span.modality};
            pieces[n++] = (csp_span){middle, span.end, span.modality};
        }
        a.tokens.spans = pieces;
        a.tokens.n_spans = n;
        run_verbs(&a, true, &of_b);

        assert_same_outcomes(&of_a, &of_b);
    }
}

static void compare_copies(bool other_layout, bool widen)
{
    const manner how = {.other_layout = other_layout, .widen = widen};

    copy_settings(&a, &b);
    copy_tensors(&a, &how, &b);
    run_verbs(&a, true, &of_a);
    run_verbs(&b, true, &of_b);
    assert_same_outcomes(&of_a, &of_b);
}

TEST(other_strides_change_nothing)
{
    EACH (seed) {
        draw_any(&a, seed, false);
        compare_copies(true, false);
    }
}

/* Stride 0, against rows that are written out. */
TEST(repeated_rows_are_as_if_they_were_there)
{
    EACH (seed) {
        draw_any(&a, seed, false);
        csp_tensor *const tensors[] = {&a.attention.scores, &a.attention.lse,
                                       &a.attention.queries, &a.attention.keys,
                                       &a.values.view};
        for (size_t i = 0; i < COUNT(tensors); i++) {
            if (random_chance(&a.random, 50))
                tensors[i]->row_stride = 0;
            if (random_chance(&a.random, 50))
                tensors[i]->head_stride = 0;
        }
        compare_copies(false, false);
    }
}

TEST(widened_numbers_change_nothing)
{
    uint64_t n_halves = 0;

    EACH (seed) {
        draw_any(&a, seed, false);
        n_halves += a.values.view.dtype != CSP_F32;
        compare_copies(false, true);
    }
    assert_true(n_halves * 2 > n_cases);
}

/* ---- Within rounding ----------------------------------------------------- */

static bool are_near(float x, float y, double error)
{
    const double larger = fmax(fabs((double)x), fabs((double)y));

    return fabs((double)x - (double)y) <= error * larger + lost_of_sums(&a);
}

/* Head g of b: row i of a is row i there, from 'skipped' on the next. */
static void assert_near_sums(uint32_t g, uint32_t skipped, double error)
{
    for (uint32_t i = 0; i < rows_of_head(&a, g); i++) {
        const size_t from = (size_t)g * a.n_keys + i;
        const size_t at = (size_t)g * b.n_keys + i + (i >= skipped);
        for (size_t j = 0; j < 2; j++) {
            assert_true(are_near(of_a.sums[j][from], of_b.sums[j][at], error));
            assert_true(of_a.sums[j + 2][from] == of_b.sums[j + 2][at]);
        }
    }
}

/* Where rounding cannot change it, the same choice; returns whether so. */
static bool same_choice(uint32_t g, uint32_t skipped, double error)
{
    if (!is_clear_cut(&a, &of_a, g, a.config.budget, error))
        return false;
    assert_int_equal(of_a.counts[g], of_b.counts[g]);
    for (uint32_t i = 0; i < of_a.counts[g]; i++) {
        const uint32_t row = of_a.rows[(size_t)g * a.n_keys + i];
        assert_int_equal(of_b.rows[(size_t)g * b.n_keys + i],
                         row + (row >= skipped));
    }
    return true;
}

TEST(logits_that_shift_with_n_weigh_the_same)
{
    static const double factors[] = {0.25, 0.1, 2.0, 3.0, 7.5, 1024.0};
    const double rounded = 0x1p-21; /* a logit below 16 */
    uint64_t n_clear = 0;

    EACH (seed) {
        draw_plain(&a, seed, false);
        const double c = factors[random_below(&a.random, COUNT(factors))];
        copy_settings(&a, &b);
        copy_tensors(&a, &(manner){.widen = false}, &b);
        for (size_t i = 0; i < (size_t)a.n_heads * a.n_queries * a.n_keys; i++)
            *logit_of(&b, 0, 0, (uint32_t)i) =
                (float)((double)*logit_of(&a, 0, 0, (uint32_t)i) + log(c));
        b.config.n *= c;

        run_verbs(&a, false, &of_a);
        run_verbs(&b, false, &of_b);

        const double error = error_of_sums(&a) + 2.1 * rounded;
        for (uint32_t g = 0; g < a.n_kv_heads; g++) {
            assert_near_sums(g, UINT32_MAX, error);
            n_clear += same_choice(g, UINT32_MAX, error);
        }
    }
    assert_true(n_clear > n_cases / 2);
}

/* The row of b that a new token of head g has; it is told b. */
static uint32_t insert_token(uint32_t g)
{
    const uint32_t n = rows_of_head(&a, g), capacity = a.n_keys + 1;
    uint32_t token = random_below(&a.random, a.n_tokens + 1), row = 0;
    const uint32_t *from = a.positions + (size_t)g * a.n_keys;
    uint32_t *to = b.positions + (size_t)g * capacity;

    if (a.tokens.positions == NULL)
        return a.n_keys;
    for (row = 0; row < n && from[row] <= token; row++)
        if (from[row] == token)
            token++;
    memcpy(to, from, row * sizeof *to);
    to[row] = token;
    memcpy(to + row + 1, from + row, (n - row) * sizeof *to);
    b.counts[g]++;
    return row;
}

static void insert_column(uint32_t g, uint32_t column)
{
    const uint32_t group = a.n_heads / a.n_kv_heads;

    for (uint32_t h = g * group; h < (g + 1) * group; h++)
        for (uint32_t r = 0; r < a.n_queries; r++)
            for (uint32_t c = 0; c < b.n_keys; c++)
                *logit_of(&b, h, r, c) =
                    c == column ? -INFINITY
                                : *logit_of(&a, h, r, c - (c > column));
}

static void add_masked_key(uint32_t *rows)
{
    copy_settings(&a, &b);
    b.n_keys = b.tokens.n_keys = a.n_keys + 1;
    b.tokens.n_tokens = a.n_tokens + 1;
    b.tokens.capacity = b.n_keys;
    b.scores.data = b.scores.memory;
    b.scores.view = csp_tensor_packed(b.scores.data, CSP_F32, a.n_heads,
                                      a.n_queries, b.n_keys);
    b.attention.scores = b.scores.view;
    for (uint32_t g = 0; g < a.n_kv_heads; g++) {
        rows[g] = insert_token(g);
        insert_column(g, rows[g]);
    }
}

TEST(a_masked_key_changes_nothing_else)
{
    uint64_t n_clear = 0;

    EACH (seed) {
        uint32_t rows[MAX_KV_HEADS];
        draw_plain(&a, seed, false);
        if (a.n_keys == MAX_KEYS)
            continue;
        add_masked_key(rows);

        run_verbs(&a, false, &of_a);
        run_verbs(&b, false, &of_b);

        const double error = error_of_sums(&a);
        for (uint32_t g = 0; g < a.n_kv_heads; g++) {
            const size_t at = (size_t)g * b.n_keys + rows[g];
            assert_true(of_b.sums[0][at] == 0.0f && of_b.sums[1][at] == 0.0f);
            assert_near_sums(g, rows[g], error);
            n_clear += same_choice(g, rows[g], error);
        }
    }
    assert_true(n_clear > n_cases / 2);
}

TEST(chunks_add_up_to_the_whole)
{
    EACH (seed) {
        draw_any(&a, seed, false);
        run_verbs(&a, false, &of_a);
        memset(&of_b, 0, sizeof of_b);
        for (uint32_t begin = 0, end; begin < a.n_queries; begin = end) {
            end = random_between(&a.random, begin + 1, a.n_queries);
            score_rows(&a, begin, end, &of_b);
        }

        b.n_keys = a.n_keys;
        for (uint32_t g = 0; g < a.n_kv_heads; g++)
            assert_near_sums(g, UINT32_MAX, error_of_sums(&a));
    }
}

/* ---- Twice --------------------------------------------------------------- */

TEST(pruning_again_keeps_all_and_less_is_as_at_once)
{
    EACH (seed)
        prune_twice(seed);
}

TEST(compacting_in_steps_is_compacting_at_once)
{
    EACH (seed)
        compact_twice(seed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permuted_heads_permute_results),
        cmocka_unit_test(split_spans_change_nothing),
        cmocka_unit_test(other_strides_change_nothing),
        cmocka_unit_test(repeated_rows_are_as_if_they_were_there),
        cmocka_unit_test(widened_numbers_change_nothing),
        cmocka_unit_test(logits_that_shift_with_n_weigh_the_same),
        cmocka_unit_test(a_masked_key_changes_nothing_else),
        cmocka_unit_test(chunks_add_up_to_the_whole),
        cmocka_unit_test(pruning_again_keeps_all_and_less_is_as_at_once),
        cmocka_unit_test(compacting_in_steps_is_compacting_at_once),
    };

    if (argc == 3 && strcmp(argv[1], "--n") == 0)
        n_cases = strtoull(argv[2], NULL, 10);
    return RUN(tests);
}
