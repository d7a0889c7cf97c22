/*
 * What baton.c and points.c share about the baton under test.
 */
#ifndef SOAK_BATON_H
#define SOAK_BATON_H

#include <stdbool.h>
#include <sys/types.h>

struct strb;

pid_t baton_master(void); /* as the pid file says; 0: nobody */
pid_t baton_spawn(const char *concurrency, const char *epoch);
pid_t baton_spawn_with(const char *concurrency, const char *epoch, const char *const *more);
bool baton_wait_master(pid_t pid); /* until it serves; false: it has ended, or does not */
bool baton_lives(pid_t master);
unsigned baton_records(const char *kind); /* entries of it in the ring of failures */
pid_t baton_ask(const char *word); /* batonctl, not waited for */
int baton_ctl(const char *word, struct strb *out);
void baton_change_config(bool plain); /* to the next version; plain: without the extra listener */
const char *baton_log(void);
const char *baton_runtime(void); /* of the base id */
void baton_show_log(void);

#endif
