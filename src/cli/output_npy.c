/*
 * output_npy.c - how a .npy file begins
 */
#include "output.h"

#include "elements.h"

#include <stdio.h>
#include <string.h>

/* Its data begins at a multiple of this. */
enum { HEADER_UNIT = 64 };

outcome output_npy(output *o, const char *descr, uint32_t rank,
                   const uint64_t *shape)
{
    static const unsigned char magic[8] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    /* Magic, version 1.0 and the length, then at most 8 counts of up to 20
       digits. */
    unsigned char header[6 * HEADER_UNIT];
    char *text = (char *)header + 10;
    const char order =
        (char)(descr[0] == '<' && element_is_swapped(true) ? '>' : descr[0]);
    size_t used = (size_t)sprintf(
        text, "{'descr': '%c%.8s', 'fortran_order': False, 'shape': (", order,
        descr + 1);

    for (uint32_t i = 0; i < rank; i++)
        used += (size_t)sprintf(text + used, "%s%llu%s", i > 0 ? " " : "",
                                (unsigned long long)shape[i],
                                i + 1 < rank || rank == 1 ? "," : "");
    used += (size_t)sprintf(text + used, "), }");
    /* With the newline behind it, whole units. */
    size_t size = (10 + used) / HEADER_UNIT * HEADER_UNIT + HEADER_UNIT;
    memset(text + used, ' ', size - 10 - used);
    header[size - 1] = '\n';
    memcpy(header, magic, sizeof magic);
    header[8] = (unsigned char)((size - 10) & 255);
    header[9] = (unsigned char)((size - 10) >> 8);
    return output_write(o, header, size);
}
