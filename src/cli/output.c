/*
 * output.c - files that appear whole or not at all
 *
 * The temporary names, and that of a folder made for them, are kept where a
 * signal handler finds them.  While one is entered or taken out, the signals
 * wait, also those that a thread of some library would take.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_TRIES = 100 }; /* names in use by others */

/* ---- Signals ------------------------------------------------------------- */

/* Those that end the program from outside, or at a limit. */
static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,
                              SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU};

enum { N_SIGNALS = sizeof signals / sizeof *signals };

/* Changed only while the signals wait; NULL: free. */
static char *volatile pending[MAX_OUTPUTS];
static const char *volatile pending_folder;

/* The thread that holds them. */
static pthread_t owner;

static void unlink_pending(int signal_number)
{
    if (!pthread_equal(pthread_self(), owner)) {
        pthread_kill(owner, signal_number);
        return;
    }
    for (int i = 0; i < MAX_OUTPUTS; i++)
        if (pending[i] != NULL)
            unlink(pending[i]);
    if (pending_folder != NULL)
        rmdir(pending_folder); /* unless there is something in it */
    /* The default action ends the program, on return from here. */
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void catch_signals(void)
{
    static bool done;
    struct sigaction action = {.sa_handler = unlink_pending};
    struct sigaction old;

    if (done)
        return;
    done = true;
    owner = pthread_self();
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < N_SIGNALS; i++) {
        /* What is ignored, as by nohup, stays so. */
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
    }
    /* A file beyond a limit on sizes is then an error of write. */
    if (sigaction(SIGXFSZ, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGXFSZ, SIG_IGN);
}

static void hold_signals(sigset_t *before)
{
    sigset_t held;

    sigemptyset(&held);
    for (int i = 0; i < N_SIGNALS; i++)
        sigaddset(&held, signals[i]);
    sigprocmask(SIG_BLOCK, &held, before);
}

static void release_signals(const sigset_t *before)
{
    sigprocmask(SIG_SETMASK, before, NULL);
}

/* Put 'now' where 'before' was; false: there was no such place. */
static bool change_pending(const char *before, char *now)
{
    for (int i = 0; i < MAX_OUTPUTS; i++) {
        if (pending[i] == before) {
            pending[i] = now;
            return true;
        }
    }
    return false;
}

/* ---- Folder -------------------------------------------------------------- */

bool output_make_folder(const char *path)
{
    sigset_t before;

    catch_signals();
    hold_signals(&before);
    const bool made = mkdir(path, 0777) == 0;
    const int error = errno;
    if (made)
        pending_folder = path;
    release_signals(&before);
    errno = error;
    return made;
}

void output_keep_folder(void)
{
    pending_folder = NULL;
}

/* ---- Opening ------------------------------------------------------------- */

/* "FOLDER/.csp-PROCESS-NUMBER.tmp" for "FOLDER/NAME"; NULL: no memory. */
static char *temporary_name(const char *path, unsigned long number)
{
    static const char form[] = "%.*s.csp-%ld-%lu.tmp";
    const char *slash = strrchr(path, '/');
    const size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    const size_t size =
        folder + sizeof form + (size_t)2 * 20; /* digits of 64 bits */
    char *name = malloc(size);

    if (name != NULL)
        snprintf(name, size, form, (int)folder, path, (long)getpid(), number);
    return name;
}

/* What cannot be replaced by a file is refused before there is work in it. */
static outcome check_target(const char *path)
{
    struct stat status;

    if (path[0] == '\0' || path[strlen(path) - 1] == '/')
        return fail(IO_FAILED, "%s: is no name for a file", path);
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return fail(IO_FAILED, "%s: exists and is no regular file", path);
    return DONE;
}

static outcome create(const char *path, output *o)
{
    static unsigned long number;

    for (int i = 0; i < MAX_TRIES; i++) {
        char *name = temporary_name(path, number++);
        if (name == NULL)
            return fail(INTERNAL, "%s: not enough memory", path);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            o->temporary = name;
            o->descriptor = fd;
            return DONE;
        }
        free(name);
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    return fail(IO_FAILED, "%s: a file beside it cannot be made: %s", path,
                strerror(errno));
}

outcome output_open(const char *path, output *o)
{
    sigset_t before;
    outcome result = check_target(path);

    *o = (output){.descriptor = -1};
    if (result != DONE)
        return result;
    o->path = strdup(path);
    if (o->path == NULL)
        return fail(INTERNAL, "%s: not enough memory", path);
    catch_signals();
    hold_signals(&before);
    result = create(path, o);
    if (result == DONE && !change_pending(NULL, o->temporary))
        result = fail(INTERNAL, "%s: too many files are open", path);
    release_signals(&before);
    if (result != DONE)
        output_abandon(o, 1);
    return result;
}

/* ---- Writing ------------------------------------------------------------- */

static outcome write_failed(const output *o, int error)
{
    return fail(IO_FAILED, "%s: cannot be written: %s", o->path,
                strerror(error));
}

outcome output_write(output *o, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    while (size > 0) {
        ssize_t n = write(o->descriptor, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return write_failed(o, n < 0 ? errno : EIO);
        at += n;
        size -= (size_t)n;
    }
    return DONE;
}

/* ---- The end ------------------------------------------------------------- */

/* Close what is open; an error may be that of a write before. */
static outcome close_file(output *o)
{
    const int fd = o->descriptor;

    o->descriptor = -1;
    if (fd >= 0 && close(fd) != 0 && errno != EINTR)
        return write_failed(o, errno);
    return DONE;
}

static void forget(output *o)
{
    if (o->temporary != NULL)
        change_pending(o->temporary, NULL);
    free(o->temporary);
    free(o->path);
    *o = (output){.descriptor = -1};
}

void output_abandon(output *files, uint32_t n_files)
{
    sigset_t before;

    hold_signals(&before);
    for (uint32_t i = 0; i < n_files; i++) {
        if (files[i].descriptor >= 0)
            close(files[i].descriptor);
        if (files[i].temporary != NULL)
            unlink(files[i].temporary);
        forget(&files[i]);
    }
    release_signals(&before);
}

/* Let what was there be there again.  What cannot be undone is told: it is not
   lost. */
static void undo(const output *o, const char *old)
{
    if (rename(old, o->path) != 0)
        (void)fail(IO_FAILED, "%s: what was there is now %s: %s", o->path, old,
                   strerror(errno));
}

/* Whether the error says that a file cannot have two names here. */
static bool is_without_links(int error)
{
    static const int errors[] = {EPERM,      EACCES, ENOSYS, ENOTSUP,
                                 EOPNOTSUPP, EMLINK, EXDEV,  EINVAL};

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i] == error)
            return true;
    return false;
}

