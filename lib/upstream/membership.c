#include "lib/upstream/membership.h"

#include <stddef.h>
#include <string.h>

#include "lib/base/mem.h"

#define MAGIC 0x314d4254u /* "TBM1" */

struct head {
	uint32_t magic;
	uint8_t whole, zero[3];
	uint32_t members, zero2;
	uint64_t from, to;
};

enum entry_type {
	ENTRY_LOCALITY,
	ENTRY_HOSTNAME,
	ENTRY_METADATA,
	ENTRY_PUT,
	ENTRY_REMOVE,
	ENTRY_POLICY,
	ENTRY_TYPES,
};

struct entry_head {
	uint8_t type, zero[3];
	uint32_t bytes; /* of what follows */
};

/* Then the address, then that of the check.  Indexes of texts begin at 1, 0 is none. */
struct entry_put {
	uint32_t number, weight, locality_weight;
	uint32_t locality, hostname, metadata, check_hostname;
	uint16_t check_port;
	uint8_t priority, status;
	uint8_t address_bytes, check_bytes; /* of sockaddrs */
	uint8_t checked, check_disabled;    /* checked: the endpoint says something of its check */
};

/* ---- writing */

static void
put_entry(struct strb *to, enum entry_type type, const void *a, size_t an, const void *b, size_t bn)
{
	struct entry_head h = {.type = (uint8_t)type, .bytes = (uint32_t)(an + bn)};

	strb_add(to, &h, sizeof(h));
	strb_add(to, a, an);
	if (bn)
		strb_add(to, b, bn);
}

void
membership_begin(
    struct membership_writer *w, bool whole, uint32_t members, uint64_t from, uint64_t to)
{
	struct head h = {
	    .magic = MAGIC, .whole = whole, .members = members, .from = from, .to = to};

	*w = (struct membership_writer){0};
	strb_add(&w->bytes, &h, sizeof(h));
}

/* The index of a text in this record; written before its first use. */
static uint32_t
index_of(struct membership_writer *w, enum entry_type type, const void *object, struct str text)
{
	struct str key = str_make((const char *)&object, sizeof(object));
	uintptr_t index = object ? (uintptr_t)map_get(&w->known, key) : 0;
	const void **own;

	if (object == NULL || index)
		return (uint32_t)index;
	put_entry(&w->bytes, type, text.p, text.n, NULL, 0);
	own = mem_dup(&object, sizeof(object));
	*vec_push(&w->keys) = (void **)own;
	index = ++w->given[type];
	map_put(&w->known, str_make((const char *)own, sizeof(object)), (void *)index);
	return (uint32_t)index;
}

static void
note_check(struct membership_writer *w, struct entry_put *put, const struct endpoint_check *c)
{
	if (c == NULL)
		return;
	put->checked = 1;
	put->check_disabled = c->disabled;
	put->check_port = c->port;
	put->check_bytes = (uint8_t)c->address.len;
	put->check_hostname = index_of(w, ENTRY_HOSTNAME, c->hostname,
	    c->hostname ? c->hostname->text : (struct str){"", 0});
}

void
membership_put(struct membership_writer *w, uint32_t number, const struct endpoint *e)
{
	struct entry_put put = {
	    .number = number,
	    .weight = e->weight,
	    .locality_weight = e->locality_weight,
	    .priority = e->priority,
	    .status = e->status,
	    .address_bytes = (uint8_t)e->address.len,
	};
	struct entry_head h = {.type = ENTRY_PUT};

	if (e->locality)
		put.locality = index_of(w, ENTRY_LOCALITY, e->locality, e->locality->key);
	if (e->hostname)
		put.hostname = index_of(w, ENTRY_HOSTNAME, e->hostname, e->hostname->text);
	if (e->metadata)
		put.metadata = index_of(w, ENTRY_METADATA, e->metadata, e->metadata->packed);
	note_check(w, &put, e->check);
	h.bytes = (uint32_t)(sizeof(put) + put.address_bytes + put.check_bytes);
	strb_add(&w->bytes, &h, sizeof(h));
	strb_add(&w->bytes, &put, sizeof(put));
	strb_add(&w->bytes, &e->address.sa, put.address_bytes);
	if (put.check_bytes)
		strb_add(&w->bytes, &e->check->address.sa, put.check_bytes);
}

void
membership_remove(struct membership_writer *w, uint32_t number)
{
	put_entry(&w->bytes, ENTRY_REMOVE, &number, sizeof(number), NULL, 0);
}

void
membership_policy(struct membership_writer *w, const struct assignment_policy *p)
{
	put_entry(&w->bytes, ENTRY_POLICY, p, sizeof(*p), NULL, 0);
}

void
membership_writer_fini(struct membership_writer *w)
{
	strb_fini(&w->bytes);
	map_fini(&w->known);
	for (size_t i = 0; i < w->keys.len; i++)
		mem_free(w->keys.at[i]);
	vec_fini(&w->keys);
}

/* ---- reading */

int
membership_open(struct membership_reader *r, struct str bytes, struct err *err)
{
	struct head h;

	*r = (struct membership_reader){0};
	if (bytes.n < sizeof(h))
		return err_set(err, "members: a record of %zu bytes", bytes.n);
	memcpy(&h, bytes.p, sizeof(h));
	if (h.magic != MAGIC)
		return err_set(err, "members: not such a record");
	r->whole = h.whole;
	r->members = h.members;
	r->from = h.from;
	r->to = h.to;
	r->rest = str_make(bytes.p + sizeof(h), bytes.n - sizeof(h));
	return 0;
}

