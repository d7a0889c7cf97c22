#include "admin/web/server.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/web/server_private.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/address.h"

#define HEAD_MAX (60 * 1024)
#define HEADERS_MAX 100
#define STREAM_HIGH (256 * 1024)
#define ACCEPTS_A_TURN 16

static void
on_acceptable(void *arg, unsigned ready)
{
	struct web *w = arg;

	unsigned accepted = 0;

	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				log_warning(LOG_ADMIN, "admin port: accept: %s", strerror(errno));
			break;
		}
		accepted++;
		if (w->count >= WEB_CONNECTIONS) {
			stat_inc(&w->listener->downstream_cx_overflow);
			close(fd);
			continue;
		}
		web_connection_open(w, fd);
	}
	if (accepted)
		stat_record(&w->listener->connections_accepted_per_socket_event, accepted);
}

static void
configure(struct web *w)
{
	w->codec.max_headers_bytes = HEAD_MAX;
	w->codec.max_headers_count = HEADERS_MAX;
	w->codec.underscores = UNDERSCORE_ALLOW;
	w->codec.h1.allow_absolute_url = true;
	w->codec.h1.accept_http_10 = true;
	http2_settings_defaults(&w->codec.h2);
	w->codec.high_watermark = STREAM_HIGH;
	w->codec.h1_stats = http1_codec_stats_of("http1.");
	w->codec.h2_stats = http2_codec_stats_of("http2.");
	w->http = http_stats_of("http.admin.");
	w->listener = listener_stats_of("listener.admin.");
	w->listener_http = listener_http_stats_of("listener.admin.http.admin.");
}

struct web *
web_start(struct admin *a, int fd, struct str bound, struct err *err)
{
	struct web *w;
	int listening = 0;
	socklen_t len = sizeof(listening);
	struct address at;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening) {
		close(fd);
		err_set(err, "not a listening socket: " STR_FMT, STR_ARG(bound));
		return NULL;
	}
	w = mem_new(struct web);
	w->a = a;
	w->fd = fd;
	address_local(&at, fd);
	w->unix_socket = address_is_pipe(&at);
	list_init(&w->connections);
	configure(w);
	io_add_level(a->loop, &w->io, fd, IO_READ, on_acceptable, w);
	return w;
}

int
web_fd(const struct web *w)
{
	return w->fd;
}

void
web_stop_accepting(struct web *w)
{
	io_del(&w->io);
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

void
web_free(struct web **wp)
{
	struct web *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	web_stop_accepting(w);
	w->ending = true;
	list_for_each(n, &w->connections)
		web_connection_abort(list_entry(n, struct web_connection, node));
	if (w->count == 0)
		mem_free(w);
}
