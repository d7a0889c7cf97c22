/*
 * The rows of shm/stats/<scope>.def as C: struct <scope>_stats has one
 * member a row, named as the stat with dots as underscores.  Texts lie in
 * the shared part of the block: struct <scope>_texts.
 */
#ifndef SHM_STATS_STRUCTS_H
#define SHM_STATS_STRUCTS_H

#include "shm/stat.h"

#define STAT_CELL_counter(m) struct stat_counter m;
#define STAT_CELL_lazy(m) struct stat_counter m;
#define STAT_CELL_gauge(m) struct stat_gauge m;
#define STAT_CELL_gauge_own(m) struct stat_gauge m;
#define STAT_CELL_gauge_any(m) struct stat_gauge m;
#define STAT_CELL_lazy_gauge_own(m) struct stat_gauge m;
#define STAT_CELL_lazy_gauge_most(m) struct stat_gauge m;
#define STAT_CELL_histogram(m) struct stat_histogram m;
#define STAT_CELL_lazy_histogram(m) struct stat_histogram m;
#define STAT_CELL_codes(m) struct stat_codes m;
#define STAT_CELL_text(m)

#define STAT(kind, member, name, unit, help) STAT_CELL_##kind(member)
struct server_stats {
#include "shm/stats/server.def"
};
struct watchdog_stats {
#include "shm/stats/watchdog.def"
};
struct baton_stats {
#include "shm/stats/baton.def"
};
struct listener_stats {
#include "shm/stats/listener.def"
};
struct listener_worker_stats {
#include "shm/stats/listener_worker.def"
};
struct listener_http_stats {
#include "shm/stats/listener_http.def"
};
struct listener_manager_stats {
#include "shm/stats/listener_manager.def"
};
struct http_stats {
#include "shm/stats/http.def"
};
struct health_check_stats {
#include "shm/stats/health_check.def"
};
struct http1_codec_stats {
#include "shm/stats/http1_codec.def"
};
struct http2_codec_stats {
#include "shm/stats/http2_codec.def"
};
struct cluster_stats {
#include "shm/stats/cluster.def"
};
struct active_check_stats {
#include "shm/stats/active_check.def"
};
struct cluster_codes_stats {
#include "shm/stats/cluster_codes.def"
};
struct host_outcome_stats {
#include "shm/stats/host_outcome.def"
};
struct outlier_detection_stats {
#include "shm/stats/outlier_detection.def"
};
struct subscription_stats {
#include "shm/stats/subscription.def"
};
struct control_plane_stats {
#include "shm/stats/control_plane.def"
};
struct cluster_manager_stats {
#include "shm/stats/cluster_manager.def"
};
struct dns_cares_stats {
#include "shm/stats/dns_cares.def"
};
struct host_stats {
#include "shm/stats/host.def"
};
struct runtime_stats {
#include "shm/stats/runtime.def"
};
struct filesystem_stats {
#include "shm/stats/filesystem.def"
};
struct access_log_stats {
#include "shm/stats/access_log.def"
};
#undef STAT

#define STAT_TEXT_counter(m)
#define STAT_TEXT_lazy(m)
#define STAT_TEXT_gauge(m)
#define STAT_TEXT_gauge_own(m)
#define STAT_TEXT_gauge_any(m)
#define STAT_TEXT_lazy_gauge_own(m)
#define STAT_TEXT_lazy_gauge_most(m)
#define STAT_TEXT_histogram(m)
#define STAT_TEXT_lazy_histogram(m)
#define STAT_TEXT_codes(m)
#define STAT_TEXT_text(m) struct stat_text m;

#define STAT(kind, member, name, unit, help) STAT_TEXT_##kind(member)
struct baton_texts {
#include "shm/stats/baton.def"
};
struct subscription_texts {
#include "shm/stats/subscription.def"
};
struct control_plane_texts {
#include "shm/stats/control_plane.def"
};
#undef STAT

#endif
