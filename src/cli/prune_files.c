/*
 * prune_files.c - a decision as files for numpy, all of them or none
 *
 * How wide keep.npy is shows only at the end.  Until then kept tokens are bits
 * in memory, a thousandth of the scores they come from at most.
 *
 * Of several runs with one folder, one after the other puts its files there, so
 * that all are of the last.
 */
#include "prune_files.h"

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands where a list is shorter than the widest. */
#define NO_TOKEN UINT32_MAX

enum {
    MASK,
    KEEP,
    IMPORTANCE,
    REASONS,
    SINK_LOGITS,
    RESIDUAL,
    SUMMARY,
    N_FILES
};

static const char *const names[N_FILES] = {
    "mask.npy",        "keep.npy",     "importance.npy", "reasons.npy",
    "sink_logits.npy", "residual.npy", "summary.json"};

struct prune_files {
    char *folder;
    bool made_folder;
    prune_shape shape;
    output outputs[N_FILES];
    bool is_open[N_FILES];
    unsigned char *bits; /* [n_layers][n_kv_heads][(n_keys + 7) / 8] */
    uint8_t *mask;       /* [n_keys] */
    uint32_t *list;      /* [n_keys] */
    uint32_t widest;
};

/* ---- Which files --------------------------------------------------------- */

static bool has_file(const prune_shape *shape, int file)
{
    if (file == SINK_LOGITS)
        return shape->has_sinks;
    if (file == RESIDUAL)
        return shape->has_sinks && shape->value_dim > 0;
    return true;
}

const char *prune_files_list(const prune_shape *shape)
{
    static char text[128];

    text[0] = '\0';
    for (int i = 0; i < N_FILES; i++)
        if (has_file(shape, i)) {
            if (text[0] != '\0')
                strncat(text, ", ", sizeof text - strlen(text) - 1);
            strncat(text, names[i], sizeof text - strlen(text) - 1);
        }
    return text;
}

static outcome open_file(prune_files *f, int file)
{
    const size_t size = strlen(f->folder) + 1 + strlen(names[file]) + 1;
    char *path = malloc(size);

    if (path == NULL)
        return fail(INTERNAL, "out of memory");
    snprintf(path, size, "%s/%s", f->folder, names[file]);
    const outcome result = output_open(path, &f->outputs[file]);
    f->is_open[file] = result == DONE;
    free(path);
    return result;
}

/* Begin a .npy file; the first axis of 'shape' is for layers. */
static outcome open_array(prune_files *f, int file, const char *descr,
                          uint32_t rank, const uint64_t *shape)
{
    const uint32_t skipped = f->shape.has_layers ? 0 : 1;
    const outcome result = open_file(f, file);

    if (result != DONE)
        return result;
    return output_npy(&f->outputs[file], descr, rank - skipped,
                      shape + skipped);
}

static outcome open_arrays(prune_files *f)
{
    const prune_shape *s = &f->shape;
    const uint64_t mask[] = {s->n_layers, s->n_kv_heads, s->n_keys};
    const uint64_t importance[] = {s->n_layers, 2, s->n_kv_heads, s->n_keys};
    const uint64_t heads[] = {s->n_layers, s->n_heads, s->value_dim};
    outcome result = open_array(f, MASK, "|u1", 3, mask);

    if (result == DONE)
        result = open_array(f, IMPORTANCE, "<f4", 4, importance);
    if (result == DONE)
        result = open_array(f, REASONS, "|u1", 3, mask);
    if (result == DONE && has_file(s, SINK_LOGITS))
        result = open_array(f, SINK_LOGITS, "<f4", 2, heads);
    if (result == DONE && has_file(s, RESIDUAL))
        result = open_array(f, RESIDUAL, "<f4", 3, heads);
    return result;
}

/* ---- Life ---------------------------------------------------------------- */

static size_t bits_size(const prune_shape *s)
{
    return (s->n_keys + (size_t)7) / 8;
}

static bool allocate(prune_files *f)
{
    const prune_shape *s = &f->shape;
    const size_t n_lists = (size_t)s->n_layers * s->n_kv_heads;

    f->bits = calloc(n_lists, bits_size(s));
    f->mask = calloc(s->n_keys, sizeof *f->mask);
    f->list = calloc(s->n_keys, sizeof *f->list);
    return f->bits != NULL && f->mask != NULL && f->list != NULL;
}

static void release(prune_files *f)
{
    if (f->made_folder)
        output_keep_folder();
    free(f->folder);
    free(f->bits);
    free(f->mask);
    free(f->list);
    free(f);
}

void prune_files_abandon(prune_files *f)
{
    if (f == NULL)
        return;
    for (int i = 0; i < N_FILES; i++)
        if (f->is_open[i])
            output_abandon(&f->outputs[i], 1);
    if (f->made_folder)
        rmdir(f->folder);
    release(f);
}

