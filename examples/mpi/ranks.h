/*
 * ranks.h - what both programs ask of MPI
 *
 * Errors of MPI itself end all ranks, which is what MPI does unless told
 * otherwise.  Errors of one rank must not leave the others waiting for it, so
 * all agree on how it went before they next communicate.
 */
#ifndef CSP_EXAMPLE_RANKS_H
#define CSP_EXAMPLE_RANKS_H

#include "scene.h"

#include <mpi.h>

/* An even part of 'n' things, which come in the order of the ranks. */
typedef struct part {
    uint32_t begin, n;
} part;

part ranks_part(uint32_t n, int rank, int size);

/* Whether no rank has an error; those that do say it, with 'what'. */
bool ranks_fine(csp_status status, const char *what);

/* Whether it holds on every rank. */
bool ranks_all(bool holds);

/* What rank 0 finds alone, its plan given to all; false: an error, on all. */
bool ranks_alone(const csp_config *config, layer_sums *sums, layer_plan *plan);

/*
 * Complete every array of 'sums' on all ranks: rank i has counts[i] pieces of
 * type 'piece' of the whole, from piece begins[i] on.
 */
void ranks_gather(layer_sums *sums, const int *counts, const int *begins,
                  MPI_Datatype piece);

/* Part of 'n' of every rank, for ranks_gather; at most KV_HEADS ranks. */
void ranks_parts(uint32_t n, int size, int *counts, int *begins);

/* Whether the ranks are few enough for this scene; rank 0 says if not. */
bool ranks_fit(int size);

/*
 * Read '--spoil RANK', a rank whose first logit is to be NaN, so that one can
 * see how all end when one cannot score; -1: none.  False, and rank 0 says so,
 * for any other arguments.
 */
bool ranks_options(int argc, char **argv, int *spoilt);

/* Whether sums are the same in every bit, not only equal. */
bool ranks_same_bits(const void *a, const void *b, size_t size);

/* A number that tells plans apart. */
uint32_t ranks_digest(const layer_plan *plan);

#endif
