/*
 * fault_tasks.c - commands of the program for the system to fail at
 */
#include "cli_test.h"

#include "fault_tasks.h"

#include "commands.h"
#include "elements.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LAYERS = 2, HEADS = 2, QUERIES = 3, KEYS = 8, DIM = 2 };

#define PRUNED_FILES                                                           \
    {                                                                          \
        "out/mask.npy", "out/keep.npy", "out/importance.npy",                  \
            "out/reasons.npy", "out/sink_logits.npy", "out/residual.npy",      \
            "out/summary.json", "out/own.txt"                                  \
    }

const task tasks[N_TASKS] = {
    {command_compact,
     {"compact", "cache", "--tensor", "x", "--keep", "keep.npy", "--out",
      "out.npy"},
     NULL,
     {"out.npy"}},
    {command_compact,
     {"compact", "fortran.npy", "--keep", "keep.npy", "--out", "out.npy"},
     NULL,
     {"out.npy"}},
    {command_inspect, {"inspect", "cache", "--tensor", "x"}, NULL, {NULL}},
    {command_inspect, {"inspect", "cache"}, NULL, {NULL}},
    {command_inspect, {"inspect", "cache", "--json"}, NULL, {NULL}},
    {command_inspect,
     {"inspect", "cache", "--tensor", "x", "--json"},
     NULL,
     {NULL}},
    {command_inspect, {"inspect", "fortran.npy"}, NULL, {NULL}},
    {command_prune,
     {"prune", "scores.npy", "--values", "values.npy", "--spans-file",
      "spans.json", "--budget", "4", "--threads", "2", "--out", "out"},
     "out",
     PRUNED_FILES},
    {command_prune,
     {"prune", "probs.npy", "--kind", "probs", "--lse", "lse.npy", "--n", "0",
      "--budget", "4", "--json", "--out", "out"},
     "out",
     PRUNED_FILES},
    {command_prune,
     {"prune", "scores", "--tensor", "s", "--scope", "global", "--weights",
      "visible-rows", "--budget", "3", "--spans", "1:2=image", "--json"},
     NULL,
     {NULL}},
    {command_gap,
     {"gap", "scores.npy", "--spans", "1:4=image", "--plot", "out.svg"},
     NULL,
     {"out.svg"}},
    {command_gap,
     {"gap", "scores.npy", "--spans-file", "spans.json", "--json"},
     NULL,
     {NULL}},
    {command_report,
     {"report", "pruned", "-o", "out.html"},
     NULL,
     {"out.html"}},
    {command_report,
     {"report", "scores.npy", "--budget", "4", "--spans-file", "spans.json",
      "-o", "out.html"},
     NULL,
     {"out.html"}},
    {command_report,
     {"report", "scores", "--tensor", "s", "--budget", "2", "-o", "out.html"},
     NULL,
     {"out.html"}},
};

/* ---- Input --------------------------------------------------------------- */

/* Numbers in files are little-endian. */
static void write_floats(const char *name, const char *shape, float *x,
                         size_t n)
{
    char dictionary[128];

    if (element_is_swapped(true))
        elements_swap(x, n, sizeof *x);
    snprintf(dictionary, sizeof dictionary,
             "{'descr': '<f4', 'fortran_order': False, 'shape': %s}\n", shape);
    write_npy(name, dictionary, x, n * sizeof *x);
}

static void write_cache(void)
{
    static const char json[] =
        "{\"x\":{\"dtype\":\"F32\",\"shape\":[2,2,8,2],\"data_offsets\":[0,256]"
        "},\"y\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[256,256]},"
        "\"__metadata__\":{\"k\":\"v\"}}";
    static const unsigned char keep[] = {0, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0,
                                         1, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0};
    float x[LAYERS * HEADS * KEYS * DIM];

    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = (float)(i % 7);
    if (element_is_swapped(true))
        elements_swap(x, COUNT(x), sizeof *x);
    write_safetensors("cache", json, x, sizeof x);
    write_npy("fortran.npy",
              "{'descr': '<f4', 'fortran_order': True, "
              "'shape': (2, 2, 8, 2)}\n",
              x, sizeof x);
    write_npy("keep.npy",
              "{'descr': '<u4', 'fortran_order': False, 'shape': (2, 3)}\n",
              keep, sizeof keep);
}

