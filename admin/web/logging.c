/* /logging and /reopen_logs. */
#include "admin/admin.h"
#include "admin/control.h"
#include "admin/web/endpoints.h"

struct level_change {
	unsigned component; /* LOG_COMPONENTS: all */
	enum log_level level;
};

static bool
usage(struct web_reply *r, const char *why, struct str what)
{
	r->status = 400;
	strb_printf(&r->body, "%s" STR_FMT "\n", why, STR_ARG(what));
	strb_addz(&r->body, "usage: /logging?<name>=<level> (change single level)\n"
			    "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
			    "usage: /logging?level=<level> (change all levels)\n"
			    "levels: trace debug info warning error critical off\n");
	return false;
}

static bool
read_change(struct web_reply *r, struct str name, struct str level, struct level_change *out)
{
	enum log_component c = LOG_COMPONENTS;

	if (!log_level_parse(level, &out->level))
		return usage(r, "error: unknown logger level ", level);
	if (name.p && !log_component_parse(name, &c))
		return usage(r, "error: unknown logger name ", name);
	out->component = c;
	return true;
}

/* paths=a:debug,b:trace: all are read before any is set. */
static bool
set_paths(struct admin *a, struct str list, struct web_reply *r)
{
	struct level_change changes[LOG_COMPONENTS];
	struct str pair, name;
	size_t n = 0;

	while (str_cut(&list, ',', &pair)) {
		if (n == LOG_COMPONENTS || !str_cut(&pair, ':', &name))
			return usage(r, "error: bad list of loggers", STR(""));
		if (!read_change(r, name, pair, &changes[n++]))
			return false;
	}
	for (size_t i = 0; i < n; i++)
		control_set_level(a, changes[i].component, changes[i].level);
	return true;
}

static bool
set_one(struct admin *a, const struct web_param *p, struct web_reply *r)
{
	struct level_change c;

	if (str_eqz(p->name, "paths"))
		return set_paths(a, p->value, r);
	if (!read_change(r, str_eqz(p->name, "level") ? (struct str){NULL, 0} : p->name, p->value, &c))
		return false;
	control_set_level(a, c.component, c.level);
	return true;
}

void
web_logging(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	const struct web_param *given = NULL;
	size_t n = 0;

	for (size_t i = 0; i < q->params.len; i++) {
		if (q->params.at[i].value.n == 0) /* a field of the form that was left empty */
			continue;
		given = &q->params.at[i];
		n++;
	}
	if (n > 1) {
		usage(r, "error: only one change at a time", STR(""));
		return;
	}
	if (given && !set_one(a, given, r))
		return;
	control_loggers(&r->body);
}

void
web_reopen_logs(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	if (!web_reaches_workers(a, r))
		return;
	files_reopen(a);
	web_reply_text(r, 200, "OK\n");
}
