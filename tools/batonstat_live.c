/*
 * batonstat: the live view.  Once a second everything is read again;
 * rates are differences to the read before.
 */
#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "shm/hosts.h"
#include "tools/batonstat.h"

#define REFRESH_TENTHS 10

enum page {
	PAGE_TRAFFIC,
	PAGE_HOSTS,
	PAGE_GENERATIONS,
	PAGE_FAILURES,
	PAGES,
};

static const struct {
	int key;
	const char *name;
} pages[PAGES] = {
    [PAGE_TRAFFIC] = {'t', "traffic"},
    [PAGE_HOSTS] = {'h', "hosts"},
    [PAGE_GENERATIONS] = {'g', "generations"},
    [PAGE_FAILURES] = {'f', "failures"},
};

struct live {
	const struct batonstat *o;
	enum page page;
	int scroll;
	struct stat_set *now, *before; /* before: NULL at first */
	uint64_t read_at_ns, before_at_ns;
	struct strb body; /* of the page, lines */
	struct strb name; /* scratch */
	struct err err;
	bool failed;
};

/* ---- numbers */

static int64_t
value_of(const struct stat_set *set, struct str name)
{
	const struct stat_row *row = set ? stat_set_find(set, name) : NULL;

	if (row == NULL)
		return 0;
	return row->kind == STAT_GAUGE ? row->gauge : (int64_t)row->counter;
}

static struct str
full_name(struct live *l, struct str prefix, const char *name)
{
	strb_reset(&l->name);
	strb_adds(&l->name, prefix);
	strb_addz(&l->name, name);
	return strb_str(&l->name);
}

static int64_t
value(struct live *l, struct str prefix, const char *name)
{
	return value_of(l->now, full_name(l, prefix, name));
}

static double
rate(struct live *l, struct str prefix, const char *name)
{
	struct str full = full_name(l, prefix, name);
	double seconds = (double)(l->read_at_ns - l->before_at_ns) / 1e9;

	if (l->before == NULL || seconds <= 0)
		return 0;
	return (double)(value_of(l->now, full) - value_of(l->before, full)) / seconds;
}

static void
add_rate(struct live *l, struct table *t, struct str prefix, const char *name)
{
	struct strb cell = {0};

	strb_printf(&cell, "%.1f", rate(l, prefix, name));
	table_add(t, &cell);
}

/* P50 and P99 of what came since the read before. */
static void
add_latency(struct live *l, struct table *t, struct str prefix, const char *name)
{
	struct str full = full_name(l, prefix, name);
	const struct stat_row *row = stat_set_find(l->now, full);
	const struct stat_row *old = l->before ? stat_set_find(l->before, full) : NULL;
	double q[HISTOGRAM_QUANTILES];
	struct strb cell = {0};
	struct histogram h;

	if (row == NULL || old == NULL || row->kind != STAT_HISTOGRAM) {
		table_addz(t, "-");
		return;
	}
	histogram_copy(&h, row->histogram);
	histogram_subtract(&h, old->histogram);
	histogram_compute(&h, q);
	if (h.count == 0)
		strb_addz(&cell, "-");
	else
		strb_printf(&cell, "%.3g/%.3g", q[2], q[6]);
	table_add(t, &cell);
	histogram_fini(&h);
}

/* ---- pages */

static void
head(struct table *t, const char *const *titles)
{
	for (; *titles; titles++, t->columns++)
		table_addz(t, *titles);
}

static void
add_object(struct table *t, struct str prefix, size_t skip)
{
	struct strb cell = {0};

	show_text(&cell, str_make(prefix.p + skip, prefix.n - skip - 1));
	table_add(t, &cell);
}

static void
http_row(struct live *l, struct table *t, struct str prefix)
{
	add_object(t, prefix, 5);
	add_rate(l, t, prefix, "downstream_rq_total");
	table_num(t, value(l, prefix, "downstream_rq_active"));
	table_num(t, value(l, prefix, "downstream_cx_active"));
	add_rate(l, t, prefix, "downstream_rq_2xx");
	add_rate(l, t, prefix, "downstream_rq_4xx");
	add_rate(l, t, prefix, "downstream_rq_5xx");
	add_latency(l, t, prefix, "downstream_rq_time");
}

static void
cluster_row(struct live *l, struct table *t, struct str prefix)
{
	struct strb cell = {0};

	add_object(t, prefix, 8);
	add_rate(l, t, prefix, "upstream_rq_total");
	table_num(t, value(l, prefix, "upstream_rq_active"));
	table_num(t, value(l, prefix, "upstream_cx_active"));
	add_rate(l, t, prefix, "upstream_rq_2xx");
	add_rate(l, t, prefix, "upstream_rq_4xx");
	add_rate(l, t, prefix, "upstream_rq_5xx");
	add_latency(l, t, prefix, "upstream_rq_time");
	strb_printf(&cell, "%lld/%lld", (long long)value(l, prefix, "membership_healthy"),
	    (long long)value(l, prefix, "membership_total"));
	table_add(t, &cell);
	table_num(t, value(l, prefix, "upstream_cx_connect_fail"));
}

/* A row for each object that has a stat of this ending. */
static void
each(struct live *l, struct table *t, const char *start, const char *end,
    void (*add)(struct live *l, struct table *t, struct str prefix))
{
	for (size_t i = 0; i < l->now->rows.len; i++) {
		struct str name = l->now->rows.at[i]->name;
		struct str prefix =
		    str_make(name.p, name.n - strlen(end) < name.n ? name.n - strlen(end) : 0);

		if (str_starts(name, str_of(start)) && str_ends(name, str_of(end)) &&
		    prefix.n > strlen(start) && batonstat_match((void *)l->o, name))
			add(l, t, prefix);
	}
}

