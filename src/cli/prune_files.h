/*
 * prune_files.h - a decision as files for numpy, all of them or none
 *
 * With a layer axis in front where the scores have one:
 *
 *   mask.npy         uint8   [kv_heads][keys], 1 where kept
 *   keep.npy         uint32  [kv_heads][widest], ascending, then 4294967295
 *   importance.npy   float32 [2][kv_heads][keys]: intra, inter
 *   reasons.npy      uint8   [kv_heads][keys] csp_reason, 0 where dropped
 *   sink_logits.npy  float32 [heads], where scores say what was dropped
 *   residual.npy     float32 [heads][dimension], with values as well
 *   summary.json     what was done with which settings
 */
#ifndef CLI_PRUNE_FILES_H
#define CLI_PRUNE_FILES_H

#include "prune.h"

typedef struct prune_files prune_files;

/* Begin the files in 'folder', which is made if it is not there. */
outcome prune_files_open(const char *folder, const prune_shape *shape,
                         prune_files **files);

outcome prune_files_layer(prune_files *f, const prune_layer *layer);

/* Finish them, with 'summary' as text of summary.json; files of these names
   that an earlier decision left and this one has not are removed.  Either
   function is the last; NULL may be abandoned. */
outcome prune_files_commit(prune_files *f, const char *summary);
void prune_files_abandon(prune_files *f);

/* "mask.npy, keep.npy, ...", of a shape. */
const char *prune_files_list(const prune_shape *shape);

#endif /* CLI_PRUNE_FILES_H */
