/*
 * commands.h - what the program can do, one function each
 *
 * 'argv' is the command's own: argv[0] is its name, and getopt has not been
 * used.  With --help a command prints its text and is done.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "message.h"

outcome command_prune(int argc, char **argv);
outcome command_compact(int argc, char **argv);
outcome command_report(int argc, char **argv);
outcome command_inspect(int argc, char **argv);
outcome command_gap(int argc, char **argv);
outcome command_selftest(int argc, char **argv);

#endif /* CLI_COMMANDS_H */
