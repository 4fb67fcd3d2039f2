/*
 * kernels_lanes_exp.h - exponentials of a row, and the row before added up
 *
 * The part of kernels_lanes.h that scoring spends its time in.  A vector's way
 * from logit to stored exponential is one long chain, and a processor looks
 * ahead only so far, so a tier with registers to spare sends TOGETHER vectors
 * through each step side by side, and loads the next ones meanwhile.
 */

typedef struct exponent {
    lanes low;
    lanes high;
    lanes round;
} exponent;

INLINE exponent exponent_of(int shift)
{
    return (exponent){.low = splat(LOW(shift)),
                      .high = splat(HIGH(shift)),
                      .round = splat(ROUND(shift))};
}

/* Neighbours in a row that go side by side. */
typedef struct group {
    lanes v[TOGETHER];
} group;

#define GROUP ((size_t)TOGETHER * LANES)
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration takes none */
#define EACH(v) _Pragma("GCC unroll 4") for (size_t v = 0; v < TOGETHER; v++)

/* See exp2_scaled in kernels_scalar.c, of which these are the beginning, the
   middle and the end. */
INLINE lanes clamped(lanes x, exponent by)
{
    return smaller(by.high, larger(by.low, x));
}

INLINE lanes reduced(lanes x, exponent by, lanes *scale)
{
    const lanes rounded = mul_add(x, splat(EIGHTHS_HI), by.round);
    const lanes k = sub(rounded, by.round);
    *scale = power(rounded);
    return mul_add(x, splat(EIGHTHS_LO), mul_sub(x, splat(EIGHTHS_HI), k));
}

INLINE lanes expanded(lanes f, lanes scale)
{
    const lanes q = mul_add(mul_add(splat(C3), f, splat(C2)), f, splat(C1));
    return mul_add(mul(scale, f), q, scale);
}

INLINE lanes exp2_scaled(lanes x, exponent by)
{
    lanes scale;
    const lanes f = reduced(clamped(x, by), by, &scale);
    return expanded(f, scale);
}

INLINE group load_group(reader in, const unsigned char *at, exponent by)
{
    group x;
    EACH (v)
        x.v[v] = clamped(in.load(at + v * LANES * in.size), by);
    return x;
}

/* What weigh_row does beside exp_row: the row before is added up.  'adds' and
   all a reader holds are constants once inlined. */
typedef struct weighing {
    bool adds;
    lanes weight;
} weighing;

INLINE void weigh(weighing w, const float *e, float *sums)
{
    if (w.adds)
        save_f32(sums, mul_add(w.weight, load_f32(e), load_f32(sums)));
}

/* What a group becomes, stored and added to the row's sum. */
INLINE lanes finish_group(group f, group scale, weighing w, lanes sum, float *e,
                          float *sums)
{
    EACH (v)
        weigh(w, e + v * LANES, sums + v * LANES);
    EACH (v)
        f.v[v] = expanded(f.v[v], scale.v[v]);
    EACH (v)
        save_f32(e + v * LANES, f.v[v]);
    EACH (v)
        sum = add(sum, f.v[v]);
    return sum;
}

/* The whole groups of [begin, end), at least one.  A group is loaded while the
   one before is under way. */
INLINE lanes exp_groups(reader in, const unsigned char *at, size_t begin,
                        size_t end, exponent by, weighing w, float *e,
                        float *sums)
{
    lanes sum = splat(0.0f);
    group x = load_group(in, at + begin * in.size, by);
    group f, scale;
    size_t i = begin;

    for (; i + GROUP < end; i += GROUP) {
        fetch_ahead(at + i * in.size, GROUP * in.size);
        EACH (v)
            f.v[v] = reduced(x.v[v], by, &scale.v[v]);
        x = load_group(in, at + (i + GROUP) * in.size, by);
        sum = finish_group(f, scale, w, sum, e + i, sums + i);
    }
    fetch_ahead(at + i * in.size, GROUP * in.size);
    EACH (v)
        f.v[v] = reduced(x.v[v], by, &scale.v[v]);
    return finish_group(f, scale, w, sum, e + i, sums + i);
}

/* Less than a vector, at the end of a row. */
INLINE lanes exp_part(reader in, const unsigned char *at, size_t n, exponent by,
                      weighing w, float *e, float *sums)
{
    if (w.adds)
        save_part_f32(sums,
                      mul_add(w.weight, part_f32(e, n), part_f32(sums, n)), n);
    const lanes y = first(exp2_scaled(in.part(at, n), by), n, splat(0.0f));
    save_part_f32(e, y, n);
    return y;
}

/* exp_row and weigh_row. */
INLINE double exp_blocks(reader in, const void *x, size_t n, int shift,
                         weighing w, float *e, float *sums)
{
    const unsigned char *at = x;
    const exponent by = exponent_of(shift);
    double total = 0.0;

    for (size_t i = 0; i < n;) {
        const size_t end = block_end(i, n);
        const size_t groups = TOGETHER > 1 ? i + (end - i) / GROUP * GROUP : i;
        lanes sum = splat(0.0f);
        if (i < groups)
            sum = exp_groups(in, at, i, groups, by, w, e, sums);
        i = groups;
        for (const size_t whole = whole_end(i, end); i < whole; i += LANES) {
            if (i * in.size % LINE == 0)
                fetch_ahead(at + i * in.size, LINE);
            weigh(w, e + i, sums + i);
            const lanes y = exp2_scaled(in.load(at + i * in.size), by);
            save_f32(e + i, y);
            sum = add(sum, y);
        }
        if (i < end)
            sum = add(sum, exp_part(in, at + i * in.size, end - i, by, w, e + i,
                                    sums + i));
        i = end;
        total += (double)fold(sum);
    }
    return total;
}
