/*
 * test_eigen.c - eigenvectors of small symmetric matrices
 */
#include "eigen_fixture.h"

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

TEST(eigen_of_less_vectors_are_the_first_of_all)
{
    static fixture all;
    fixture *f = set_up(21);
    fill_symmetric(f, 0.3, 1.0);
    solve(f);
    all = *f;

    for (size_t n_vectors = 0; n_vectors <= f->n; n_vectors++) {
        memset(f->vectors, 0, sizeof f->vectors);
        solve_some(f, n_vectors, 0x5a);
        assert_memory_equal(f->values, all.values, sizeof all.values);
        assert_memory_equal(f->vectors, all.vectors,
                            n_vectors * f->n * sizeof *f->vectors);
    }
}

TEST(eigen_reads_neither_scratch_nor_the_upper_triangle)
{
    static fixture once;
    fixture *f = set_up(37);
    fill_symmetric(f, 0.3, 1.0);
    solve_some(f, f->n, 0);
    once = *f;

    for (size_t i = 0; i < f->n; i++)
        for (size_t j = i + 1; j < f->n; j++)
            f->a[i * f->n + j] = (double)NAN;
    solve_some(f, f->n, 0xff);

    assert_memory_equal(f->values, once.values, sizeof once.values);
    assert_memory_equal(f->vectors, once.vectors, sizeof once.vectors);
}

/* Eigenvalues 1 + 1e-20 and 1e-16 - 1e-20: within the rounding of the large
   one, which is all that is promised and more than moments in float hold. */
TEST(eigen_is_accurate_to_the_rounding_of_the_largest)
{
    fixture *f = set_up(2);
    f->a[0] = 1.0;
    f->a[1] = f->a[2] = 1e-10;
    f->a[3] = 1e-16;

    solve(f);

    assert_near(f->values[0], 1.0, 1e-15);
    assert_true(fabs(f->values[1]) < 4e-16);
    assert_eigen(f, 4e-16);
}

TEST(eigen_of_huge_and_tiny_numbers)
{
    const double scales[] = {1e300, 1e290, 1e150, 1e-150, 1e-290};

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
        cmocka_unit_test(eigen_of_less_vectors_are_the_first_of_all),
        cmocka_unit_test(eigen_reads_neither_scratch_nor_the_upper_triangle),
        cmocka_unit_test(eigen_is_accurate_to_the_rounding_of_the_largest),
        cmocka_unit_test(eigen_of_huge_and_tiny_numbers),
        cmocka_unit_test(eigen_of_mixed_sizes),
        cmocka_unit_test(eigen_of_subnormal_numbers_ends),
    };

    return RUN(tests);
}
