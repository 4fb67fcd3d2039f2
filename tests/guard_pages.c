/*
 * guard_pages.c - slots, and trials at many places in them
 */
#include "guard_pages.h"

#include <stdio.h>

#include "numeric.h"
#include "random.h"

static const csp_tier tiers[] = {CSP_TIER_SCALAR, CSP_TIER_AVX2,
                                 CSP_TIER_AVX512, CSP_TIER_NEON};

bool all_places;
uint64_t n_calls;
slot in[3], out[2];
unsigned char numbers[CSP__N_DTYPES][4 * MAX_KEYS];
uint32_t keys[MAX_KEYS];

/* ---- Slots --------------------------------------------------------------- */

static void *map_or_fail(void *at, size_t size, int protection, int flags,
                         int file)
{
    void *map = mmap(at, size, protection, flags, file, 0);

    assert_true(map != MAP_FAILED);
    return map;
}

slot new_slot(bool writable)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    FILE *file = tmpfile();
    slot s;

    assert_non_null(file);
    assert_int_equal(SLOT_SIZE % page, 0);
    assert_int_equal(ftruncate(fileno(file), (off_t)SLOT_SIZE), 0);
    s.back = map_or_fail(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                         fileno(file));
    unsigned char *around = map_or_fail(NULL, SLOT_SIZE + 2 * page, PROT_NONE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1);
    s.view = map_or_fail(around + page, SLOT_SIZE, protection,
                         MAP_SHARED | MAP_FIXED, fileno(file));
    memset(s.back, (int)GUARD_BYTE, SLOT_SIZE);
    fclose(file);
    return s;
}

void *nowhere(const slot *s)
{
    return s->view + SLOT_SIZE + 64;
}

size_t start_of(const place *p, size_t size, size_t unit)
{
    const size_t pitch = size + p->pad / unit * unit;
    const size_t shift = p->offset / unit * unit + p->row * pitch;

    return p->at_end ? SLOT_SIZE - shift - size : shift;
}

void *put(const slot *s, const place *p, const void *bytes, size_t size,
          size_t unit)
{
    const size_t start = start_of(p, size, unit);

    if (size == 0)
        return nowhere(s);
    memcpy(s->back + start, bytes, size);
    return s->view + start;
}

void *put_output(const slot *s, const place *p, const void *bytes, size_t size,
                 size_t unit)
{
    const size_t start = start_of(p, size, unit);
    const size_t begin = start < CANARIES ? 0 : start - CANARIES;
    const size_t left = SLOT_SIZE - start - size;
    const size_t end = start + size + (left < CANARIES ? left : CANARIES);

    memset(s->back + begin, (int)GUARD_BYTE, end - begin);
    return put(s, p, bytes, size, unit);
}

bool is_clean(const slot *s, const place *p, size_t size, size_t unit)
{
    const size_t start = start_of(p, size, unit);

    for (size_t i = 1; i <= CANARIES && i <= start; i++)
        if (s->back[start - i] != GUARD_BYTE)
            return false;
    for (size_t i = start + size; i < start + size + CANARIES && i < SLOT_SIZE;
         i++)
        if (s->back[i] != GUARD_BYTE)
            return false;
    return true;
}

/* ---- Trials -------------------------------------------------------------- */

static void draw_numbers(void)
{
    static const float special[] = {-INFINITY, -1e30f, -65504.0f, 0.0f,
                                    -0.0f,     40.0f,  -87.5f,    0x1p-140f};
    random_source random = {1};

    for (size_t i = 0; i < MAX_KEYS; i++) {
        const float x = random_chance(&random, 12)
                            ? special[random_below(&random, COUNT(special))]
                            : 40.0f * (float)(random_unit(&random) - 0.5);
        const uint16_t f16 = csp__to_f16(x), bf16 = csp__to_bf16(x);
        memcpy(numbers[CSP_F32] + 4 * i, &x, sizeof x);
        memcpy(numbers[CSP_F16] + 2 * i, &f16, sizeof f16);
        memcpy(numbers[CSP_BF16] + 2 * i, &bf16, sizeof bf16);
        keys[i] = (uint32_t)random_bits(&random);
    }
}

void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 1.0f / (float)(i % 13 + 3);
}

static csp__kernels kernels_of(csp_tier tier)
{
    const csp_compute compute = {.tier = tier, .product = CSP_PATH_KERNEL};
    csp__kernels kernels;

    csp__kernels_choose(&compute, &kernels);
    return kernels;
}

static void try_places(trial *t, void (*run)(const trial *t))
{
    static const size_t offsets[] = {0,  4,  1,  32, 63, 2,  3,  8,
                                     12, 16, 20, 31, 36, 48, 56, 60};
    static const size_t rows[][2] = {{0, 0}, {1, 4}, {1, 0}, {1, 76}, {2, 10}};
    const size_t n_offsets = all_places ? COUNT(offsets) : 4;
    const size_t n_rows = all_places ? COUNT(rows) : 2;

    for (int at_end = 0; at_end < 2; at_end++)
        for (size_t i = 0; i < n_offsets; i++)
            for (size_t r = 0; r < n_rows; r++) {
                t->at =
                    (place){at_end != 0, offsets[i], rows[r][0], rows[r][1]};
                run(t);
            }
}

void try_tiers(size_t max_n, int n_dtypes, void (*run)(const trial *t))
{
    const csp__kernels scalar = kernels_of(CSP_TIER_SCALAR);

    for (size_t i = 0; i < COUNT(tiers); i++) {
        if (!csp_has_tier(tiers[i]))
            continue;
        const csp__kernels tier = kernels_of(tiers[i]);
        for (int dtype = 0; dtype < n_dtypes; dtype++)
            for (size_t n = 0; n <= max_n; n++) {
                trial t = {.scalar = &scalar,
                           .tier = &tier,
                           .dtype = (csp_dtype)dtype,
                           .n = n,
                           .size = dtype == CSP_F32 ? 4 : 2};
                try_places(&t, run);
            }
    }
}

void fail_trial(const trial *t, const char *what)
{
    fail_msg("%s: dtype %d, n %zu, %s, offset %zu, row %zu, pad %zu", what,
             (int)t->dtype, t->n, t->at.at_end ? "end" : "begin", t->at.offset,
             t->at.row, t->at.pad);
}

const void *numbers_of(const trial *t, int i)
{
    return put(&in[i], &t->at, numbers[t->dtype], t->n * t->size, 1);
}

const float *floats_of(const trial *t, int i, const float *x)
{
    return put(&in[i], &t->at, x, t->n * sizeof *x, sizeof *x);
}

float *output_of(const trial *t, int i, const float *x)
{
    return put_output(&out[i], &t->at, x, t->n * sizeof *x, sizeof *x);
}

void check_output(const trial *t, int i, const void *expected, size_t size,
                  size_t unit)
{
    if (!is_clean(&out[i], &t->at, size, unit))
        fail_trial(t, "wrote beside");
    if (size > 0 &&
        memcmp(out[i].back + start_of(&t->at, size, unit), expected, size) != 0)
        fail_trial(t, "wrote something else");
}

void check_floats(const trial *t, int i, const float *expected)
{
    check_output(t, i, expected, t->n * sizeof *expected, sizeof *expected);
}

void check_result(const trial *t, double got, double expected)
{
    n_calls++;
    if (got != expected)
        fail_trial(t, "returned something else");
}

int set_up_slots(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(in); i++)
        in[i] = new_slot(false);
    for (size_t i = 0; i < COUNT(out); i++)
        out[i] = new_slot(true);
    draw_numbers();
    return 0;
}
