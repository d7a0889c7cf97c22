#include "lib/net/address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "lib/base/mem.h"

/* ---- making */

static bool
parse_ip(struct str ip, uint8_t out[16], int *family)
{
	char z[INET6_ADDRSTRLEN];

	if (ip.n == 0 || ip.n >= sizeof(z))
		return false;
	memcpy(z, ip.p, ip.n);
	z[ip.n] = '\0';
	if (strlen(z) != ip.n)
		return false;
	*family = memchr(z, ':', ip.n) ? AF_INET6 : AF_INET;
	return inet_pton(*family, z, out) == 1;
}

int
address_from_ip(struct address *a, struct str ip, uint16_t port, struct err *err)
{
	uint8_t raw[16];
	int family;

	memset(a, 0, sizeof(*a));
	if (!parse_ip(ip, raw, &family))
		return err_set(err, "'" STR_FMT "' is not an IP address", STR_ARG(ip));
	a->sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&a->in4.sin_addr, raw, 4);
		a->len = sizeof(a->in4);
	} else {
		memcpy(&a->in6.sin6_addr, raw, 16);
		a->len = sizeof(a->in6);
	}
	address_set_port(a, port);
	return 0;
}

int
address_from_pipe(struct address *a, struct str path, struct err *err)
{
	bool abstract = path.n && path.p[0] == '@';

	memset(a, 0, sizeof(*a));
	if (path.n == 0 || (abstract && path.n == 1))
		return err_set(err, "a Unix socket needs a path");
	if (path.n >= sizeof(a->un.sun_path))
		return err_set(err, "Unix socket path '" STR_FMT "' is longer than %zu bytes",
		    STR_ARG(path), sizeof(a->un.sun_path) - 1);
	if (memchr(path.p, '\0', path.n))
		return err_set(err, "a Unix socket path may not hold NUL");
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path, path.p, path.n);
	if (abstract)
		a->un.sun_path[0] = '\0';
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + (abstract ? 0 : 1));
	return 0;
}

int
address_parse(struct address *a, struct str text, struct err *err)
{
	struct str ip, port;
	const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
	uint64_t number;

	if (text.n && (text.p[0] == '/' || text.p[0] == '@'))
		return address_from_pipe(a, text, err);
	memset(a, 0, sizeof(*a));
	if (colon == NULL)
		return err_set(err, "'" STR_FMT "' is not an address: no port", STR_ARG(text));
	ip = str_make(text.p, (size_t)(colon - text.p));
	port = str_make(colon + 1, text.n - ip.n - 1);
	if (ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
		ip = str_make(ip.p + 1, ip.n - 2);
	else if (ip.n && memchr(ip.p, ':', ip.n))
		return err_set(err, "'" STR_FMT "': IPv6 with a port is written [ip]:port",
		    STR_ARG(text));
	if (!str_u64(port, &number) || number > 65535)
		return err_set(err, "'" STR_FMT "' is not a port", STR_ARG(port));
	return address_from_ip(a, ip, (uint16_t)number, err);
}

static void
unmap_v4(struct address *a)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = a->in6.sin6_port};

	memcpy(&in4.sin_addr, a->in6.sin6_addr.s6_addr + 12, 4);
	memset(a, 0, sizeof(*a));
	a->in4 = in4;
	a->len = sizeof(in4);
}

void
address_from_sockaddr(struct address *a, const struct sockaddr *sa, socklen_t len)
{
	memset(a, 0, sizeof(*a));
	if (len < sizeof(sa_family_t) || len > sizeof(a->un))
		return;
	memcpy(&a->sa, sa, len);
	a->len = len;
	if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		unmap_v4(a);
}

void
address_local(struct address *a, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(a, 0, sizeof(*a));
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		address_from_sockaddr(a, (struct sockaddr *)&ss, len);
}

/* ---- asking */

bool
address_is_ip(const struct address *a)
{
	return a->len && (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6);
}

bool
address_is_pipe(const struct address *a)
{
	return a->len && a->sa.sa_family == AF_UNIX;
}

