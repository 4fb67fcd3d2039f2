/*
 * json_memory.c - whether cJSON had the memory that it asked for
 *
 * Its hooks are the process's, as all of cJSON's state; JSON is for the main
 * thread alone.
 */
#include "json_memory.h"

#include <stdlib.h>

static bool ran_out;

static void *CJSON_CDECL allocate(size_t size)
{
    void *memory = malloc(size);

    ran_out = ran_out || memory == NULL;
    return memory;
}

static void CJSON_CDECL deallocate(void *memory)
{
    free(memory);
}

void json_memory_watch(void)
{
    cJSON_Hooks hooks = {.malloc_fn = allocate, .free_fn = deallocate};

    cJSON_InitHooks(&hooks);
    ran_out = false;
}

bool json_memory_ran_out(void)
{
    return ran_out;
}

outcome json_parse(const char *name, const char *text, size_t length,
                   const char **end, cJSON **root)
{
    json_memory_watch();
    *end = text;
    *root = cJSON_ParseWithLengthOpts(text, length, end, false);
    if (!ran_out)
        return DONE;
    cJSON_Delete(*root);
    *root = NULL;
    return fail(INTERNAL, "%s: not enough memory for its JSON", name);
}
