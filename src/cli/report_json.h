/*
 * report_json.h - the data of a report, as its page reads it
 */
#ifndef CLI_REPORT_JSON_H
#define CLI_REPORT_JSON_H

#include "report_data.h"
#include "report_text.h"
#include "report_write.h"

/* {"source": ..., "layers": [ */
void json_head(report_text *t, const report_head *head,
               const report_grid *grid);

/* A layer as an object; 'bins' hold it. */
void json_layer(report_text *t, const report_shape *shape,
                const report_grid *grid, const report_layer *layer,
                const report_bins *bins);

#endif /* CLI_REPORT_JSON_H */
