#include "lib/ipc/process.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"

/*
 * The title is written over the bytes of argv and environ, which the
 * kernel shows as the command line.  Both are copied away first, so that
 * pointers into argv that were taken after process_title_init() stay
 * good.
 */

static char *area;
static size_t area_len;

static void
grow_area(const char *z)
{
	if (area + area_len == z)
		area_len += strlen(z) + 1;
}

static void
copy_environ(void)
{
	/* Reachable for as long as the process lives: setenv() and unsetenv() forget strings and the
	 * array itself, and free nothing that they did not make. */
	static char **copy, **kept;
	size_t n = 0;

	while (environ[n])
		n++;
	copy = mem_array(char *, n + 1);
	kept = mem_array(char *, n + 1);
	for (size_t i = 0; i < n; i++) {
		grow_area(environ[i]);
		copy[i] = kept[i] = mem_strdup(environ[i]);
	}
	environ = copy;
}

void
process_title_init(int argc, char **argv)
{
	static char **kept; /* reachable for as long as the process lives */

	area = argv[0];
	area_len = 0;
	kept = mem_array(char *, (size_t)argc + 1);
	for (int i = 0; i < argc; i++) {
		grow_area(argv[i]);
		kept[i] = argv[i] = mem_strdup(argv[i]);
	}
	copy_environ();
}

void
process_title(const char *fmt, ...)
{
	va_list ap;

	if (area == NULL)
		return;
	va_start(ap, fmt);
	memset(area, 0, area_len);
	vsnprintf(area, area_len, fmt, ap);
	va_end(ap);
}
