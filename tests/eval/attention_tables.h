/*
 * attention_tables.h - a tally as tables, figures and CSV
 */
#ifndef ATTENTION_TABLES_H
#define ATTENTION_TABLES_H

#include "attention_tally.h"

#include <stdio.h>

/* Print every table, and the figures at the end. */
void print_tables(const tally *t);

/* Write all of a tally as rows of: table, moment, method, budget, what, layer,
   head, x, value.  A field that does not apply is empty.  Opening is apart, so
   that it fails before the work and not after it. */
FILE *open_csv(const char *path);
void write_csv(const tally *t, FILE *file, const char *path);

#endif /* ATTENTION_TABLES_H */
