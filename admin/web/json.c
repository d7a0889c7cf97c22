#include "admin/web/json.h"

#include <inttypes.h>
#include <time.h>

#include "lib/net/address.h"

void
json_field(struct json_out *j, const char *key, const char *value)
{
	json_keyz(j, key);
	json_stringz(j, value ? value : "");
}

void
json_field_str(struct json_out *j, const char *key, struct str value)
{
	json_keyz(j, key);
	json_string(j, value);
}

void
json_field_set(struct json_out *j, const char *key, struct str value)
{
	if (value.n)
		json_field_str(j, key, value);
}

void
json_field_u32(struct json_out *j, const char *key, uint32_t value)
{
	json_keyz(j, key);
	json_u64(j, value);
}

void
json_field_bool(struct json_out *j, const char *key, bool value)
{
	json_keyz(j, key);
	json_bool(j, value);
}

void
json_field_u64(struct json_out *j, const char *key, uint64_t value)
{
	json_keyz(j, key);
	json_printf(j, "%" PRIu64, value);
}

void
json_field_seconds(struct json_out *j, const char *key, uint64_t seconds)
{
	json_keyz(j, key);
	json_printf(j, "%" PRIu64 "s", seconds);
}

void
json_field_ms(struct json_out *j, const char *key, uint64_t ms)
{
	json_keyz(j, key);
	if (ms % 1000)
		json_printf(j, "%" PRIu64 ".%03us", ms / 1000, (unsigned)(ms % 1000));
	else
		json_printf(j, "%" PRIu64 "s", ms / 1000);
}

void
json_field_time(struct json_out *j, const char *key, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	char text[32];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	json_keyz(j, key);
	json_printf(j, "%s.%03uZ", text, (unsigned)(wall_ns / 1000000 % 1000));
}

void
json_field_address(struct json_out *j, const char *key, struct str address)
{
	struct address a;
	char ip[ADDRESS_TEXT];

	json_keyz(j, key);
	json_object(j);
	if (address_parse(&a, address, NULL) == 0 && address_is_ip(&a)) {
		json_keyz(j, "socket_address");
		json_object(j);
		address_format_ip(&a, ip);
		json_field(j, "address", ip);
		json_field_u32(j, "port_value", address_port(&a));
	} else {
		json_keyz(j, "pipe");
		json_object(j);
		json_field_str(j, "path", address);
	}
	json_end(j);
	json_end(j);
}
