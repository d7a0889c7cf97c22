#include "admin/config/store.h"

#include <stdio.h>
#include <string.h>

#include "admin/config/address.h"
#include "admin/config/names.h"
#include "conf/load.h"
#include "conf/resource.h"
#include "lib/ipc/journal.h"
#include "lib/ipc/listen.h"
#include "lib/net/address.h"
#include "shm/block.h"

typedef Envoy__Config__Listener__V3__Listener Listener;
typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Bootstrap__V3__Bootstrap Bootstrap;

void
store_init(struct store *s)
{
	*s = (struct store){0};
	arena_init(&s->arena);
}

void
store_fini(struct store *s)
{
	vec_fini(&s->clusters);
	vec_fini(&s->listeners);
	map_fini(&s->by_name);
	conf_free(&s->conf);
	journal_free(&s->journal);
	arena_fini(&s->arena);
	s->bootstrap = NULL;
}

/* ---- clusters */

static uint64_t
version_of(enum resource_kind kind, struct str name, const void *m)
{
	struct strb bytes = {0};
	struct resource r = {0};

	resource_write(&bytes, kind, name, m);
	resource_read(strb_str(&bytes), &r, NULL);
	strb_fini(&bytes);
	return r.version;
}

/* Members change without the cluster: workers get them by records of their own. */
static const Cluster *
without_members(struct store *s, const Cluster *m)
{
	Cluster *copy = arena_new(&s->arena, Cluster);

	*copy = *m; /* shares everything below: messages are immutable */
	copy->load_assignment = NULL;
	return copy;
}

static const Cluster *
written_cluster(const struct store *s, const char *name)
{
	const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *r =
	    s->bootstrap->static_resources;

	for (size_t i = 0; r && i < r->n_clusters; i++)
		if (strcmp(r->clusters[i]->name, name) == 0)
			return r->clusters[i];
	return NULL;
}

/* written: with the names, as the bootstrap has it. */
static void
read_names(struct store *s, struct store_cluster *c, const Cluster *written)
{
	c->names = names_config_read(&s->arena, s->bootstrap, written);
	c->assignment = NULL;
	c->version = version_of(RESOURCE_CLUSTER, str_of(written->name), written) ^
	    names_config_hash(c->names);
}

/* Clusters come from the journal without them. */
static void
find_names(struct store *s, struct store_cluster *c)
{
	const Cluster *written;

	if (!names_are_in(c->message))
		return;
	written = written_cluster(s, c->message->name);
	read_names(s, c, written ? written : c->message);
}

static struct store_cluster *
add_cluster(struct store *s, const Cluster *m)
{
	struct store_cluster *c = vec_push(&s->clusters);

	c->message = m;
	if (m->cluster_discovery_type_case !=
		ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE ||
	    m->type != ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS)
		c->assignment = m->load_assignment;
	if (m->load_assignment)
		c->message = without_members(s, m);
	m = c->message;
	c->version = version_of(RESOURCE_CLUSTER, str_of(m->name), m);
	c->updated_ns = s->accepted_wall_ns;
	return c;
}

void
store_take(struct store *s, struct conf *conf, uint64_t wall_ns)
{
	const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *r;

	s->conf = conf;
	s->bootstrap = conf_bootstrap(conf);
	s->accepted_wall_ns = wall_ns;
	r = s->bootstrap->static_resources;
	for (size_t i = 0; r && i < r->n_clusters; i++) {
		struct store_cluster *c = add_cluster(s, r->clusters[i]);

		if (names_are_in(r->clusters[i]))
			read_names(s, c, r->clusters[i]);
	}
}

/* The first of a name counts. */
static void
index_clusters(struct store *s)
{
	for (; s->indexed < s->clusters.len; s->indexed++) {
		struct str name = str_of(s->clusters.at[s->indexed].message->name);

		if (map_get(&s->by_name, name) == NULL)
			map_put(&s->by_name, name, (void *)(uintptr_t)(s->indexed + 1));
	}
}

struct store_cluster *
store_cluster(struct store *s, struct str name)
{
	size_t place;

	index_clusters(s);
	place = (size_t)(uintptr_t)map_get(&s->by_name, name);
	return place ? &s->clusters.at[place - 1] : NULL;
}

/* ---- listeners */

static struct str
listener_prefix(struct store *s, const Listener *l, struct str address)
{
	struct strb b = {0};
	struct str out;

	strb_addz(&b, "listener.");
	stat_name_add(&b, l->stat_prefix[0] ? str_of(l->stat_prefix) : address);
	strb_addc(&b, '.');
	out = arena_str(&s->arena, strb_str(&b));
	strb_fini(&b);
	return out;
}

static struct str
listener_key(struct store *s, struct str address, struct str name)
{
	struct strb b = {0};
	struct str out;

	listen_key(&b, address, name);
	out = arena_str(&s->arena, strb_str(&b));
	strb_fini(&b);
	return out;
}

