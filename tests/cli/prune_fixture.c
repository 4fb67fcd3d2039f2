/*
 * prune_fixture.c - csp prune on small made-up scores, and what it writes
 */
#include "prune_fixture.h"

folder the_folder;

int set_up(void **state)
{
    (void)state;
    the_folder = make_folder();
    write_scores(in_folder(&the_folder, "scores.npy"), NO_NAN);
    write_values(in_folder(&the_folder, "values.npy"), 2);
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    remove_folder(&the_folder);
    return 0;
}

command_line start(void)
{
    command_line line = start_line("prune");

    add_word(&line, "%s", in_folder(&the_folder, "scores.npy"));
    add_word(&line, "--kv-heads=2");
    add_word(&line, "--spans=2:12=image");
    return line;
}

void assert_runs(command_line *line)
{
    char errors[1024];
    const int code = run_program(&the_folder, line);

    read_text(in_folder(&the_folder, ERROR_FILE), errors, sizeof errors);
    if (code != 0)
        fail_msg("exit code %d: %s", code, errors);
    assert_string_equal(errors, "");
}

void add_out(command_line *line)
{
    add_word(line, "--out=%s", in_folder(&the_folder, "out"));
}

void add_values(command_line *line)
{
    add_word(line, "--values=%s", in_folder(&the_folder, "values.npy"));
}

npy_array output(const char *name, const char *descr)
{
    char path[64];
    npy_array array = {0};

    snprintf(path, sizeof path, "out/%s", name);
    assert_true(npy_read(in_folder(&the_folder, path), descr, &array));
    return array;
}

cJSON *json_output(const char *name)
{
    static char text[65536];

    read_text(in_folder(&the_folder, name), text, sizeof text);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    return root;
}

const cJSON *find(const cJSON *root, const char *object, const char *key)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, object);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

    if (item == NULL)
        fail_msg("no %s in %s", key, object);
    return item;
}

void assert_each_keeps(uint32_t count)
{
    npy_array mask = output("mask.npy", "|u1");
    const uint8_t *at = mask.data;

    for (int head = 0; head < LAYERS * 2; head++, at += KEYS) {
        uint32_t n = 0;
        for (int k = 0; k < KEYS; k++)
            n += at[k];
        assert_int_equal(n, count);
    }
    free(mask.data);
}
