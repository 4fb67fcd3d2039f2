/*
 * numbers.h - little-endian numbers of any alignment, as files hold them
 */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <stdint.h>
#include <string.h>

static inline uint16_t read_u16(const unsigned char *b)
{
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t read_u32(const unsigned char *b)
{
    return read_u16(b) | (uint32_t)read_u16(b + 2) << 16;
}

static inline uint64_t read_u64(const unsigned char *b)
{
    return read_u32(b) | (uint64_t)read_u32(b + 4) << 32;
}

static inline float float_of_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float read_f32(const unsigned char *b)
{
    return float_of_bits(read_u32(b));
}

/* bf16 is the upper half of an f32. */
static inline float read_bf16(const unsigned char *b)
{
    return float_of_bits((uint32_t)read_u16(b) << 16);
}

/* f16: 5 bits of exponent, 10 of mantissa.  Moved to where an f32 has them, a
   finite number is too small by 2^112, exactly, also where it is subnormal. */
static inline float read_f16(const unsigned char *b)
{
    const uint32_t half = read_u16(b);
    const uint32_t sign = (half & 0x8000u) << 16;
    const uint32_t rest = (half & 0x7fffu) << 13;

    if (rest >= 0x7c00u << 13)
        return float_of_bits(sign | 0x7f800000u | rest);
    return float_of_bits(sign | rest) * 0x1p112f;
}

#endif /* NUMBERS_H */