static struct str
until_nul(struct str *rest)
{
	struct str part = {"", 0};

	str_cut(rest, '\0', &part);
	return part;
}

static int
read_text(struct membership_reader *r, enum entry_type type, struct str text, struct err *err)
{
	struct str region, zone;

	switch (type) {
	case ENTRY_LOCALITY:
		region = until_nul(&text);
		zone = until_nul(&text);
		*vec_push(&r->localities) = locality_get(region, zone, until_nul(&text));
		return 0;
	case ENTRY_HOSTNAME:
		*vec_push(&r->hostnames) = hostname_get(text);
		return 0;
	default:
		return metadata_get(vec_push(&r->metadata), text, err);
	}
}

static bool
read_sockaddr(struct address *to, const char *p, size_t n)
{
	*to = (struct address){0};
	if (n > sizeof(to->un) || (n && n < sizeof(sa_family_t)))
		return false;
	to->len = (socklen_t)n;
	memcpy(&to->sa, p, n);
	return true;
}

#define PICK(list, index) ((index) ? (list).at[(index) - 1] : NULL)

static bool
indexes_fit(const struct membership_reader *r, const struct entry_put *put)
{
	return put->locality <= r->localities.len && put->hostname <= r->hostnames.len &&
	    put->metadata <= r->metadata.len && put->check_hostname <= r->hostnames.len;
}

static bool
read_check(struct membership_reader *r, const struct entry_put *put, const char *address)
{
	struct endpoint_check *c = mem_new(struct endpoint_check);

	r->endpoint.check = c;
	c->port = put->check_port;
	c->disabled = put->check_disabled;
	c->hostname = hostname_ref(PICK(r->hostnames, put->check_hostname));
	return read_sockaddr(&c->address, address, put->check_bytes);
}

static bool
read_put(struct membership_reader *r, struct str b, struct membership_entry *out)
{
	struct endpoint *e = &r->endpoint;
	struct entry_put put;

	endpoint_fini(e);
	*e = (struct endpoint){0};
	if (b.n < sizeof(put))
		return false;
	memcpy(&put, b.p, sizeof(put));
	b = str_make(b.p + sizeof(put), b.n - sizeof(put));
	if (b.n != (size_t)put.address_bytes + put.check_bytes || !indexes_fit(r, &put) ||
	    put.address_bytes == 0 || !read_sockaddr(&e->address, b.p, put.address_bytes))
		return false;
	e->weight = put.weight ? put.weight : 1;
	e->locality_weight = put.locality_weight;
	e->priority = put.priority < MEMBER_PRIORITIES ? put.priority : MEMBER_PRIORITIES - 1;
	e->status = put.status;
	e->locality = locality_ref(PICK(r->localities, put.locality));
	e->hostname = hostname_ref(PICK(r->hostnames, put.hostname));
	e->metadata = metadata_ref(PICK(r->metadata, put.metadata));
	out->number = put.number;
	out->endpoint = e;
	return !put.checked || read_check(r, &put, b.p + put.address_bytes);
}

static bool
read_entry(struct membership_reader *r, enum entry_type type, struct str b,
    struct membership_entry *out)
{
	switch (type) {
	case ENTRY_PUT:
		out->change = MEMBERSHIP_PUT;
		return read_put(r, b, out);
	case ENTRY_REMOVE:
		out->change = MEMBERSHIP_REMOVE;
		if (b.n == sizeof(out->number))
			memcpy(&out->number, b.p, b.n);
		return b.n == sizeof(out->number);
	default:
		out->change = MEMBERSHIP_POLICY;
		if (b.n == sizeof(out->policy))
			memcpy(&out->policy, b.p, b.n);
		return b.n == sizeof(out->policy);
	}
}

int
membership_next(struct membership_reader *r, struct membership_entry *out, struct err *err)
{
	while (r->rest.n) {
		struct entry_head h;
		struct str body;

		if (r->rest.n < sizeof(h))
			return err_set(err, "members: cut short");
		memcpy(&h, r->rest.p, sizeof(h));
		if (h.type >= ENTRY_TYPES || h.bytes > r->rest.n - sizeof(h))
			return err_set(err, "members: damaged");
		body = str_make(r->rest.p + sizeof(h), h.bytes);
		r->rest = str_make(body.p + body.n, r->rest.n - sizeof(h) - body.n);
		if (h.type > ENTRY_METADATA)
			return read_entry(r, (enum entry_type)h.type, body, out)
			    ? 1
			    : err_set(err, "members: damaged entry");
		if (read_text(r, (enum entry_type)h.type, body, err) < 0)
			return -1;
	}
	return 0;
}

void
membership_reader_fini(struct membership_reader *r)
{
	for (size_t i = 0; i < r->localities.len; i++)
		locality_unref(&r->localities.at[i]);
	for (size_t i = 0; i < r->hostnames.len; i++)
		hostname_unref(&r->hostnames.at[i]);
	for (size_t i = 0; i < r->metadata.len; i++)
		metadata_unref(&r->metadata.at[i]);
	vec_fini(&r->localities);
	vec_fini(&r->hostnames);
	vec_fini(&r->metadata);
	endpoint_fini(&r->endpoint);
}
