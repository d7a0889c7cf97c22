/* An admin process from its fork to serving; the test is its master and its workers. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/resource.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/event/loop.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/journal.h"
#include "lib/ipc/process.h"
#include "shm/lane.h"
#include "shm/read.h"
#include "shm/segment.h"

extern const struct process admin_process;

struct seen_message {
	enum message_type type;
	struct strb text;  /* its first string, or what it says as text */
	uint64_t number;   /* its first number */
	unsigned to;
};

struct stage {
	struct loop *loop;
	struct channel *channel;
	struct settings settings;
	struct segment *segment;
	pid_t admin;
	bool closed;
	bool refuse_listen, refuse_prepare;
	unsigned without_socket; /* worker of this seat that gets none */
	int journal_fd;
	uint64_t journal_bytes, used;
	VEC(struct seen_message) seen;
};

static const char config[] =
    "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
    "static_resources:\n"
    "  listeners:\n"
    "  - name: ingress\n"
    "    address: {socket_address: {address: 127.0.0.1, port_value: 18000}}\n"
    "    filter_chains: &chains\n"
    "    - filters:\n"
    "      - name: envoy.filters.network.http_connection_manager\n"
    "        typed_config:\n"
    "          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: ingress_http\n"
    "          route_config: {virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: api}}]}]}\n"
    "          http_filters: [{name: envoy.filters.http.router, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]\n"
    "  clusters:\n"
    "  - name: api\n"
    "    connect_timeout: 1s\n"
    "    type: STATIC\n"
    "    load_assignment: {cluster_name: api, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 18001}}}}]}]}\n";

static void
answer_listen(struct stage *s, struct str key)
{
	struct message m;

	message_init(&m, MSG_LISTENED);
	message_s(&m, key);
	message_u(&m, !s->refuse_listen);
	message_z(&m, s->refuse_listen ? "Address already in use" : "127.0.0.1:18000");
	channel_send(s->channel, &m);
}

/* As master passes it on: the sender is the worker. */
static void
pass_from(struct stage *s, unsigned seat, struct message *m)
{
	int none = -1;
	struct message_view v = {.type = m->type,
	    .seat = seat,
	    .to = SEAT_OF_ADMIN,
	    .rest = strb_str(&m->body),
	    .fd = &none};

	channel_pass(s->channel, &v);
	message_fini(m);
}

static void
worker_accepts(struct stage *s, unsigned seat)
{
	struct message m;

	message_init(&m, MSG_ACCEPTS);
	pass_from(s, seat, &m);
}

static void
answer_prepare(struct stage *s, unsigned seat, uint64_t offset)
{
	struct message m;

	message_init(&m, MSG_PREPARED);
	message_u(&m, offset);
	message_u(&m, !s->refuse_prepare);
	message_z(&m, s->refuse_prepare ? "cannot build that" : "");
	pass_from(s, seat, &m);
}

static void
note(struct stage *s, struct message_view *v)
{
	struct seen_message *x = vec_push(&s->seen);
	struct message_view copy = *v;

	x->type = v->type;
	x->to = v->to;
	switch (v->type) {
	case MSG_LISTEN:
	case MSG_LOG_FD:
	case MSG_LOG_LEVEL:
		strb_adds(&x->text, message_get_s(&copy));
		break;
	case MSG_FAILED:
		x->number = message_get_u(&copy);
		strb_adds(&x->text, message_get_s(&copy));
		break;
	default:
		x->number = message_get_u(&copy);
	}
}

static void
on_message(void *arg, struct message_view *v)
{
	struct stage *s = arg;
	struct seen_message *x;

	note(s, v);
	x = &s->seen.at[s->seen.len - 1];
	if (v->type == MSG_LISTEN && str_starts(strb_str(&x->text), STR("127.0.0.1:1800")))
		answer_listen(s, strb_str(&x->text));
	if (v->type == MSG_JOURNAL) {
		s->journal_fd = message_take_fd(v);
		s->journal_bytes = x->number;
	}
	if (v->type == MSG_PREPARE)
		answer_prepare(s, v->to, x->number);
	if (v->type == MSG_USE) {
		s->used = x->number;
		for (unsigned seat = 2; seat <= 3; seat++)
			if (seat != s->without_socket)
				worker_accepts(s, seat);
	}
}

static void
on_closed(void *arg)
{
	((struct stage *)arg)->closed = true;
}

