/* Runs in the child that tests/harness/xds.c forks; never returns. */
#ifndef HARNESS_XDS_SERVER_H
#define HARNESS_XDS_SERVER_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * Packets between it and the scene, one each: a letter, the number of the
 * stream (unsigned), bytes.
 *   to the scene   O path · M message · C (closed)
 *   from it        D bytes of the body · E status
 */
void xds_server_run(int listener, int scene) __attribute__((noreturn));

#endif