/* Let what is at 'path', a link itself and not what it leads to, be called
   'old' as well, or where that cannot be, instead; returns the error or 0. */
static int name_old(const char *path, const char *old, bool *moved)
{
    struct stat status;

    if (linkat(AT_FDCWD, path, AT_FDCWD, old, 0) == 0)
        return 0;
    if (!is_without_links(errno))
        return errno;
    if (lstat(path, &status) != 0)
        return errno;
    if (S_ISDIR(status.st_mode))
        return EISDIR;
    if (rename(path, old) != 0)
        return errno;
    *moved = true;
    return 0;
}

/* *old receives another name of what is there, NULL if nothing is, and *moved
   whether it is the only one. */
static outcome keep_old(const output *o, char **old, bool *moved)
{
    const size_t size = strlen(o->temporary) + sizeof ".99.old";
    char *name = malloc(size);
    int error = EEXIST;

    if (name == NULL)
        return fail(INTERNAL, "%s: not enough memory", o->path);
    for (int i = 0; i < MAX_TRIES && error == EEXIST; i++) {
        snprintf(name, size, "%s.%d.old", o->temporary, i);
        error = name_old(o->path, name, moved);
    }
    if (error == 0) {
        *old = name;
        return DONE;
    }
    free(name);
    return error == ENOENT ? DONE : write_failed(o, error);
}

/*
 * Let the file take its place; *old receives another name of what was there,
 * if something was and 'keep' says that it may be wanted back.  There is a file
 * of that name all the time, unless none can have two.
 */
static outcome take_place(output *o, bool keep, char **old)
{
    bool moved = false;
    outcome result = keep ? keep_old(o, old, &moved) : DONE;

    if (result != DONE)
        return result;
    if (rename(o->temporary, o->path) == 0)
        return DONE;
    result = write_failed(o, errno);
    if (moved)
        undo(o, *old);
    else if (*old != NULL)
        unlink(*old); /* a rename of one file to itself would leave both */
    free(*old);
    *old = NULL;
    return result;
}

/* Take back what take_place did to the first 'n' files. */
static void give_back(output *files, uint32_t n, char **old)
{
    for (uint32_t i = 0; i < n; i++) {
        if (old[i] != NULL)
            undo(&files[i], old[i]);
        else
            unlink(files[i].path);
    }
}

/* The signals wait meanwhile. */
static outcome rename_all(output *files, uint32_t n_files)
{
    char *old[MAX_OUTPUTS] = {NULL};
    outcome result = DONE;
    uint32_t n = 0;

    /* Behind the last there is nothing left that could fail. */
    while (n < n_files && result == DONE) {
        result = take_place(&files[n], n + 1 < n_files, &old[n]);
        n += result == DONE;
    }
    if (result != DONE)
        give_back(files, n, old);
    for (uint32_t i = 0; i < n; i++) {
        if (old[i] != NULL && result == DONE)
            unlink(old[i]);
        free(old[i]);
    }
    return result;
}

outcome output_commit(output *files, uint32_t n_files)
{
    sigset_t before;
    outcome result = DONE;

    if (n_files > MAX_OUTPUTS)
        result = fail(INTERNAL, "too many files to finish at once");
    for (uint32_t i = 0; i < n_files && result == DONE; i++)
        result = close_file(&files[i]);
    if (result == DONE) {
        hold_signals(&before);
        result = rename_all(files, n_files);
        for (uint32_t i = 0; i < n_files && result == DONE; i++)
            forget(&files[i]);
        release_signals(&before);
    }
    if (result != DONE)
        output_abandon(files, n_files);
    return result;
}
