/*
 * attention_study.h - every way of pruning one scene
 */
#ifndef ATTENTION_STUDY_H
#define ATTENTION_STUDY_H

#include "attention_tally.h"

#include <stdbool.h>

/* Prune a finished scene by every method and budget, correct its outputs in
   every way, and add what comes of it to a tally. */
void study(const scene *s, moment when, bool experiments, tally *t);

#endif /* ATTENTION_STUDY_H */
