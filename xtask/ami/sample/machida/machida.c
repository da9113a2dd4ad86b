/* Stands in for the program that runs a Wallaroo application written in Python: finds the application's module. */

#include "common.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Runs a Wallaroo application that is written in Python.\n"
    "\n"
    "usage: machida --application-module MODULE [--ponythreads 1] [OPTIONS OF THE APPLICATION]\n"
    "\n"
    "  --application-module MODULE  the Python module with the application, looked for in PYTHONPATH\n"
    "  --ponythreads 1              Python needs a single thread\n"
    "  --version                    prints the version\n";

int main(int argc, char **argv)
{
    answer_questions(argc, argv, usage);

    const char *module = option(argc, argv, "--application-module");
    if (!module)
        fail("which application? Name its module with --application-module");

    const char *path = getenv("PYTHONPATH");
    char *folders = strdup(path && *path ? path : ".");
    for (char *folder = strtok(folders, ":"); folder; folder = strtok(NULL, ":")) {
        char file[PATH_MAX];
        snprintf(file, sizeof file, "%s/%s.py", folder, module);
        if (!access(file, R_OK)) {
            printf("the application is %s\n", file);
            return 0;
        }
    }
    fail("no module %s in %s", module, path && *path ? path : "the current folder");
}
