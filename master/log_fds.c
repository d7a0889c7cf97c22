#include "master/log_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "master/children.h"

struct kept_log {
	char *path;
	int fd;
};

struct log_fds {
	VEC(struct kept_log) at;
};

struct log_fds *
log_fds_new(void)
{
	return mem_new(struct log_fds);
}

static void
drop(struct kept_log *k)
{
	close(k->fd);
	mem_free(k->path);
}

void
log_fds_free(struct log_fds **lp)
{
	struct log_fds *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->at.len; i++)
		drop(&l->at.at[i]);
	vec_fini(&l->at);
	mem_free(l);
}

void
log_fds_forget(struct log_fds *l, struct str path)
{
	for (size_t i = 0; i < l->at.len; i++) {
		if (!str_eqz(path, l->at.at[i].path))
			continue;
		drop(&l->at.at[i]);
		vec_remove(&l->at, i);
		return;
	}
}

void
log_fds_note(struct log_fds *l, struct str path, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0) {
		log_warning(LOG_MASTER, "access log '" STR_FMT "': no descriptor to keep it",
		    STR_ARG(path));
		return;
	}
	log_fds_forget(l, path);
	*vec_push(&l->at) = (struct kept_log){str_dupz(path), copy};
}

void
log_fds_give(const struct log_fds *l, struct child *worker)
{
	for (size_t i = 0; i < l->at.len; i++) {
		struct message m;

		message_init(&m, MSG_LOG_FD);
		m.fd = l->at.at[i].fd;
		message_z(&m, l->at.at[i].path);
		child_send(worker, &m);
	}
}
