#include "worker/hcm/forward.h"

#include "lib/base/rand.h"

/* Only a request from inside may steer us with these. */
#define INTERNAL_ONLY(ID)                                                                          \
	ID(X_ENVOY_RETRY_ON)                                                                       \
	ID(X_ENVOY_RETRY_GRPC_ON)                                                                  \
	ID(X_ENVOY_MAX_RETRIES)                                                                    \
	ID(X_ENVOY_RETRIABLE_STATUS_CODES)                                                         \
	ID(X_ENVOY_RETRIABLE_HEADER_NAMES)                                                         \
	ID(X_ENVOY_UPSTREAM_ALT_STAT_NAME)                                                         \
	ID(X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS)                                                         \
	ID(X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS)                                                 \
	ID(X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE)                                               \
	ID(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS)                                                         \
	ID(X_ENVOY_FORCE_TRACE)                                                                    \
	ID(X_ENVOY_IP_TAGS)                                                                        \
	ID(X_ENVOY_ORIGINAL_URL)                                                                   \
	ID(X_ENVOY_ORIGINAL_PATH)                                                                  \
	ID(X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT)                                                       \
	ID(X_ENVOY_IS_TIMEOUT_RETRY)                                                               \
	ID(X_ENVOY_UPSTREAM_STREAM_DURATION_MS)
static const struct header_set internal_only = HEADER_SET(INTERNAL_ONLY);

/* What a neighbour proxy may say, but not the world. */
#define NOT_FROM_EDGE(ID)                                                                          \
	ID(X_ENVOY_DECORATOR_OPERATION)                                                            \
	ID(X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER)                                                     \
	ID(X_ENVOY_DOWNSTREAM_SERVICE_NODE)
static const struct header_set not_from_edge = HEADER_SET(NOT_FROM_EDGE);

/* Of this connection, whatever they say. */
#define HOPS(ID) ID(KEEP_ALIVE) ID(PROXY_CONNECTION) ID(TRANSFER_ENCODING)
static const struct header_set hops = HEADER_SET(HOPS);
#define OF_HOPS(ID) HOPS(ID) ID(CONNECTION) ID(UPGRADE)
static const struct header_set of_hops = HEADER_SET(OF_HOPS);

/* ---- hop by hop */

/* Connection may not take away what framing, routing, trust or identity stand on. */
static bool
may_be_named(struct str name)
{
	switch (header_id_of(name)) {
	case HDR_HOST:
	case HDR_CONTENT_LENGTH:
	case HDR_TRANSFER_ENCODING:
	case HDR_CONTENT_TYPE:
	case HDR_AUTHORIZATION:
	case HDR_COOKIE:
	case HDR_TE:
	case HDR_UPGRADE:
	case HDR_X_REQUEST_ID:
	case HDR_X_CLIENT_TRACE_ID:
	case HDR_FORWARDED:
		return false;
	default:
		return name.n > 0 && name.p[0] != ':' && !str_starts(name, STR("x-forwarded-")) &&
		       !str_starts(name, STR("x-envoy-"));
	}
}

static void
remove_named(struct headers *h)
{
	struct str all = headers_joined(h, STR("connection"));
	struct str part;

	while (str_cut(&all, ',', &part)) {
		part = str_trim(part);
		if (str_ieqz(part, "close") || str_ieqz(part, "keep-alive") ||
		    str_ieqz(part, "upgrade"))
			continue;
		part = arena_lower(h->arena, part);
		if (may_be_named(part))
			headers_remove(h, part);
	}
}

static void
strip(struct headers *h, bool upgrade)
{
	if (headers_has(h, HDR_CONNECTION)) {
		remove_named(h);
		if (!upgrade)
			headers_remove_id(h, HDR_CONNECTION);
	}
	if (!upgrade && headers_has(h, HDR_UPGRADE))
		headers_remove_id(h, HDR_UPGRADE);
	headers_remove_set(h, &hops);
}

void
forward_strip_hops(struct headers *h, bool upgrade)
{
	if (headers_may_have_any(h, &of_hops))
		strip(h, upgrade);
}

/* TE survives as "trailers" for gRPC, which asks for them. */
static void
limit_te(struct headers *h)
{
	struct str all, part;
	bool trailers = false;

	if (!headers_has(h, HDR_TE))
		return;
	all = headers_joined(h, STR("te"));
	while (str_cut(&all, ',', &part))
		trailers |= str_ieqz(str_trim(part), "trailers");
	if (trailers && str_istarts(headers_get(h, HDR_CONTENT_TYPE), STR("application/grpc")))
		headers_set_id(h, HDR_TE, STR("trailers"));
	else
		headers_remove_id(h, HDR_TE);
}

/* ---- the trusted client */

