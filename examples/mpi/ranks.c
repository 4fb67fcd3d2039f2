/*
 * ranks.c - parts, agreement and gathering
 */
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

part ranks_part(uint32_t n, int rank, int size)
{
    const uint64_t r = (uint64_t)rank, ranks = (uint64_t)size;
    const uint32_t begin = (uint32_t)(n * r / ranks);

    return (part){.begin = begin, .n = (uint32_t)(n * (r + 1) / ranks) - begin};
}

void ranks_parts(uint32_t n, int size, int *counts, int *begins)
{
    for (int i = 0; i < size; i++) {
        counts[i] = (int)ranks_part(n, i, size).n;
        begins[i] = (int)ranks_part(n, i, size).begin;
    }
}

bool ranks_all(bool holds)
{
    int all = holds;

    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return all != 0;
}

bool ranks_fine(csp_status status, const char *what)
{
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (status != CSP_OK)
        fprintf(stderr, "rank %d, %s: %s\n", rank, what,
                csp_status_string(status));
    return ranks_all(status == CSP_OK);
}

bool ranks_fit(int size)
{
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (size > KV_HEADS && rank == 0)
        fprintf(stderr, "%d ranks are too many: there are %d KV heads\n", size,
                KV_HEADS);
    return size <= KV_HEADS;
}

bool ranks_options(int argc, char **argv, int *spoilt)
{
    bool good = argc == 1;
    int rank, size;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    *spoilt = -1;
    if (argc == 3 && strcmp(argv[1], "--spoil") == 0) {
        char *end;
        const long number = strtol(argv[2], &end, 10);
        good = end != argv[2] && *end == '\0' && number >= 0 && number < size;
        *spoilt = good ? (int)number : -1;
    }
    if (!good && rank == 0)
        fprintf(stderr,
                "usage: %s [--spoil RANK]\n"
                "RANK, here 0 to %d, gets a NaN and all ranks end\n",
                argv[0], size - 1);
    return good;
}

bool ranks_alone(const csp_config *config, layer_sums *sums, layer_plan *plan)
{
    csp_status e = CSP_OK;
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        e = scene_alone(config, sums, plan);
    if (!ranks_fine(e, "pruning alone"))
        return false;
    MPI_Bcast(plan, sizeof *plan / sizeof(uint32_t), MPI_UINT32_T, 0,
              MPI_COMM_WORLD);
    return true;
}

void ranks_gather(layer_sums *sums, const int *counts, const int *begins,
                  MPI_Datatype piece)
{
    float *const arrays[] = {sums->intra[0], sums->inter[0],
                             sums->intra_rows[0], sums->inter_rows[0],
                             sums->value_norm[0]};

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, arrays[i], counts,
                       begins, piece, MPI_COMM_WORLD);
}

bool ranks_same_bits(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size) == 0;
}

uint32_t ranks_digest(const layer_plan *plan)
{
    uint32_t digest = UINT32_C(2166136261);

    for (uint32_t list = 0; list < plan->n_lists; list++)
        for (uint32_t i = 0; i < plan->counts[list]; i++)
            digest = (digest ^ plan->rows[list][i]) * UINT32_C(16777619);
    return digest;
}