static outcome make_folder(prune_files *f)
{
    struct stat status;

    if (output_make_folder(f->folder)) {
        f->made_folder = true;
        return DONE;
    }
    if (errno != EEXIST)
        return fail(IO_FAILED, "%s: cannot be made: %s", f->folder,
                    strerror(errno));
    if (stat(f->folder, &status) != 0)
        return fail(IO_FAILED, "%s: cannot be looked at: %s", f->folder,
                    strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return fail(IO_FAILED, "%s: is no folder", f->folder);
    return DONE;
}

outcome prune_files_open(const char *folder, const prune_shape *shape,
                         prune_files **files)
{
    prune_files *f = calloc(1, sizeof *f);

    if (f == NULL)
        return fail(INTERNAL, "out of memory");
    f->shape = *shape;
    f->folder = strdup(folder);
    if (f->folder == NULL || !allocate(f)) {
        prune_files_abandon(f);
        return fail(INTERNAL, "out of memory");
    }
    outcome result = make_folder(f);
    if (result == DONE)
        result = open_arrays(f);
    if (result == DONE)
        *files = f;
    else
        prune_files_abandon(f);
    return result;
}

/* ---- Layers -------------------------------------------------------------- */

static outcome write_masks(prune_files *f, const prune_layer *layer)
{
    const prune_shape *s = &f->shape;
    const csp_kept *kept = layer->kept;
    const size_t first = (size_t)layer->layer * s->n_kv_heads;
    outcome result = DONE;

    for (uint32_t g = 0; result == DONE && g < s->n_kv_heads; g++) {
        const uint32_t list = kept->n_lists > 1 ? g : 0;
        const uint32_t *rows = kept->rows + (size_t)list * kept->capacity;
        const uint32_t count = kept->counts[list];
        f->widest = count > f->widest ? count : f->widest;
        if (csp_kept_mask(rows, count, s->n_keys, f->mask) != CSP_OK ||
            csp_kept_bits(rows, count, s->n_keys,
                          f->bits + (first + g) * bits_size(s)) != CSP_OK)
            return fail(INTERNAL, "a kept list is not ascending");
        result = output_write(&f->outputs[MASK], f->mask, s->n_keys);
        if (result == DONE)
            result = output_write(&f->outputs[REASONS],
                                  layer->reasons + (size_t)list * s->n_keys,
                                  s->n_keys);
    }
    return result;
}

static outcome write_rows(output *o, const float *rows, uint32_t capacity,
                          uint32_t n_rows, uint32_t n_columns)
{
    outcome result = DONE;

    for (uint32_t i = 0; result == DONE && i < n_rows; i++)
        result = output_write(o, rows + (size_t)i * capacity,
                              n_columns * sizeof *rows);
    return result;
}

outcome prune_files_layer(prune_files *f, const prune_layer *layer)
{
    const prune_shape *s = &f->shape;
    const csp_importance *i = layer->importance;
    output *o = &f->outputs[IMPORTANCE];
    outcome result = write_masks(f, layer);

    if (result == DONE)
        result = write_rows(o, i->intra, i->capacity, s->n_kv_heads, s->n_keys);
    if (result == DONE)
        result = write_rows(o, i->inter, i->capacity, s->n_kv_heads, s->n_keys);
    if (result == DONE && f->is_open[SINK_LOGITS])
        result = write_rows(&f->outputs[SINK_LOGITS], layer->sink_logits,
                            s->n_heads, 1, s->n_heads);
    if (result == DONE && f->is_open[RESIDUAL])
        result = write_rows(&f->outputs[RESIDUAL], layer->residual,
                            s->value_dim, s->n_heads, s->value_dim);
    return result;
}

/* ---- End ----------------------------------------------------------------- */

static outcome write_lists(prune_files *f)
{
    const prune_shape *s = &f->shape;
    const uint64_t shape[] = {s->n_layers, s->n_kv_heads, f->widest};
    const size_t n_lists = (size_t)s->n_layers * s->n_kv_heads;
    outcome result = open_array(f, KEEP, "<u4", 3, shape);

    for (size_t i = 0; result == DONE && i < n_lists; i++) {
        const unsigned char *bits = f->bits + i * bits_size(s);
        uint32_t n = 0;
        for (uint32_t k = 0; k < s->n_keys; k++)
            if (bits[k / 8] >> k % 8 & 1)
                f->list[n++] = k;
        while (n < f->widest)
            f->list[n++] = NO_TOKEN;
        result = output_write(&f->outputs[KEEP], f->list,
                              f->widest * sizeof *f->list);
    }
    return result;
}

/* Those that are there after all have been renamed: with the new ones they
   would pass for results of one run. */
static outcome remove_stale(const prune_files *f)
{
    outcome result = DONE;

    for (int i = 0; i < N_FILES; i++) {
        char path[4096];
        const int length =
            snprintf(path, sizeof path, "%s/%s", f->folder, names[i]);
        if (has_file(&f->shape, i) || length >= (int)sizeof path)
            continue;
        if (unlink(path) != 0 && errno != ENOENT)
            result = fail(IO_FAILED, "%s: of an earlier run, stays there: %s",
                          path, strerror(errno));
    }
    return result;
}

/*
 * Wait until no other run is putting its files there; returns the descriptor
 * that holds the lock, until it is closed.  Where folders cannot be locked, or
 * not be read, there is none (-1), and two runs are the user's to keep apart.
 */
static int lock_folder(const char *folder)
{
    int fd, result;

    do
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -1;
    do
        result = flock(fd, LOCK_EX);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return fd;
    close(fd);
    return -1;
}

/* Those that are open, together. */
static outcome commit_all(prune_files *f)
{
    output open[N_FILES];
    uint32_t n = 0;

    for (int i = 0; i < N_FILES; i++)
        if (f->is_open[i]) {
            open[n++] = f->outputs[i];
            f->is_open[i] = false;
        }
    return output_commit(open, n);
}

/* All take their places, and what is not of this run goes. */
static outcome replace_all(prune_files *f)
{
    const int lock = lock_folder(f->folder);
    outcome result = commit_all(f);

    if (result != DONE)
        prune_files_abandon(f);
    else {
        result = remove_stale(f);
        release(f);
    }
    if (lock >= 0)
        close(lock);
    return result;
}

outcome prune_files_commit(prune_files *f, const char *summary)
{
    outcome result = write_lists(f);

    if (result == DONE)
        result = open_file(f, SUMMARY);
    if (result == DONE)
        result = output_write(&f->outputs[SUMMARY], summary, strlen(summary));
    if (result == DONE)
        return replace_all(f);
    prune_files_abandon(f);
    return result;
}