static void write_attention(void)
{
    static const char json[] = "{\"s\":{\"dtype\":\"F32\",\"shape\":[2,2,3,8],"
                               "\"data_offsets\":[0,384]}}";
    static const char spans[] = "[[1, 4, \"image\"], [5, 6, 2]]\n";
    float scores[LAYERS * HEADS * QUERIES * KEYS], probs[COUNT(scores)];
    float lse[LAYERS * HEADS * QUERIES], values[LAYERS * HEADS * KEYS * DIM];

    for (size_t i = 0; i < COUNT(scores); i++) {
        const size_t visible = KEYS - QUERIES + 1 + i / KEYS % QUERIES;
        scores[i] = (float)(i * 37 % 101) / 25.0f;
        probs[i] = i % KEYS < visible ? 1.0f / (float)visible : 0.0f;
    }
    for (size_t i = 0; i < COUNT(lse); i++)
        lse[i] = logf((float)(KEYS - QUERIES + 1 + i % QUERIES));
    for (size_t i = 0; i < COUNT(values); i++)
        values[i] = (float)(i * 53 % 211) / 100.0f;
    write_floats("scores.npy", "(2, 2, 3, 8)", scores, COUNT(scores));
    write_floats("probs.npy", "(2, 2, 3, 8)", probs, COUNT(probs));
    write_floats("lse.npy", "(2, 2, 3)", lse, COUNT(lse));
    write_floats("values.npy", "(2, 2, 8, 2)", values, COUNT(values));
    write_safetensors("scores", json, scores, sizeof scores);
    write_file("spans.json", spans, sizeof spans - 1);
}

void tasks_write_input(void)
{
    const char *prune[] = {"prune", "scores.npy", "--budget",
                           "4",     "--spans",    "1:4=image",
                           "--out", "pruned",     NULL};

    write_cache();
    write_attention();
    assert_int_equal(run_command(command_prune, prune), DONE);
}

static void remove_all(const char *path)
{
    DIR *all = opendir(path);
    const struct dirent *entry;
    char name[600];

    while (all != NULL && (entry = readdir(all)) != NULL)
        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
            remove(name);
        }
    if (all != NULL)
        closedir(all);
    rmdir(path);
}

void tasks_remove_input(void)
{
    remove_all("pruned");
}

void task_reset(const task *t, bool was_there)
{
    for (size_t i = 0; t->files[i] != NULL; i++)
        remove(t->files[i]);
    if (t->folder != NULL)
        rmdir(t->folder);
    if (!was_there)
        return;
    if (t->folder != NULL)
        assert_int_equal(mkdir(t->folder, 0700), 0);
    for (size_t i = 0; t->files[i] != NULL; i++)
        write_file(t->files[i], "before", 6);
}

/* ---- Worlds -------------------------------------------------------------- */

static void add(world *w, const void *bytes, size_t size)
{
    w->bytes = realloc(w->bytes, w->size + size + 1);
    assert_non_null(w->bytes);
    memcpy(w->bytes + w->size, bytes, size);
    w->size += size;
}

/* The size of summary.json but for its times, which are last. */
static size_t without_times(const char *path, const unsigned char *bytes,
                            size_t size)
{
    const char *times = strstr((const char *)bytes, "\"seconds\"");

    return strstr(path, "summary.json") != NULL && times != NULL
               ? (size_t)(times - (const char *)bytes)
               : size;
}

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Files in 'path', behind the text 'prefix'; folders are listed as files
   without contents, and their files once 'depth' allows. */
static void add_folder(world *w, const char *path, int depth)
{
    struct dirent **entries;
    const int n = scandir(path, &entries, no_dots, alphasort);

    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        char name[600];
        struct stat status;
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        add(w, name, strlen(name) + 1);
        assert_int_equal(stat(name, &status), 0);
        if (S_ISDIR(status.st_mode)) {
            assert_int_equal(depth, 0);
            add_folder(w, name, depth + 1);
            continue;
        }
        size_t size;
        unsigned char *bytes = read_file(name, &size);
        size = without_times(name, bytes, size);
        add(w, &size, sizeof size);
        add(w, bytes, size);
        free(bytes);
    }
    free(entries);
}

world see_world(void)
{
    world w = {NULL, 0};

    add_folder(&w, ".", 0);
    return w;
}

bool same_worlds(const world *a, const world *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}
