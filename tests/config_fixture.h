/*
 * config_fixture.h - plain settings to change
 */
#ifndef CONFIG_FIXTURE_H
#define CONFIG_FIXTURE_H

#include "test.h"

#include "config.h"

#define BIG_WORKSPACE 65536

static inline csp_config plain(void)
{
    csp_config config;

    assert_ok(csp_config_init(&config));
    return config;
}

#endif
