/*
 * test_environment.c - the floating-point mode and the stack of the caller
 *
 * Nothing changes the mode, on errors neither.  In another one than the default
 * numbers are rounded otherwise, but what is kept of plain input is the same,
 * and nothing ends.  All calls do with a small stack.
 */
#include "test.h"

#include <fenv.h>
#include <float.h>
#include <pthread.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "digest.h"

/* ---- Modes --------------------------------------------------------------- */

static const int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD,
                                FE_TOWARDZERO};

/* Volatile, as the compiler knows the default mode only. */
static bool has_subnormals(void)
{
    volatile float least = FLT_MIN;

    return least / 2.0f > 0.0f;
}

/* Every verb, and a round of a pruner. */
static void call_all(sample *s, uint64_t seed)
{
    draw_case(s, seed, false);
    digest_verbs(s, CSP_TIER_AUTO);
    draw_case(s, seed, true);
    digest_round(s, CSP_TIER_AUTO, NULL);
}

/* NaN is found late, in the middle of a row. */
static void fail_once(void)
{
    float logits[40] = {0.0f}, weights[40];
    const csp_tensor view = csp_tensor_packed(logits, CSP_F32, 1, 2, 20);
    logits[33] = NAN;

    assert_status(csp_nsoftmax(&view, 1.0, NULL, NULL, weights),
                  CSP_E_NOT_FINITE);
}

/* Too large for a stack. */
static sample the_case;

TEST(calls_leave_the_floating_point_mode_alone)
{
    for (size_t i = 0; i < COUNT(roundings); i++) {
        assert_int_equal(fesetround(roundings[i]), 0);
        for (uint64_t seed = 0; seed < 6; seed++)
            call_all(&the_case, seed);
        fail_once();
        assert_int_equal(fegetround(), roundings[i]);
        assert_true(has_subnormals());
    }
    assert_int_equal(fesetround(FE_TONEAREST), 0);
}

/* ---- What is kept -------------------------------------------------------- */

enum { KEYS = 61, BUDGET = 24, FIRST = 20, END = 45 };

/* Logits a hundredth apart or more: no rounding swaps two. */
static void keep_best(uint32_t *rows)
{
    static unsigned char workspace[1 << 14];
    const csp_span image = {FIRST, END, 1};
    const csp_tokens tokens = {
        .n_kv_heads = 1, .n_keys = KEYS, .spans = &image, .n_spans = 1};
    float logits[2 * KEYS], intra[KEYS] = {0.0f}, inter[KEYS] = {0.0f};
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = KEYS};
    uint32_t count = 0;
    const csp_kept kept = {
        .rows = rows, .counts = &count, .n_lists = 1, .capacity = BUDGET};
    csp_attention attention = {.first_query = KEYS - 2, .mask = CSP_FULL};
    csp_config config;
    for (uint32_t i = 0; i < 2 * KEYS; i++)
        logits[i] = (float)(i % KEYS * 37 % KEYS) / 100.0f;
    attention.scores = csp_tensor_packed(logits, CSP_F32, 1, 2, KEYS);
    assert_ok(csp_config_init(&config));
    config.budget = BUDGET;
    config.sinks = config.recent = 2;
    config.n_inter = 7;

    assert_ok(csp_score(&attention, &tokens, &config, workspace,
                        sizeof workspace, &importance));
    assert_ok(csp_select(&importance, &tokens, &config, workspace,
                         sizeof workspace, &kept));
    assert_int_equal(count, BUDGET);
}

TEST(plain_input_keeps_the_same_rows_in_every_rounding)
{
    uint32_t expected[BUDGET], rows[BUDGET];
    keep_best(expected);

    for (size_t i = 0; i < COUNT(roundings); i++) {
        assert_int_equal(fesetround(roundings[i]), 0);
        keep_best(rows);
        assert_int_equal(fesetround(FE_TONEAREST), 0);
        assert_memory_equal(rows, expected, sizeof rows);
    }
}

TEST(plain_input_keeps_the_same_rows_without_subnormals)
{
#if defined(__SSE2__)
    const unsigned mode = _mm_getcsr(), no_subnormals = mode | 0x8040u;
    uint32_t expected[BUDGET], rows[BUDGET];
    keep_best(expected);

    _mm_setcsr(no_subnormals);
    assert_false(has_subnormals());
    for (uint64_t seed = 0; seed < 6; seed++)
        call_all(&the_case, seed);
    keep_best(rows);
    const unsigned after = _mm_getcsr();
    _mm_setcsr(mode);

    assert_memory_equal(rows, expected, sizeof rows);
    assert_int_equal(after & ~0x3fu, no_subnormals & ~0x3fu);
#else
    skip();
#endif
}

/* ---- Stack --------------------------------------------------------------- */

/* Kernels that were not optimised have much on it, and sanitizers add to that,
   which clang does not tell. */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) &&                 \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define MOST_STACK ((size_t)32 << 10)
#else
#define MOST_STACK ((size_t)512 << 10)
#endif

static void *call_many(void *context)
{
    for (uint64_t seed = 0; seed < 12; seed++)
        call_all(context, seed);
    return NULL;
}

static void *call_nothing(void *context)
{
    return context;
}

/* Bytes of its stack that a thread touched, and what the system has there. */
static size_t stack_of(void *(*work)(void *))
{
    const size_t size = (size_t)1 << 21;
    pthread_attr_t attributes;
    pthread_t thread;
    size_t untouched = 0;
    unsigned char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    memset(stack, (int)GUARD_BYTE, size);

    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, size), 0);
    assert_int_equal(pthread_create(&thread, &attributes, work, &the_case), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
    while (untouched < size && stack[untouched] == GUARD_BYTE)
        untouched++;
    munmap(stack, size);
    return size - untouched;
}

TEST(calls_do_with_a_small_stack)
{
    const size_t before = stack_of(call_nothing), all = stack_of(call_many);

    assert_true(all > before);
    assert_true(all - before < MOST_STACK);
    print_message("%zu bytes of stack\n", all - before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_leave_the_floating_point_mode_alone),
        cmocka_unit_test(plain_input_keeps_the_same_rows_in_every_rounding),
        cmocka_unit_test(plain_input_keeps_the_same_rows_without_subnormals),
        cmocka_unit_test(calls_do_with_a_small_stack),
    };

    return RUN(tests);
}
