/*
 * Names to addresses, by c-ares on the loop of the process: nothing
 * blocks, one answer for each question.  This file's .c is c-ares' only
 * home.
 *
 *   d = dns_new(loop, NULL, &err);
 *   q = dns_resolve(d, STR("api.internal"), 80, DNS_AUTO, on_answer, arg);
 *
 * Servers are asked by UDP, and by TCP when an answer is cut.  The
 * system's settings are read again when resolv.conf is another one, and
 * after servers refused or were silent.
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/net/address.h"

#define DNS_SERVERS 16

struct dns;
struct dns_question;
struct loop;

/* Envoy's dns_lookup_family. */
enum dns_family {
	DNS_AUTO, /* IPv6 when there is any, else IPv4 */
	DNS_V4_ONLY,
	DNS_V6_ONLY,
	DNS_V4_PREFERRED,
	DNS_ALL,
};

/* Who is asked, and how.  All zero: the system's servers. */
struct dns_settings {
	struct address servers[DNS_SERVERS]; /* port 0: 53 */
	size_t servers_n;
	uint64_t try_ms;       /* the first try; each later one waits twice as long; 0: 2000 */
	unsigned tries;        /* 0: 3 */
	unsigned channel_questions; /* after so many other sockets ask, once nothing is open; 0: never */
	bool fallback;         /* servers count only when the system has none */
	bool tcp;              /* always */
	bool no_search;        /* no search domains */
	bool rotate;           /* another server first each time */
	bool routable_only;    /* a family that no interface has is not asked for */
};

struct dns_found {
	const struct address *at; /* n of them, each once; borrowed */
	size_t n;
	uint32_t ttl_s;  /* the shortest of their TTLs; 0: none was given */
	bool failed;     /* nobody knows; else n = 0 is an answer: there are no addresses */
	const char *why; /* when n = 0 */
	unsigned timeouts; /* tries that nobody answered */
};

/* Told once, from the loop or from dns_free(), never from within dns_resolve(). */
typedef void dns_answer(void *arg, const struct dns_found *f);

/* NULL with the reason when the resolver cannot start; s is copied, NULL: all zero. */
struct dns *dns_new(struct loop *l, const struct dns_settings *s, struct err *err);
/* Open questions are answered with a failure. */
void dns_free(struct dns **dp);

/* The name is copied; an IP address is its own answer; /etc/hosts is looked at first. */
struct dns_question *dns_resolve(struct dns *d, struct str name, uint16_t port,
    enum dns_family family, dns_answer *fn, void *arg);
/* Nobody is told.  Only before the answer came. */
void dns_cancel(struct dns_question **qp);

#endif
