/*
 * Addresses of sockets: IPv4, IPv6, a Unix path, an abstract Unix name.
 * A struct address is a value: copy it freely.  len 0 means "none".
 *
 * Text forms: "10.0.0.1:80", "[::1]:80", "/run/a.sock", "@name".
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct address {
	socklen_t len; /* 0: none */
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* The same in 24 bytes, for what there is many of: an IP address and port, or none; anything else
 * is kept elsewhere and owned. */
struct address_packed {
	uint16_t family; /* AF_UNSPEC: none */
	uint16_t port;	 /* as in a sockaddr */
	uint32_t scope;
	union {
		uint8_t ip[16];
		struct address *other;
	};
};
void address_pack(struct address_packed *p, const struct address *a);
void address_unpack(const struct address_packed *p, struct address *a);
void address_packed_fini(struct address_packed *p);

/* Room for any text form and its NUL. */
#define ADDRESS_TEXT 128

/* An IP literal (no brackets) and a port. */
int address_from_ip(struct address *a, struct str ip, uint16_t port, struct err *err);
/* A path, or an abstract name written "@name". */
int address_from_pipe(struct address *a, struct str path, struct err *err);
/* Any text form; an IP literal must have a port. */
int address_parse(struct address *a, struct str text, struct err *err);
/* What accept, getsockname or getpeername filled in; an IPv4-mapped IPv6 address becomes IPv4. */
void address_from_sockaddr(struct address *a, const struct sockaddr *sa, socklen_t len);
void address_local(struct address *a, int fd); /* getsockname; none when it fails */

bool address_is_ip(const struct address *a);
bool address_is_pipe(const struct address *a);
bool address_eq(const struct address *a, const struct address *b); /* port included */
bool address_same_ip(const struct address *a, const struct address *b); /* port ignored */
bool address_is_loopback(const struct address *a);
bool address_is_any(const struct address *a); /* 0.0.0.0 or :: */
uint16_t address_port(const struct address *a); /* 0 when it has none */
void address_set_port(struct address *a, uint16_t port);

/* Write text with NUL into out (ADDRESS_TEXT bytes), give its length; "" when none. */
size_t address_format(const struct address *a, char *out);
size_t address_format_ip(const struct address *a, char *out); /* no port, no brackets; pipes as above */

/* ---- address ranges */
struct cidr {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t bits;
	uint8_t net[16]; /* bits behind the prefix are zero */
};

int cidr_from(struct cidr *c, struct str prefix, unsigned bits, struct err *err);
int cidr_parse(struct cidr *c, struct str text, struct err *err); /* "10.0.0.0/8" */
bool cidr_contains(const struct cidr *c, const struct address *a);

#endif
