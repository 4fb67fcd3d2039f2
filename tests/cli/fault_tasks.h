/*
 * fault_tasks.h - commands of the program for the system to fail at
 */
#ifndef FAULT_TASKS_H
#define FAULT_TASKS_H

#include <stdbool.h>
#include <stddef.h>

#include "message.h"

typedef struct task {
    outcome (*command)(int argc, char **argv);
    const char *arguments[16];
    const char *folder;   /* that it makes; NULL: none */
    const char *files[9]; /* that it writes, or finds there and leaves */
} task;

#define N_TASKS 15
extern const task tasks[N_TASKS];

/* Make the files that the tasks read, in the current folder; the last of them,
   a folder that was pruned, by a command. */
void tasks_write_input(void);
void tasks_remove_input(void);

/* Let there be nothing of what the task writes, or something else there. */
void task_reset(const task *t, bool was_there);

/* Names and contents of all files of the folder and of folders in it, but for
   times; release them with free(). */
typedef struct world {
    unsigned char *bytes;
    size_t size;
} world;

world see_world(void);
bool same_worlds(const world *a, const world *b);

#endif /* FAULT_TASKS_H */
