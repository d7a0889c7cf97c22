/* Shapes that several endpoints write as JSON. */
#ifndef WEB_JSON_H
#define WEB_JSON_H

#include <stdint.h>

#include "lib/base/json_out.h"

/* Key and value of a proto field; the *_set ones are left out when empty or zero. */
void json_field(struct json_out *j, const char *key, const char *value);
void json_field_str(struct json_out *j, const char *key, struct str value);
void json_field_set(struct json_out *j, const char *key, struct str value);
void json_field_u32(struct json_out *j, const char *key, uint32_t value);
void json_field_bool(struct json_out *j, const char *key, bool value);
/* 64 bits are strings in proto3 JSON. */
void json_field_u64(struct json_out *j, const char *key, uint64_t value);
/* "0.250s" */
void json_field_ms(struct json_out *j, const char *key, uint64_t ms);
/* "6s" */
void json_field_seconds(struct json_out *j, const char *key, uint64_t seconds);
/* "2026-01-02T03:04:05.678Z" */
void json_field_time(struct json_out *j, const char *key, uint64_t wall_ns);
/* An envoy.config.core.v3.Address from its text form. */
void json_field_address(struct json_out *j, const char *key, struct str address);

#endif
