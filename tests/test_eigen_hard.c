/*
 * test_eigen_hard.c - matrices on which eigenvector methods have failed
 *
 * Equal and nearly equal values, few dimensions, both signs: where rotations
 * converge slowly or vectors of one value run together.
 */
#include "eigen_fixture.h"

/* Of these eigenvalues: reflected at three planes. */
static void fill_of_values(fixture *f, uint64_t seed, const double *eigenvalues)
{
    const size_t n = f->n;
    random_source random = {seed};

    memset(f->a, 0, sizeof f->a);
    for (size_t i = 0; i < n; i++)
        f->a[i * (n + 1)] = eigenvalues[i];
    for (int reflection = 0; reflection < 3; reflection++) {
        double v[MAX_N], w[MAX_N], square = 0.0, along = 0.0;
        for (size_t i = 0; i < n; i++) {
            v[i] = random_normal(&random);
            square += v[i] * v[i];
        }
        for (size_t i = 0; i < n; i++) {
            w[i] = 0.0;
            for (size_t j = 0; j < n; j++)
                w[i] += 2.0 / square * f->a[i * n + j] * v[j];
            along += w[i] * v[i] / square;
        }
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j <= i; j++)
                f->a[i * n + j] = f->a[j * n + i] =
                    f->a[i * n + j] - v[i] * (w[j] - along * v[j]) -
                    (w[i] - along * v[i]) * v[j];
    }
}

/* Equal, in clusters, of both signs, of few dimensions, falling: eigenvalue i
   of n. */
static double equal(size_t i, size_t n)
{
    (void)i, (void)n;
    return 1.0;
}

static double clustered(size_t i, size_t n)
{
    return (double)(i % 7) + 1e-15 * (double)(i % n);
}

static double near_one(size_t i, size_t n)
{
    return 1.0 + 1e-10 * sin((double)(i * n));
}

static double of_both_signs(size_t i, size_t n)
{
    (void)n;
    return i % 2 == 0 ? 1.0 : -1.0;
}

static double of_rank_three(size_t i, size_t n)
{
    (void)n;
    return i < 3 ? 3.0 - (double)i : 0.0;
}

static double falling(size_t i, size_t n)
{
    return pow(2.0, 60.0 - 120.0 * (double)i / (double)n);
}

static void check_values(double (*kind)(size_t, size_t), size_t n,
                         uint64_t seed)
{
    fixture *f = set_up(n);
    double values[MAX_N], most = 0.0;
    for (size_t i = 0; i < n; i++) {
        values[i] = kind(i, n);
        most = fmax(most, fabs(values[i]));
    }
    fill_of_values(f, seed, values);
    qsort(values, n, sizeof *values, descending);

    solve(f);

    for (size_t i = 0; i < n; i++)
        assert_true(fabs(f->values[i] - values[i]) <= 1e-13 * most);
    assert_eigen(f, 1e-13 * most);
}

/* Many draws: of both signs one in ten never ends where couplings as small as
   the rounding of their neighbours are not taken for zero. */
TEST(eigen_of_hard_values)
{
    double (*const kinds[])(size_t, size_t) = {
        equal, clustered, near_one, of_both_signs, of_rank_three, falling};

    for (size_t kind = 0; kind < COUNT(kinds); kind++) {
        for (size_t n = 1; n < 18; n++)
            for (uint64_t seed = 0; seed < 20; seed++)
                check_values(kinds[kind], n, seed);
        check_values(kinds[kind], 63, 0);
        check_values(kinds[kind], MAX_N, 0);
    }
}

/* Of which the squares underflow, beside one that is 1. */
TEST(eigen_of_a_block_that_is_nothing)
{
    for (double size = 1e-140; size > 1e-180; size *= 0.1) {
        fixture *f = set_up(9);
        fill_symmetric(f, 1.0, size);
        f->a[0] = 1.0;
        solve(f);
        assert_near(f->values[0], 1.0, 1e-15);
        assert_eigen(f, 1e-15);
    }
}

/* Tridiagonal ones: 0 and 1 (values 2 cos), Wilkinson's, whose values come in
   pairs that agree to all digits, and many of those, hardly joined. */
TEST(eigen_of_hard_bands)
{
    for (int kind = 0; kind < 3; kind++) {
        fixture *f = set_up(MAX_N);
        const size_t n = f->n, wide = kind == 2 ? 21 : n;
        for (size_t i = 0; i < n; i++) {
            if (kind > 0)
                f->a[i * (n + 1)] =
                    fabs((double)(i % wide) - (double)(wide - 1) / 2.0);
            if (i + 1 < n)
                f->a[i * n + i + 1] = f->a[(i + 1) * n + i] =
                    (i + 1) % wide == 0 ? 1e-8 : 1.0;
        }
        solve(f);
        assert_eigen(f, 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eigen_of_hard_values),
        cmocka_unit_test(eigen_of_a_block_that_is_nothing),
        cmocka_unit_test(eigen_of_hard_bands),
    };

    return RUN(tests);
}
