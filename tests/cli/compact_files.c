/*
 * compact_files.c - caches and keep lists for tests of csp compact
 */
#include "compact_files.h"

#include "commands.h"
#include "output.h"

void write_array(const char *name, const char *descr, uint32_t rank,
                 const uint64_t *shape, const void *data, size_t size)
{
    output o;

    assert_int_equal(output_open(name, &o), DONE);
    assert_int_equal(output_npy(&o, descr, rank, shape), DONE);
    assert_int_equal(output_write(&o, data, size), DONE);
    assert_int_equal(output_commit(&o, 1), DONE);
}

uint32_t cell(uint32_t layer, uint32_t head, uint32_t key, uint32_t channel)
{
    return 1 + channel + 10 * key + 100 * head + 1000 * layer;
}

size_t place(form f, uint32_t n_keys, uint32_t head, uint32_t key,
             uint32_t channel)
{
    switch (f) {
    case HEAD_FIRST:
        return (head * n_keys + key) * DIM + channel;
    case TOKEN_FIRST:
        return (key * HEADS + head) * DIM + channel;
    case CHANNELS:
    case N_FORMS:
        break;
    }
    return (head * DIM + channel) * n_keys + key;
}

void shape_of(form f, uint32_t n_keys, uint64_t shape[4])
{
    shape[0] = LAYERS;
    shape[1] = f == TOKEN_FIRST ? n_keys : HEADS;
    shape[2] = f == HEAD_FIRST ? n_keys : f == TOKEN_FIRST ? HEADS : DIM;
    shape[3] = f == CHANNELS ? n_keys : DIM;
}

void write_cache(form f, bool has_layers)
{
    uint32_t cells[LAYERS * HEADS * KEYS * DIM];
    uint64_t shape[4];
    const uint32_t n_layers = has_layers ? LAYERS : 1;

    for (uint32_t l = 0; l < n_layers; l++)
        for (uint32_t h = 0; h < HEADS; h++)
            for (uint32_t k = 0; k < KEYS; k++)
                for (uint32_t c = 0; c < DIM; c++)
                    cells[l * HEADS * KEYS * DIM + place(f, KEYS, h, k, c)] =
                        cell(l, h, k, c);
    shape_of(f, KEYS, shape);
    write_array("cache.npy", "<u4", has_layers ? 4 : 3,
                has_layers ? shape : shape + 1, cells,
                n_layers * HEADS * KEYS * DIM * sizeof *cells);
}

const uint32_t kept[LAYERS][HEADS][WIDTH] = {
    {{0, 1, 5, 6}, {2, 3, NONE, NONE}, {NONE, NONE, NONE, NONE}},
    {{6, NONE, NONE, NONE}, {0, 3, 4, NONE}, {1, 2, 4, 6}}};

void write_kept(uint32_t n_layers)
{
    static const uint64_t shape[] = {LAYERS, HEADS, WIDTH};
    const bool layers = n_layers > 1;

    write_array("keep.npy", "<u4", layers ? 3 : 2, layers ? shape : shape + 1,
                kept, n_layers * sizeof kept[0]);
}

outcome compact_cache(const char *layout)
{
    const char *arguments[] = {"compact",  "cache.npy", "--keep",
                               "keep.npy", "--out",     "out.npy",
                               "--layout", layout,      NULL};

    return run_command(command_compact, arguments);
}
