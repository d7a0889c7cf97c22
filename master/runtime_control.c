/* The names by which a generation is found: its control socket and its pid. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/runtime_dir_private.h"
#include "shm/paths.h"

/* The address of a name in the directory; the directory's own path may be too long for one. */
static void
socket_name(struct sockaddr_un *un, int dir, const char *name)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "/proc/self/fd/%d/%s", dir, name);
}

int
runtime_dir_listen(struct runtime_dir *r, struct err *err)
{
	struct sockaddr_un un;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(err, "control socket");
	r->control_fd = fd;
	socket_name(&un, r->gen_fd, PATH_CONTROL);
	/* The mode of the socket is the mode of its name. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
	    listen(fd, 64) < 0)
		return err_sys(err, "control socket in %s", strb_z(&r->path));
	return 0;
}

static int
write_pid(struct runtime_dir *r, struct err *err)
{
	static const char coming[] = PATH_PID ".new"; /* who reads finds the old one or the new one */
	char text[32];
	int fd = openat(r->base_fd, coming, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int bad = 0;

	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (fd < 0 || write(fd, text, strlen(text)) < 0 ||
	    renameat(r->base_fd, coming, r->base_fd, PATH_PID) < 0)
		bad = err_sys(err, "runtime directory %s: " PATH_PID, strb_z(&r->path));
	if (fd >= 0)
		close(fd);
	return bad;
}

int
runtime_dir_publish(struct runtime_dir *r, struct err *err)
{
	char coming[64];
	int bad = 0;

	snprintf(coming, sizeof(coming), PATH_CONTROL ".%d", (int)getpid());
	unlinkat(r->base_fd, coming, 0);
	if (linkat(r->gen_fd, PATH_CONTROL, r->base_fd, coming, 0) < 0 ||
	    renameat(r->base_fd, coming, r->base_fd, PATH_CONTROL) < 0)
		bad = err_sys(err, "control socket in %s", strb_z(&r->path));
	unlinkat(r->base_fd, coming, 0); /* it stays when both were the same already */
	return bad < 0 ? -1 : write_pid(r, err);
}

int
runtime_dir_connect(struct runtime_dir *r, uint64_t generation, struct err *err)
{
	struct sockaddr_un un;
	struct strb name = {0};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (generation) {
		path_generation(&name, generation);
		strb_addc(&name, '/');
	}
	strb_addz(&name, PATH_CONTROL);
	socket_name(&un, r->base_fd, strb_z(&name));
	strb_fini(&name);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	err_sys(err, "control socket in %s", strb_z(&r->path));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* control.sock may be the successor's by now. */
void
runtime_names_remove(struct runtime_dir *r)
{
	struct stat ours, named;

	if (fstatat(r->gen_fd, PATH_CONTROL, &ours, 0) < 0 ||
	    fstatat(r->base_fd, PATH_CONTROL, &named, 0) < 0 || ours.st_ino != named.st_ino)
		return;
	unlinkat(r->base_fd, PATH_CONTROL, 0);
	unlinkat(r->base_fd, PATH_PID, 0);
}
