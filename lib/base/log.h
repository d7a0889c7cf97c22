/*
 * The application log: one line an event, to stderr or to --log-path.
 * Levels and logger names are Envoy's.  A quiet proxy logs nothing per
 * request.  Lines read `noun: fact, key=value`, lower case, no full stop.
 *
 * The sink is a descriptor (borrowed); workers get theirs from admin or
 * keep stderr.  Nothing here blocks or fails: what cannot be written
 * now is dropped and counted (log_take_dropped()).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

enum log_level {
	LOG_TRACE,
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARNING,
	LOG_ERROR,
	LOG_CRITICAL,
	LOG_OFF,
};

enum log_component {
#define LOGGER(id, name) LOG_##id,
#include "lib/base/log_components.def"
#undef LOGGER
	LOG_COMPONENTS,
};

/* Process-wide; index with enum log_component. */
extern uint8_t log_levels[LOG_COMPONENTS];

void log_write(enum log_component c, enum log_level l, const char *file, int line, const char *fmt,
    ...) __attribute__((format(printf, 5, 6), cold));

static inline bool
log_on(enum log_component c, enum log_level l)
{
	return (uint8_t)l >= log_levels[c];
}

#define LOG_AT(c, l, ...)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(log_on((c), (l)), (l) >= LOG_INFO))                           \
			log_write((c), (l), __FILE__, __LINE__, __VA_ARGS__);                      \
	} while (0)
#define log_trace(c, ...) LOG_AT(c, LOG_TRACE, __VA_ARGS__)
#define log_debug(c, ...) LOG_AT(c, LOG_DEBUG, __VA_ARGS__)
#define log_info(c, ...) LOG_AT(c, LOG_INFO, __VA_ARGS__)
#define log_warning(c, ...) LOG_AT(c, LOG_WARNING, __VA_ARGS__)
#define log_error(c, ...) LOG_AT(c, LOG_ERROR, __VA_ARGS__)
#define log_critical(c, ...) LOG_AT(c, LOG_CRITICAL, __VA_ARGS__)

const char *log_level_name(enum log_level l);
/* trace debug info warning (warn) error critical (crit) off; false when unknown. */
bool log_level_parse(struct str name, enum log_level *out);
const char *log_component_name(enum log_component c);
bool log_component_parse(struct str name, enum log_component *out);

void log_set_all(enum log_level l);
void log_set(enum log_component c, enum log_level l);
void log_set_fd(int fd);               /* borrowed; 2 at start */
int log_fd(void);
/*
 * spdlog pattern, the subset people use: %Y %m %d %H %M %S %T %e %f %F %t %P %l %L %n %g %s %# %v
 * %j %z %% and %+; borrowed.  False and unchanged when a specifier is unknown (*bad names it).
 */
bool log_set_format(const char *pattern, char *bad);
extern const char log_default_format[];
uint64_t log_take_dropped(void); /* lines since it was last asked */

#endif
