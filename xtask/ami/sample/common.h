/* What the four programs have in common. */

#ifndef COMMON_H
#define COMMON_H

/* Answers --help and --version, and ends the program, if one of them is among the arguments. */
void answer_questions(int argc, char **argv, const char *usage);

/* The value that follows an option, or NULL. */
const char *option(int argc, char **argv, const char *name);

/* Sockets for an address like 127.0.0.1:7669. They end the program if that fails. */
int connect_to(const char *address);
int listen_on(const char *address);

/* Writes everything, or ends the program. */
void write_all(int file, const void *data, unsigned long size);

/* Prints a message on stderr, and ends the program with exit code 1. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
