/*
 * golden_case.c - cases that were computed elsewhere, as command lines
 */
#include "golden_case.h"

#include "elements.h"

#include <cjson/cJSON.h>
#include <dirent.h>

enum { MAX_CASES = 64 };

/* ---- Which there are ----------------------------------------------------- */

static int add_cases(const char *root, int n, char paths[MAX_CASES][MAX_PATH])
{
    DIR *directory = opendir(root);

    if (directory == NULL)
        fail_msg("no folder %s", root);
    for (const struct dirent *e; (e = readdir(directory)) != NULL;)
        if (strncmp(e->d_name, "case", 4) == 0) {
            assert_true(n < MAX_CASES);
            snprintf(paths[n++], MAX_PATH, "%s/%.64s", root, e->d_name);
        }
    closedir(directory);
    return n;
}

static int list_cases(char paths[MAX_CASES][MAX_PATH])
{
    int n = add_cases(CSP_TEST_DATA_DIR "/golden", 0, paths);

#ifdef CSP_SHARED_DIR
    n = add_cases(CSP_SHARED_DIR "/golden", n, paths);
#endif
    assert_true(n > 0);
    return n;
}

/* ---- case.json ----------------------------------------------------------- */

static uint32_t count_of(const cJSON *root, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);

    if (!cJSON_IsNumber(item))
        fail_msg("case.json has no number %s", key);
    return (uint32_t)item->valuedouble;
}

static void read_spans(const cJSON *root, golden_case *g)
{
    const cJSON *spans = cJSON_GetObjectItemCaseSensitive(root, "spans");
    const cJSON *span;

    assert_true(cJSON_IsArray(spans));
    cJSON_ArrayForEach(span, spans)
    {
        const size_t used = strlen(g->spans);
        snprintf(g->spans + used, sizeof g->spans - used, "%s%d:%d=%d",
                 used > 0 ? "," : "", span->child->valueint,
                 span->child->next->valueint,
                 span->child->next->next->valueint);
    }
    char *text = cJSON_Print(spans);
    assert_non_null(text);
    snprintf(g->spans_json, sizeof g->spans_json, "%s", text);
    free(text);
}

static void read_options(const cJSON *root, command_line *line)
{
    static const struct {
        const char *key, *option;
    } counts[] = {
        {"n_kv_heads", "--kv-heads"}, {"first_query", "--first-query"},
        {"budget", "--budget"},       {"sinks", "--sinks"},
        {"recent", "--recent"},       {"intra", "--intra"},
        {"inter", "--inter"}};
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(root, "n");
    const cJSON *select = cJSON_GetObjectItemCaseSensitive(root, "select");

    for (size_t i = 0; i < COUNT(counts); i++) {
        add_word(line, "%s", counts[i].option);
        add_word(line, "%u", (unsigned)count_of(root, counts[i].key));
    }
    assert_true(cJSON_IsNumber(n) && cJSON_IsString(select));
    add_word(line, "--n=%.17g", n->valuedouble);
    add_word(line, "--select=%s", select->valuestring);
}

/* ---- One case ------------------------------------------------------------ */

static npy_array read_array(const golden_case *g, const char *name,
                            const char *descr)
{
    char path[2 * MAX_PATH];
    npy_array array = {0};

    snprintf(path, sizeof path, "%s/%s", g->path, name);
    if (!npy_read(path, descr, &array))
        fail_msg("cannot read %s as %s", path, descr);
    return array;
}

static void read_scores(golden_case *g)
{
    char path[2 * MAX_PATH];

    snprintf(path, sizeof path, "%s/scores.npy", g->path);
    g->is_f16 = !npy_read(path, "<f4", &g->scores);
    if (g->is_f16)
        g->scores = read_array(g, "scores.npy", "<f2");
}

void load_case(const char *path, golden_case *g)
{
    char name[2 * MAX_PATH], text[16384];

    *g = (golden_case){.n_heads = 0};
    snprintf(g->path, sizeof g->path, "%s", path);
    snprintf(name, sizeof name, "%s/case.json", path);
    read_text(name, text, sizeof text);
    cJSON *root = cJSON_Parse(text);
    if (root == NULL)
        fail_msg("%s is not JSON", name);
    g->n_heads = count_of(root, "n_heads");
    g->n_kv_heads = count_of(root, "n_kv_heads");
    g->n_queries = count_of(root, "n_queries");
    g->n_keys = count_of(root, "n_keys");
    read_spans(root, g);
    read_options(root, &g->line);
    cJSON_Delete(root);
    read_scores(g);
    g->importance = read_array(g, "importance.npy", "<f4");
    g->mask = read_array(g, "mask.npy", "|u1");
}

void free_case(golden_case *g)
{
    free(g->scores.data);
    free(g->importance.data);
    free(g->mask.data);
    for (int i = 0; i < g->line.n; i++)
        free(g->line.words[i]);
}