/* The nth entry from the right, 1 the last; *n says how many there are. */
static struct str
nth_from_right(struct str list, unsigned nth, unsigned *n)
{
	struct str entry, rest = list, out = {0};
	unsigned count = 0, i = 0;

	while (str_cut(&rest, ',', &entry))
		count++;
	*n = count;
	if (nth == 0 || nth > count)
		return out;
	rest = list;
	while (str_cut(&rest, ',', &entry))
		if (++i == count - nth + 1)
			out = str_trim(entry);
	return out;
}

/* An entry is an IP, perhaps with a port. */
static bool
parse_entry(struct address *a, struct str s)
{
	if (s.n == 0)
		return false;
	return address_from_ip(a, s, 0, NULL) == 0 ||
	       (s.p[0] != '@' && s.p[0] != '/' && address_parse(a, s, NULL) == 0 &&
		   address_is_ip(a));
}

static bool
is_internal(const struct forward_config *c, const struct address *a)
{
	if (!address_is_ip(a))
		return c->internal_unix && address_is_pipe(a);
	for (unsigned i = 0; i < c->internal_n; i++)
		if (cidr_contains(&c->internal[i], a))
			return true;
	return false;
}

static void
find_forwarded(struct forward *f, struct headers *h)
{
	const struct forward_config *c = f->config;
	unsigned nth = c->use_remote_address ? c->trusted_hops : c->trusted_hops + 1;
	unsigned n = 0;
	struct str xff, entry;
	bool one;

	xff = headers_joined(h, STR("x-forwarded-for"));
	entry = nth_from_right(xff, nth, &n);
	if (parse_entry(f->found, entry))
		f->remote = f->found;
	one = !c->use_remote_address && n == 1;
	f->internal = one && is_internal(c, f->remote);
}

static void
find_client(struct forward *f, struct headers *h)
{
	const struct forward_config *c = f->config;

	f->remote = f->peer;
	if (headers_has(h, HDR_X_FORWARDED_FOR))
		find_forwarded(f, h);
	else
		f->internal = c->use_remote_address && is_internal(c, f->peer);
}

/* ---- what we say of ourselves and of the client */

static struct str
mapped(const struct forward *f, struct arena *a)
{
	if (!f->config->ipv4_mapped || f->peer->sa.sa_family != AF_INET)
		return f->peer_ip;
	return str_of(arena_printf(a, "::ffff:" STR_FMT, STR_ARG(f->peer_ip)));
}

#define PROTO "x-forwarded-proto"
static const char http_line[] = PROTO ": http\r\n", https_line[] = PROTO ": https\r\n";
#define PROTO_OF(line)                                                                             \
	{                                                                                          \
		line, line + sizeof(PROTO) + 1, sizeof(line) - sizeof(PROTO) - 4,                  \
		    sizeof(PROTO) - 1, HDR_X_FORWARDED_PROTO, HEADER_SOUND | HEADER_LINE           \
	}
static const struct header http_proto = PROTO_OF(http_line), https_proto = PROTO_OF(https_line);

static bool
scheme_is_valid(struct str s)
{
	if (s.n == 4 && memcmp(s.p, "http", 4) == 0)
		return true;
	return (s.n == 4 && str_ieqz(s, "http")) || (s.n == 5 && str_ieqz(s, "https"));
}

static void
set_own_proto(const struct forward *f, struct headers *h)
{
	headers_put(h, f->tls ? &https_proto : &http_proto);
}

static void
set_port(const struct forward *f, struct headers *h)
{
	if (f->config->trusted_hops && headers_has(h, HDR_X_FORWARDED_PORT))
		return;
	headers_set_number(h, HDR_X_FORWARDED_PORT, address_port(f->local));
}

static void
set_forwarded(const struct forward *f, struct headers *h)
{
	const struct forward_config *c = f->config;

	if (!c->use_remote_address)
		return;
	if (!c->skip_xff_append && f->peer_ip.n)
		headers_append(h, HDR_X_FORWARDED_FOR, mapped(f, h->arena), ",");
	if (c->trusted_hops == 0)
		set_own_proto(f, h);
	if (c->append_forwarded_port)
		set_port(f, h);
}

static void
set_scheme(const struct forward *f, struct headers *h)
{
	if (f->config->scheme.n) {
		headers_set_id(h, HDR_SCHEME, f->config->scheme);
		headers_set_id(h, HDR_X_FORWARDED_PROTO, f->config->scheme);
		return;
	}
	if (!scheme_is_valid(headers_get(h, HDR_X_FORWARDED_PROTO)))
		set_own_proto(f, h);
	if (!scheme_is_valid(headers_get(h, HDR_SCHEME)))
		headers_set_id(h, HDR_SCHEME, headers_get(h, HDR_X_FORWARDED_PROTO));
}

static void
set_user_agent(const struct forward_config *c, struct headers *h)
{
	if (!c->add_user_agent || c->node_cluster.n == 0)
		return;
	headers_set_id(h, HDR_X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, c->node_cluster);
	if (headers_get(h, HDR_USER_AGENT).n == 0)
		headers_set_id(h, HDR_USER_AGENT, c->node_cluster);
	if (c->node_id.n)
		headers_set_id(h, HDR_X_ENVOY_DOWNSTREAM_SERVICE_NODE, c->node_id);
}

