/* Soundness of retry policies. */
#include "conf/check_private.h"
#include "conf/defaults.h"
#include "conf/near.h"
#include "envoy/config/route/v3/route_components.pb-c.h"
#include "envoy/extensions/filters/http/router/v3/router.pb-c.h"
#include "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb-c.h"
#include "lib/base/assert.h"

typedef Envoy__Config__Route__V3__RetryPolicy RetryPolicy;

static const char *const words[] = {
#define RETRY_ON(id, word) word,
#define RETRY_GRPC(id, word) word,
#include "conf/retry_on.def"
#undef RETRY_ON
#undef RETRY_GRPC
};

static bool
is_known(struct str word, const char **near_word)
{
	struct near near;

	near_init(&near, word);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eqz(word, words[i]))
			return true;
		near_offer(&near, words[i]);
	}
	*near_word = near.best;
	return false;
}

/* Envoy passes over what it does not know, and so do we; but a slip of the pen should be seen. */
static void
check_words(struct checked *k, const RetryPolicy *p)
{
	struct str rest = str_of(p->retry_on), word;
	const char *near = NULL;

	while (str_cut(&rest, ',', &word)) {
		word = str_trim(word);
		if (word.n == 0 || is_known(word, &near))
			continue;
		warn(k, "retry_on", "'" STR_FMT "' is no condition and has no effect%s%s%s",
		    STR_ARG(word), near ? " (did you mean '" : "", near ? near : "",
		    near ? "'?)" : "");
	}
}

void
check_retry_policy(struct checked *k)
{
	const RetryPolicy *p = (const void *)k->m;
	const Envoy__Config__Route__V3__RetryPolicy__RetryBackOff *b = p->retry_back_off;

	check_words(k, p);
	if (b && b->base_interval && b->max_interval &&
	    conf_duration_ms(b->max_interval, 0) < conf_duration_ms(b->base_interval, 0))
		fail(k, "retry_back_off", "max_interval must not be less than base_interval");
	if (p->host_selection_retry_max_attempts < 0)
		fail(k, "host_selection_retry_max_attempts", "must not be negative");
}

void
check_reset_header(struct checked *k)
{
	const Envoy__Config__Route__V3__RetryPolicy__ResetHeader *h = (const void *)k->m;

	if (h->name[0] && !is_header_name(str_of(h->name), false))
		fail(k, "name", "'%s' is no header name", h->name);
}

void
check_previous_priorities(struct checked *k)
{
	const Envoy__Extensions__Retry__Priority__PreviousPriorities__V3__PreviousPrioritiesConfig
	    *p = (const void *)k->m;

	if (p->update_frequency <= 0)
		fail(k, "update_frequency", "must be above 0");
}

/* What the router knows how to judge. */
void
check_router(struct checked *k)
{
	static const char *const judged[] = {"x-envoy-upstream-rq-timeout-ms",
	    "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-max-retries", "x-envoy-retry-grpc-on",
	    "x-envoy-retry-on"};
	const Envoy__Extensions__Filters__Http__Router__V3__Router *r = (const void *)k->m;

	for (size_t i = 0; i < r->n_strict_check_headers; i++) {
		size_t j = 0;

		while (j < ARRAY_LEN(judged) && strcmp(r->strict_check_headers[i], judged[j]) != 0)
			j++;
		if (j == ARRAY_LEN(judged))
			fail_item(k, "strict_check_headers", (int)i,
			    "'%s' cannot be checked; only the two timeouts, x-envoy-max-retries and "
			    "x-envoy-retry-on and -grpc-on can",
			    r->strict_check_headers[i]);
	}
}
