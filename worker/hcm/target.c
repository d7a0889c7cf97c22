#include "worker/hcm/target.h"

enum path_verdict
target_normalize_path(struct headers *h, struct str was, const struct hcm_config *c)
{
	struct str path = was;
	enum path_verdict verdict;

	if (path_has_fragment(path))
		return PATH_BAD;
	verdict = path_apply(&c->path, h->arena, &path);
	if (verdict != PATH_BAD && (path.p != was.p || path.n != was.n))
		headers_set_id(h, HDR_PATH, path);
	return verdict;
}

/* ---- :authority */

/* Where ":port" begins, or the end; "[::1]" has colons of its own. */
static size_t
host_length(struct str host)
{
	for (size_t i = host.n; i > 0; i--) {
		char c = host.p[i - 1];

		if (c == ':')
			return i - 1;
		if (c < '0' || c > '9')
			break;
	}
	return host.n;
}

static struct str
without_dot(struct headers *h, struct str host)
{
	size_t n = host_length(host);
	char *p;

	if (n == 0 || host.p[n - 1] != '.')
		return host;
	p = arena_alloc(h->arena, host.n);
	memcpy(p, host.p, n - 1);
	memcpy(p + n - 1, host.p + n, host.n - n);
	return str_make(p, host.n - 1);
}

static struct str
without_port(struct str host, const struct hcm_config *c)
{
	size_t n = host_length(host);
	uint64_t port;

	if (n == host.n || !str_u64(str_make(host.p + n + 1, host.n - n - 1), &port))
		return host;
	if (!c->strip_any_port && port != c->listener_port)
		return host;
	return str_make(host.p, n);
}

void
target_normalize_host(struct headers *h, const struct hcm_config *c)
{
	struct str was, host;
	bool connect;

	if (!c->strip_host_dot && !c->strip_any_port && !c->strip_matching_port)
		return;
	was = host = headers_get(h, HDR_AUTHORITY);
	connect = str_eqz(headers_get(h, HDR_METHOD), "CONNECT");
	if (c->strip_host_dot)
		host = without_dot(h, host);
	if (c->strip_any_port || (c->strip_matching_port && !connect))
		host = without_port(host, c);
	if (!str_eq(host, was))
		headers_set_id(h, HDR_AUTHORITY, host);
}
