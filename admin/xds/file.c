/*
 * Resources from a file that holds a DiscoveryResponse: YAML, JSON (by
 * ".json") or packed (by ".pb").  Read at the start and whenever it is
 * moved into its place; what is wrong with it is logged and counted, and
 * what was read before stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "admin/xds/source.h"
#include "admin/xds/watch.h"
#include "conf/diag.h"
#include "conf/message.h"
#include "conf/node.h"
#include "conf/where.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/timer.h"

#include "envoy/config/core/v3/config_source.pb-c.h"

typedef Envoy__Config__Core__V3__PathConfigSource PathConfigSource;

struct file_source {
	struct source source;
	enum xds_type_id type;
	char *path, *directory; /* directory NULL: that of the path */
	struct watch watch;
	struct timer soon;      /* read it, not from inside the caller */
};

/* ---- reading */

static int
read_all(const char *path, struct strb *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = 0;

	if (fd < 0)
		return err_sys(err, "'%s'", path);
	do {
		strb_reserve(out, 65536);
		n = read(fd, out->p + out->n, 65536);
		out->n += n > 0 ? (size_t)n : 0;
	} while ((n > 0 || (n < 0 && errno == EINTR)) && out->n <= MESSAGE_BYTES);
	if (n < 0)
		err_sys(err, "'%s'", path);
	else if (out->n > MESSAGE_BYTES)
		err_set(err, "'%s' is larger than %u MiB", path, MESSAGE_BYTES >> 20);
	close(fd);
	return n < 0 || out->n > MESSAGE_BYTES ? -1 : 0;
}

static int
first_error(const struct diag *diag, struct err *err)
{
	struct strb text = {0};

	diag_first(diag, &text);
	err_set(err, "%s", strb_z(&text));
	strb_fini(&text);
	return -1;
}

/* Unknown fields are left out, as in a response of a control plane. */
static int
parse_text(struct xds_response *r, const char *path, struct str text, struct err *err)
{
	bool json = str_ends(str_of(path), STR(".json"));
	struct message_build b = {.arena = &r->arena, .allow_unknown_fields = true};
	ProtobufCMessage *m = message_new(
	    &r->arena, &envoy__service__discovery__v3__discovery_response__descriptor);
	struct where root = {.index = -1, .type = m->descriptor};
	struct document *doc;
	struct diag diag;
	int rc = 0;

	diag_init(&diag);
	b.diag = &diag;
	if ((json ? json_parse : yaml_parse)(&r->arena, path, text, &doc, &diag) == 0 && doc->root) {
		root.doc = doc;
		root.node = doc->root;
		message_merge(&b, m, doc->root, &root);
	}
	if (diag.errors)
		rc = first_error(&diag, err);
	diag_fini(&diag);
	r->message = (const void *)m;
	return rc;
}

/* r is to be given back in either case. */
static int
open_file(struct xds_response *r, const char *path, struct err *err)
{
	struct strb bytes = {0};
	int rc = read_all(path, &bytes, err);

	if (rc == 0 && str_ends(str_of(path), STR(".pb"))) {
		rc = xds_response_open(r, strb_str(&bytes), err);
	} else {
		xds_response_init(r);
		if (rc == 0)
			rc = parse_text(r, path, strb_str(&bytes), err);
	}
	strb_fini(&bytes);
	return rc;
}

/* A task. */
static void
take(void *arg)
{
	struct file_source *f = arg;
	struct xds_response r;
	struct strb reasons = {0};
	struct err err = {""};

	if (open_file(&r, f->path, &err) < 0) {
		strb_addz(&reasons, err.text);
		source_reject(&f->source, f->type);
	} else {
		xds_response_judge(&r, f->type);
		source_deliver(&f->source, f->type, &r, &reasons);
	}
	if (reasons.n)
		log_warning(LOG_CONFIG, "%s: file '%s' is refused: %s", xds_types[f->type].label,
		    f->path, strb_z(&reasons));
	else
		log_debug(LOG_CONFIG, "%s: file '%s' is read", xds_types[f->type].label, f->path);
	strb_fini(&reasons);
	xds_response_fini(&r);
}

static void
on_soon(void *arg)
{
	struct file_source *f = arg;

	source_work(&f->source, take, f);
}

static void
on_move(void *arg)
{
	struct file_source *f = arg;

	timer_set(source_loop(&f->source), &f->soon, 0);
}

/* ---- as a source */

/* A name that is new is looked for in what is there. */
static void
file_changed(struct source *s, enum xds_type_id type)
{
	on_move(s);
}

static void
file_stop(struct source *s)
{
	struct file_source *f = (struct file_source *)s;

	source_settle(s);
	timer_stop(&f->soon);
	watch_close(&f->watch);
}

static void
file_resume(struct source *s)
{
	struct file_source *f = (struct file_source *)s;
	struct err err = {""};

	if (watch_open(&f->watch, source_loop(s), f->path, f->directory, on_move, f, &err) < 0)
		log_error(LOG_CONFIG, "%s: %s; changes of '%s' will not be seen",
		    xds_types[f->type].label, err.text, f->path);
	on_move(f);
}

/* What it reads stands in its key. */
static void
file_reloaded(struct source *s)
{
}

static void
file_free(struct source **sp)
{
	struct file_source *f = (struct file_source *)*sp;

	*sp = NULL;
	file_stop(&f->source);
	source_fini(&f->source);
	mem_free(f->path);
	mem_free(f->directory);
	mem_free(f);
}

static const struct source_kind file_kind = {
    .changed = file_changed,
    .stop = file_stop,
    .resume = file_resume,
    .reloaded = file_reloaded,
    .free = file_free,
};

struct source *
file_source_new(struct xds *x, struct str key, const void *config, enum xds_type_id type)
{
	const PathConfigSource *c = config;
	struct file_source *f = mem_new(struct file_source);

	source_init(&f->source, x, &file_kind, key);
	f->type = type;
	f->path = str_dupz(str_of(c->path));
	if (c->watched_directory)
		f->directory = str_dupz(str_of(c->watched_directory->path));
	f->watch.fd = -1;
	timer_init(&f->soon, on_soon, f);
	return &f->source;
}
