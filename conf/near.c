#include "conf/near.h"

#define NAME_LIMIT 96

void
near_init(struct near *n, struct str wanted)
{
	n->wanted = wanted;
	n->best = NULL;
	/* A third of the letters, at least one, may differ. */
	n->distance = (unsigned)(wanted.n / 3 ? wanted.n / 3 : 1) + 1;
	if (n->distance > 5)
		n->distance = 5;
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Insertions, deletions, replacements and swaps of neighbours; case and '_' against '-' cost
 * nothing. */
static unsigned
edits(struct str a, struct str b)
{
	unsigned rows[3][NAME_LIMIT + 1];

	for (size_t j = 0; j <= b.n; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		unsigned *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			char x = ch_lower(a.p[i - 1]), y = ch_lower(b.p[j - 1]);
			bool same = x == y || (x == '-' && y == '_');

			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + !same);
			if (i > 1 && j > 1 && !same && x == ch_lower(b.p[j - 2]) &&
			    ch_lower(a.p[i - 2]) == y && before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
	}
	return rows[a.n % 3][b.n];
}

void
near_offer(struct near *n, const char *name)
{
	struct str s = str_of(name);
	size_t gap = s.n > n->wanted.n ? s.n - n->wanted.n : n->wanted.n - s.n;
	unsigned d;

	if (s.n > NAME_LIMIT || n->wanted.n > NAME_LIMIT || gap >= n->distance)
		return;
	d = edits(n->wanted, s);
	if (d < n->distance) {
		n->distance = d;
		n->best = name;
	}
}
