/*
 * report_folder.h - a report of what `csp prune --out` wrote
 */
#ifndef CLI_REPORT_FOLDER_H
#define CLI_REPORT_FOLDER_H

#include "message.h"

/* Read mask.npy, importance.npy, summary.json and, where they are,
   reasons.npy and sink_logits.npy of 'folder'; write the report to 'path'. */
outcome report_of_folder(const char *folder, const char *path);

#endif /* CLI_REPORT_FOLDER_H */
