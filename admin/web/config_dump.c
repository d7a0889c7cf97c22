/*
 * /config_dump: what is in force, in the shapes of envoy.admin.v3, written
 * by a task (lib/base/task.h) that goes on while the client reads.  All
 * but the members of EDS clusters came with the bootstrap.
 */
#include "admin/admin.h"
#include "admin/config/hcm.h"
#include "admin/discovery/compose.h"
#include "admin/reading.h"
#include "admin/web/endpoints.h"
#include "admin/web/json.h"
#include "admin/web/mask.h"
#include "conf/dump.h"
#include "lib/base/mem.h"
#include "lib/base/regex.h"
#include "lib/base/task.h"

#define ADMIN_TYPE "type.googleapis.com/envoy.admin.v3."

/* The lists a dump can have. */
static const struct dump_list {
	const char *list;    /* field of the dump */
	const char *dump;    /* type of the dump */
	const char *element; /* type of an element, inside the dump's */
	const char *field;   /* what an element holds */
	const char *type;    /* type of that */
} lists[] = {
    {"static_clusters", "ClustersConfigDump", "StaticCluster", "cluster", "envoy.config.cluster.v3.Cluster"},
    {"static_endpoint_configs", "EndpointsConfigDump", "StaticEndpointConfig", "endpoint_config",
	"envoy.config.endpoint.v3.ClusterLoadAssignment"}, /* with include_eds only */
    {"dynamic_endpoint_configs", "EndpointsConfigDump", "DynamicEndpointConfig", "endpoint_config",
	"envoy.config.endpoint.v3.ClusterLoadAssignment"}, /* of EDS clusters, with include_eds only */
    {"static_listeners", "ListenersConfigDump", "StaticListener", "listener",
	"envoy.config.listener.v3.Listener"},
    {"static_route_configs", "RoutesConfigDump", "StaticRouteConfig", "route_config",
	"envoy.config.route.v3.RouteConfiguration"},
};

/* Known to Envoy, always empty here. */
static const char *const empty_lists[] = {"dynamic_active_clusters", "dynamic_warming_clusters",
    "dynamic_listeners", "dynamic_route_configs",
    "static_secrets", "dynamic_active_secrets",
    "dynamic_warming_secrets", "inline_scoped_route_configs", "dynamic_scoped_route_configs",
    "ecds_filters"};

struct element {
	const struct dump_list *list;
	const char *name;
	const ProtobufCMessage *message; /* borrowed from the store; NULL: made when its turn comes */
	uint64_t updated_ns;
	struct str version; /* of what came from a control plane */
};

struct dump_job {
	struct admin *a;
	struct arena arena;
	struct mask mask;
	struct regex *name;   /* NULL: every name */
	struct str resource;  /* empty: whole dumps */
	VEC(struct element) elements; /* in order of their lists */
	size_t next;
	const struct dump_list *open; /* the dump whose list is being written */
	struct json_out json;
	struct task *task;   /* writes; it owns what is half written */
	bool abandoned;      /* the client is gone: ends with the element that is being written */
	struct work rest;    /* of a task that was abandoned */
	struct strb unread;  /* what that writes */
};

/* ---- what there is */

enum { CLUSTERS, ENDPOINTS, EDS_ENDPOINTS, LISTENERS, ROUTES }; /* of lists[] */

static void
add_element(struct dump_job *job, const struct dump_list *list, const char *name,
    const void *message, uint64_t updated_ns)
{
	if (job->name && !regex_match(job->name, str_of(name)))
		return;
	if (job->resource.n && !str_eqz(job->resource, list->list))
		return;
	*vec_push(&job->elements) = (struct element){list, name, message, updated_ns, STR("")};
}

static void
collect_discovered(struct dump_job *job)
{
	const struct members *m = &job->a->members;

	for (size_t i = 0; i < m->clusters.len; i++) {
		const struct member_cluster *c = m->clusters.at[i];

		if (c->message->eds_cluster_config && c->initialised)
			add_element(job, &lists[EDS_ENDPOINTS], arena_str(&job->arena, c->name).p, NULL,
			    c->updated_ns);
	}
}

struct routes_walk {
	struct dump_job *job;
	uint64_t updated_ns; /* of the listener they stand in */
};

static int
add_routes(void *arg, const HttpConnectionManager *hcm, struct err *err)
{
	struct routes_walk *w = arg;

	if (hcm->route_config)
		add_element(w->job, &lists[ROUTES], hcm->route_config->name, hcm->route_config,
		    w->updated_ns);
	return 0;
}

