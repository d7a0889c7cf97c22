#include "conf/load.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/check.h"
#include "conf/diag.h"
#include "conf/message.h"
#include "conf/node.h"
#include "conf/where.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"

struct conf {
	struct arena arena; /* messages */
	Envoy__Config__Bootstrap__V3__Bootstrap *bootstrap;
};

/* One load: nodes and places live only as long as it. */
struct loading {
	const struct conf_source *src;
	struct conf *conf;
	struct diag *diag;
	struct arena nodes;
	struct origins origins;
};

static int
fail(struct loading *l, const char *file, const char *fmt, const char *why)
{
	struct document doc = {.name = file};
	struct strb text = {0};

	strb_printf(&text, "%s%s", fmt, why);
	diag_add(l->diag, DIAG_ERROR, &doc, 0, 0, "", NULL, strb_z(&text));
	strb_fini(&text);
	return -1;
}

static int
read_bytes(struct loading *l, int fd, struct strb *out)
{
	for (;;) {
		ssize_t n;

		strb_reserve(out, 65536);
		n = read(fd, out->p + out->n, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(l, l->src->path, "cannot be read: ", strerror(errno));
		out->n += (size_t)n;
		out->p[out->n] = '\0';
		if (n == 0 || out->n > CONF_FILE_LIMIT)
			return 0;
	}
}

static int
read_file(struct loading *l, struct strb *out)
{
	int fd = open(l->src->path, O_RDONLY | O_CLOEXEC), result;
	struct stat st;

	if (fd < 0)
		return fail(l, l->src->path, "cannot be opened: ", strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		result = fail(l, l->src->path, "is a directory", "");
	else
		result = read_bytes(l, fd, out);
	close(fd);
	return result;
}

static int
merge_text(struct loading *l, const char *name, struct str text)
{
	struct message_build b = {.arena = &l->conf->arena,
	    .diag = l->diag,
	    .origins = &l->origins,
	    .allow_unknown_fields = l->src->allow_unknown_fields};
	struct where root = {.index = -1, .type = l->conf->bootstrap->base.descriptor};
	struct document *doc;
	bool json = str_ends(str_of(name), STR(".json"));

	if ((json ? json_parse : yaml_parse)(&l->nodes, name, text, &doc, l->diag) < 0)
		return -1;
	root.doc = doc;
	root.node = doc->root;
	return doc->root ? message_merge(&b, &l->conf->bootstrap->base, doc->root, &root) : 0;
}

static int
merge_file(struct loading *l)
{
	struct strb text = {0};
	int result = read_file(l, &text);

	if (result == 0)
		result = merge_text(l, l->src->path, strb_str(&text));
	strb_fini(&text);
	return result;
}

static void
override(struct loading *l, char **field, const char *value)
{
	if (value)
		*field = arena_dup(&l->conf->arena, value, strlen(value));
}

/* --service-node, --service-cluster, --service-zone. */
static void
override_node(struct loading *l)
{
	Envoy__Config__Bootstrap__V3__Bootstrap *b = l->conf->bootstrap;
	const struct conf_source *src = l->src;

	if (!src->service_node && !src->service_cluster && !src->service_zone)
		return;
	if (!b->node)
		b->node = (void *)message_new(
		    &l->conf->arena, &envoy__config__core__v3__node__descriptor);
	override(l, &b->node->id, src->service_node);
	override(l, &b->node->cluster, src->service_cluster);
	if (src->service_zone && !b->node->locality)
		b->node->locality = (void *)message_new(
		    &l->conf->arena, &envoy__config__core__v3__locality__descriptor);
	if (src->service_zone)
		override(l, &b->node->locality->zone, src->service_zone);
}

static void
check(struct loading *l)
{
	struct check c = {.diag = l->diag, .arena = &l->nodes, .origins = &l->origins};
	struct origin *o = origins_get(&l->origins, &l->conf->bootstrap->base);
	struct where root = {.index = -1,
	    .type = l->conf->bootstrap->base.descriptor,
	    .doc = o ? o->doc : NULL,
	    .node = o ? o->node : NULL};

	check_bootstrap(&c, l->conf->bootstrap, &root);
	check_fini(&c);
}

/* A text that cannot be parsed ends it; anything else goes on, so that one run tells all. */
static void
run(struct loading *l)
{
	const struct conf_source *src = l->src;

	if (!src->path && !src->inline_yaml) {
		fail(l, "baton", "no configuration: give -c or --config-yaml", "");
		return;
	}
	if (src->path && merge_file(l) < 0 && l->origins.map.len == 0)
		return;
	if (src->inline_yaml && merge_text(l, "--config-yaml", str_of(src->inline_yaml)) < 0 &&
	    l->origins.map.len == 0)
		return;
	override_node(l);
	check(l);
}

int
conf_load(struct conf **out, const struct conf_source *src, struct diag *diag)
{
	struct loading l = {.src = src, .diag = diag};
	unsigned errors = diag->errors;

	l.conf = mem_new(struct conf);
	arena_init(&l.conf->arena);
	arena_init(&l.nodes);
	l.origins.arena = &l.nodes;
	l.conf->bootstrap = (void *)message_new(
	    &l.conf->arena, &envoy__config__bootstrap__v3__bootstrap__descriptor);
	run(&l);
	origins_fini(&l.origins);
	arena_fini(&l.nodes);
	*out = l.conf;
	if (diag->errors == errors)
		return 0;
	conf_free(out);
	return -1;
}

void
conf_free(struct conf **confp)
{
	struct conf *conf = *confp;

	*confp = NULL;
	if (!conf)
		return;
	arena_fini(&conf->arena);
	mem_free(conf);
}

const Envoy__Config__Bootstrap__V3__Bootstrap *
conf_bootstrap(const struct conf *conf)
{
	return conf->bootstrap;
}