static void
start_admin(struct stage *s)
{
	static const struct channel_events events = {on_message, on_closed};
	struct process_start start = {.settings = &s->settings,
	    .role = ROLE_ADMIN,
	    .seat = SEAT_OF_ADMIN,
	    .journal_fd = s->journal_fd,
	    .journal_use = s->used,
	    .control_fd = -1};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	start.channel_fd = pair[0];
	start.segment_fd = s->segment->fd;
	s->admin = fork();
	if (s->admin == 0) {
		close(pair[1]);
		_exit(admin_process.run(&start));
	}
	close(pair[0]);
	s->closed = false;
	s->channel = channel_new(s->loop, pair[1], SEAT_OF_MASTER, &events, s);
}

static void
worker_started(struct stage *s, unsigned seat)
{
	struct message m;

	message_init(&m, MSG_WORKER_STARTED);
	message_u(&m, seat);
	channel_send(s->channel, &m);
}

static const struct seen_message *
find_seen(const struct stage *s, enum message_type type, const char *text)
{
	for (size_t i = 0; i < s->seen.len; i++)
		if (s->seen.at[i].type == type &&
		    (text == NULL || strstr(strb_z(&s->seen.at[i].text), text)))
			return &s->seen.at[i];
	return NULL;
}

/* Turns until the message came; a test that hangs here ends by its runner. */
static const struct seen_message *
wait_for(struct stage *s, enum message_type type, const char *text)
{
	const struct seen_message *x;

	while ((x = find_seen(s, type, text)) == NULL && !s->closed)
		loop_turn(s->loop, true);
	return x ? x : find_seen(s, type, text);
}

static int
end_admin(struct stage *s)
{
	int status;

	waitpid(s->admin, &status, 0);
	channel_free(&s->channel);
	seat_release(s->segment, SEAT_OF_ADMIN);
	s->admin = 0;
	return status;
}

static int
stop_admin(struct stage *s)
{
	struct message m;

	message_init(&m, MSG_STOP_ADMIN);
	channel_send(s->channel, &m);
	while (!s->closed)
		loop_turn(s->loop, true);
	return end_admin(s);
}

static int
setup(void **state)
{
	struct segment_params params = {.concurrency = 2, .generation = 1};
	struct stage *s = mem_new(struct stage);
	struct err err;

	s->loop = loop_new();
	s->journal_fd = -1;
	s->settings = (struct settings){.config_yaml = config,
	    .mode = MODE_SERVE,
	    .concurrency = 2,
	    .hot_restart_version = "disabled"};
	assert_int_equal(segment_create_private(&s->segment, &params, &err), 0);
	segment_use(s->segment);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct stage *s = *state;

	if (s->admin) {
		kill(s->admin, SIGKILL);
		end_admin(s);
	}
	for (size_t i = 0; i < s->seen.len; i++)
		strb_fini(&s->seen.at[i].text);
	vec_fini(&s->seen);
	if (s->journal_fd >= 0)
		close(s->journal_fd);
	segment_use(NULL);
	segment_free(&s->segment);
	loop_free(&s->loop);
	mem_free(s);
	return 0;
}

static void
forget(struct stage *s)
{
	for (size_t i = 0; i < s->seen.len; i++)
		strb_fini(&s->seen.at[i].text);
	s->seen.len = 0;
}

static void
admin_port_answers(struct stage *s)
{
	const struct seen_message *x = wait_for(s, MSG_LISTEN, "127.0.0.1:0#admin");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct message m;

	assert_non_null(x);
	assert_int_equal(listen(fd, 5), 0);
	message_init(&m, MSG_LISTENED);
	message_z(&m, "127.0.0.1:0#admin");
	message_u(&m, 1);
	message_z(&m, "127.0.0.1:18002");
	channel_send(s->channel, &m);
	message_init(&m, MSG_LISTEN_ADMIN_FD);
	m.fd = fd;
	message_z(&m, "127.0.0.1:0#admin");
	channel_send(s->channel, &m);
	close(fd);
}

static void
serve(struct stage *s)
{
	start_admin(s);
	worker_started(s, 2);
	worker_started(s, 3);
	admin_port_answers(s);
	assert_non_null(wait_for(s, MSG_SERVING, NULL));
}

