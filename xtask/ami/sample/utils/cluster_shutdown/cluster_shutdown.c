/* Stands in for the program that ends a running cluster: sends a message to its external port. */

#include "common.h"

#include <unistd.h>

static const char usage[] =
    "Tells a Wallaroo cluster to shut down.\n"
    "\n"
    "usage: cluster_shutdown HOST:PORT\n"
    "\n"
    "  HOST:PORT  the external address of one of its workers\n"
    "  --version  prints the version\n";

int main(int argc, char **argv)
{
    answer_questions(argc, argv, usage);
    if (argc != 2)
        fail("which cluster? Give the HOST:PORT of a worker");

    int worker = connect_to(argv[1]);
    write_all(worker, "\0\0\0\1Q", 5); /* A message of one byte, after its length. */
    close(worker);
    return 0;
}
