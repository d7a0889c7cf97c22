/*
 * What admin asks of master about listening sockets, for the start and
 * for a reload: LISTEN and UNLISTEN, and what can be said about addresses
 * before anything is asked.
 */
#ifndef ADMIN_LISTEN_H
#define ADMIN_LISTEN_H

#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct admin;
struct store;
struct store_listener;

void listen_ask(struct admin *a, const struct store_listener *l);
void listen_ask_admin_port(
    struct admin *a, const Envoy__Config__Bootstrap__V3__Bootstrap *b, struct str key);
void listen_give_up(struct admin *a, struct str key);

/* The key of the admin port; empty when there is none.  -1 when its address makes no sense. */
int listen_admin_key(
    struct strb *out, const Envoy__Config__Bootstrap__V3__Bootstrap *b, struct err *err);
/* Two rows of one address would be one socket. */
int listen_check(const struct store *s, struct str admin_key, struct err *err);

#endif