static void
a_configuration_is_published_and_serves(void **state)
{
	struct stage *s = *state;
	struct journal_map map;
	struct journal_state live;
	struct stat_query q = {0};
	struct stat_set *set;
	struct err err;

	serve(s);
	assert_true(s->used > 0);
	assert_int_equal(s->journal_bytes, 0); /* nothing was in force when it came */
	assert_int_equal(journal_map(&map, s->journal_fd, s->used, &err), 0);
	assert_int_equal(journal_read(&map, &live, &err), 0);
	assert_int_equal(live.live.len, 4);
	assert_int_equal(live.live.at[0].kind, RESOURCE_BOOTSTRAP);
	assert_int_equal(live.live.at[1].kind, RESOURCE_CLUSTER);
	assert_int_equal(live.live.at[2].kind, RESOURCE_LISTENER);
	assert_true(str_eqz(live.live.at[2].name, "ingress"));
	assert_int_equal(live.live.at[2].version.n, 16);
	assert_int_equal(live.live.at[3].kind, RESOURCE_MEMBERS);
	assert_true(str_eqz(live.live.at[3].name, "api"));
	journal_state_fini(&live);
	journal_unmap(&map);

	assert_int_equal(stat_read_fd(&set, s->segment->fd, &q, &err), 0);
	assert_non_null(stat_set_find(set, STR("listener.127.0.0.1_18000.downstream_cx_total")));
	assert_non_null(stat_set_find(set, STR("listener.127.0.0.1_18000.worker_1.downstream_cx_total")));
	assert_non_null(stat_set_find(set, STR("http.ingress_http.downstream_rq_total")));
	assert_non_null(stat_set_find(
	    set, STR("listener.127.0.0.1_18000.http.ingress_http.downstream_rq_5xx")));
	assert_non_null(stat_set_find(set, STR("cluster.api.upstream_rq_total")));
	assert_int_equal(stat_set_find(set, STR("cluster.api.membership_total"))->gauge, 1);
	assert_int_equal(stat_set_find(set, STR("server.live"))->gauge, 1);
	assert_int_equal(stat_set_find(set, STR("server.state"))->gauge, 0);
	assert_int_equal(stat_set_find(set, STR("listener_manager.workers_started"))->gauge, 1);
	assert_int_equal(stat_set_find(set, STR("listener_manager.listener_create_success"))->counter, 2);
	assert_int_equal(stat_set_find(set, STR("cluster_manager.active_clusters"))->gauge, 1);
	stat_set_free(&set);
	assert_int_equal(stop_admin(s), 0);
}

static uint64_t
gauge(const struct stage *s, const char *name)
{
	struct stat_query q = {0};
	struct stat_set *set;
	struct err err;
	uint64_t v;

	assert_int_equal(stat_read_fd(&set, s->segment->fd, &q, &err), 0);
	v = stat_set_find(set, str_of(name))->gauge;
	stat_set_free(&set);
	return v;
}

/* Admin has heard all that was said before. */
static void
ask_anything(struct stage *s)
{
	struct message m;

	message_init(&m, MSG_CONTROL);
	message_u(&m, 1);
	message_z(&m, "nothing it knows");
	message_u(&m, 0);
	channel_send(s->channel, &m);
	assert_non_null(wait_for(s, MSG_CONTROL_DONE, NULL));
}

/* Without master nobody gives it one, and what is LIVE must do without master. */
static void
it_is_not_live_while_a_worker_has_no_sockets(void **state)
{
	struct stage *s = *state;

	s->without_socket = 3;
	start_admin(s);
	worker_started(s, 2);
	worker_started(s, 3);
	admin_port_answers(s);
	assert_non_null(wait_for(s, MSG_USE, NULL));
	worker_started(s, 4); /* another that has none */
	worker_accepts(s, 4);
	ask_anything(s);
	assert_int_equal(gauge(s, "server.live"), 0);
	assert_null(find_seen(s, MSG_SERVING, NULL));
	worker_accepts(s, 3);
	assert_non_null(wait_for(s, MSG_SERVING, NULL));
	assert_int_equal(gauge(s, "server.live"), 1);
	assert_int_equal(stop_admin(s), 0);
}

static void
a_worker_that_ends_is_not_waited_for(void **state)
{
	struct stage *s = *state;
	struct message m;

	s->without_socket = 3;
	start_admin(s);
	worker_started(s, 2);
	worker_started(s, 3);
	admin_port_answers(s);
	assert_non_null(wait_for(s, MSG_USE, NULL));
	message_init(&m, MSG_WORKER_ENDED);
	message_u(&m, 3);
	channel_send(s->channel, &m);
	assert_non_null(wait_for(s, MSG_SERVING, NULL));
	assert_int_equal(stop_admin(s), 0);
}

static void
a_new_admin_goes_on_without_touching_workers(void **state)
{
	struct stage *s = *state;

	serve(s);
	kill(s->admin, SIGKILL);
	while (!s->closed)
		loop_turn(s->loop, true);
	end_admin(s);
	forget(s);
	serve(s); /* from the journal, with s->used bytes in force */
	assert_null(find_seen(s, MSG_PREPARE, NULL));
	assert_null(find_seen(s, MSG_USE, NULL));
	assert_null(find_seen(s, MSG_JOURNAL, NULL));
	assert_non_null(find_seen(s, MSG_LISTEN, "127.0.0.1:18000"));
	assert_int_equal(stop_admin(s), 0);
}

