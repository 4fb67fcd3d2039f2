/*
 * test_correct_summary_gauss.c - of Gaussian tokens, the corrected outputs are
 * those of attention to all of them (E11)
 *
 * All steps at once, from a cache of which a tenth stays.  Attention to all
 * tokens, and to the kept ones, is in double, one token after the other.
 */
#include "test.h"

#include "random.h"

enum {
    HEADS = 2,
    QUERIES = 5,
    KEYS = 20000,
    KEY_DIM = 8,
    VALUE_DIM = 4,
    N = HEADS * QUERIES * VALUE_DIM,
    KEPT = 2000 /* the first ones */
};

typedef struct fixture {
    float keys[KEYS * KEY_DIM];
    float values[KEYS * VALUE_DIM];
    float queries[HEADS * QUERIES * KEY_DIM];
    uint32_t rows[KEPT], count;
    csp_tokens tokens;
    csp_kept kept;
    csp_attention attention;
    double exact[N];
    float outputs[N], lse[HEADS * QUERIES];
    double count_sum, key[KEY_DIM], value[VALUE_DIM];
    double key_key[KEY_DIM * KEY_DIM], key_value[KEY_DIM * VALUE_DIM];
    csp_moments moments;
    float summary_keys[(1 + 2 * KEY_DIM) * KEY_DIM];
    float summary_values[(1 + KEY_DIM) * VALUE_DIM];
    float log_count, variance;
    csp_summary summary;
    float offset[HEADS], slope[HEADS], limit[HEADS];
    csp_fit fit;
    float corrected[N];
} fixture;

static fixture the_fixture;
static unsigned char workspace[1 << 22];

/* Keys and values are mixtures of the same normal numbers, and some noise; of
   kept tokens values are others. */
static void draw_tokens(fixture *f, random_source *random)
{
    double mix[KEY_DIM + VALUE_DIM][KEY_DIM], mean[KEY_DIM + VALUE_DIM];

    for (size_t i = 0; i < KEY_DIM + VALUE_DIM; i++) {
        mean[i] = random_normal(random);
        for (size_t j = 0; j < KEY_DIM; j++)
            mix[i][j] = random_normal(random) / (1.0 + 0.5 * (double)j);
    }
    for (size_t t = 0; t < KEYS; t++) {
        double z[KEY_DIM];
        for (size_t j = 0; j < KEY_DIM; j++)
            z[j] = random_normal(random);
        for (size_t i = 0; i < KEY_DIM + VALUE_DIM; i++) {
            double x = mean[i] + 0.1 * random_normal(random);
            if (i >= KEY_DIM && t < KEPT)
                x += 2.0;
            for (size_t j = 0; j < KEY_DIM; j++)
                x += mix[i][j] * z[j];
            if (i < KEY_DIM)
                f->keys[t * KEY_DIM + i] = (float)x;
            else
                f->values[t * VALUE_DIM + i - KEY_DIM] = (float)x;
        }
    }
}

/* Attention of a row of queries to the first 'n' tokens: output and mass. */
static double attend(const fixture *f, size_t row, size_t n,
                     double out[VALUE_DIM])
{
    double mass = 0.0;

    memset(out, 0, VALUE_DIM * sizeof *out);
    for (size_t t = 0; t < n; t++) {
        double dot = 0.0;
        for (size_t i = 0; i < KEY_DIM; i++)
            dot += (double)f->queries[row * KEY_DIM + i] *
                   (double)f->keys[t * KEY_DIM + i];
        const double e = exp((double)f->attention.scale * dot);
        mass += e;
        for (size_t c = 0; c < VALUE_DIM; c++)
            out[c] += e * (double)f->values[t * VALUE_DIM + c];
    }
    for (size_t c = 0; c < VALUE_DIM; c++)
        out[c] /= mass;
    return log(mass);
}

