/*
 * test_status.c - names of statuses, version
 */
#include "test.h"

#define N_STATUSES 18

TEST(status_string_is_distinct_for_every_status)
{
    for (int a = 0; a < N_STATUSES; a++) {
        assert_string_not_equal(csp_status_string((csp_status)a), "");
        for (int b = 0; b < a; b++)
            assert_string_not_equal(csp_status_string((csp_status)a),
                                    csp_status_string((csp_status)b));
    }
}

TEST(status_string_of_known_status_is_not_unknown)
{
    for (int i = 0; i < N_STATUSES; i++)
        assert_string_not_equal(csp_status_string((csp_status)i),
                                "unknown status");
}

TEST(status_string_of_other_value_is_unknown)
{
    assert_string_equal(csp_status_string((csp_status)N_STATUSES),
                        "unknown status");
    assert_string_equal(csp_status_string((csp_status)-1), "unknown status");
    assert_string_equal(csp_status_string((csp_status)1000000),
                        "unknown status");
}

TEST(status_string_is_the_same_pointer_every_time)
{
    assert_ptr_equal(csp_status_string(CSP_E_SPAN),
                     csp_status_string(CSP_E_SPAN));
}

TEST(status_values_never_change)
{
    static const csp_status in_order[N_STATUSES] = {
        CSP_OK,           CSP_E_NULL,        CSP_E_SHAPE,     CSP_E_GQA,
        CSP_E_SPAN,       CSP_E_STRIDE,      CSP_E_OVERFLOW,  CSP_E_DTYPE,
        CSP_E_CONFIG,     CSP_E_BUDGET,      CSP_E_WORKSPACE, CSP_E_CAPACITY,
        CSP_E_NOT_FINITE, CSP_E_OVERLAP,     CSP_E_INDEX,     CSP_E_MEMORY,
        CSP_E_STATE,      CSP_E_UNSUPPORTED,
    };

    for (int i = 0; i < N_STATUSES; i++)
        assert_int_equal((int)in_order[i], i);
}

TEST(status_string_of_ok_is_ok)
{
    assert_string_equal(csp_status_string(CSP_OK), "ok");
}

TEST(version_is_that_of_the_header)
{
    assert_int_equal(csp_version(), CSP_VERSION_MAJOR * 10000 +
                                        CSP_VERSION_MINOR * 100 +
                                        CSP_VERSION_PATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_string_is_distinct_for_every_status),
        cmocka_unit_test(status_string_of_known_status_is_not_unknown),
        cmocka_unit_test(status_string_of_other_value_is_unknown),
        cmocka_unit_test(status_string_is_the_same_pointer_every_time),
        cmocka_unit_test(status_values_never_change),
        cmocka_unit_test(status_string_of_ok_is_ok),
        cmocka_unit_test(version_is_that_of_the_header),
    };

    return RUN(tests);
}
