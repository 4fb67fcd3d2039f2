/*
 * array.c - a stored array of numbers, read piece by piece
 *
 * Where the order of the file is not C order, the pieces that are asked for
 * are picked out of it in the order of the file, so that every call reads
 * forward and no byte twice.
 */
#include "array.h"

#include "file.h"
#include "npy.h"
#include "safetensors.h"
#include "size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BUFFER_SIZE = 1 << 18, /* a multiple of every element's size */
    MAX_TEXT = 256         /* 8 counts of up to 20 digits, brackets, a type */
};

/* ---- Opening ------------------------------------------------------------- */

static outcome no_memory(const char *path)
{
    return fail(INTERNAL, "%s: not enough memory", path);
}

/* "path", or "path: tensor NAME". */
static char *name_of(const char *path, const char *tensor)
{
    static const char between[] = ": tensor ";
    const size_t path_size = strlen(path);
    const size_t size =
        path_size + 1 +
        (tensor != NULL ? sizeof between - 1 + strlen(tensor) : 0);
    char *name = malloc(size);

    if (name != NULL)
        snprintf(name, size, "%s%s%s", path, tensor != NULL ? between : "",
                 tensor != NULL ? tensor : "");
    return name;
}

static outcome take_entry(const char *path, const safetensors_entry *e,
                          array *a)
{
    if (!element_of_safetensors(e->dtype, &a->element))
        return fail(BAD_INPUT,
                    "%s: tensor %s: the type is %s, expected F16, BF16, F32, "
                    "F64, U8, U16, U32, I32 or I64",
                    path, e->name, e->dtype);
    a->name = name_of(path, e->name);
    if (a->name == NULL)
        return no_memory(path);
    a->element_size = element_size(a->element);
    a->swapped = a->element_size > 1 && element_is_swapped(true);
    a->rank = e->rank;
    memcpy(a->shape, e->shape, sizeof a->shape);
    a->n_elements = e->n_elements;
    a->begin = e->begin;
    return DONE;
}

static outcome open_tensor(const char *path, const char *tensor, uint64_t size,
                           array *a)
{
    safetensors s;
    outcome result =
        safetensors_read(path, a->descriptor, size, SAFETENSORS_MAX_HEADER, &s);

    if (result != DONE)
        return result;
    const safetensors_entry *e =
        tensor != NULL ? safetensors_find(&s, tensor) : s.entries;
    if (tensor == NULL && s.n_entries != 1)
        result = fail(BAD_INPUT,
                      "%s: has %zu tensors, expected the name of "
                      "one of them, by --tensor",
                      path, s.n_entries);
    else if (e == NULL)
        result = fail(BAD_INPUT, "%s: has no tensor %s", path, tensor);
    else
        result = take_entry(path, e, a);
    safetensors_free(&s);
    return result;
}

static outcome open_npy(const char *path, const char *tensor, uint64_t size,
                        array *a)
{
    if (tensor != NULL)
        return fail(BAD_INPUT, "%s: is a .npy file, which has no tensor %s",
                    path, tensor);
    a->name = name_of(path, NULL);
    return a->name != NULL ? npy_header(a, size) : no_memory(path);
}

static outcome open_by_kind(const char *path, const char *tensor, uint64_t size,
                            array *a)
{
    unsigned char bytes[9] = {0};
    const size_t known = size < sizeof bytes ? (size_t)size : sizeof bytes;
    outcome result = file_read(path, a->descriptor, 0, bytes, known);

    if (result != DONE)
        return result;
    if (known >= NPY_MAGIC_SIZE &&
        memcmp(bytes, NPY_MAGIC, NPY_MAGIC_SIZE) == 0)
        return open_npy(path, tensor, size, a);
    if (safetensors_begins(bytes, size))
        return open_tensor(path, tensor, size, a);
    return fail(BAD_INPUT,
                "%s: begins neither like a .npy nor like a .safetensors file",
                path);
}

outcome array_open(const char *path, const char *tensor, bool bf16, array *a)
{
    uint64_t size;

    *a = (array){.descriptor = -1};
    outcome result = file_open(path, &a->descriptor, &size);
    if (result != DONE)
        return result;
    result = open_by_kind(path, tensor, size, a);
    if (result == DONE) {
        a->buffer = malloc(BUFFER_SIZE);
        if (a->buffer == NULL)
            result = no_memory(path);
    }
    if (result != DONE)
        array_close(a);
    else if (bf16 && a->element == ELEMENT_U16)
        a->element = ELEMENT_BF16;
    return result;
}

void array_close(array *a)
{
    if (a->descriptor >= 0)
        close(a->descriptor);
    free(a->buffer);
    free(a->name);
    *a = (array){.descriptor = -1};
}

/* ---- Reading ------------------------------------------------------------- */

/*
 * No product below is out of range: a->n_elements * a->element_size is at most
 * the size of the file, and element numbers are at most a->n_elements.
 */

/* 'count' elements of the file from its element 'first' on. */
static outcome read_stored(const array *a, uint64_t first, uint64_t count,
                           void *out)
{
    const uint64_t place = a->begin + first * a->element_size;
    outcome result = file_read(a->name, a->descriptor, place, out,
                               (size_t)(count * a->element_size));

    if (result == DONE && a->swapped)
        elements_swap(out, count, a->element_size);
    return result;
}

