#define _GNU_SOURCE /* program_invocation_short_name */
#include "common.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void answer_questions(int argc, char **argv, const char *usage)
{
    /* A peer that goes away is an error of write(), not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) {
            fputs(usage, stdout);
            exit(0);
        }
        if (!strcmp(argv[i], "--version")) {
            printf("%s %s (target_cpu %s, resilience %s)\n", program_invocation_short_name, VERSION, TARGET_CPU,
                   RESILIENCE);
            exit(0);
        }
    }
}

const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], name))
            return argv[i + 1];
    return NULL;
}

static int open_socket(const char *address, int flags, int (*use)(int, const struct sockaddr *, socklen_t))
{
    char host[256];
    const char *port = strrchr(address, ':');
    if (!port || port == address || (size_t)(port - address) >= sizeof host)
        fail("'%s' is not like HOST:PORT", address);
    snprintf(host, sizeof host, "%.*s", (int)(port - address), address);

    struct addrinfo hints = {.ai_flags = flags, .ai_socktype = SOCK_STREAM}, *info;
    int error = getaddrinfo(host, port + 1, &hints, &info);
    if (error)
        fail("%s: %s", address, gai_strerror(error));
    int file = socket(info->ai_family, info->ai_socktype, 0);
    if (file < 0)
        fail("%s: %s", address, strerror(errno));
    setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (use(file, info->ai_addr, info->ai_addrlen))
        fail("%s: %s", address, strerror(errno));
    freeaddrinfo(info);
    return file;
}

int connect_to(const char *address)
{
    return open_socket(address, 0, connect);
}

int listen_on(const char *address)
{
    int file = open_socket(address, AI_PASSIVE, bind);
    if (listen(file, 16))
        fail("%s: %s", address, strerror(errno));
    return file;
}

void write_all(int file, const void *data, unsigned long size)
{
    for (const char *rest = data; size > 0;) {
        ssize_t written = write(file, rest, size);
        if (written < 0)
            fail("cannot write: %s", strerror(errno));
        rest += written;
        size -= written;
    }
}

void fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    exit(1);
}
