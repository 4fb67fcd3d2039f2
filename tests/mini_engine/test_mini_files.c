/*
 * test_mini_files.c - checkpoints and arrays that are not what they should be
 */
#include "mini_test.h"

#include "arrays.h"
#include "refusal.h"
#include "support.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

/* ---- Checkpoints --------------------------------------------------------- */

static void load_model(void)
{
    model m = model_load(folder);

    model_free(&m);
}

#define CONFIG(rest)                                                           \
    "{\"vocab_size\":40,\"hidden_size\":24,\"intermediate_size\":40,"          \
    "\"num_attention_heads\":6,\"num_key_value_heads\":2,\"head_dim\":8" rest  \
    "}"
#define LAYERS(n) ",\"num_hidden_layers\":" #n

static void write_config(const char *text)
{
    write_file(config_path, text, strlen(text));
}

TEST(config_of_wrong_form_is_refused)
{
    static const struct {
        const char *config, *reason;
    } cases[] = {
        {"", "not a JSON object"},
        {"[1]", "not a JSON object"},
        {CONFIG(""), "\"num_hidden_layers\" is no number"},
        {CONFIG(LAYERS(0)), "\"num_hidden_layers\" is no number"},
        {CONFIG(LAYERS(1.5)), "\"num_hidden_layers\" is no whole number"},
        {CONFIG(LAYERS(1e99)), "\"num_hidden_layers\" is no number"},
        {CONFIG(LAYERS("2")), "\"num_hidden_layers\" is no number"},
        {CONFIG(LAYERS(2) ",\"hidden_act\":\"gelu\""), "\"hidden_act\""},
        {CONFIG(LAYERS(2) ",\"attention_bias\":true"), "biases"},
        {CONFIG(LAYERS(2) ",\"rope_scaling\":{\"factor\":2}"), "rope_scaling"},
        {CONFIG(LAYERS(2) ",\"rope_parameters\":{\"rope_type\":\"yarn\"}"),
         "rope_type"},
        {CONFIG(LAYERS(2) ",\"rope_parameters\":{\"rope_type\":\"default\"}"),
         "rope_theta"},
        {CONFIG(LAYERS(2) ",\"sliding_window\":8"), "sliding_window"},
        {CONFIG(LAYERS(2) ",\"max_position_embeddings\":0"),
         "max_position_embeddings"},
        {CONFIG(LAYERS(2) ",\"vocab\":[\"one\"]"), "has 1 words, not 40"},
        {CONFIG(LAYERS(2) ",\"vocab\":[1]"), "no list of strings"},
        {CONFIG(LAYERS(2) ",\"vocab\":\"one\""), "no list of strings"},
        {CONFIG(LAYERS(2) ",\"eos_token_id\":40"), "\"eos_token_id\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        write_config(cases[i].config);
        assert_refused(load_model, cases[i].reason);
    }
    remove(config_path);
    assert_refused(load_model, "config.json: ");
}

TEST(heads_that_do_not_fit_are_refused)
{
    static const char rest[] =
        "{\"vocab_size\":4,\"hidden_size\":8,\"intermediate_size\":4,"
        "\"num_hidden_layers\":1,";
    static const struct {
        const char *heads, *reason;
    } cases[] = {
        {"\"num_attention_heads\":6,\"num_key_value_heads\":4,\"head_dim\":8}",
         "6 query heads are no multiple of 4 KV heads"},
        {"\"num_attention_heads\":1,\"head_dim\":3}", "3 channels"},
        {"\"num_attention_heads\":16}", "16 heads are too many for 8"},
        {"\"num_attention_heads\":16777216,\"head_dim\":16777216}",
         "are too many"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char *config = take(sizeof rest + strlen(cases[i].heads), 1);

        strcat(strcpy(config, rest), cases[i].heads);
        write_config(config);
        assert_refused(load_model, cases[i].reason);
        free(config);
    }
}

TEST(checkpoint_of_another_shape_is_refused)
{
    size_t size;
    unsigned char *weights =
        read_file(MINI_DATA_DIR "/f32/model.safetensors", &size);

    write_file(weights_path, weights, size);
    write_config(CONFIG(LAYERS(2)));
    assert_read(load_model);
    write_config(CONFIG(LAYERS(3)));
    assert_refused(load_model, "model.layers.2.input_layernorm.weight is mis");
    write_config(CONFIG(LAYERS(1)));
    assert_refused(load_model, "this decoder has no place for it");
    write_config(CONFIG(LAYERS(2) ",\"vocab_size\":41"));
    assert_read(load_model); /* the first of two settings counts */
    free(weights);
}

/* The checkpoint with one more tensor of 4 bytes, named 'name'. */
static void write_with(const char *name)
{
    size_t size, header = 0;
    unsigned char *old =
        read_file(MINI_DATA_DIR "/f32/model.safetensors", &size);
    char entry[160];

    for (int i = 7; i >= 0; --i)
        header = header << 8 | old[i];
    const size_t end = header + 8, data = size - end;
    snprintf(entry, sizeof entry,
             "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],"
             "\"data_offsets\":[%zu,%zu]},",
             name, data, data + 4);
    const size_t added = strlen(entry) - 1; /* in place of a brace */
    unsigned char *bytes = take(size + added + 4, 1);
    for (int i = 0; i < 8; ++i)
        bytes[i] = (unsigned char)((header + added) >> (8 * i));
    memcpy(bytes + 8, entry, added + 1);
    memcpy(bytes + 9 + added, old + 9, size - 9);
    write_file(weights_path, bytes, size + added + 4);
    free(bytes);
    free(old);
}

TEST(tensor_of_another_decoder_is_refused)
{
    write_config(CONFIG(LAYERS(2)));
    write_with("model.layers.0.self_attn.q_proj.bias");
    assert_refused(load_model, "q_proj.bias: this decoder has no place");
    write_with("model.layers.1.self_attn.q_norm.weight");
    assert_refused(load_model, "q_norm.weight: this decoder has no place");
    write_with("model.layers.0.self_attn.rotary_emb.inv_freq");
    assert_read(load_model);
    write_with("model.vision_tower.bias");
    assert_read(load_model);
}

static void load_turned(void)
{
    model m = model_load(folder);

    assert_true(m.rope_theta == 5e5);
    assert_int_equal(m.n_positions, 9);
    model_free(&m);
}

TEST(rope_parameters_are_read)
{
    size_t size;
    unsigned char *weights =
        read_file(MINI_DATA_DIR "/f32/model.safetensors", &size);

    write_file(weights_path, weights, size);
    free(weights);
    write_config(CONFIG(LAYERS(2) ",\"rope_parameters\":{\"rope_type\":"
                                  "\"default\",\"rope_theta\":5e5},"
                                  "\"max_position_embeddings\":9"));
    assert_read(load_turned);
}

TEST(checkpoint_cut_anywhere_is_refused)
{
    size_t size;
    unsigned char *weights =
        read_file(MINI_DATA_DIR "/bf16/model.safetensors", &size);

    write_config(CONFIG(LAYERS(2) ",\"tie_word_embeddings\":true"));
    for (size_t cut = 0; cut < size; cut += 997) {
        write_file(weights_path, weights, cut);
        assert_refused(load_model, "model.safetensors: ");
    }
    write_file(weights_path, weights, size);
    assert_read(load_model);
    free(weights);
}

/* ---- Arrays -------------------------------------------------------------- */

static void read_array(void)
{
    free(array_read(npy_path, "<i4", 2).i32);
}

/* A file of that header and as many zeros. */
static void write_array(const char *header, size_t data_size)
{
    const size_t n = strlen(header);
    unsigned char *bytes = take(10 + n + data_size, 1);

    memcpy(bytes, "\x93NUMPY\x01", 8);
    bytes[8] = (unsigned char)n;
    memcpy(bytes + 10, header, n);
    write_file(npy_path, bytes, 10 + n + data_size);
    free(bytes);
}

#define ARRAY(type, order, shape)                                              \
    "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", "   \
    "}\n"

TEST(array_is_read)
{
    write_array(ARRAY("<i4", "False", "(2, 3)"), 24);
    assert_read(read_array);
    write_array(ARRAY("<i4", "False", "(0, 3)"), 0);
    assert_read(read_array);
}

TEST(array_of_wrong_form_is_refused)
{
    static const struct {
        const char *header;
        size_t data_size;
        const char *reason;
    } cases[] = {
        {ARRAY("<i4", "False", "(2, 3)"), 23, "no .npy file of <i4"},
        {ARRAY("<i4", "False", "(2, 3)"), 28, "no .npy file of <i4"},
        {ARRAY("<i8", "False", "(2, 3)"), 48, "no .npy file of <i4"},
        {ARRAY("<i4", "True", "(2, 3)"), 24, "no .npy file of <i4"},
        {ARRAY("<i4", "False", "(6,)"), 24, "1 counts, not of 2"},
        {ARRAY("<i4", "False", "(2, 3, 1)"), 24, "3 counts, not of 2"},
        {ARRAY("<i4", "False", "(2, 99999999999)"), 24, "no .npy file of <i4"},
        {"", 0, "no .npy file of <i4"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        write_array(cases[i].header, cases[i].data_size);
        assert_refused(read_array, cases[i].reason);
    }
    remove(npy_path);
    assert_refused(read_array, "array.npy: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_of_wrong_form_is_refused),
        cmocka_unit_test(heads_that_do_not_fit_are_refused),
        cmocka_unit_test(checkpoint_of_another_shape_is_refused),
        cmocka_unit_test(tensor_of_another_decoder_is_refused),
        cmocka_unit_test(rope_parameters_are_read),
        cmocka_unit_test(checkpoint_cut_anywhere_is_refused),
        cmocka_unit_test(array_is_read),
        cmocka_unit_test(array_of_wrong_form_is_refused),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
