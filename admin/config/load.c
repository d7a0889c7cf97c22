#include "admin/config/load.h"

#include <stdio.h>
#include <unistd.h>

#include "conf/diag.h"
#include "conf/dump.h"
#include "conf/load.h"
#include "lib/base/json_out.h"
#include "lib/base/log.h"
#include "lib/ipc/process.h"

static void
write_out(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n <= 0)
			return;
		s.p += n;
		s.n -= (size_t)n;
	}
}

static void
tell(const struct diag *diag)
{
	struct strb text = {0};

	for (unsigned i = 0; i < diag->count; i++) {
		const struct diag_entry *e = &diag->entries[i];

		if (e->kind == DIAG_WARNING)
			log_warning(LOG_CONFIG, "%s:%u:%u: %s%s%s", e->file ? e->file : "configuration",
			    e->line, e->column, e->path, e->path[0] ? ": " : "", e->text);
	}
	if (diag->errors) {
		diag_print(diag, &text, true);
		write_out(log_fd(), strb_str(&text));
		strb_fini(&text);
	}
}

int
load_and_tell(struct conf **out, const struct settings *settings, struct err *err)
{
	struct conf_source src = {.path = settings->config_path,
	    .inline_yaml = settings->config_yaml,
	    .service_node = settings->service_node,
	    .service_cluster = settings->service_cluster,
	    .service_zone = settings->service_zone,
	    .allow_unknown_fields = settings->allow_unknown_static_fields};
	struct strb first = {0};
	struct diag diag;
	int bad;

	diag_init(&diag);
	bad = conf_load(out, &src, &diag);
	tell(&diag);
	if (bad < 0) {
		diag_first(&diag, &first);
		err_set(err, "configuration has %u error(s), first: %s", diag.errors, strb_z(&first));
		strb_fini(&first);
	}
	diag_fini(&diag);
	return bad;
}

static const char *
source_name(const struct settings *settings)
{
	return settings->config_path ? settings->config_path : "--config-yaml";
}

int
load_validate(const struct settings *settings)
{
	struct conf *conf;
	struct err err = {""};

	if (load_and_tell(&conf, settings, &err) < 0)
		return 1;
	printf("configuration '%s' OK\n", source_name(settings));
	fflush(stdout);
	conf_free(&conf);
	return 0;
}

int
load_print(const struct settings *settings)
{
	struct conf *conf;
	struct err err = {""};
	struct strb text = {0};
	struct json_out j;
	struct dump_options o = {0};

	if (load_and_tell(&conf, settings, &err) < 0)
		return 1;
	json_out_init(&j, &text, true);
	conf_dump(&j, (const ProtobufCMessage *)conf_bootstrap(conf), &o);
	strb_addc(&text, '\n');
	write_out(1, strb_str(&text));
	strb_fini(&text);
	conf_free(&conf);
	return 0;
}
