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
    FAULT_NO_MEMORY    /* NULL from malloc and its like */
} fault;

/* From here on, the call number 'at' of those the fault can happen to goes
   wrong, if 'forever' all later ones too. */
void faults_begin(fault kind, long at, bool forever);

/* No more of it; returns whether there was a call number 'at'. */
bool faults_end(void);

/* The call was a close, of which some may fail without harm. */
bool fault_was_close(void);

#endif /* FAULTS_H */
