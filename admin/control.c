#include "admin/control.h"

#include "admin/admin.h"
#include "lib/base/json_out.h"
#include "lib/ipc/control.h"
#include "shm/flags.h"

/* ---- verdicts on hosts */

int
control_host(
    struct admin *a, struct str cluster, struct str address, struct str verdict, struct err *err)
{
	struct member_cluster *c = members_cluster(&a->members, cluster);
	struct member *m = c ? member_find(c, address) : NULL;
	bool drain = str_eqz(verdict, "drain"), failed = str_eqz(verdict, "fail");

	if (c == NULL)
		return err_set(err, "unknown cluster '" STR_FMT "'", STR_ARG(cluster));
	if (m == NULL)
		return err_set(err, "cluster '" STR_FMT "' has no host '" STR_FMT "'", STR_ARG(cluster),
		    STR_ARG(address));
	if (!drain && !failed && !str_eqz(verdict, "ok"))
		return err_set(err, "'" STR_FMT "' is none of drain, fail, ok", STR_ARG(verdict));
	host_cell_set(m->cell, HOST_OPERATOR_DRAIN, drain);
	host_cell_set(m->cell, HOST_OPERATOR_FAIL, failed);
	log_info(LOG_ADMIN, "cluster '" STR_FMT "' host " STR_FMT ": operator says " STR_FMT,
	    STR_ARG(cluster), STR_ARG(address), STR_ARG(verdict));
	stats_update(a);
	return 0;
}

/* ---- log levels */

static void
send_level(struct admin *a, enum message_type type, unsigned seat, const char *logger, enum log_level l)
{
	struct message m;

	message_init(&m, type);
	m.seat = seat;
	message_z(&m, logger);
	message_u(&m, l);
	admin_send(a, &m);
}

void
control_set_level(struct admin *a, unsigned component, enum log_level level)
{
	const char *logger =
	    component < LOG_COMPONENTS ? log_component_name((enum log_component)component) : "";

	if (component < LOG_COMPONENTS)
		log_set((enum log_component)component, level);
	else
		log_set_all(level);
	send_level(a, MSG_LOG_LEVEL, SEAT_ALL, logger, level);
	send_level(a, MSG_LOG_LEVEL_MASTER, 0, logger, level);
}

void
control_loggers(struct strb *out)
{
	strb_addz(out, "active loggers:\n");
	for (unsigned i = 0; i < LOG_COMPONENTS; i++)
		strb_printf(out, "  %s: %s\n", log_component_name((enum log_component)i),
		    log_level_name((enum log_level)log_levels[i]));
}

/* ---- the proxy's own health */

void
control_health(struct admin *a, bool failed)
{
	shm_set_health_failed(failed);
	log_info(LOG_ADMIN, "health: %s by the operator", failed ? "failed" : "passed");
	stats_update(a);
}

/* ---- batonctl */

static void
loggers_json(struct strb *out)
{
	struct json_out j;

	json_out_init(&j, out, false);
	json_object(&j);
	for (unsigned i = 0; i < LOG_COMPONENTS; i++) {
		json_keyz(&j, log_component_name((enum log_component)i));
		json_stringz(&j, log_level_name((enum log_level)log_levels[i]));
	}
	json_end(&j);
	strb_addc(out, '\n');
}

static unsigned
refuse(struct strb *out, unsigned status, const char *why)
{
	strb_printf(out, "%s\n", why);
	return status;
}

static unsigned
run_host(struct admin *a, const struct str *words, unsigned n, bool json, struct strb *out)
{
	struct err err = {""};

	if (n != 4)
		return refuse(out, CONTROL_USAGE, "usage: host CLUSTER ADDRESS drain|fail|ok");
	if (control_host(a, words[1], words[2], words[3], &err) < 0)
		return refuse(out, CONTROL_REFUSED, err.text);
	strb_addz(out, json ? "{\"ok\":true}\n" : "OK\n");
	return CONTROL_OK;
}

/* logging [LOGGER] [LEVEL]: one word is a level for all, or a logger to show. */
static unsigned
run_logging(struct admin *a, const struct str *words, unsigned n, bool json, struct strb *out)
{
	enum log_component c = LOG_COMPONENTS;
	enum log_level level;

	if (n >= 2 && !log_component_parse(words[1], &c) &&
	    (n == 3 || !log_level_parse(words[1], &level)))
		return refuse(out, CONTROL_USAGE, "unknown logger or level");
	if (n == 3 && !log_level_parse(words[2], &level))
		return refuse(out, CONTROL_USAGE, "unknown level; one of trace debug info warning error critical off");
	if (n == 3 || (n == 2 && c == LOG_COMPONENTS))
		control_set_level(a, c, level);
	if (n == 2 && c != LOG_COMPONENTS && !json)
		strb_printf(out, "%s: %s\n", log_component_name(c),
		    log_level_name((enum log_level)log_levels[c]));
	else if (json)
		loggers_json(out);
	else
		control_loggers(out);
	return CONTROL_OK;
}

unsigned
control_run(struct admin *a, struct str line, bool json, struct strb *out)
{
	struct str words[CONTROL_WORDS];
	unsigned n = 0;

	while (n < CONTROL_WORDS && str_cut(&line, ' ', &words[n]))
		n += words[n].n > 0;
	if (n && str_eqz(words[0], "host"))
		return run_host(a, words, n, json, out);
	if (n && n <= 3 && str_eqz(words[0], "logging"))
		return run_logging(a, words, n, json, out);
	return refuse(out, CONTROL_USAGE, "unknown command");
}