static void
collect(struct dump_job *job, bool endpoints)
{
	struct store *s = &job->a->store;
	const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *r =
	    s->bootstrap ? s->bootstrap->static_resources : NULL;

	for (size_t i = 0; r && i < r->n_clusters; i++) {
		const struct store_cluster *c = store_cluster(s, str_of(r->clusters[i]->name));

		add_element(job, &lists[CLUSTERS], r->clusters[i]->name, r->clusters[i],
		    c ? c->updated_ns : s->accepted_wall_ns);
	}
	for (size_t i = 0; r && endpoints && i < r->n_clusters; i++) {
		const struct store_cluster *c = store_cluster(s, str_of(r->clusters[i]->name));

		if (r->clusters[i]->load_assignment)
			add_element(job, &lists[ENDPOINTS], r->clusters[i]->name,
			    c && c->names ? NULL : r->clusters[i]->load_assignment,
			    c ? c->updated_ns : s->accepted_wall_ns);
	}
	if (endpoints)
		collect_discovered(job);
	for (size_t i = 0; i < s->listeners.len; i++)
		add_element(job, &lists[LISTENERS], s->listeners.at[i].message->name,
		    s->listeners.at[i].message, s->listeners.at[i].updated_ns);
	for (size_t i = 0; i < s->listeners.len; i++) {
		struct routes_walk w = {job, s->listeners.at[i].updated_ns};

		hcm_each(s->listeners.at[i].message, &job->arena, add_routes, &w, NULL);
	}
}

/* ---- writing */

static void
write_message(struct dump_job *job, const char *key, const struct mask *mask, const ProtobufCMessage *m,
    const char *type)
{
	struct dump_options o = {.type = type};
	const ProtobufCMessage *shown;
	struct mask below;
	struct arena scratch;

	arena_init(&scratch);
	mask_below(&below, mask, key);
	shown = mask_apply(&below, m, &scratch);
	if (shown) {
		json_keyz(&job->json, key);
		conf_dump(&job->json, shown, &o);
	}
	mask_fini(&below);
	arena_fini(&scratch);
}

static void
write_element(struct dump_job *job, const struct element *e, const struct mask *mask)
{
	char type[128];

	json_object(&job->json);
	if (job->resource.n) {
		snprintf(type, sizeof(type), ADMIN_TYPE "%s.%s", e->list->dump, e->list->element);
		json_field(&job->json, "@type", type);
	}
	if (e->version.n && mask_allows(mask, "version_info"))
		json_field_str(&job->json, "version_info", e->version);
	if (mask_allows(mask, e->list->field)) {
		snprintf(type, sizeof(type), "type.googleapis.com/%s", e->list->type);
		write_message(job, e->list->field, mask, e->message, type);
	}
	if (mask_allows(mask, "last_updated"))
		json_field_time(&job->json, "last_updated", e->updated_ns);
	if (e->version.n && mask_allows(mask, "client_status"))
		json_field(&job->json, "client_status", "ACKED");
	json_end(&job->json);
}

static void
write_bootstrap(struct dump_job *job)
{
	const struct store *s = &job->a->store;

	if (job->resource.n || s->bootstrap == NULL)
		return;
	json_object(&job->json);
	json_field(&job->json, "@type", ADMIN_TYPE "BootstrapConfigDump");
	if (mask_allows(&job->mask, "bootstrap"))
		write_message(
		    job, "bootstrap", &job->mask, (const ProtobufCMessage *)s->bootstrap, NULL);
	if (mask_allows(&job->mask, "last_updated"))
		json_field_time(&job->json, "last_updated", s->accepted_wall_ns);
	json_end(&job->json);
}

static void
close_list(struct dump_job *job)
{
	if (job->open && mask_allows(&job->mask, job->open->list))
		json_end(&job->json);
}

static void
close_dump(struct dump_job *job)
{
	close_list(job);
	if (job->open)
		json_end(&job->json);
	job->open = NULL;
}

/* A dump may have several lists: they follow each other. */
static void
open_list(struct dump_job *job, const struct dump_list *list)
{
	char type[64];

	if (job->open && strcmp(job->open->dump, list->dump) == 0) {
		close_list(job);
	} else {
		close_dump(job);
		snprintf(type, sizeof(type), ADMIN_TYPE "%s", list->dump);
		json_object(&job->json);
		json_field(&job->json, "@type", type);
	}
	job->open = list;
	if (mask_allows(&job->mask, list->list)) {
		json_keyz(&job->json, list->list);
		json_array(&job->json);
	}
}

