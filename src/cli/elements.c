/*
 * elements.c - the types of numbers that files hold
 *
 * Data in a file may lie anywhere, so every number is copied out of its bytes
 * and none is read through a pointer to it.
 */
#include "elements.h"

#include <string.h>

typedef struct element_facts {
    const char *name, *npy, *safetensors;
    uint32_t size;
} element_facts;

static const element_facts facts[] = {
    [ELEMENT_F16] = {"f16", "<f2", "F16", 2},
    [ELEMENT_BF16] = {"bf16", "<u2", "BF16", 2},
    [ELEMENT_F32] = {"f32", "<f4", "F32", 4},
    [ELEMENT_F64] = {"f64", "<f8", "F64", 8},
    [ELEMENT_U8] = {"u8", "|u1", "U8", 1},
    [ELEMENT_U16] = {"u16", "<u2", "U16", 2},
    [ELEMENT_U32] = {"u32", "<u4", "U32", 4},
    [ELEMENT_I32] = {"i32", "<i4", "I32", 4},
    [ELEMENT_I64] = {"i64", "<i8", "I64", 8},
};

enum { N_ELEMENTS = sizeof facts / sizeof *facts };

const char *element_name(element e)
{
    return facts[e].name;
}

uint32_t element_size(element e)
{
    return facts[e].size;
}

const char *element_npy(element e)
{
    return facts[e].npy;
}

bool element_is_float(element e)
{
    return e == ELEMENT_F16 || e == ELEMENT_BF16 || e == ELEMENT_F32 ||
           e == ELEMENT_F64;
}

bool element_of_npy(const char type[2], element *e)
{
    for (int i = 0; i < N_ELEMENTS; i++) {
        if (i != ELEMENT_BF16 && memcmp(facts[i].npy + 1, type, 2) == 0) {
            *e = (element)i;
            return true;
        }
    }
    return false;
}

bool element_of_safetensors(const char *dtype, element *e)
{
    for (int i = 0; i < N_ELEMENTS; i++) {
        if (strcmp(facts[i].safetensors, dtype) == 0) {
            *e = (element)i;
            return true;
        }
    }
    return false;
}

bool element_is_swapped(bool little)
{
    const uint16_t one = 1;
    unsigned char first;

    memcpy(&first, &one, 1);
    return little != (first == 1);
}

void elements_swap(void *bytes, uint64_t count, uint32_t size)
{
    unsigned char *at = bytes;

    for (uint64_t i = 0; i < count; i++, at += size) {
        for (uint32_t j = 0; j < size / 2; j++) {
            const unsigned char byte = at[j];
            at[j] = at[size - 1 - j];
            at[size - 1 - j] = byte;
        }
    }
}

static float float_of_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

float float_of_bf16(uint16_t bits)
{
    return float_of_bits((uint32_t)bits << 16);
}

float float_of_f16(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t exponent = bits >> 10 & 31u;
    const uint32_t mantissa = bits & 1023u;

    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent != 0) /* the exponent's bias is 15 there and 127 here */
        return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    const float magnitude = (float)mantissa * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
}

static float float_at(element e, const unsigned char *at)
{
    uint16_t half;
    double wide;

    if (e == ELEMENT_F64) {
        memcpy(&wide, at, sizeof wide);
        return (float)wide;
    }
    memcpy(&half, at, sizeof half);
    return e == ELEMENT_F16 ? float_of_f16(half) : float_of_bf16(half);
}

void elements_to_floats(element e, const void *bytes, size_t count, float *out)
{
    const unsigned char *at = bytes;
    const uint32_t size = facts[e].size;

    if (e == ELEMENT_F32) {
        memcpy(out, bytes, count * sizeof *out);
        return;
    }
    for (size_t i = 0; i < count; i++, at += size)
        out[i] = float_at(e, at);
}
