/*
 * test_eigen.c - eigenvectors of small symmetric matrices
 *
 * What eigenvectors are is checked by its definition: A v = lambda v, unit
 * length, at right angles, eigenvalues descending.
 */
#include "test.h"

#include "eigen.h"
#include "random.h"

enum { MAX_N = 64 };

typedef struct fixture {
    size_t n;
    double a[MAX_N * MAX_N];
    double vectors[MAX_N * MAX_N], values[MAX_N];
} fixture;

static fixture the_fixture;

static fixture *set_up(size_t n)
{
    memset(&the_fixture, 0, sizeof the_fixture);
    the_fixture.n = n;
    return &the_fixture;
}

static void solve(fixture *f)
{
    const size_t n = f->n;
    guarded a = guard(f->a, n * n * sizeof *f->a);
    guarded vectors = guard(NULL, n * n * sizeof *f->vectors);
    guarded values = guard(NULL, n * sizeof *f->values);

    csp__eigen((double *)(void *)a.data, n, (double *)(void *)vectors.data,
               (double *)(void *)values.data);

    memcpy(f->vectors, vectors.data, vectors.size);
    memcpy(f->values, values.data, values.size);
    unguard(&a);
    unguard(&vectors);
    unguard(&values);
}

static void assert_orthonormal(const fixture *f)
{
    const size_t n = f->n;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double dot = 0.0;
            for (size_t c = 0; c < n; c++)
                dot += f->vectors[i * n + c] * f->vectors[j * n + c];
            assert_true(fabs(dot - (i == j ? 1.0 : 0.0)) < 1e-13);
        }
}

/* A v = lambda v for all, within 'error' in each element. */
static void assert_eigen(const fixture *f, double error)
{
    const size_t n = f->n;

    for (size_t i = 0; i < n; i++) {
        const double *v = f->vectors + i * n;
        assert_true(i == 0 || f->values[i] <= f->values[i - 1]);
        for (size_t r = 0; r < n; r++) {
            double product = 0.0;
            for (size_t c = 0; c < n; c++)
                product += f->a[r * n + c] * v[c];
            assert_true(fabs(product - f->values[i] * v[r]) <= error);
        }
    }
    assert_orthonormal(f);
}

/* Numbers of mean 'shift' and spread 'scale', symmetric. */
static void fill_symmetric(fixture *f, double shift, double scale)
{
    random_source random = {f->n};

    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j <= i; j++)
            f->a[i * f->n + j] = f->a[j * f->n + i] =
                scale * (shift + random_normal(&random));
}

TEST(eigen_of_any_symmetric_matrix)
{
    for (size_t n = 1; n <= MAX_N; n += n < 8 ? 1 : 7) {
        fixture *f = set_up(n);
        fill_symmetric(f, 0.3, 1.0);
        solve(f);
        assert_eigen(f, 1e-12);
    }
}

TEST(eigen_of_the_widest)
{
    fixture *f = set_up(MAX_N);
    fill_symmetric(f, 0.0, 1.0);

    solve(f);

    assert_eigen(f, 1e-12);
}

TEST(eigen_of_one_number_is_the_number)
{
    fixture *f = set_up(1);
    f->a[0] = -2.5;

    solve(f);

    assert_true(f->values[0] == -2.5 && fabs(f->vectors[0]) == 1.0);
}

TEST(eigen_of_zero_is_zero)
{
    fixture *f = set_up(9);

    solve(f);

    for (size_t i = 0; i < 9; i++)
        assert_true(f->values[i] == 0.0);
    assert_orthonormal(f);
}

TEST(eigen_of_diagonal_sorts_it)
{
    const double diagonal[] = {3.0, -7.0, 0.0, 11.0, 5.0, 11.0};
    const double sorted[] = {11.0, 11.0, 5.0, 3.0, 0.0, -7.0};
    fixture *f = set_up(COUNT(diagonal));
    for (size_t i = 0; i < f->n; i++)
        f->a[i * (f->n + 1)] = diagonal[i];

    solve(f);

    assert_floats(f->values, sorted);
    assert_eigen(f, 0.0);
}

