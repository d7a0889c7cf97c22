/*
 * A DNS server that answers as the test says at any moment: a child on an
 * ephemeral port of 127.0.0.1, UDP and TCP; what it says stands in memory
 * that both share.  A name that was never set does not exist.
 */
#ifndef HARNESS_DNS_H
#define HARNESS_DNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DNS_RCODE_SERVFAIL 2
#define DNS_RCODE_NXDOMAIN 3

struct dns_says {
	const char *v4, *v6; /* addresses with spaces between; NULL: none */
	uint32_t ttl;
	int rcode;
	bool silent; /* no answer, ever */
	bool held;   /* the answer waits until the name says something else */
	bool cut;    /* by UDP only a truncated answer without addresses */
};

struct dns_board;

struct dns_server {
	struct dns_board *board;
	pid_t pid;
	uint16_t port;
};

void dns_server_start(struct dns_server *s);
void dns_server_stop(struct dns_server *s);
void dns_server_say(struct dns_server *s, const char *name, struct dns_says what);
/* Questions for the name so far, all types. */
unsigned dns_server_asked(struct dns_server *s, const char *name);
unsigned dns_server_asked_tcp(struct dns_server *s, const char *name);

#endif