static void
a_port_in_use_ends_the_start(void **state)
{
	struct stage *s = *state;
	const struct seen_message *x;
	int status;

	s->refuse_listen = true;
	start_admin(s);
	x = wait_for(s, MSG_FAILED, NULL);
	assert_non_null(x);
	assert_int_equal(x->number, 1);
	assert_non_null(strstr(strb_z(&x->text),
	    "error adding listener: 'ingress': cannot bind '127.0.0.1:18000': Address already in use"));
	assert_int_equal(s->used, 0);
	while (!s->closed)
		loop_turn(s->loop, true);
	status = end_admin(s);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

/* Both answers may be read in one turn: the first reason counts. */
static void
two_ports_in_use_are_one_failure(void **state)
{
	struct stage *s = *state;
	struct strb two = {0};
	const char *clusters = strstr(config, "  clusters:");
	size_t failures = 0;

	strb_add(&two, config, (size_t)(clusters - config));
	strb_addz(&two, "  - name: second\n"
			"    address: {socket_address: {address: 127.0.0.1, port_value: 18003}}\n"
			"    filter_chains: *chains\n");
	strb_addz(&two, clusters);
	s->settings.config_yaml = strb_z(&two);
	s->refuse_listen = true;
	start_admin(s);
	while (!s->closed)
		loop_turn(s->loop, true);
	assert_int_equal(WEXITSTATUS(end_admin(s)), 1);
	for (size_t i = 0; i < s->seen.len; i++)
		failures += s->seen.at[i].type == MSG_FAILED;
	assert_int_equal(failures, 1);
	strb_fini(&two);
}

static void
a_refusal_of_one_worker_puts_nothing_in_force(void **state)
{
	struct stage *s = *state;
	const struct seen_message *x;

	s->refuse_prepare = true;
	start_admin(s);
	worker_started(s, 2);
	worker_started(s, 3);
	admin_port_answers(s);
	x = wait_for(s, MSG_FAILED, NULL);
	assert_non_null(x);
	assert_non_null(strstr(strb_z(&x->text), "cannot build that"));
	assert_null(find_seen(s, MSG_USE, NULL));
	assert_null(find_seen(s, MSG_SERVING, NULL));
	while (!s->closed)
		loop_turn(s->loop, true);
	assert_int_equal(WEXITSTATUS(end_admin(s)), 1);
}

static void
a_wrong_configuration_asks_for_no_socket(void **state)
{
	struct stage *s = *state;
	const struct seen_message *x;

	s->settings.config_yaml = "static_resources: {listeners: [{name: a, adress: {}}]}\n";
	start_admin(s);
	x = wait_for(s, MSG_FAILED, NULL);
	assert_non_null(x);
	assert_null(find_seen(s, MSG_LISTEN, NULL));
	while (!s->closed)
		loop_turn(s->loop, true);
	assert_int_equal(WEXITSTATUS(end_admin(s)), 1);
}

static int
run_mode(struct stage *s, enum run_mode mode, struct strb *out)
{
	struct process_start start = {.settings = &s->settings, .channel_fd = -1, .segment_fd = -1};
	int pipe_fd[2], status;
	char text[4096];
	ssize_t n;
	pid_t pid;

	s->settings.mode = mode;
	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipe_fd[1], 1);
		close(pipe_fd[0]);
		_exit(admin_process.run(&start));
	}
	close(pipe_fd[1]);
	while ((n = read(pipe_fd[0], text, sizeof(text))) > 0)
		strb_add(out, text, (size_t)n);
	close(pipe_fd[0]);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void
validate_and_print_end_by_themselves(void **state)
{
	struct stage *s = *state;
	struct strb out = {0};

	assert_int_equal(run_mode(s, MODE_VALIDATE, &out), 0);
	assert_string_equal(strb_z(&out), "configuration '--config-yaml' OK\n");
	strb_reset(&out);
	assert_int_equal(run_mode(s, MODE_PRINT, &out), 0);
	assert_non_null(strstr(strb_z(&out), "\"stat_prefix\": \"ingress_http\""));
	strb_reset(&out);
	s->settings.config_yaml = "admin: [1]\n";
	assert_int_equal(run_mode(s, MODE_VALIDATE, &out), 1);
	assert_string_equal(strb_z(&out), "");
	strb_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_configuration_is_published_and_serves, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_is_not_live_while_a_worker_has_no_sockets, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_worker_that_ends_is_not_waited_for, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_new_admin_goes_on_without_touching_workers, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_port_in_use_ends_the_start, setup, teardown),
	    cmocka_unit_test_setup_teardown(two_ports_in_use_are_one_failure, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_refusal_of_one_worker_puts_nothing_in_force, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_wrong_configuration_asks_for_no_socket, setup, teardown),
	    cmocka_unit_test_setup_teardown(validate_and_print_end_by_themselves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