command_line case_line(const golden_case *g, const char *scores)
{
    command_line line = start_line("prune");

    add_word(&line, "%s", scores);
    for (int i = 0; i < g->line.n; i++)
        add_word(&line, "%s", g->line.words[i]);
    return line;
}

size_t case_size(const golden_case *g)
{
    return (size_t)g->n_heads * g->n_queries * g->n_keys;
}

float *case_floats(const golden_case *g)
{
    float *x = malloc(case_size(g) * sizeof *x);

    assert_non_null(x);
    elements_to_floats(g->is_f16 ? ELEMENT_F16 : ELEMENT_F32, g->scores.data,
                       case_size(g), x);
    return x;
}

/* ---- What comes out ------------------------------------------------------ */

static npy_array read_output(const folder *f, const char *name,
                             const char *descr)
{
    char path[2 * MAX_PATH];
    npy_array array = {0};

    snprintf(path, sizeof path, "%s/out/%s", f->path, name);
    if (!npy_read(path, descr, &array))
        fail_msg("cannot read %s as %s", path, descr);
    return array;
}

/* 'rank' counts behind an axis of layers, where there is one. */
static void assert_shape(const npy_array *array, uint32_t n_layers,
                         uint32_t rank, const uint32_t *shape)
{
    const uint32_t before = n_layers > 0 ? 1 : 0;

    assert_int_equal(array->rank, rank + before);
    if (before > 0)
        assert_int_equal(array->shape[0], n_layers);
    for (uint32_t i = 0; i < rank; i++)
        assert_int_equal(array->shape[i + before], shape[i]);
}

static void assert_mask(const golden_case *g, const folder *f,
                        uint32_t n_layers)
{
    const size_t size = (size_t)g->n_kv_heads * g->n_keys;
    npy_array mask = read_output(f, "mask.npy", "|u1");

    assert_shape(&mask, n_layers, 2, g->mask.shape);
    for (uint32_t l = 0; l == 0 || l < n_layers; l++)
        assert_memory_equal((const uint8_t *)mask.data + l * size, g->mask.data,
                            size);
    free(mask.data);
}

/* The lists are the mask's. */
static void assert_keep(const golden_case *g, const folder *f,
                        uint32_t n_layers)
{
    npy_array keep = read_output(f, "keep.npy", "<u4");
    const uint32_t before = n_layers > 0 ? 1 : 0;
    const uint32_t widest = keep.shape[1 + before];
    const uint32_t *rows = keep.data;
    uint32_t longest = 0;

    assert_shape(&keep, n_layers, 2, (const uint32_t[]){g->n_kv_heads, widest});
    for (uint32_t l = 0; l == 0 || l < n_layers; l++)
        for (uint32_t h = 0; h < g->n_kv_heads; h++, rows += widest) {
            const uint8_t *mask =
                (const uint8_t *)g->mask.data + (size_t)h * g->n_keys;
            uint32_t n = 0;
            for (uint32_t k = 0; k < g->n_keys; k++)
                if (mask[k] != 0)
                    assert_int_equal(rows[n++], k);
            longest = n > longest ? n : longest;
            for (; n < widest; n++)
                assert_int_equal(rows[n], UINT32_MAX);
        }
    assert_int_equal(widest, longest);
    free(keep.data);
}

static void assert_importance(const golden_case *g, const folder *f,
                              uint32_t n_layers)
{
    const size_t size = 2 * (size_t)g->n_kv_heads * g->n_keys;
    const float *expected = g->importance.data;
    npy_array importance = read_output(f, "importance.npy", "<f4");
    const float *got = importance.data;

    assert_shape(&importance, n_layers, 3, g->importance.shape);
    for (uint32_t l = 0; l == 0 || l < n_layers; l++, got += size)
        for (size_t i = 0; i < size; i++) {
            const double x = (double)expected[i];
            if (!(fabs((double)got[i] - x) <= 5e-6 * fabs(x) + 1e-7))
                fail_msg("%s: %.9g instead of %.9g", g->path, (double)got[i],
                         x);
        }
    free(importance.data);
}

void assert_case(const golden_case *g, const folder *f, command_line *line,
                 uint32_t n_layers)
{
    char text[1024];

    if (g->spans[0] != '\0')
        add_word(line, "--spans=%s", g->spans);
    add_word(line, "--out");
    add_word(line, "%s", in_folder(f, "out"));
    const int code = run_program(f, line);
    read_text(in_folder(f, ERROR_FILE), text, sizeof text);
    if (code != 0)
        fail_msg("%s: exit code %d: %s", g->path, code, text);
    assert_string_equal(text, "");
    assert_mask(g, f, n_layers);
    assert_keep(g, f, n_layers);
    assert_importance(g, f, n_layers);
}

void for_each_case(void (*check)(const golden_case *g, const folder *f))
{
    static char paths[MAX_CASES][MAX_PATH];
    const int n = list_cases(paths);

    for (int i = 0; i < n; i++) {
        golden_case g;
        folder f = make_folder();
        load_case(paths[i], &g);
        check(&g, &f);
        free_case(&g);
        remove_folder(&f);
    }
}
