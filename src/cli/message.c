/*
 * message.c - what the program says on standard error
 *
 * Names of files and tensors come from outside, so nothing reaches a terminal
 * that it could take for a command: whatever is not printable ASCII is written
 * as an escape.
 */
#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_MESSAGE = 8192, /* room for a path of PATH_MAX bytes, and a reason */
    MAX_ESCAPE = 4,     /* "\x1b" */
    BAR_WIDTH = 30,
    BAR_PERIOD_MS = 100
};

static bool bar_is_shown;

/* The bytes that stand for 'c', at most MAX_ESCAPE. */
static size_t escape_byte(char *dst, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";

    if (c >= 0x20 && c < 0x7f) {
        dst[0] = (char)c;
        return 1;
    }
    dst[0] = '\\';
    if (c == '\n' || c == '\t' || c == '\r') {
        dst[1] = (char)(c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        return 2;
    }
    dst[1] = 'x';
    dst[2] = hex[c >> 4];
    dst[3] = hex[c & 15];
    return MAX_ESCAPE;
}

void escape(char *dst, size_t size, const char *text)
{
    size_t used = 0;

    for (; *text != '\0' && used + MAX_ESCAPE < size; text++)
        used += escape_byte(dst + used, (unsigned char)*text);
    dst[used] = '\0';
}

outcome fail(outcome result, const char *format, ...)
{
    static char text[MAX_MESSAGE], line[MAX_MESSAGE];
    va_list arguments;

    progress_end();
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    escape(line, sizeof line, text);
    fprintf(stderr, "csp: %s\n", line);
    return result;
}

outcome flush_output(void)
{
    const bool flushed = fflush(stdout) == 0;

    /* An error of an earlier write has left errno as it was, if anything. */
    if (!flushed || ferror(stdout))
        return fail(IO_FAILED, "standard output cannot be written: %s",
                    errno != 0 ? strerror(errno) : "some of it is lost");
    return DONE;
}

static int64_t milliseconds(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress(const char *what, uint64_t done, uint64_t all)
{
    static int64_t shown_at;
    const int64_t now = milliseconds();
    const int error = errno; /* of standard output, which flush_output tells */
    const bool at_terminal = isatty(STDERR_FILENO);
    char text[64], bar[BAR_WIDTH + 1];

    errno = error;
    if (all == 0 || !at_terminal ||
        (bar_is_shown && done < all && now - shown_at < BAR_PERIOD_MS))
        return;
    shown_at = now;
    bar_is_shown = true;
    double share = done < all ? (double)done / (double)all : 1.0;
    size_t filled = (size_t)(share * BAR_WIDTH);
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    escape(text, sizeof text, what);
    fprintf(stderr, "\r%s [%s] %3d%%", text, bar, (int)(share * 100.0));
}

void progress_end(void)
{
    if (bar_is_shown)
        fputs("\r\x1b[K", stderr); /* the cursor to the left, the rest away */
    bar_is_shown = false;
}