static fixture *set_up(uint32_t rank)
{
    fixture *f = &the_fixture;
    random_source random = {2606};

    memset(f, 0, sizeof *f);
    draw_tokens(f, &random);
    for (size_t i = 0; i < COUNT(f->queries); i++)
        f->queries[i] = (float)random_normal(&random);
    for (f->count = 0; f->count < KEPT; f->count++)
        f->rows[f->count] = f->count;
    f->tokens = (csp_tokens){.n_kv_heads = 1, .n_keys = KEYS};
    f->kept = (csp_kept){
        .rows = f->rows, .counts = &f->count, .n_lists = 1, .capacity = KEPT};
    f->attention = (csp_attention){
        .source = CSP_QUERY_KEY, .mask = CSP_FULL, .scale = 0.1f};
    f->attention.queries =
        csp_tensor_packed(f->queries, CSP_F32, HEADS, QUERIES, KEY_DIM);
    f->attention.keys = csp_tensor_packed(f->keys, CSP_F32, 1, KEYS, KEY_DIM);
    f->moments = (csp_moments){&f->count_sum, f->key, f->value, f->key_key,
                               f->key_value,  1,      KEY_DIM,  VALUE_DIM};
    f->summary =
        (csp_summary){f->summary_keys, f->summary_values, &f->log_count,
                      &f->variance,    CSP_F32,           1,
                      KEY_DIM,         VALUE_DIM,         rank};
    f->fit = (csp_fit){f->offset, f->slope, f->limit};
    for (size_t row = 0; row < HEADS * QUERIES; row++) {
        double *exact = f->exact + row * VALUE_DIM, out[VALUE_DIM];
        attend(f, row, KEYS, exact);
        f->lse[row] = (float)attend(f, row, KEPT, out);
        for (size_t c = 0; c < VALUE_DIM; c++)
            f->outputs[row * VALUE_DIM + c] = (float)out[c];
    }
    return f;
}

/* From the cache to corrected outputs. */
static void run(fixture *f, bool fitted)
{
    const csp_tensor values =
        csp_tensor_packed(f->values, CSP_F32, 1, KEYS, VALUE_DIM);
    const csp_tensor outputs =
        csp_tensor_packed(f->outputs, CSP_F32, HEADS, QUERIES, VALUE_DIM);
    const csp_tensor lse =
        csp_tensor_packed(f->lse, CSP_F32, HEADS, QUERIES, 1);
    double sums[HEADS * CSP_FIT_SUMS] = {0.0};

    assert_ok(csp_moments_add(&f->attention.keys, &values, &f->tokens, &f->kept,
                              NULL, workspace, sizeof workspace, &f->moments));
    assert_ok(
        csp_summarise(&f->moments, workspace, sizeof workspace, &f->summary));
    assert_ok(csp_fit_rows(&f->attention, &f->tokens, &f->kept, &f->summary,
                           NULL, workspace, sizeof workspace, sums));
    assert_ok(csp_fit_finish(sums, HEADS, &f->fit));
    assert_ok(csp_correct_summary(&outputs, &f->attention.queries,
                                  f->attention.scale, &lse, CSP_LSE_NATURAL,
                                  &f->summary, fitted ? &f->fit : NULL, NULL,
                                  workspace, sizeof workspace, f->corrected));
}

/* Root mean square error. */
static double error_of(const fixture *f, const float *outputs)
{
    double sum = 0.0;

    for (size_t i = 0; i < N; i++)
        sum += ((double)outputs[i] - f->exact[i]) *
               ((double)outputs[i] - f->exact[i]);
    return sqrt(sum / N);
}

TEST(correct_summary_of_gaussian_tokens_is_attention_to_all)
{
    fixture *f = set_up(KEY_DIM);

    run(f, false);

    assert_true(f->count_sum == KEYS - KEPT);
    assert_true(error_of(f, f->outputs) > 1.0);
    assert_true(error_of(f, f->corrected) < 0.02);
}

TEST(correct_summary_of_gaussian_tokens_needs_no_fit)
{
    fixture *f = set_up(KEY_DIM);

    run(f, true);

    for (uint32_t h = 0; h < HEADS; h++) {
        assert_true(f->slope[h] > 0.95f && fabsf(f->offset[h]) < 0.02f);
    }
    assert_true(error_of(f, f->corrected) < 0.02);
}

TEST(correct_summary_is_better_the_higher_the_rank)
{
    static const uint32_t ranks[] = {0, 1, 2, 4};
    double before = error_of(set_up(0), the_fixture.outputs);

    for (size_t i = 0; i < COUNT(ranks); i++) {
        fixture *f = set_up(ranks[i]);
        run(f, false);
        const double error = error_of(f, f->corrected);
        assert_true(error < 0.8 * before);
        before = error;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            correct_summary_of_gaussian_tokens_is_attention_to_all),
        cmocka_unit_test(correct_summary_of_gaussian_tokens_needs_no_fit),
        cmocka_unit_test(correct_summary_is_better_the_higher_the_rank),
    };

    return RUN(tests);
}
