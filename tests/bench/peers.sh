# For bench.sh: the configurations of those that baton is compared with.
# HTTP/2 windows are the protocol's 65,535 everywhere, nginx knows no others.

nginx_head() { # workers, folder, name of its pid's file: all but upstreams and servers
	cat <<EOF
worker_processes $1; daemon off; pid $2/$3.pid; error_log $2/nginx.err;
events { worker_connections 12000; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path $2/b; proxy_temp_path $2/p;
  fastcgi_temp_path $2/f; uwsgi_temp_path $2/u; scgi_temp_path $2/s;
  proxy_request_buffering off; proxy_buffers 8 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host \$http_host;
  keepalive_timeout 600s;
EOF
}

nginx_conf() { # workers, folder, origin's port, HTTP/1 port, HTTP/2 port, port with a log
	nginx_head "$1" "$2" "nginx.$1"
	cat <<EOF
  upstream o { server 127.0.0.1:$3; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:$4;
    location / { proxy_pass http://o; }
    location /ws { proxy_pass http://o; proxy_set_header Connection upgrade; proxy_set_header Upgrade \$http_upgrade; }
  }
  server { listen 127.0.0.1:$5 http2; location / { proxy_pass http://o; } }
  server { listen 127.0.0.1:$6; access_log $2/nginx.log combined buffer=64k flush=1s; location / { proxy_pass http://o; } }
}
EOF
}

nginx_hosts_conf() { # folder, name, HTTP/1 port, hosts' port, how many, [policy]: two kept connections for each
	nginx_head 1 "$1" "$2"
	echo "  upstream o {${6:+ $6;}"
	host_addresses "$5" | sed "s/.*/    server &:$4;/"
	cat <<EOF
    keepalive $(($5 * 2)); keepalive_requests 100000000;
  }
  server { listen 127.0.0.1:$3; location / { proxy_pass http://o; } }
}
EOF
}

h2_origin_command() { # folder, HTTP/2 port: a kibibyte; nghttpd, or as H2_ORIGIN=nginx who writes each frame alone
	if [ "${H2_ORIGIN:-nghttpd}" = nginx ]; then
		cat >"$1/h2.conf" <<EOF
worker_processes 1; daemon off; pid $1/h2.pid; error_log $1/h2.err;
events { worker_connections 1000; }
http {
  access_log off; keepalive_requests 100000000; http2_max_concurrent_streams 1000; client_body_temp_path $1/b;
  proxy_temp_path $1/p; fastcgi_temp_path $1/f; uwsgi_temp_path $1/u; scgi_temp_path $1/s;
  server { listen 127.0.0.1:$2 http2; location / { return 200 "$(printf '%1024s' | tr ' ' x)"; } }
}
EOF
		echo "nginx -c $1/h2.conf"
		return
	fi
	mkdir -p "$1/h2"
	printf '%1024s' | tr ' ' x >"$1/h2/index.html"
	echo "nghttpd --no-tls -a 127.0.0.1 -d $1/h2 $2"
}

haproxy_head() { # threads, [port of its numbers]: all but frontends and backends
	cat <<EOF
global
  nbthread $1
  maxconn 10100
  no strict-limits
${2:+  stats socket ipv4@127.0.0.1:$2 level operator}
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 60s
EOF
}

haproxy_cfg() { # threads, origin's port, HTTP/1 port, HTTP/2 port, port of its numbers, [port to HTTP/2, HTTP/2 origin's]
	haproxy_head "$1" "$5"
	cat <<EOF
frontend f
  bind 127.0.0.1:$3
  bind 127.0.0.1:$4 proto h2
  default_backend b
backend b
  server s 127.0.0.1:$2
EOF
	[ -z "${6:-}" ] || cat <<EOF
frontend f2
  bind 127.0.0.1:$6 proto h2
  default_backend b2
backend b2
  server s 127.0.0.1:$7 proto h2
EOF
}

haproxy_hosts_cfg() { # HTTP/1 port, hosts' port, how many, policy: kept connections stay
	haproxy_head 1
	cat <<EOF
frontend f
  bind 127.0.0.1:$1
  default_backend b
backend b
  balance $4
  default-server pool-purge-delay 600s
EOF
	host_addresses "$3" | awk -v port="$2" '{printf "  server s%d %s:%d\n", NR, $1, port}'
}

nghttpx_command() { # folder, port, where it sends
	echo nghttpx --workers=1 --no-ocsp --accesslog-file=/dev/null --errorlog-file="$1/nghttpx.err" --conf=/dev/null \
		--frontend="127.0.0.1,$2;no-tls" --backend="127.0.0.1,$3" \
		--frontend-http2-window-size=65535 --frontend-http2-connection-window-size=65535 \
		--backend-http2-window-size=65535 --backend-http2-connection-window-size=65535
}