TEST(eigen_of_an_outer_product_has_one_value)
{
    fixture *f = set_up(MAX_N);
    double x[MAX_N], norm = 0.0;
    random_source random = {5};
    for (size_t i = 0; i < f->n; i++) {
        x[i] = random_normal(&random);
        norm += x[i] * x[i];
    }
    for (size_t i = 0; i < f->n * f->n; i++)
        f->a[i] = x[i / f->n] * x[i % f->n];

    solve(f);

    assert_near(f->values[0], norm, 1e-13);
    for (size_t i = 1; i < f->n; i++)
        assert_true(fabs(f->values[i]) < 1e-12);
    assert_eigen(f, 1e-12);
}

/* All ones, and 2 more on the diagonal: n + 2, and 2 for the others. */
TEST(eigen_of_equal_values_has_vectors_at_right_angles)
{
    fixture *f = set_up(20);
    for (size_t i = 0; i < f->n * f->n; i++)
        f->a[i] = i % (f->n + 1) == 0 ? 3.0 : 1.0;

    solve(f);

    assert_near(f->values[0], 22.0, 1e-13);
    for (size_t i = 1; i < f->n; i++)
        assert_near(f->values[i], 2.0, 1e-13);
    assert_eigen(f, 1e-12);
}

/* Eigenvalues 1 + 1e-20 and 1e-16 - 1e-20: the small one to its last digits,
   where rounding relative to the large one would leave none. */
TEST(eigen_is_accurate_where_values_are_tiny)
{
    fixture *f = set_up(2);
    f->a[0] = 1.0;
    f->a[1] = f->a[2] = 1e-10;
    f->a[3] = 1e-16;

    solve(f);

    assert_near(f->values[0], 1.0, 1e-15);
    assert_near(f->values[1], 0.9999e-16, 1e-14);
}

TEST(eigen_of_huge_and_tiny_numbers)
{
    const double scales[] = {1e150, 1e100, 1e-100, 1e-150, 1e-290};

    for (size_t i = 0; i < COUNT(scales); i++) {
        fixture *f = set_up(17);
        fill_symmetric(f, 0.3, scales[i]);
        solve(f);
        assert_eigen(f, 1e-13 * scales[i]);
    }
}

/* Numbers next to each other of which one is invisible beside the other. */
TEST(eigen_of_mixed_sizes)
{
    fixture *f = set_up(12);
    random_source random = {8};
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j <= i; j++)
            f->a[i * f->n + j] = f->a[j * f->n + i] =
                random_normal(&random) *
                pow(10.0, 150.0 - (double)random_below(&random, 450));

    solve(f);

    assert_eigen(f, 1e138);
}

TEST(eigen_of_subnormal_numbers_ends)
{
    fixture *f = set_up(MAX_N);
    random_source random = {6};
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j <= i; j++)
            f->a[i * f->n + j] = f->a[j * f->n + i] =
                0x1p-1074 * (double)random_below(&random, 9);

    solve(f);

    for (size_t i = 0; i < f->n; i++)
        assert_true(fabs(f->values[i]) < 0x1p-1060);
    assert_orthonormal(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eigen_of_any_symmetric_matrix),
        cmocka_unit_test(eigen_of_the_widest),
        cmocka_unit_test(eigen_of_one_number_is_the_number),
        cmocka_unit_test(eigen_of_zero_is_zero),
        cmocka_unit_test(eigen_of_diagonal_sorts_it),
        cmocka_unit_test(eigen_of_an_outer_product_has_one_value),
        cmocka_unit_test(eigen_of_equal_values_has_vectors_at_right_angles),
        cmocka_unit_test(eigen_is_accurate_where_values_are_tiny),
        cmocka_unit_test(eigen_of_huge_and_tiny_numbers),
        cmocka_unit_test(eigen_of_mixed_sizes),
        cmocka_unit_test(eigen_of_subnormal_numbers_ends),
    };

    return RUN(tests);
}
