/*
 * faults.h - calls of the system that go wrong when a test wants them to
 *
 * The linker puts these in place of the system's (--wrap), in every object of
 * the program.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>

typedef enum fault {
    FAULT_SHORT,       /* reads and writes move one byte */
    FAULT_INTERRUPTED, /* EINTR from what a signal can interrupt */
    FAULT_IO,          /* EIO */
    FAULT_NO_SPACE,    /* ENOSPC */
    FAULT_RENAME,      /* EIO from rename, also where it takes back */
    FAULT_NO_MEMORY,   /* NULL from malloc and its like */
    FAULT_NO_THREAD    /* EAGAIN from pthread_create */
} fault;

/* From here on, the call number 'at' of those the fault can happen to goes
   wrong, if 'forever' all later ones too. */
void faults_begin(fault kind, long at, bool forever);

/* No more of it; returns whether there was a call number 'at'. */
bool faults_end(void);

/* The call was one of those that may fail without harm, if the rest goes well:
   the close of what was only read, a look at what is in the way of an output,
   the lock of a folder, one thread more. */
bool fault_may_be_harmless(void);

/* Blocks that were allocated since faults_begin and not released before
   faults_end. */
long faults_leaked(void);

/* From here on, no file can have two names. */
void faults_no_links(bool no_links);

/* Files that were renamed since faults_begin and are no temporary ones: there
   was a time without a file of that name. */
long faults_moved(void);

#endif /* FAULTS_H */
