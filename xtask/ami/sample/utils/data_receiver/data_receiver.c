/* Stands in for the program that shows what an application sends: prints what comes in over TCP. */

#include "common.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
    "Prints what a Wallaroo application sends.\n"
    "\n"
    "usage: data_receiver --listen HOST:PORT [--no-write] [--once]\n"
    "\n"
    "  --listen HOST:PORT  where to wait for connections, one after the other\n"
    "  --no-write          receives without printing\n"
    "  --once              ends with the first connection\n"
    "  --version           prints the version\n";

int main(int argc, char **argv)
{
    answer_questions(argc, argv, usage);
    const char *address = option(argc, argv, "--listen");
    if (!address)
        fail("where to listen? Say it with --listen HOST:PORT");

    int print = 1, once = 0;
    for (int i = 1; i < argc; i++) {
        print &= strcmp(argv[i], "--no-write") != 0;
        once |= strcmp(argv[i], "--once") == 0;
    }

    int listener = listen_on(address);
    fprintf(stderr, "listening on %s\n", address);
    do {
        char data[16384];
        ssize_t size;
        int peer = accept(listener, NULL, NULL);
        while ((size = read(peer, data, sizeof data)) > 0)
            if (print)
                write_all(STDOUT_FILENO, data, size);
        close(peer);
    } while (!once);
    return 0;
}