static const Listener *
with_name(struct store *s, const Listener *l, struct str name)
{
	Listener *copy = arena_new(&s->arena, Listener);

	*copy = *l; /* shares everything below: messages are immutable */
	copy->name = arena_dup(&s->arena, name.p, name.n);
	return copy;
}

static int
add_listener(struct store *s, const Listener *l, struct err *err)
{
	struct store_listener *x;
	struct address a;
	char text[ADDRESS_TEXT];
	struct str address;

	if (address_of_message(&a, l->address, err) < 0)
		return err_in(err, "listener '%s'", l->name);
	address = arena_str(&s->arena, str_make(text, address_format(&a, text)));
	if (l->name[0] == '\0')
		l = with_name(s, l, address);
	x = vec_push(&s->listeners);
	x->message = l;
	x->name = str_of(l->name);
	x->address = address;
	x->key = listener_key(s, address, x->name);
	x->bound = address;
	x->prefix = listener_prefix(s, l, address);
	x->version = version_of(RESOURCE_LISTENER, x->name, l);
	x->updated_ns = s->accepted_wall_ns;
	x->on_port = l->bind_to_port == NULL || l->bind_to_port->value;
	return 0;
}

int
store_listeners(struct store *s, struct err *err)
{
	const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *r =
	    s->bootstrap->static_resources;

	for (size_t i = 0; r && i < r->n_listeners; i++)
		if (add_listener(s, r->listeners[i], err) < 0)
			return -1;
	return 0;
}

struct store_listener *
store_listener(struct store *s, struct str name)
{
	for (size_t i = 0; i < s->listeners.len; i++)
		if (str_eq(s->listeners.at[i].name, name))
			return &s->listeners.at[i];
	return NULL;
}

struct store_listener *
store_listener_by_key(struct store *s, struct str key)
{
	for (size_t i = 0; i < s->listeners.len; i++)
		if (str_eq(s->listeners.at[i].key, key))
			return &s->listeners.at[i];
	return NULL;
}

/* ---- the journal */

int
store_put(struct journal *j, enum resource_kind kind, struct str name, const ProtobufCMessage *m,
    struct err *err)
{
	struct strb bytes = {0};
	struct resource r;
	char version[17];
	int bad;

	if (m == NULL)
		return journal_remove(j, (uint16_t)kind, name, err);
	resource_write(&bytes, kind, name, m);
	bad = resource_read(strb_str(&bytes), &r, err);
	if (bad == 0) {
		snprintf(version, sizeof(version), "%016llx", (unsigned long long)r.version);
		bad = journal_append(
		    j, (uint16_t)kind, name, str_of(version), strb_str(&bytes), err);
	}
	strb_fini(&bytes);
	return bad;
}

int
store_write(struct store *s, struct err *err)
{
	if (store_put(s->journal, RESOURCE_BOOTSTRAP, STR("bootstrap"),
	        (const ProtobufCMessage *)s->bootstrap, err) < 0)
		return -1;
	for (size_t i = 0; i < s->clusters.len; i++)
		if (store_put(s->journal, RESOURCE_CLUSTER, str_of(s->clusters.at[i].message->name),
		        (const ProtobufCMessage *)s->clusters.at[i].message, err) < 0)
			return -1;
	for (size_t i = 0; i < s->listeners.len; i++)
		if (store_put(s->journal, RESOURCE_LISTENER, s->listeners.at[i].name,
		        (const ProtobufCMessage *)s->listeners.at[i].message, err) < 0)
			return -1;
	return 0;
}

static int
take_record(struct store *s, const struct journal_record *record, struct err *err)
{
	struct resource r;
	ProtobufCMessage *m;

	if (record->kind == RESOURCE_MEMBERS) /* members_load() */
		return 0;
	if (resource_read(record->bytes, &r, err) < 0)
		return -1;
	if ((m = resource_message(&s->arena, &r, err)) == NULL)
		return -1;
	switch (r.kind) {
	case RESOURCE_BOOTSTRAP:
		s->bootstrap = (const Bootstrap *)m;
		return 0;
	case RESOURCE_CLUSTER:
		add_cluster(s, (const Cluster *)m);
		return 0;
	case RESOURCE_LISTENER:
		return add_listener(s, (const Listener *)m, err);
	default:
		return 0;
	}
}

int
store_read(struct store *s, uint64_t use, uint64_t wall_ns, struct err *err)
{
	struct journal_map map;
	struct journal_state state;
	int bad;

	if (journal_map(&map, journal_fd(s->journal), use, err) < 0)
		return -1;
	s->accepted_wall_ns = wall_ns;
	bad = journal_read(&map, &state, err);
	if (bad == 0) {
		for (size_t i = 0; i < state.live.len && bad == 0; i++)
			bad = take_record(s, &state.live.at[i], err);
		journal_state_fini(&state);
	}
	journal_unmap(&map);
	if (bad == 0 && s->bootstrap == NULL)
		return err_set(err, "journal: no bootstrap in it");
	for (size_t i = 0; bad == 0 && i < s->clusters.len; i++)
		find_names(s, &s->clusters.at[i]);
	return bad;
}
