/*
 * Names to addresses, by c-ares on the loop of the process: nothing
 * blocks, one answer for each question.  This file's .c is c-ares' only
 * home.
 *
 *   d = dns_new(loop, &err);
 *   dns_resolve(d, STR("api.internal"), 80, DNS_AUTO, on_answer, arg);
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/net/address.h"

struct loop;
struct dns;

/* Envoy's dns_lookup_family. */
enum dns_family {
	DNS_AUTO, /* IPv6 when there is any, else IPv4 */
	DNS_V4_ONLY,
	DNS_V6_ONLY,
	DNS_V4_PREFERRED,
	DNS_ALL,
};

/* n addresses (borrowed), or n = 0 and why.  Told once, from the loop or from dns_free(). */
typedef void dns_answer(void *arg, const struct address *at, size_t n, const char *why);

/* NULL with the reason when the resolver cannot start. */
struct dns *dns_new(struct loop *l, struct err *err);
/* Open questions are answered with "cancelled". */
void dns_free(struct dns **dp);

/* The name is copied; /etc/hosts is looked at first. */
void dns_resolve(struct dns *d, struct str name, uint16_t port, enum dns_family family,
    dns_answer *fn, void *arg);

#endif
