/*
 * refused_prunes.c - prunes that are not carried out leave all as it was
 */
#include "engine.h"

#include <stdlib.h>

enum { N = 60, BUDGET = 24 };

static const engine_setup plain = {
    .kind = "llama", .type_k = GGML_TYPE_F16, .type_v = GGML_TYPE_F16};

/* ---- What llama.cpp does not take ---------------------------------------- */

/* The linker hands calls of llama_state_seq_set_data to this one. */
size_t __real_llama_state_seq_set_data(struct llama_context *context,
                                       const uint8_t *data, size_t size,
                                       llama_seq_id seq);
size_t __wrap_llama_state_seq_set_data(struct llama_context *context,
                                       const uint8_t *data, size_t size,
                                       llama_seq_id seq);

static int n_refusals; /* of the calls to come */

size_t __wrap_llama_state_seq_set_data(struct llama_context *context,
                                       const uint8_t *data, size_t size,
                                       llama_seq_id seq)
{
    if (n_refusals > 0) {
        n_refusals--;
        return 0;
    }
    return __real_llama_state_seq_set_data(context, data, size, seq);
}

TEST(a_refused_state_brings_the_old_one_back)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine e = engine_prompted(plain, &config, N);
    csp_llama_state before = engine_state(&e, e.context);

    n_refusals = 1;
    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL),
                   "does not take");
    csp_llama_state after = engine_state(&e, e.context);
    assert_same_state(&before, &after);
    csp_llama_state_free(&after);
    assert_no_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL));
    csp_llama_state_free(&before);
    engine_close(&e);
}

TEST(if_both_are_refused_the_text_says_so)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine e = engine_prompted(plain, &config, N);

    n_refusals = 2;
    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL),
                   "sequence is empty");
    assert_int_equal(llama_memory_seq_pos_max(llama_get_memory(e.context), 0),
                     -1);
    engine_close(&e);
}

/* ---- Plans that a shared cell table cannot hold -------------------------- */

static void refuse(const csp_config *config, const char *part)
{
    engine e = engine_prompted(plain, config, N);
    csp_llama_state before = engine_state(&e, e.context);

    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL),
                   part);
    csp_llama_state after = engine_state(&e, e.context);
    assert_same_state(&before, &after);
    csp_llama_state_free(&before);
    csp_llama_state_free(&after);

    /* The pruner is as before, too: other settings do. */
    const csp_config fine = engine_config(CSP_PER_HEAD, BUDGET);
    assert_ok(csp_pruner_configure(e.pruner, &fine));
    assert_no_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL));
    engine_close(&e);
}

TEST(heads_that_keep_unequally_many_are_refused)
{
    csp_config config = engine_config(CSP_PER_HEAD, 0);

    config.selection = CSP_INTERSECTION;
    config.n_intra = config.n_inter = BUDGET;
    refuse(&config, "different numbers");
}

TEST(the_last_token_must_stay)
{
    csp_config config = engine_config(CSP_PER_HEAD, 4);

    config.recent = 0;
    config.sinks = 4;
    refuse(&config, "last token");
}

TEST(layers_that_differ_in_their_kv_heads_are_refused)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine_setup setup = plain;

    setup.kind = "uneven";
    engine e = engine_prompted(setup, &config, N);
    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL),
                   "differ in their heads");
    engine_close(&e);
}

TEST(a_cache_that_moved_on_is_refused)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine e = engine_prompted(plain, &config, N);

    engine_prompt(&e, 2);
    csp_llama_state before = engine_state(&e, e.context);
    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL),
                   "other tokens");
    csp_llama_state after = engine_state(&e, e.context), pruned;
    assert_same_state(&before, &after);
    assert_ok(csp_pruner_plan(e.pruner));
    assert_problem(
        csp_llama_state_prune(&before, e.pruner, before.v_transposed, &pruned),
        "other tokens");
    csp_llama_state_free(&before);
    csp_llama_state_free(&after);
    engine_close(&e);
}

TEST(a_pruner_of_another_model_is_refused)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine e = engine_prompted(plain, &config, N);
    csp_pruner *other;

    assert_ok(csp_pruner_create(e.model.n_layers, 2 * e.model.n_kv_heads,
                                &config, NULL, NULL, &other));
    assert_problem(csp_llama_prune(e.context, 0, &e.model, other, NULL),
                   "another model");
    csp_pruner_destroy(other);
    engine_close(&e);
}

const struct CMUnitTest refused_prune_tests[] = {
    cmocka_unit_test(a_refused_state_brings_the_old_one_back),
    cmocka_unit_test(if_both_are_refused_the_text_says_so),
    cmocka_unit_test(heads_that_keep_unequally_many_are_refused),
    cmocka_unit_test(the_last_token_must_stay),
    cmocka_unit_test(layers_that_differ_in_their_kv_heads_are_refused),
    cmocka_unit_test(a_cache_that_moved_on_is_refused),
    cmocka_unit_test(a_pruner_of_another_model_is_refused),
};
const size_t n_refused_prune_tests = COUNT(refused_prune_tests);
