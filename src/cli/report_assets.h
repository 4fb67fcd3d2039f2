/*
 * report_assets.h - the page of a report, put into the program by the build
 *
 * From report.html, report.css and report*.js; embed.cmake makes the C file.
 */
#ifndef CLI_REPORT_ASSETS_H
#define CLI_REPORT_ASSETS_H

#include <stddef.h>

enum { SHA256_SIZE = 32 };

typedef struct report_asset {
    const unsigned char *bytes;
    size_t size;
    unsigned char sha256[SHA256_SIZE];
} report_asset;

extern const report_asset report_page, report_style, report_script;

#endif /* CLI_REPORT_ASSETS_H */
