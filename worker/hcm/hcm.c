/*
 * The HTTP connection manager of a worker: where downstream connections
 * begin, and where all of them end at once.
 */
#include "worker/hcm/hcm.h"

#include <unistd.h>

#include "worker/hcm/hcm_private.h"
#include "worker/hcm/stream_private.h"

void
hcm_init(struct hcm *m, struct loop *l, struct drain *d, const char *hostname)
{
	*m = (struct hcm){.loop = l, .drain = d, .hostname = hostname, .next_id = 1, .id_step = 1};
	list_init(&m->conns);
}

static void
count_opened(const struct hcm_conn *c)
{
	stat_inc(&c->config->stats->downstream_cx_total);
	stat_inc(&c->listener_stats->downstream_cx_total);
	stat_inc(&c->worker_stats->downstream_cx_total);
}

void
hcm_open(struct hcm *m, struct hcm_place *p, int fd, const struct address *remote,
    const struct address *local)
{
	struct hcm_conn *c = hcm_conn_new(m, p, m->next_id, remote, local);

	m->next_id += m->id_step;
	count_opened(c);
	hcm_conn_start(c, fd);
}

void
hcm_abort(struct hcm_conn *c, struct str details)
{
	if (hcm_is_gone(c))
		return;
	if (c->busy) {
		conn_abort(&c->busy->conn);
		c->busy->end_details = details;
	} else {
		close(hcm_leave_socket(c));
	}
	hcm_enter(c, HCM_CLOSED);
	hcm_count_closed(c, true);
	hcm_forget(c);
}

void
hcm_abort_all(struct hcm *m)
{
	list_for_each(n, &m->conns)
	{
		hcm_abort(list_entry(n, struct hcm_conn, node), STR("worker_stopped"));
	}
}
