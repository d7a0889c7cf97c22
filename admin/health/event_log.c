#include "admin/health/event_log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "admin/config/files.h"
#include "admin/health/outlier_log.h"
#include "lib/base/clock.h"
#include "lib/base/json_out.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"

struct event_log {
	struct list node;
	struct loop *loop;
	char *path;
	int fd;
	unsigned users;
	struct strb lines; /* of this turn */
	struct flush flush;
};

/* ---- lines */

static void
print_host(struct json_out *j, const struct address *a)
{
	char text[ADDRESS_TEXT];

	address_format_ip(a, text);
	json_keyz(j, "host");
	json_object(j);
	json_keyz(j, address_is_ip(a) ? "socket_address" : "pipe");
	json_object(j);
	if (address_is_ip(a)) {
		json_keyz(j, "protocol");
		json_stringz(j, "TCP");
		json_keyz(j, "address");
		json_stringz(j, text);
		json_keyz(j, "resolver_name");
		json_stringz(j, "");
		json_keyz(j, "ipv4_compat");
		json_bool(j, false);
		json_keyz(j, "port_value");
		json_u64(j, address_port(a));
	} else {
		json_keyz(j, "path");
		json_stringz(j, text);
		json_keyz(j, "mode");
		json_u64(j, 0);
	}
	json_end(j);
	json_end(j);
}

static void
print_event(struct json_out *j, const struct health_event *e)
{
	json_keyz(j, e->event);
	json_object(j);
	if (e->failure) {
		json_keyz(j, "failure_type");
		json_stringz(j, e->failure);
	}
	if (e->says_first) {
		json_keyz(j, "first_check");
		json_bool(j, e->first);
	}
	json_end(j);
}

void
event_time_print(struct json_out *j, uint64_t wall_ns)
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	char text[32], all[48];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(all, sizeof(all), "%s.%03uZ", text, (unsigned)(wall_ns % NS_PER_S / NS_PER_MS));
	json_keyz(j, "timestamp");
	json_stringz(j, all);
}

static void
print_locality(struct json_out *j, const struct health_event *e)
{
	json_keyz(j, "metadata");
	json_object(j);
	json_keyz(j, "filter_metadata");
	json_object(j);
	json_end(j);
	json_keyz(j, "typed_filter_metadata");
	json_object(j);
	json_end(j);
	json_end(j);
	json_keyz(j, "locality");
	json_object(j);
	json_keyz(j, "region");
	json_string(j, e->region);
	json_keyz(j, "zone");
	json_string(j, e->zone);
	json_keyz(j, "sub_zone");
	json_string(j, e->sub_zone);
	json_end(j);
}

void
health_event_print(struct strb *out, const struct health_event *e)
{
	struct json_out j;

	json_out_init(&j, out, false);
	json_object(&j);
	json_keyz(&j, "health_checker_type");
	json_stringz(&j, e->checker);
	print_host(&j, e->host);
	json_keyz(&j, "cluster_name");
	json_string(&j, e->cluster);
	print_event(&j, e);
	event_time_print(&j, e->wall_ns);
	print_locality(&j, e);
	json_end(&j);
	strb_addc(out, '\n');
}

/* ---- files */

static void
write_lines(void *arg)
{
	struct event_log *f = arg;
	size_t done = 0;

	while (done < f->lines.n) {
		ssize_t n = write(f->fd, f->lines.p + done, f->lines.n - done);

		if (n <= 0) {
			log_warning(LOG_HEALTH_CHECKER, "event log '%s' cannot be written", f->path);
			break;
		}
		done += (size_t)n;
	}
	strb_reset(&f->lines);
}

void
event_logs_init(struct event_logs *l, struct loop *loop)
{
	l->loop = loop;
	list_init(&l->files);
}

static void
free_file(struct event_log *f)
{
	write_lines(f);
	flush_cancel(&f->flush);
	list_remove(&f->node);
	if (f->fd >= 0)
		close(f->fd);
	strb_fini(&f->lines);
	mem_free(f->path);
	mem_free(f);
}

void
event_logs_fini(struct event_logs *l)
{
	list_for_each(n, &l->files)
		free_file(list_entry(n, struct event_log, node));
}

void
event_logs_reopen(struct event_logs *l)
{
	list_for_each(n, &l->files) {
		struct event_log *f = list_entry(n, struct event_log, node);
		struct err err = {""};
		int fd = log_file_open(f->path, &err);

		if (fd < 0) {
			log_warning(LOG_HEALTH_CHECKER, "event log '%s': %s", f->path, err.text);
			continue;
		}
		write_lines(f);
		close(f->fd);
		f->fd = fd;
	}
}

struct event_log *
event_log_open(struct event_logs *l, const char *path, struct err *err)
{
	struct event_log *f;
	int fd;

	list_for_each(n, &l->files) {
		f = list_entry(n, struct event_log, node);
		if (strcmp(f->path, path) == 0) {
			f->users++;
			return f;
		}
	}
	fd = log_file_open(path, err);
	if (fd < 0) {
		err_in(err, "event log '%s'", path);
		return NULL;
	}
	f = mem_new(struct event_log);
	f->loop = l->loop;
	f->path = mem_strdup(path);
	f->fd = fd;
	f->users = 1;
	f->flush.fn = write_lines;
	f->flush.arg = f;
	list_push_back(&l->files, &f->node);
	return f;
}

void
event_log_close(struct event_log **fp)
{
	struct event_log *f = *fp;

	*fp = NULL;
	if (f && --f->users == 0)
		free_file(f);
}

void
event_log_write(struct event_log *f, const struct health_event *e)
{
	health_event_print(&f->lines, e);
	loop_flush(f->loop, &f->flush);
}

void
event_log_outlier(struct event_log *f, const struct outlier_event *e)
{
	outlier_event_print(&f->lines, e);
	loop_flush(f->loop, &f->flush);
}
