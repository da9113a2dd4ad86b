/* Stands in for the program that feeds an application: sends messages over TCP, each after its length. */

#define _GNU_SOURCE /* getline */
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Sends messages to a Wallaroo application.\n"
    "\n"
    "usage: sender --host HOST:PORT --messages NUMBER [--file FILE]\n"
    "\n"
    "  --host HOST:PORT   where the application's source listens\n"
    "  --messages NUMBER  how many messages to send\n"
    "  --file FILE        sends the lines of this file, from its start again when they are used up;\n"
    "                     without it the numbers from 1 on\n"
    "  --version          prints the version\n";

int main(int argc, char **argv)
{
    answer_questions(argc, argv, usage);
    const char *host = option(argc, argv, "--host");
    const char *messages = option(argc, argv, "--messages");
    const char *file_name = option(argc, argv, "--file");
    if (!host || !messages)
        fail("both --host and --messages are needed");

    FILE *file = NULL;
    if (file_name && !(file = fopen(file_name, "r")))
        fail("%s: %s", file_name, strerror(errno));

    int application = connect_to(host);
    char *line = NULL;
    size_t capacity = 0;
    for (long number = 1, last = atol(messages); number <= last; number++) {
        char digits[32];
        const char *message = digits;
        ssize_t size = snprintf(digits, sizeof digits, "%ld", number);
        if (file) {
            if ((size = getline(&line, &capacity, file)) < 0) {
                rewind(file);
                size = getline(&line, &capacity, file);
            }
            if (size < 0)
                fail("%s has no lines", file_name);
            message = line;
        }
        uint32_t length = htonl(size);
        write_all(application, &length, sizeof length);
        write_all(application, message, size);
    }
    close(application);
    return 0;
}
