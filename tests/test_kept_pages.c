/*
 * test_kept_pages.c - page tables of pruned caches
 */
#include "test.h"

/* Three lists of ten rows in pages of four. */
typedef struct page_table {
    uint32_t rows[3 * 8];
    uint32_t counts[3];
    csp_kept kept;
    uint32_t pages[9];
    uint32_t indptr[4];
    uint32_t indices[9];
    uint32_t last_page[3];
} page_table;

static void set_up(page_table *t)
{
    static const uint32_t rows[3 * 8] = {4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0,
                                         0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0};
    static const uint32_t counts[3] = {6, 0, 4};
    static const uint32_t pages[9] = {70, 30, 50, 11, 12, 13, 90, 20, 10};

    memset(t, 0, sizeof *t); /* what is between members is compared, too */
    memcpy(t->rows, rows, sizeof rows);
    memcpy(t->counts, counts, sizeof counts);
    memcpy(t->pages, pages, sizeof pages);
    t->kept = (csp_kept){
        .rows = t->rows, .counts = t->counts, .n_lists = 3, .capacity = 8};
    memset(t->indptr, 0x33, sizeof t->indptr);
    memset(t->indices, 0x33, sizeof t->indices);
    memset(t->last_page, 0x33, sizeof t->last_page);
}

static csp_status pages(page_table *t, bool compacted, uint32_t capacity)
{
    return csp_kept_pages(&t->kept, 10, 4, t->pages, compacted, capacity,
                          t->indptr, t->indices, t->last_page);
}

static void refuse_pages(page_table *t, bool compacted, uint32_t capacity,
                         csp_status status)
{
    const page_table before = *t;

    assert_status(pages(t, compacted, capacity), status);

    assert_memory_equal(t, &before, sizeof before);
}

TEST(kept_pages_that_did_not_move_are_their_own)
{
    const uint32_t indptr[] = {0, 2, 2, 3};
    const uint32_t indices[] = {30, 50, 90};
    const uint32_t last_page[] = {2, 0, 4};
    page_table t;
    set_up(&t);

    assert_ok(pages(&t, false, 3));

    assert_memory_equal(t.indptr, indptr, sizeof indptr);
    assert_memory_equal(t.indices, indices, sizeof indices);
    assert_memory_equal(t.last_page, last_page, sizeof last_page);
    assert_int_equal(t.indices[3], 0x33333333);
}

TEST(kept_pages_of_compacted_lists_are_the_first)
{
    const uint32_t indptr[] = {0, 2, 2, 3};
    const uint32_t indices[] = {70, 30, 90};
    const uint32_t last_page[] = {2, 0, 4};
    page_table t;
    set_up(&t);
    t.rows[0] = 1; /* any rows will do */

    assert_ok(pages(&t, true, 3));

    assert_memory_equal(t.indptr, indptr, sizeof indptr);
    assert_memory_equal(t.indices, indices, sizeof indices);
    assert_memory_equal(t.last_page, last_page, sizeof last_page);
}

TEST(kept_pages_refuse_parts_of_a_page)
{
    const uint32_t wrong[][3] = {{1, 2, 3}, {0, 1, 2}, {0, 1, 3}, {8, 9, 9}};

    for (size_t i = 0; i < 3; i++) {
        page_table t;
        set_up(&t);
        memcpy(t.rows, wrong[i], sizeof wrong[i]);
        t.counts[0] = 3;
        refuse_pages(&t, false, 9, CSP_E_SHAPE);
        assert_ok(pages(&t, true, 9));
    }

    const uint32_t beyond[] = {0, 1, 2, 4}; /* as many as a page has */
    page_table t;
    set_up(&t);
    memcpy(t.rows, beyond, sizeof beyond);
    t.counts[0] = 4;
    refuse_pages(&t, false, 9, CSP_E_SHAPE);
}

TEST(kept_pages_refuse_a_short_page_kept_in_part)
{
    page_table t;
    set_up(&t);

    t.counts[0] = 5; /* 4..7 and 8, not 9 */

    refuse_pages(&t, false, 9, CSP_E_SHAPE);
}

TEST(kept_pages_refuse_little_room)
{
    page_table t;
    set_up(&t);

    refuse_pages(&t, false, 2, CSP_E_CAPACITY);
    refuse_pages(&t, true, 2, CSP_E_CAPACITY);
    t.kept.capacity = 5;
    refuse_pages(&t, false, 9, CSP_E_CAPACITY);
}

TEST(kept_pages_refuse_bad_lists)
{
    page_table t;
    set_up(&t);
    t.rows[5] = 10;
    refuse_pages(&t, true, 9, CSP_E_INDEX);
    t.rows[5] = 8;
    refuse_pages(&t, false, 9, CSP_E_INDEX);
}

TEST(kept_pages_refuse_pages_of_no_tokens)
{
    page_table t;
    set_up(&t);

    assert_status(csp_kept_pages(&t.kept, 10, 0, t.pages, true, 9, t.indptr,
                                 t.indices, t.last_page),
                  CSP_E_CONFIG);
}

TEST(kept_pages_refuse_null)
{
    page_table t;
    set_up(&t);
    const uint32_t *p = t.pages;

    assert_status(csp_kept_pages(NULL, 10, 4, p, true, 9, t.indptr, t.indices,
                                 t.last_page),
                  CSP_E_NULL);
    assert_status(csp_kept_pages(&t.kept, 10, 4, NULL, true, 9, t.indptr,
                                 t.indices, t.last_page),
                  CSP_E_NULL);
    assert_status(csp_kept_pages(&t.kept, 10, 4, p, true, 9, NULL, t.indices,
                                 t.last_page),
                  CSP_E_NULL);
    assert_status(
        csp_kept_pages(&t.kept, 10, 4, p, true, 9, t.indptr, NULL, t.last_page),
        CSP_E_NULL);
    assert_status(
        csp_kept_pages(&t.kept, 10, 4, p, true, 9, t.indptr, t.indices, NULL),
        CSP_E_NULL);
    t.kept.rows = NULL;
    refuse_pages(&t, true, 9, CSP_E_NULL);
    t.kept.counts = NULL;
    refuse_pages(&t, true, 9, CSP_E_NULL);
}

TEST(kept_pages_of_empty_lists_are_none)
{
    page_table t;
    set_up(&t);
    memset(t.counts, 0, sizeof t.counts);
    t.kept.rows = NULL;

    assert_ok(csp_kept_pages(&t.kept, 0, 4, NULL, false, 0, t.indptr, NULL,
                             t.last_page));

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(t.indptr[i] + t.indptr[i + 1] + t.last_page[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_pages_that_did_not_move_are_their_own),
        cmocka_unit_test(kept_pages_of_compacted_lists_are_the_first),
        cmocka_unit_test(kept_pages_refuse_parts_of_a_page),
        cmocka_unit_test(kept_pages_refuse_a_short_page_kept_in_part),
        cmocka_unit_test(kept_pages_refuse_little_room),
        cmocka_unit_test(kept_pages_refuse_bad_lists),
        cmocka_unit_test(kept_pages_refuse_pages_of_no_tokens),
        cmocka_unit_test(kept_pages_refuse_null),
        cmocka_unit_test(kept_pages_of_empty_lists_are_none),
    };

    return RUN(tests);
}
