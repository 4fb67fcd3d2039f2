/*
 * sample_scores.c - made-up logits of a prompt with images, for whole programs
 *
 *   sample_scores LAYERS HEADS QUERIES KEYS > scores.npy
 *
 * bfloat16, [layers][heads][queries][keys], of the last queries.  The first
 * token is a sink, recent tokens weigh more, and every head looks at a few
 * places, in the images (from 1/16 to 7/16 and from 1/2 to 7/8 of the prompt)
 * and out of them.  In the middle layers images weigh most.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 5 };

static uint32_t hash(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

/* About normal, of variance 1, from four bytes of a hash. */
static float noise(uint32_t x)
{
    const uint32_t h = hash(x);
    const float sum =
        (float)((h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24));

    return (sum - 510.0f) / 148.0f;
}

static void put_float(float x, unsigned char *at)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    at[0] = (unsigned char)(bits >> 16);
    at[1] = (unsigned char)(bits >> 24);
}

/* A head's places, as parts of the prompt. */
static float place(uint32_t head, int i)
{
    return (float)(hash(head * 31u + (uint32_t)i * 977u) >> 8) / 0x1p24f;
}

/* Logit before noise of each key, for one head. */
static void make_profile(uint32_t layer, uint32_t n_layers, uint32_t head,
                         uint32_t n_keys, float *profile)
{
    const float depth = ((float)layer + 0.5f) / (float)n_layers;
    const float image = 2.2f * sinf(3.1416f * depth) - 2.4f;

    for (uint32_t k = 0; k < n_keys; k++) {
        const float at = ((float)k + 0.5f) / (float)n_keys;
        const int in_image =
            (at > 0.0625f && at < 0.4375f) || (at > 0.5f && at < 0.875f);
        float x = in_image ? image : 0.0f;
        for (int i = 0; i < PLACES; i++) {
            const float off = (at - place(head, i)) * 90.0f;
            x += 3.5f * expf(-off * off);
        }
        x += 2.5f * expf((at - 1.0f) * 40.0f) + (k == 0 ? 7.0f : 0.0f);
        profile[k] = x;
    }
}

static int write_header(uint32_t layers, uint32_t heads, uint32_t queries,
                        uint32_t keys)
{
    unsigned char header[192] = "\x93NUMPY\x01\x00";
    const int n = snprintf((char *)header + 10, sizeof header - 10,
                           "{'descr': '<u2', 'fortran_order': False, "
                           "'shape': (%u, %u, %u, %u), }",
                           layers, heads, queries, keys);

    memset(header + 10 + n, ' ', sizeof header - 10 - (size_t)n);
    header[sizeof header - 1] = '\n';
    header[8] = sizeof header - 10;
    return fwrite(header, sizeof header, 1, stdout) == 1;
}

static int write_row(const float *profile, uint32_t seed, float spread,
                     uint32_t n_keys, unsigned char *row)
{
    for (uint32_t k = 0; k < n_keys; k++)
        put_float(profile[k] + spread * noise(seed ^ hash(k)), row + 2 * k);
    return fwrite(row, 2, n_keys, stdout) == n_keys;
}

static uint32_t number(const char *text)
{
    const unsigned long n = strtoul(text, NULL, 10);

    return n > 0 && n < 1000000 ? (uint32_t)n : 1;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 1;
    const uint32_t layers = number(argv[1]), heads = number(argv[2]);
    const uint32_t queries = number(argv[3]), keys = number(argv[4]);
    float *profile = malloc(keys * sizeof *profile);
    unsigned char *row = malloc(2 * (size_t)keys);
    int good = profile != NULL && row != NULL &&
               write_header(layers, heads, queries, keys);

    for (uint32_t i = 0; good && i < layers * heads; i++) {
        const uint32_t layer = i / heads;
        const float spread = 0.8f + 0.9f * (float)(hash(i) & 255) / 255.0f;
        make_profile(layer, layers, i, keys, profile);
        for (uint32_t r = 0; good && r < queries; r++)
            good = write_row(profile, hash(i * queries + r + 1), spread, keys,
                             row);
    }
    free(profile);
    free(row);
    return good && fflush(stdout) == 0 ? 0 : 1;
}
