/*
 * elements.h - the types of numbers that files hold
 */
#ifndef CLI_ELEMENTS_H
#define CLI_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum element {
    ELEMENT_F16,
    ELEMENT_BF16,
    ELEMENT_F32,
    ELEMENT_F64,
    ELEMENT_U8,
    ELEMENT_U16,
    ELEMENT_U32,
    ELEMENT_I32,
    ELEMENT_I64
} element;

/* "f32". */
const char *element_name(element e);
uint32_t element_size(element e);
bool element_is_float(element e);

/* The type of a .npy file without its byte order, such as "f4". */
bool element_of_npy(const char type[2], element *e);

/* What .npy calls it where it is little-endian: "<f4"; bf16 is "<u2", as .npy
   has no name for it. */
const char *element_npy(element e);

/* The type of a .safetensors file, such as "F32". */
bool element_of_safetensors(const char *dtype, element *e);

/* Whether 'little' is not the order of bytes of this machine. */
bool element_is_swapped(bool little);

/* Turn around the bytes of 'count' elements of 'size' bytes. */
void elements_swap(void *bytes, uint64_t count, uint32_t size);

/* The same number; a NaN keeps its bits. */
float float_of_f16(uint16_t bits);
float float_of_bf16(uint16_t bits);

/* Elements of a floating-point type, in native byte order and of any
   alignment, as floats; f64 is rounded to nearest. */
void elements_to_floats(element e, const void *bytes, size_t count, float *out);

#endif /* CLI_ELEMENTS_H */