/* The number of elements of the file from 'first' on that the buffer takes. */
static uint64_t piece_size(const array *a, uint64_t first)
{
    const uint64_t rest = a->n_elements - first;
    const uint64_t room = BUFFER_SIZE / a->element_size;

    return rest < room ? rest : room;
}

/* What is asked for, and where reading is, in a file whose first axis is the
   fastest. */
typedef struct picker {
    const array *a;
    uint64_t first, end; /* elements in C order */
    unsigned char *out;
    uint32_t out_size;         /* bytes of an element of it */
    bool as_floats;            /* to be converted */
    uint64_t stride[MAX_RANK]; /* elements in C order, by axis */
    uint64_t at[MAX_RANK];     /* the index by axis; that of axis 0 is 0 */
    uint64_t index;            /* the same in C order */
    uint64_t buffer_first, n_buffer; /* elements of the file in the buffer */
} picker;

/* Put the file's element 'stored', which is 'index' in C order, in its
   place. */
static outcome pick(picker *p, uint64_t stored, uint64_t index)
{
    const array *a = p->a;

    if (stored >= p->buffer_first + p->n_buffer) {
        p->buffer_first = stored;
        p->n_buffer = piece_size(a, stored);
        outcome result = read_stored(a, stored, p->n_buffer, a->buffer);
        if (result != DONE)
            return result;
    }
    const unsigned char *bytes =
        a->buffer + (stored - p->buffer_first) * a->element_size;
    unsigned char *place = p->out + (index - p->first) * p->out_size;
    float x;
    if (p->as_floats) {
        elements_to_floats(a->element, bytes, 1, &x);
        memcpy(place, &x, sizeof x);
    } else {
        memcpy(place, bytes, a->element_size);
    }
    return DONE;
}

/* What is asked for of the run along the first axis that begins here. */
static outcome pick_from_run(picker *p, uint64_t run)
{
    const uint64_t n = p->a->shape[0], stride = p->stride[0];
    outcome result = DONE;
    uint64_t i = 0;

    if (p->first > p->index)
        i = (p->first - p->index - 1) / stride + 1;
    for (; result == DONE && i < n && p->index + i * stride < p->end; i++)
        result = pick(p, run * n + i, p->index + i * stride);
    return result;
}

/* To the next run along the first axis. */
static void next_run(picker *p)
{
    for (uint32_t axis = 1; axis < p->a->rank; axis++) {
        p->index += p->stride[axis];
        if (++p->at[axis] < p->a->shape[axis])
            return;
        p->index -= p->at[axis] * p->stride[axis];
        p->at[axis] = 0;
    }
}

static outcome read_fortran(const array *a, uint64_t first, uint64_t count,
                            void *out, bool as_floats)
{
    picker p = {.a = a,
                .first = first,
                .end = first + count,
                .out = out,
                .out_size = as_floats ? sizeof(float) : a->element_size,
                .as_floats = as_floats};
    const uint64_t n_runs = a->n_elements / a->shape[0];
    outcome result = DONE;

    p.stride[a->rank - 1] = 1;
    for (uint32_t axis = a->rank - 1; axis > 0; axis--)
        p.stride[axis - 1] = p.stride[axis] * a->shape[axis];
    for (uint64_t run = 0; result == DONE && run < n_runs; run++) {
        result = pick_from_run(&p, run);
        next_run(&p);
    }
    return result;
}

static outcome check_range(const array *a, uint64_t first, uint64_t count,
                           uint32_t size)
{
    if (first > a->n_elements || count > a->n_elements - first ||
        count > SIZE_MAX / size)
        return fail(INTERNAL, "%s: elements beyond its end were asked for",
                    a->name);
    return DONE;
}

outcome array_read(const array *a, uint64_t first, uint64_t count, void *out)
{
    outcome result = check_range(a, first, count, a->element_size);

    if (result != DONE || count == 0)
        return result;
    return a->fortran ? read_fortran(a, first, count, out, false)
                      : read_stored(a, first, count, out);
}

outcome array_read_floats(const array *a, uint64_t first, uint64_t count,
                          float *out)
{
    outcome result = check_range(a, first, count, sizeof *out);

    if (result != DONE || count == 0)
        return result;
    if (!element_is_float(a->element))
        return fail(BAD_INPUT, "%s: is %s, expected floating-point numbers",
                    a->name, array_describe(a));
    if (a->fortran)
        return read_fortran(a, first, count, out, true);
    if (a->element == ELEMENT_F32)
        return read_stored(a, first, count, out);
    while (result == DONE && count > 0) {
        uint64_t n = piece_size(a, first);
        n = n < count ? n : count;
        result = read_stored(a, first, n, a->buffer);
        if (result == DONE)
            elements_to_floats(a->element, a->buffer, (size_t)n, out);
        first += n;
        count -= n;
        out += n;
    }
    return result;
}

const char *array_describe(const array *a)
{
    static char text[MAX_TEXT];
    size_t used =
        (size_t)snprintf(text, sizeof text, "%s%s", element_name(a->element),
                         a->rank > 0 ? " " : "");

    for (uint32_t i = 0; i < a->rank; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "[%llu]",
                                 (unsigned long long)a->shape[i]);
    return text;
}
