/*
 * report_write.h - the report as a file: the page, and the data in it
 */
#ifndef CLI_REPORT_WRITE_H
#define CLI_REPORT_WRITE_H

#include "message.h"
#include "report_data.h"

#include <stdint.h>

/* A line of the list of settings; both are text from anywhere. */
typedef struct report_setting {
    const char *name, *value;
} report_setting;

typedef struct report_head {
    const char *source; /* the file, or the tensor in it */
    report_shape shape;
    const char *modalities[CSP_MAX_MODALITIES]; /* names of those in use */
    const report_setting *settings;
    uint32_t n_settings;
} report_head;

typedef struct report_writer report_writer;

/* Begin a report at 'path'.  The spans that 'head' points to are copied, the
   rest is needed during the call only. */
outcome report_begin(const char *path, const report_head *head,
                     report_writer **writer);

/* Add a layer; they come in order. */
outcome report_add(report_writer *writer, const report_layer *layer);

/* Let the report appear, or after any error, which may be one of the caller's,
   not.  Either way the writer is gone. */
outcome report_end(report_writer *writer, outcome result);

#endif /* CLI_REPORT_WRITE_H */
