#include "lib/base/log.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/clock.h"

#define LINE_MAX_BYTES 4096

const char log_default_format[] = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

uint8_t log_levels[LOG_COMPONENTS] = {
#define LOGGER(id, name) LOG_INFO,
#include "lib/base/log_components.def"
#undef LOGGER
};

static const char *const component_names[] = {
#define LOGGER(id, name) name,
#include "lib/base/log_components.def"
#undef LOGGER
};

static const char *const level_names[] = {
    "trace", "debug", "info", "warning", "error", "critical", "off"};

static int out_fd = 2;
static const char *format = log_default_format;
static uint64_t dropped;
static enum { UNKNOWN, IS_FILE, HAS_READER } sink; /* what out_fd is */

const char *
log_level_name(enum log_level l)
{
	return level_names[l];
}

bool
log_level_parse(struct str name, enum log_level *out)
{
	if (str_eqz(name, "warn"))
		name = STR("warning");
	if (str_eqz(name, "crit"))
		name = STR("critical");
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (str_eqz(name, level_names[i])) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

const char *
log_component_name(enum log_component c)
{
	return component_names[c];
}

bool
log_component_parse(struct str name, enum log_component *out)
{
	for (size_t i = 0; i < LOG_COMPONENTS; i++) {
		if (str_eqz(name, component_names[i])) {
			*out = (enum log_component)i;
			return true;
		}
	}
	return false;
}

void
log_set_all(enum log_level l)
{
	for (int i = 0; i < LOG_COMPONENTS; i++)
		log_levels[i] = (uint8_t)l;
}

void
log_set(enum log_component c, enum log_level l)
{
	log_levels[c] = (uint8_t)l;
}

void
log_set_fd(int fd)
{
	out_fd = fd;
	sink = UNKNOWN;
}

int
log_fd(void)
{
	return out_fd;
}

uint64_t
log_take_dropped(void)
{
	uint64_t n = dropped;

	dropped = 0;
	return n;
}

bool
log_set_format(const char *pattern, char *bad)
{
	for (const char *p = pattern; *p; p++) {
		if (*p != '%')
			continue;
		p++;
		if (*p == '\0' || strchr("YmdHMSTefFtPlLngs#vjz%+@", *p) == NULL) {
			*bad = *p;
			return false;
		}
	}
	format = pattern;
	return true;
}

static void
add_date(struct strb *b, char spec, const struct tm *tm)
{
	char fmt[3] = {'%', spec, 0}, out[32];

	strb_add(b, out, strftime(out, sizeof(out), fmt, tm));
}

struct log_line {
	enum log_component c;
	enum log_level l;
	const char *file;
	int line;
	const char *text;
	struct tm tm;
	unsigned ns;
};

static void
add_spec(struct strb *b, char spec, const struct log_line *x)
{
	const char *base = strrchr(x->file, '/');

	switch (spec) {
	case 'e':
		strb_printf(b, "%03u", x->ns / 1000000);
		break;
	case 'f':
		strb_printf(b, "%06u", x->ns / 1000);
		break;
	case 'F':
		strb_printf(b, "%09u", x->ns);
		break;
	case 't':
	case 'P':
		strb_printf(b, "%d", (int)getpid());
		break;
	case 'l':
		strb_addz(b, level_names[x->l]);
		break;
	case 'L':
		strb_addc(b, (char)(level_names[x->l][0] - 32));
		break;
	case 'n':
		strb_addz(b, component_names[x->c]);
		break;
	case 'g':
		strb_addz(b, x->file);
		break;
	case 's':
		strb_addz(b, base ? base + 1 : x->file);
		break;
	case '@':
		strb_printf(b, "%s:%d", x->file, x->line);
		break;
	case '#':
		strb_printf(b, "%d", x->line);
		break;
	case 'v':
	case 'j':
		strb_addz(b, x->text);
		break;
	case '+':
		strb_printf(b, "[%s] [%s] %s", component_names[x->c], level_names[x->l], x->text);
		break;
	case '%':
		strb_addc(b, '%');
		break;
	default:
		add_date(b, spec, &x->tm);
	}
}

static bool
has_room(void)
{
	struct pollfd p = {out_fd, POLLOUT, 0};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* A pipe or terminal whose reader is asleep must not stop us: it takes a piece of PIPE_BUF now, or
 * none.  The descriptor is shared with strangers, so it cannot be made non-blocking. */
static void
write_line(struct strb *b)
{
	struct stat st;

	if (sink == UNKNOWN)
		sink = fstat(out_fd, &st) == 0 && S_ISREG(st.st_mode) ? IS_FILE : HAS_READER;
	if (sink == HAS_READER && b->n > PIPE_BUF) {
		b->n = PIPE_BUF;
		b->p[b->n - 1] = '\n';
	}
	if ((sink == HAS_READER && !has_room()) || write(out_fd, b->p, b->n) != (ssize_t)b->n)
		dropped++;
}

void
log_write(enum log_component c, enum log_level l, const char *file, int line, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	struct log_line x = {.c = c, .l = l, .file = file, .line = line, .text = text};
	struct strb b = {0};
	uint64_t now = clock_wall_ns();
	time_t sec = (time_t)(now / NS_PER_S);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++) /* one event is one line, whatever a stranger sent */
		if ((unsigned char)*p < 32 && *p != '\t')
			*p = ' ';
	x.ns = (unsigned)(now % NS_PER_S);
	gmtime_r(&sec, &x.tm);
	for (const char *p = format; *p; p++) {
		if (*p == '%')
			add_spec(&b, *++p, &x);
		else
			strb_addc(&b, *p);
	}
	strb_addc(&b, '\n');
	write_line(&b);
	strb_fini(&b);
}
