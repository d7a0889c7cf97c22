#include "admin/config/hcm.h"

#include "conf/message.h"
#include "conf/types.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"

#define HCM_TYPE                                                                                   \
	envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor
#define FILE_LOG_TYPE envoy__extensions__access_loggers__file__v3__file_access_log__descriptor

static int
chain_each(const Envoy__Config__Listener__V3__FilterChain *chain, struct arena *scratch,
    int (*fn)(void *, const HttpConnectionManager *, struct err *), void *arg, struct err *err)
{
	for (size_t i = 0; i < chain->n_filters; i++) {
		const ProtobufCMessage *m = any_open(
		    scratch, (const ProtobufCMessage *)chain->filters[i]->typed_config, &HCM_TYPE, err);

		if (m == NULL || fn(arg, (const HttpConnectionManager *)m, err) < 0)
			return err_in(err, "filter '%s'", chain->filters[i]->name);
	}
	return 0;
}

int
hcm_each(const Envoy__Config__Listener__V3__Listener *l, struct arena *scratch,
    int (*fn)(void *, const HttpConnectionManager *, struct err *), void *arg, struct err *err)
{
	for (size_t i = 0; i < l->n_filter_chains; i++)
		if (chain_each(l->filter_chains[i], scratch, fn, arg, err) < 0)
			return -1;
	if (l->default_filter_chain == NULL)
		return 0;
	return chain_each(l->default_filter_chain, scratch, fn, arg, err);
}

const char *
access_log_path(const Envoy__Config__Accesslog__V3__AccessLog *log, struct arena *scratch)
{
	const ProtobufCMessage *m = NULL;

	if (log->typed_config)
		m = any_open(
		    scratch, (const ProtobufCMessage *)log->typed_config, &FILE_LOG_TYPE, NULL);
	return m ? ((const Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog *)m)->path : NULL;
}

bool
hcm_has_filter(const HttpConnectionManager *hcm, const char *full_name)
{
	for (size_t i = 0; i < hcm->n_http_filters; i++) {
		const Google__Protobuf__Any *any = hcm->http_filters[i]->typed_config;
		const struct message_type *t = any && any->type_url[0]
		    ? type_by_url(str_of(any->type_url))
		    : type_by_name(TYPE_HTTP_FILTER, str_of(hcm->http_filters[i]->name));

		if (t && str_eqz(str_of(t->full_name), full_name))
			return true;
	}
	return false;
}
