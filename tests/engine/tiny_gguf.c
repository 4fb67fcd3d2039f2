/*
 * tiny_gguf.c - write a small model file for tests against llama.cpp
 *
 *     tiny_gguf KIND OUT.gguf
 *     tiny_gguf tinyvlm OUT.gguf DIRECTORY
 *
 * Models of random weights show that an engine and its cache are handled
 * right, one kind for each way an architecture may keep its past.  The second
 * form converts a trained model, which also has answers to get right.
 */
#include "tiny_gguf.h"

#include <stdio.h>
#include <string.h>

static int usage(void)
{
    fprintf(stderr, "usage: tiny_gguf KIND OUT.gguf\n"
                    "       tiny_gguf tinyvlm OUT.gguf DIRECTORY\n"
                    "kinds: ");
    tiny_print_kinds();
    fprintf(stderr, "\nDIRECTORY has config.json and model.safetensors\n");
    return 2;
}

int main(int argc, char **argv)
{
    tiny_file file = {0};
    bool done;
    if (argc == 4 && strcmp(argv[1], "tinyvlm") == 0)
        done = tiny_convert(argv[3], &file);
    else if (argc == 3 && tiny_is_made(argv[1]))
        done = tiny_make(argv[1], &file);
    else
        return usage();
    done = done && tiny_write(&file, argv[2]);
    tiny_close(&file);
    return done ? 0 : 1;
}
