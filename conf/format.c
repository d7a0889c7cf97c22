/*
 * %OPERATOR% formats of access logs and header values: are they well
 * formed, and do the operators exist?  What they do is the worker's.
 */
#include "conf/check_private.h"
#include "conf/near.h"
#include "lib/base/assert.h"

enum argument {
	NONE,
	OPTIONAL,
	HEADER,
};

enum max_length {
	NO,
	YES,
};

static const struct operator
{
	const char *name;
	enum argument argument;
	enum max_length max_length;
}
operators[] = {
#define OPERATOR(name, argument, max_length) {#name, argument, max_length},
#include "conf/access_log_operators.def"
#undef OPERATOR
};

static bool
is_later(struct str name)
{
	static const char *const later[] = {
#define LATER(name) #name,
#include "conf/access_log_operators_later.def"
#undef LATER
	};

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (str_eqz(name, later[i]))
			return true;
	return false;
}

static const struct operator*
    operator_named(struct str name, const char **near_name, struct err *err)
{
	struct near near;

	near_init(&near, name);
	for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
		if (str_eqz(name, operators[i].name))
			return &operators[i];
		near_offer(&near, operators[i].name);
	}
	if (is_later(name)) {
		err_set(err, "%%" STR_FMT "%% is " NOT_YET, STR_ARG(name));
		return NULL;
	}
	*near_name = near.best;
	err_set(err, "unknown operator %%" STR_FMT "%%", STR_ARG(name));
	return NULL;
}

/* "X" or "X?Y". */
static int
check_header_argument(const struct operator* op, struct str argument, struct err *err)
{
	struct str rest = argument, first, second = {NULL, 0};

	if (!str_cut(&rest, '?', &first))
		return err_set(err, "%%%s%% needs the name of a header", op->name);
	if (first.n != argument.n)
		second = rest;
	if (!is_header_name(first, true) ||
	    (first.n != argument.n && !is_header_name(second, true)))
		return err_set(
		    err, "%%%s(" STR_FMT ")%%: not a header name", op->name, STR_ARG(argument));
	return 0;
}

static int
check_operator(const struct operator* op, struct str argument, bool has_argument, struct str length,
    bool has_length, struct err *err)
{
	uint64_t n;

	if (op->argument == NONE && has_argument)
		return err_set(err, "%%%s%% takes no argument", op->name);
	if (op->argument == HEADER &&
	    (!has_argument || check_header_argument(op, argument, err) < 0))
		return has_argument ? -1
				    : err_set(err, "%%%s%% needs the name of a header", op->name);
	if (has_length && op->max_length == NO)
		return err_set(err, "%%%s%% takes no length", op->name);
	if (has_length && !str_u64(length, &n))
		return err_set(
		    err, "%%%s%%: '" STR_FMT "' is not a length", op->name, STR_ARG(length));
	return 0;
}

static bool
is_name_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* One operator behind its first '%'; *i is left behind its last. */
static int
check_at(struct str s, size_t *i, const char **near, struct err *err)
{
	const struct operator* op;
	struct str name, argument = {"", 0}, length = {"", 0};
	size_t start = *i, end;
	bool has_argument = false, has_length = false;

	while (*i < s.n && is_name_char(s.p[*i]))
		++*i;
	name = str_make(s.p + start, *i - start);
	if (*i < s.n && s.p[*i] == '(') {
		end = ++*i;
		while (end < s.n && s.p[end] != ')')
			end++;
		if (end == s.n)
			return err_set(err, "no ')' behind %%" STR_FMT "(", STR_ARG(name));
		argument = str_make(s.p + *i, end - *i);
		has_argument = true;
		*i = end + 1;
	}
	if (*i < s.n && s.p[*i] == ':') {
		end = ++*i;
		while (end < s.n && s.p[end] != '%')
			end++;
		length = str_make(s.p + *i, end - *i);
		has_length = true;
		*i = end;
	}
	if (*i >= s.n || s.p[*i] != '%' || name.n == 0)
		return err_set(err,
		    "a '%%' at offset %zu begins no operator; a percent sign is '%%%%'", start - 1);
	++*i;
	op = operator_named(name, near, err);
	return op ? check_operator(op, argument, has_argument, length, has_length, err) : -1;
}

int
format_check(struct str s, const char **near, struct err *err)
{
	*near = NULL;
	for (size_t i = 0; i < s.n;) {
		if (s.p[i++] != '%')
			continue;
		if (i < s.n && s.p[i] == '%')
			i++;
		else if (check_at(s, &i, near, err) < 0)
			return -1;
	}
	return 0;
}
