/*
 * Clients that never stop, never retry, and count everything that is not
 * as it should be: a child with LOAD_CONNECTIONS kept connections.
 */
#ifndef HARNESS_LOAD_H
#define HARNESS_LOAD_H

#include "tests/harness/scene.h"

#define LOAD_CONNECTIONS 8

/* Shared with the child. */
struct load {
	volatile int stop;
	volatile uint64_t requests, failures, closes;
	pid_t pid;
};

/* Each request asks for the next of the paths; NULL ends them. */
struct load *load_start(struct scene *sc, const char *const *paths);
/* The clients go on for so many requests more. */
void load_more(struct load *l, uint64_t requests);
/* Nothing failed and no connection was ended; gives the number of requests. */
uint64_t load_end(struct load *l);

#endif
