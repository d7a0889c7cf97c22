/* nginx and haproxy as subjects: reload is all they know, for configuration and binary alike. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/soak/soak.h"

#define SETTLE_MS 400 /* neither tells when a reload is in force */

static pid_t master;
static char *log_path;

/* ---- nginx */

static char *nginx_conf;

static void
nginx_command(const char *signal_name)
{
	char *argv[] = {"nginx", "-c", nginx_conf, "-s", (char *)signal_name, NULL};

	if (process_run(argv, NULL) != 0)
		fault("nginx -s %s failed", signal_name);
}

static void
nginx_start(void)
{
	char *argv[] = {"nginx", "-c", NULL, NULL};

	h1_port = free_port();
	h2_port = free_port();
	log_path = mem_printf("%s/log", run_dir);
	nginx_conf = argv[2] = mem_printf("%s/nginx.conf", run_dir);
	write_file("nginx.conf",
	    "%sworker_processes 2; daemon off; pid %s/nginx.pid; error_log %s/nginx.err;\n"
	    "events { worker_connections 4096; }\n"
	    "http {\n"
	    "  access_log off; client_max_body_size 0; keepalive_requests 100000000; "
	    "keepalive_timeout 600s;\n"
	    "  client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;\n"
	    "  uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"
	    "  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\n"
	    "  upstream o { server 127.0.0.1:%u; keepalive 64; keepalive_requests 100000000; }\n"
	    "  server {\n"
	    "    listen 127.0.0.1:%u; listen 127.0.0.1:%u http2;\n"
	    "    location / {\n"
	    "      proxy_pass http://o; proxy_http_version 1.1; proxy_request_buffering off;\n"
	    "      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "
	    "$connection_upgrade;\n"
	    "      proxy_read_timeout 600s; proxy_send_timeout 600s;\n"
	    "    }\n"
	    "  }\n"
	    "}\n",
	    geteuid() == 0 ? "user root; " : "", run_dir, run_dir, run_dir, run_dir, run_dir,
	    run_dir, run_dir, origin_port, h1_port, h2_port);
	master = process_start(argv, log_path);
	wait_for_port(h1_port);
}

static void
nginx_reload(unsigned n)
{
	nginx_command("reload");
	run_for(SETTLE_MS);
}

static void
nginx_stop(void)
{
	nginx_command("stop");
}

const struct subject subject_nginx = {
    .name = "nginx",
    .start = nginx_start,
    .reload = nginx_reload,
    .stop = nginx_stop,
};

/* ---- haproxy */

static void
haproxy_start(void)
{
	char *argv[] = {"haproxy", "-W", "-f", NULL, NULL};

	h1_port = free_port();
	h2_port = free_port();
	log_path = mem_printf("%s/log", run_dir);
	argv[3] = mem_printf("%s/haproxy.cfg", run_dir);
	write_file("haproxy.cfg",
	    "global\n"
	    "  nbthread 2\n"
	    "  maxconn 4096\n"
	    "  stats socket %s/haproxy.sock level admin expose-fd listeners\n"
	    "defaults\n"
	    "  mode http\n"
	    "  timeout connect 5s\n"
	    "  timeout client 600s\n"
	    "  timeout server 600s\n"
	    "  timeout tunnel 600s\n"
	    "  timeout http-keep-alive 600s\n"
	    "frontend f\n"
	    "  bind 127.0.0.1:%u\n"
	    "  bind 127.0.0.1:%u proto h2\n"
	    "  default_backend b\n"
	    "backend b\n"
	    "  server s 127.0.0.1:%u\n",
	    run_dir, h1_port, h2_port, origin_port);
	master = process_start(argv, log_path);
	wait_for_port(h1_port);
}

static void
haproxy_reload(unsigned n)
{
	kill(master, SIGUSR2);
	run_for(SETTLE_MS);
}

static void
haproxy_stop(void)
{
	int status;

	kill(master, SIGTERM);
	while (!process_ended(master, &status))
		loop_turn(20);
}

const struct subject subject_haproxy = {
    .name = "haproxy",
    .start = haproxy_start,
    .reload = haproxy_reload,
    .stop = haproxy_stop,
};
