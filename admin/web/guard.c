#include "admin/web/guard.h"

#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/http/headers.h"
#include "lib/net/address.h"

static struct str
without_port(struct str authority)
{
	const char *end;

	if (authority.n && authority.p[0] == '[') { /* [::1]:80 */
		end = memchr(authority.p, ']', authority.n);
		return end ? str_make(authority.p + 1, (size_t)(end - authority.p) - 1) : authority;
	}
	end = authority.n ? memchr(authority.p, ':', authority.n) : NULL;
	return end ? str_make(authority.p, (size_t)(end - authority.p)) : authority;
}

static bool
ends_in_domain(struct str name, const char *domain)
{
	struct str d = str_of(domain);

	return name.n > d.n && name.p[name.n - d.n - 1] == '.' &&
	    str_ieq(str_make(name.p + name.n - d.n, d.n), d);
}

bool
guard_host_is_ours(struct str authority, struct str machine)
{
	static const char *const domains[] = {
	    "localhost", "local", "internal", "svc", "lan", "test", "home.arpa"};
	struct str host = without_port(authority);
	struct address a;

	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	if (host.n == 0 || memchr(host.p, '.', host.n) == NULL)
		return true;
	if (address_from_ip(&a, host, 0, NULL) == 0 || str_ieq(host, machine))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++)
		if (ends_in_domain(host, domains[i]))
			return true;
	return false;
}

bool
guard_origin_matches(struct str origin, struct str authority)
{
	if (origin.p == NULL)
		return true;
	for (size_t i = 0; i + 3 <= origin.n; i++)
		if (memcmp(origin.p + i, "://", 3) == 0)
			return str_ieq(str_make(origin.p + i + 3, origin.n - i - 3), authority);
	return false; /* "null", or nothing a browser sends for our own page */
}

const char *
guard_refuses(const struct headers *h, bool over_unix_socket)
{
	char machine[256] = "";
	struct str authority = headers_get(h, HDR_AUTHORITY);

	gethostname(machine, sizeof(machine) - 1);
	if (!over_unix_socket && !guard_host_is_ours(authority, str_of(machine)))
		return "the Host header names neither an address nor this machine\n";
	if (!guard_origin_matches(headers_get(h, HDR_ORIGIN), authority))
		return "the Origin header is of another site\n";
	return NULL;
}
