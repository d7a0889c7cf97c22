#include "conf/unsupported.h"

#include <string.h>

#include "conf/where.h"
#include "lib/base/assert.h"

static const struct {
	const char *message;
	uint32_t number;
	const char *field;
	const char *instead; /* NULL: nothing does the same */
} rows[] = {
#define UNSUPPORTED(message, number, field) {message, number, field, NULL},
#define UNSUPPORTED_USE(message, number, field, instead) {message, number, field, instead},
#include "conf/rules/unsupported.def"
#undef UNSUPPORTED
#undef UNSUPPORTED_USE
};

const char *
unsupported_by_name(const ProtobufCMessageDescriptor *message, struct str key)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].message, message->name) == 0 &&
		    field_is_called(rows[i].field, key))
			return rows[i].field;
	return NULL;
}

const char *
unsupported_by_number(const ProtobufCMessageDescriptor *message, uint32_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].number == number && strcmp(rows[i].message, message->name) == 0)
			return rows[i].field;
	return NULL;
}

const char *
unsupported_instead(const ProtobufCMessageDescriptor *message, const char *field)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].field == field && strcmp(rows[i].message, message->name) == 0)
			return rows[i].instead;
	return NULL;
}

void
unsupported_offer(const ProtobufCMessageDescriptor *message, struct near *near)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].message, message->name) == 0)
			near_offer(near, rows[i].field);
}