static void
page_traffic(struct live *l)
{
	static const char *const http[] = {
	    "HTTP", "rq/s", "rq", "cx", "2xx/s", "4xx/s", "5xx/s", "ms p50/p99", NULL};
	static const char *const cluster[] = {"CLUSTER", "rq/s", "rq", "cx", "2xx/s", "4xx/s",
	    "5xx/s", "ms p50/p99", "healthy", "connect fail", NULL};
	struct table t = {0};

	head(&t, http);
	each(l, &t, "http.", "downstream_rq_total", http_row);
	table_print(&t, &l->body);
	strb_addc(&l->body, '\n');
	t = (struct table){0};
	head(&t, cluster);
	each(l, &t, "cluster.", "upstream_rq_pending_total", cluster_row);
	table_print(&t, &l->body);
}

static int
page_table(
    struct live *l, int (*print)(const struct batonstat *o, struct strb *out, struct err *err))
{
	return print(l->o, &l->body, &l->err);
}

static int
compose(struct live *l)
{
	strb_reset(&l->body);
	switch (l->page) {
	case PAGE_TRAFFIC:
		page_traffic(l);
		return 0;
	case PAGE_HOSTS:
		return page_table(l, batonstat_hosts);
	case PAGE_GENERATIONS:
		return page_table(l, batonstat_generations);
	case PAGE_FAILURES:
		return page_table(l, batonstat_failures);
	case PAGES:
		break;
	}
	return -1;
}

/* ---- screen */

static void
draw_title(struct live *l)
{
	struct strb line = {0};
	size_t alive = 0;

	for (size_t i = 0; l->now && i < l->now->generations.len; i++) {
		const struct stat_generation *g = &l->now->generations.at[i];

		alive += g->alive;
		if (!g->serving)
			continue;
		strb_printf(&line, "baton %s  generation %llu %s%s  up ", g->version,
		    (unsigned long long)g->generation, show_state(g),
		    g->flags.health_failed ? ", out of rotation" : "");
		show_age(&line, (clock_wall_ns() - g->created_wall_ns) / NS_PER_S);
	}
	strb_printf(&line, "  generations alive %zu  ", alive);
	attron(A_BOLD);
	mvaddnstr(0, 0, strb_z(&line), COLS);
	attroff(A_BOLD);
	strb_fini(&line);
	move(1, 0);
	for (int i = 0; i < PAGES; i++) {
		attr_t on = i == (int)l->page ? A_REVERSE : A_NORMAL;

		attron(on);
		printw(" %c %s ", pages[i].key, pages[i].name);
		attroff(on);
	}
	printw("  q quit");
}

static void
draw_body(struct live *l)
{
	struct str rest = strb_str(&l->body), line;
	int y = 3 - l->scroll;

	for (; str_cut(&rest, '\n', &line); y++) {
		if (y < 3 || y >= LINES)
			continue;
		mvaddnstr(y, 0, line.n ? line.p : "",
		    (int)(line.n < (size_t)COLS ? line.n : (size_t)COLS));
	}
}

static void
draw(struct live *l)
{
	erase();
	draw_title(l);
	if (l->failed)
		mvaddnstr(3, 0, l->err.text, COLS);
	else
		draw_body(l);
	refresh();
}

static void
read_again(struct live *l)
{
	struct stat_set *set;

	l->failed = batonstat_read(l->o, (struct stat_query){0}, &set, &l->err) < 0;
	if (l->failed)
		return;
	stat_set_free(&l->before);
	l->before = l->now;
	l->before_at_ns = l->read_at_ns;
	l->now = set;
	l->read_at_ns = clock_mono_ns();
}

/* False: leave. */
static bool
on_key(struct live *l, int key)
{
	int page = LINES > 4 ? LINES - 4 : 1;

	if (key == 'q' || key == 3)
		return false;
	if (key == KEY_DOWN || key == 'j')
		l->scroll++;
	else if (key == KEY_NPAGE || key == ' ')
		l->scroll += page;
	else if (key == KEY_UP || key == 'k')
		l->scroll--;
	else if (key == KEY_PPAGE)
		l->scroll -= page;
	if (l->scroll < 0)
		l->scroll = 0;
	for (int i = 0; i < PAGES; i++) {
		if (key != pages[i].key)
			continue;
		l->page = (enum page)i;
		l->scroll = 0;
	}
	return true;
}

static void
run(struct live *l)
{
	int key = ERR;

	do {
		if (clock_mono_ns() - l->read_at_ns > NS_PER_S / 2)
			read_again(l);
		if (!l->failed && compose(l) < 0)
			l->failed = true;
		draw(l);
		key = getch();
	} while (key == ERR || on_key(l, key));
}

int
batonstat_live(const struct batonstat *o)
{
	struct live l = {.o = o};
	SCREEN *screen;

	read_again(&l);
	if (l.failed) {
		fprintf(stderr, "batonstat: %s\n", l.err.text);
		return 1;
	}
	setlocale(LC_ALL, "");
	screen = newterm(NULL, stdout, stdin);
	if (screen == NULL) {
		fprintf(stderr, "batonstat: this terminal cannot show the live view; try --once\n");
		stat_set_free(&l.now);
		return 1;
	}
	halfdelay(REFRESH_TENTHS);
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	run(&l);
	endwin();
	delscreen(screen);
	stat_set_free(&l.now);
	stat_set_free(&l.before);
	strb_fini(&l.body);
	strb_fini(&l.name);
	return 0;
}
