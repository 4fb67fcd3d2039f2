/*
 * fuzz_safetensors.c - the program's reader of .safetensors files
 */
#include "fuzz_array.h"
#include "fuzz_file.h"

#include "file.h"
#include "safetensors.h"

#include <string.h>
#include <unistd.h>

/* Tensors have names in order, and come one behind the other in the file, in
   some order, up to its last byte. */
static void check(const safetensors *s, size_t file_size)
{
    uint64_t bytes = 0, first = file_size;

    for (size_t i = 0; i < s->n_entries; i++) {
        const safetensors_entry *e = &s->entries[i];
        REQUIRE(i == 0 || strcmp(e->name, s->entries[i - 1].name) > 0,
                "safetensors: names are not in order");
        REQUIRE(e->begin <= e->end && e->end <= file_size && e->rank <= 8,
                "safetensors: tensor %zu is not inside the file", i);
        REQUIRE(safetensors_find(s, e->name) == e,
                "safetensors: tensor %zu is not found", i);
        bytes += e->end - e->begin;
        first = e->begin < first ? e->begin : first;
    }
    REQUIRE(bytes == file_size - first, "safetensors: gaps, or overlap");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    int descriptor;
    uint64_t file_size;
    safetensors s;

    fuzz_read_array(path, NULL, size);
    REQUIRE(file_open(path, &descriptor, &file_size) == DONE, "no file");
    if (safetensors_read(path, descriptor, file_size, SAFETENSORS_MAX_HEADER,
                         &s) == DONE) {
        check(&s, size);
        for (size_t i = 0; i < s.n_entries; i++)
            fuzz_read_array(path, s.entries[i].name, size);
        safetensors_free(&s);
    }
    close(descriptor);
    return 0;
}
