/*
 * testset.h - accuracy of a model on prompts with known answers
 */
#ifndef TESTSET_H
#define TESTSET_H

#include "model.h"
#include "arrays.h"
#include "prompt.h"
#include "prune.h"

#include <stdint.h>

/*
 * A folder of .npy files, P prompts over C contexts:
 *
 *   tokens      i32 [P][longest]      prompt_len, ctx_len   i32 [P]
 *   ctx_id      i32 [P], below C      task                  i32 [P]
 *   answer      i32 [P][most]         answer_len            i32 [P]
 *   pixels      u8 [C][patches][bytes]
 *   patch_pos   i32 [C][patches], in the context
 */
typedef struct testset {
    array tokens, prompt_len, ctx_len, ctx_id, task, answer, answer_len;
    array pixels, patch_pos;
    uint32_t n_prompts;
} testset;

/* What has been read when the cache is pruned. */
typedef enum protocol {
    PROTOCOL_HQ, /* the context; the question comes after */
    PROTOCOL_H1, /* all of the prompt but its last token */
    PROTOCOL_R,  /* the prompt; what it says first comes from the full cache */
    N_PROTOCOLS
} protocol;

extern const char *const protocol_names[N_PROTOCOLS];

enum { MAX_TASKS = 32 };

/* Prompts [begin, end) of a test set, and whether their answers were right. */
typedef struct verdicts {
    uint32_t begin, end;
    uint32_t n_settings;
    uint8_t *right; /* [prompt - begin][1 + n_settings]: full cache first */
    double *kept;   /* [1 + n_settings] mean share of rows kept */
} verdicts;

typedef struct accuracy {
    uint32_t right[MAX_TASKS], total[MAX_TASKS];
    double kept; /* mean share of rows kept */
} accuracy;

testset testset_read(const char *folder, const model *m);
void testset_free(testset *t);

/* A copy of a prompt; testset_read has checked it. */
prompt testset_prompt(const testset *t, uint32_t i);

/*
 * Answer prompts [begin, end) with greedy decoding: once with the full cache,
 * then with each of the settings.  An answer counts if all its tokens are
 * right.  Calls for distinct prompts may run at the same time.
 */
verdicts testset_run(const testset *t, const model *m, protocol how,
                     const prune_settings *settings, uint32_t n_settings,
                     uint32_t begin, uint32_t end);
void verdicts_free(verdicts *v);

/* Sums by task of one of the settings, 0 the full cache. */
accuracy accuracy_of(const testset *t, const verdicts *v, uint32_t setting);

/* Percent of right answers, averaged over the tasks that were asked. */
double accuracy_mean(const accuracy *a, uint32_t n_tasks);

#endif /* TESTSET_H */