static void
set_request_id(const struct forward_config *c, struct headers *h, bool edge)
{
	char *id;

	if (!c->generate_request_id)
		return;
	if (headers_get(h, HDR_X_REQUEST_ID).n && (!edge || c->preserve_request_id))
		return;
	id = arena_alloc(h->arena, 36);
	rand_uuid(id);
	headers_set_id(h, HDR_X_REQUEST_ID, str_make(id, 36));
}

/* What stands before the path, query or fragment. */
static struct str
authority_of(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '/' && s.p[n] != '?' && s.p[n] != '#')
		n++;
	return str_make(s.p, n);
}

/* A URL without user and fragment, or a path: a word before ':' that is not a URL is refused. */
static bool
referer_is_valid(struct str v)
{
	size_t scheme = str_istarts(v, STR("http://"))	  ? 7
			: str_istarts(v, STR("https://")) ? 8
							  : 0;
	struct str rest = str_make(v.p + scheme, v.n - scheme);
	struct str authority = authority_of(rest);

	if (scheme)
		return authority.n > 0 && memchr(authority.p, '@', authority.n) == NULL &&
		       memchr(rest.p, '#', rest.n) == NULL;
	return authority.n == 0 || memchr(authority.p, ':', authority.n) == NULL;
}

static void
sanitize(struct forward *f, struct headers *h, bool edge)
{
	headers_remove_id(h, HDR_X_ENVOY_INTERNAL);
	if (edge)
		headers_remove_set(h, &not_from_edge);
	if (!f->internal)
		headers_remove_set(h, &internal_only);
	/* Only a connection with a client certificate may bring this. */
	if (headers_has(h, HDR_X_FORWARDED_CLIENT_CERT))
		headers_remove_id(h, HDR_X_FORWARDED_CLIENT_CERT);
	if (headers_has(h, HDR_REFERER) && !referer_is_valid(headers_get(h, HDR_REFERER)))
		headers_remove_id(h, HDR_REFERER);
}

static void
set_external(struct forward *f, struct headers *h)
{
	char text[ADDRESS_TEXT];
	size_t n;

	if (f->remote == f->peer) {
		if (f->peer_ip.n)
			headers_set_id(h, HDR_X_ENVOY_EXTERNAL_ADDRESS, f->peer_ip);
		return;
	}
	n = address_format_ip(f->remote, text);
	headers_set_id(h, HDR_X_ENVOY_EXTERNAL_ADDRESS, str_make(arena_dup(h->arena, text, n), n));
}

void
forward_request(struct forward *f, struct headers *h)
{
	const struct forward_config *c = f->config;
	bool edge;

	forward_strip_hops(h, f->upgrade);
	limit_te(h);
	find_client(f, h);
	edge = !f->internal && c->use_remote_address;
	set_forwarded(f, h);
	set_scheme(f, h);
	sanitize(f, h, edge);
	if (f->internal)
		headers_add_id(h, HDR_X_ENVOY_INTERNAL, STR("true"));
	if (edge)
		set_external(f, h);
	set_user_agent(c, h);
	set_request_id(c, h, edge);
	if (c->via.n)
		headers_append(h, HDR_VIA, c->via, ", ");
}

/* ---- the response */

static void
set_server_name(const struct forward_config *c, struct headers *h)
{
	if (c->server_line.name)
		headers_put(h, &c->server_line);
	else
		headers_set_id(h, HDR_SERVER, c->server_name);
}

static void
set_server(const struct forward_config *c, struct headers *h)
{
	switch (c->server_header) {
	case SERVER_OVERWRITE:
		set_server_name(c, h);
		break;
	case SERVER_APPEND_IF_ABSENT:
		if (!headers_has(h, HDR_SERVER))
			set_server_name(c, h);
		break;
	case SERVER_PASS_THROUGH:
		break;
	}
}

void
forward_response(const struct forward_config *c, struct headers *h, const struct headers *request,
    bool upgraded, struct str date_line)
{
	struct str id;

	forward_strip_hops(h, upgraded);
	set_server(c, h);
	if (date_line.n && !headers_has(h, HDR_DATE)) {
		struct header date = header_of_line(HDR_DATE, sizeof("date") - 1, date_line);

		headers_push(h, &date);
	}
	if (c->via.n)
		headers_append(h, HDR_VIA, c->via, ", ");
	if (request == NULL)
		return;
	if (c->request_id_in_response || headers_has(request, HDR_X_ENVOY_FORCE_TRACE)) {
		id = headers_get(request, HDR_X_REQUEST_ID);
		if (id.n)
			headers_set_id(h, HDR_X_REQUEST_ID, id);
	}
}
