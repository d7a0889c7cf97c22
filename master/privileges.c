#include "master/privileges.h"

#include <cap-ng.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define USER_NAME "baton"
#define USER_NUMBER 60999 /* never nobody: others run as nobody too */

static const unsigned master_caps[] = {
    CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_KILL, CAP_SETUID, CAP_SETGID};

/* ---- who the workers are */

static int
find_user(struct identity *out, const char *name, struct err *err)
{
	struct passwd *p = getpwnam(name);
	uint64_t number;

	if (p) {
		out->uid = p->pw_uid;
		out->gid = p->pw_gid;
		return 0;
	}
	if (!str_u64(str_of(name), &number) || number == 0 || number >= UINT32_MAX)
		return err_set(err, "--user: there is no user '%s'", name);
	p = getpwuid((uid_t)number);
	out->uid = (uid_t)number;
	out->gid = p ? p->pw_gid : (gid_t)number;
	return 0;
}

static int
find_group(struct identity *out, const char *name, struct err *err)
{
	struct group *g = getgrnam(name);
	uint64_t number;

	if (g == NULL && (!str_u64(str_of(name), &number) || number == 0 || number >= UINT32_MAX))
		return err_set(err, "--user: there is no group '%s'", name);
	out->gid = g ? g->gr_gid : (gid_t)number;
	return 0;
}

static int
find_given(struct identity *out, const char *option, struct err *err)
{
	struct str rest = str_of(option), part;
	char *user, *group;
	int bad;

	str_cut(&rest, ':', &part);
	user = str_dupz(part);
	group = rest.p ? str_dupz(rest) : NULL;
	bad = find_user(out, user, err);
	if (bad == 0 && group)
		bad = find_group(out, group, err);
	mem_free(user);
	mem_free(group);
	return bad;
}

int
identity_find(struct identity *out, const char *option, bool root, struct err *err)
{
	struct passwd *p;

	*out = (struct identity){.change = root, .uid = USER_NUMBER, .gid = USER_NUMBER};
	if (option) {
		if (find_given(out, option, err) < 0)
			return -1;
		if (!root && out->uid != geteuid())
			return err_set(err, "--user: only root can start workers as somebody else");
		if (root && out->uid == 0)
			return err_set(err, "--user: workers do not run as root");
		return 0;
	}
	p = root ? getpwnam(USER_NAME) : NULL;
	if (p && p->pw_uid != 0) {
		out->uid = p->pw_uid;
		out->gid = p->pw_gid;
	}
	return 0;
}

/* ---- capabilities */

/* What the process has now, before capng_clear() forgets it. */
static bool
has(unsigned cap)
{
	return capng_have_capability(CAPNG_PERMITTED, cap);
}

/* Bounding set too when we may touch it; in some containers we may not. */
static int
apply(struct err *err)
{
	bool bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);

	return capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) == 0 ?
	    0 :
	    err_sys(err, "privileges: cannot give up capabilities");
}

static int
keep_for_master(struct err *err)
{
	bool have[ARRAY_LEN(master_caps)], files, bounds;

	capng_get_caps_process();
	for (size_t i = 0; i < ARRAY_LEN(master_caps); i++)
		have[i] = has(master_caps[i]);
	files = has(CAP_DAC_READ_SEARCH);
	bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < ARRAY_LEN(master_caps); i++)
		if (have[i])
			capng_update(CAPNG_ADD,
			    CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, master_caps[i]);
	if (files)
		capng_update(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_DAC_READ_SEARCH);
	if (capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) != 0)
		return err_sys(err, "privileges: cannot give up capabilities");
	return 0;
}

static int
keep_for_admin(struct err *err)
{
	bool files;

	capng_get_caps_process();
	files = has(CAP_DAC_READ_SEARCH);
	capng_clear(CAPNG_SELECT_CAPS);
	if (files)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_READ_SEARCH);
	return apply(err);
}

static int
become_worker(const struct identity *who, struct err *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 ||
	    setresuid(who->uid, who->uid, who->uid) < 0)
		return err_sys(err, "privileges: cannot become uid %u, gid %u", (unsigned)who->uid,
		    (unsigned)who->gid);
	capng_get_caps_process();
	capng_clear(CAPNG_SELECT_CAPS);
	return apply(err);
}

int
privileges_drop(enum role role, const struct identity *worker, struct err *err)
{
	if (role == ROLE_MASTER)
		return worker->change ? keep_for_master(err) : 0;
	if (worker->change && role == ROLE_WORKER && become_worker(worker, err) < 0)
		return -1;
	if (worker->change && role == ROLE_ADMIN && keep_for_admin(err) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "privileges: no_new_privs");
	return 0;
}
