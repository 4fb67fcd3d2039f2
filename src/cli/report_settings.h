/*
 * report_settings.h - what summary.json of `csp prune` says, for a report
 */
#ifndef CLI_REPORT_SETTINGS_H
#define CLI_REPORT_SETTINGS_H

#include "report_write.h"

#include <stdbool.h>
#include <stddef.h>

enum { MAX_SETTINGS = 16, SETTING_SIZE = 96 };

typedef struct report_settings {
    char source[4096]; /* the file of scores, without its folder */
    bool has_layers;
    report_shape shape;
    csp_span *spans; /* shape.spans */
    csp_config config;
    uint32_t n;
    report_setting list[MAX_SETTINGS];
    char values[MAX_SETTINGS][SETTING_SIZE];
} report_settings;

/*
 * Read the text of a summary.json, which is input to distrust and has a 0
 * behind its 'size' bytes; 'name' is what messages call it.  Free the settings
 * after errors, too.
 */
outcome report_settings_read(const char *name, const char *text, size_t size,
                             report_settings *s);
void report_settings_free(report_settings *s);

/* The head of a report: points into 's'. */
report_head report_settings_head(const report_settings *s);

#endif /* CLI_REPORT_SETTINGS_H */