/* The members of an EDS or DNS cluster as the model has them now; false: it is gone. */
static bool
compose_element(const struct dump_job *job, struct element *e, struct arena *a)
{
	const struct member_cluster *c = members_cluster(&job->a->members, str_of(e->name));
	struct compose compose;

	if (c == NULL)
		return false;
	task_hold(); /* they may go meanwhile */
	compose_begin(&compose, a);
	for (size_t i = 0; i < c->members.len; i++)
		compose_add(&compose, &c->members.at[i]->endpoint);
	task_release();
	e->message = &compose_end(&compose, c->name, &c->policy)->base;
	e->version = arena_str(a, strb_str(&c->version));
	e->updated_ns = c->updated_ns;
	return true;
}

static void
write_one(struct dump_job *job, const struct element *e)
{
	struct mask below;

	if (job->resource.n) {
		write_element(job, e, &job->mask);
		return;
	}
	if (job->open != e->list)
		open_list(job, e->list);
	if (!mask_allows(&job->mask, e->list->list))
		return;
	mask_below(&below, &job->mask, e->list->list);
	write_element(job, e, &below);
	mask_fini(&below);
}

static void
write_next(struct dump_job *job)
{
	struct element e = job->elements.at[job->next++];
	struct arena arena;

	arena_init(&arena);
	if (e.message || compose_element(job, &e, &arena))
		write_one(job, &e);
	arena_fini(&arena);
}

static void
free_job(void *arg)
{
	struct dump_job *job = arg;

	admin_store_release(job->a);
	vec_fini(&job->elements);
	mask_fini(&job->mask);
	regex_free(&job->name);
	arena_fini(&job->arena);
	strb_fini(&job->unread);
	mem_free(job);
}

/* The task. */
static void
write_all(void *arg)
{
	struct dump_job *job = arg;

	json_object(&job->json);
	json_keyz(&job->json, "configs");
	json_array(&job->json);
	if (!job->abandoned)
		write_bootstrap(job);
	while (job->next < job->elements.len && !job->abandoned)
		write_next(job);
	close_dump(job);
	json_end(&job->json);
	json_end(&job->json);
	strb_addc(job->json.to, '\n');
	if (job->abandoned)
		loop_defer(job->a->loop, free_job, job);
}

static bool
job_more(void *state, struct strb *out)
{
	struct dump_job *job = state;

	job->json.to = out;
	if (task_run(job->task, SLICE_NS))
		return true;
	task_free(&job->task);
	return false;
}

static void
job_free(void *state)
{
	struct dump_job *job = state;

	if (job->task == NULL) {
		free_job(job);
		return;
	}
	job->abandoned = true;
	job->json.to = &job->unread;
	work_take(&job->a->works, &job->rest, job->task);
}

/* ---- the request */

/* A repeated field of some dump? */
static bool
check_resource(struct str name, struct web_reply *r)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (str_eqz(name, lists[i].list))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(empty_lists); i++)
		if (str_eqz(name, empty_lists[i]))
			return true;
	if (str_eqz(name, "bootstrap") || str_eqz(name, "version_info") || str_eqz(name, "last_updated")) {
		r->status = 400;
		strb_printf(&r->body,
		    STR_FMT " is not a repeated field. Use ?mask= to get only this field\n", STR_ARG(name));
	} else {
		r->status = 404;
		strb_printf(&r->body, STR_FMT " not found in config dump\n", STR_ARG(name));
	}
	return false;
}

void
web_config_dump(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	struct str name = web_get(q, "name_regex"), resource = web_get(q, "resource");
	struct regex *re = NULL;
	struct dump_job *job;

	if (resource.n && !check_resource(resource, r))
		return;
	if (name.n && (re = regex_new(name, REGEX_FULL, NULL)) == NULL) {
		web_reply_text(r, 400, "Error while parsing name_regex from /config_dump\n");
		return;
	}
	job = mem_new(struct dump_job);
	job->a = a;
	admin_store_hold(a);
	arena_init(&job->arena);
	job->name = re;
	job->resource = arena_str(&job->arena, resource);
	mask_parse(&job->mask, arena_str(&job->arena, web_get(q, "mask")));
	collect(job, web_has(q, "include_eds"));
	json_out_init(&job->json, &r->body, true);
	job->task = task_new(write_all, job);
	r->type = WEB_JSON;
	r->more = job_more;
	r->free_state = job_free;
	r->state = job;
}
