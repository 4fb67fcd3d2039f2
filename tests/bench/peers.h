/*
 * peers.h - what the library is measured by
 */
#ifndef PEERS_H
#define PEERS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Softmax by oneDNN, in a build that found it ------------------------- */

typedef struct onednn_softmax onednn_softmax;

/* Softmax of packed rows into 'output'.  Ends the program on failure. */
onednn_softmax *onednn_softmax_open(const float *logits, uint32_t n_rows,
                                    uint32_t n_cols, float *output);
void onednn_softmax_run(void *job);
void onednn_softmax_close(onednn_softmax *softmax);

/* ---- Selection by std::nth_element, in a build with C++ ------------------ */

/*
 * The rows that E5 keeps of 'n_keys', the last 'n_recent' always: the n_intra
 * best by intra, the n_inter best by inter, and the best others by the sum of
 * both until there are 'budget' of them.
 *
 * 'scratch'  [n_keys] floats.
 * 'marks'    [n_keys] bytes.
 * 'kept'     receives 'budget' rows in ascending order.
 */
void nth_select(const float *intra, const float *inter, uint32_t n_keys,
                uint32_t n_recent, uint32_t n_intra, uint32_t n_inter,
                uint32_t budget, float *scratch, unsigned char *marks,
                uint32_t *kept);

#ifdef __cplusplus
}
#endif

#endif