bool
address_same_ip(const struct address *a, const struct address *b)
{
	if (!address_is_ip(a) || !address_is_ip(b) || a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
}

bool
address_eq(const struct address *a, const struct address *b)
{
	if (address_is_ip(a))
		return address_same_ip(a, b) && address_port(a) == address_port(b);
	return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

bool
address_is_loopback(const struct address *a)
{
	if (!address_is_ip(a))
		return false;
	if (a->sa.sa_family == AF_INET)
		return (ntohl(a->in4.sin_addr.s_addr) >> 24) == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

bool
address_is_any(const struct address *a)
{
	if (!address_is_ip(a))
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in4.sin_addr.s_addr == 0;
	return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

uint16_t
address_port(const struct address *a)
{
	if (!address_is_ip(a))
		return 0;
	return ntohs(a->sa.sa_family == AF_INET ? a->in4.sin_port : a->in6.sin6_port);
}

void
address_set_port(struct address *a, uint16_t port)
{
	if (!address_is_ip(a))
		return;
	if (a->sa.sa_family == AF_INET)
		a->in4.sin_port = htons(port);
	else
		a->in6.sin6_port = htons(port);
}

/* ---- text */

static size_t
format_pipe(const struct address *a, char *out)
{
	size_t n = a->len - offsetof(struct sockaddr_un, sun_path);

	if (a->len <= offsetof(struct sockaddr_un, sun_path)) { /* a client that bound no name */
		out[0] = '\0';
		return 0;
	}
	if (a->un.sun_path[0] != '\0')
		n = strnlen(a->un.sun_path, n);
	memcpy(out, a->un.sun_path, n);
	if (out[0] == '\0')
		out[0] = '@';
	out[n] = '\0';
	return n;
}

/* IPv4 by hand: it stands in every access log line. */
static size_t
format_v4(const struct sockaddr_in *in4, char *out)
{
	const uint8_t *b = (const uint8_t *)&in4->sin_addr;
	size_t n = 0;

	for (int i = 0; i < 4; i++) {
		n += u64_write(out + n, b[i]);
		out[n++] = '.';
	}
	out[--n] = '\0';
	return n;
}

size_t
address_format_ip(const struct address *a, char *out)
{
	out[0] = '\0';
	if (address_is_pipe(a))
		return format_pipe(a, out);
	if (!address_is_ip(a))
		return 0;
	if (a->sa.sa_family == AF_INET)
		return format_v4(&a->in4, out);
	inet_ntop(AF_INET6, &a->in6.sin6_addr, out, INET6_ADDRSTRLEN);
	return strlen(out);
}

size_t
address_format(const struct address *a, char *out)
{
	bool brackets = address_is_ip(a) && a->sa.sa_family == AF_INET6;
	size_t n = address_format_ip(a, out + brackets) + brackets;

	if (!address_is_ip(a))
		return n;
	if (brackets) {
		out[0] = '[';
		out[n++] = ']';
	}
	out[n++] = ':';
	n += u64_write(out + n, address_port(a));
	out[n] = '\0';
	return n;
}

/* ---- ranges */

int
cidr_from(struct cidr *c, struct str prefix, unsigned bits, struct err *err)
{
	int family;

	memset(c, 0, sizeof(*c));
	if (!parse_ip(prefix, c->net, &family))
		return err_set(err, "'" STR_FMT "' is not an IP address", STR_ARG(prefix));
	if (bits > (family == AF_INET ? 32u : 128u))
		return err_set(err, "prefix length %u is too large", bits);
	c->family = (uint8_t)family;
	c->bits = (uint8_t)bits;
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > 8 * i ? bits - 8 * i : 0;

		if (keep < 8)
			c->net[i] &= (uint8_t)(0xff00u >> keep);
	}
	return 0;
}

int
cidr_parse(struct cidr *c, struct str text, struct err *err)
{
	struct str rest = text, prefix;
	uint64_t bits;

	if (!str_cut(&rest, '/', &prefix) || !str_u64(rest, &bits) || bits > 128)
		return err_set(err, "'" STR_FMT "' is not an address range", STR_ARG(text));
	return cidr_from(c, prefix, (unsigned)bits, err);
}

bool
cidr_contains(const struct cidr *c, const struct address *a)
{
	const uint8_t *ip;
	unsigned whole = c->bits / 8, rest = c->bits % 8;

	if (!address_is_ip(a) || a->sa.sa_family != c->family)
		return false;
	ip = c->family == AF_INET ? (const uint8_t *)&a->in4.sin_addr : a->in6.sin6_addr.s6_addr;
	if (memcmp(ip, c->net, whole) != 0)
		return false;
	return rest == 0 || ((ip[whole] ^ c->net[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

/* ---- in few bytes */

void
address_pack(struct address_packed *p, const struct address *a)
{
	*p = (struct address_packed){.family = AF_UNSPEC};
	if (a->len == 0)
		return;
	p->family = a->sa.sa_family;
	switch (p->family) {
	case AF_INET:
		p->port = a->in4.sin_port;
		memcpy(p->ip, &a->in4.sin_addr, 4);
		break;
	case AF_INET6:
		p->port = a->in6.sin6_port;
		p->scope = a->in6.sin6_scope_id;
		memcpy(p->ip, &a->in6.sin6_addr, 16);
		break;
	default:
		p->other = mem_dup(a, sizeof(*a));
		break;
	}
}

void
address_unpack(const struct address_packed *p, struct address *a)
{
	switch (p->family) {
	case AF_UNSPEC:
		a->len = 0;
		break;
	case AF_INET:
		a->len = sizeof(a->in4);
		a->in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = p->port};
		memcpy(&a->in4.sin_addr, p->ip, 4);
		break;
	case AF_INET6:
		a->len = sizeof(a->in6);
		a->in6 = (struct sockaddr_in6){
		    .sin6_family = AF_INET6, .sin6_port = p->port, .sin6_scope_id = p->scope};
		memcpy(&a->in6.sin6_addr, p->ip, 16);
		break;
	default:
		*a = *p->other;
		break;
	}
}

void
address_packed_fini(struct address_packed *p)
{
	if (p->family != AF_UNSPEC && p->family != AF_INET && p->family != AF_INET6)
		mem_free(p->other);
	p->family = AF_UNSPEC;
}
