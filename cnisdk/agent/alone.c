/*
 * What a launcher does when no agent serves the call: it executes the program that the settings
 * name, or, being a launcher only, answers as the command allows.
 */
#define _GNU_SOURCE
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_ENTRIES 4096
#define MAX_SIZE (256 << 10)
#define HEADER_SIZE 16

/* -- one call ---------------------------------------------------------------------------- */

__attribute__((weak)) const char *prepare_one_call(const struct settings *settings, char *directory)
{
	(void)settings;
	*directory = '\0';
	return NULL;
}

static char pool[64 << 10]; /* of expanded arguments */
static size_t pooled;

/* What %s, %n, %d and %w stand for. */
struct known {
	const char *self, *name, *directory, *warm;
};

/* Return `text` with what is known and %% replaced, NULL if it is too long. */
static char *expand(const char *text, const struct known *known)
{
	char *start = pool + pooled;

	for (; *text; text++) {
		char once[2] = { *text, '\0' };
		const char *part = once;
		size_t size;

		if (*text == '%' && text[1]) {
			text++;
			part = *text == 's' ? known->self : *text == 'n' ? known->name :
			       *text == 'd' ? known->directory : *text == 'w' ? known->warm : "%";
		}
		size = strlen(part);
		if (size >= sizeof pool - pooled)
			return NULL;
		memcpy(pool + pooled, part, size);
		pooled += size;
	}
	pool[pooled++] = '\0';
	return start;
}

/* Execute exec= with arg= and our own arguments; return only to report a failure. */
static int execute(const struct settings *s, struct call *call)
{
	int code = strcmp(call->command, "STATUS") ? 5 : 50, count = 0, n = 0;
	static char directory[PATH_MAX];
	const struct known known = { (const char *)getauxval(AT_EXECFN), call->name, directory,
				     s->warm };
	const char *problem = prepare_one_call(s, directory);
	char *path, **argv;
	bool fits;

	if (problem)
		return fail(s, call, code, "cannot prepare the plugin", problem);
	while (call->argv[count])
		count++;
	argv = calloc((size_t)(1 + s->args + count), sizeof *argv);
	path = expand(s->exec, &known);
	fits = argv && path;
	for (int i = -1; fits && i < s->args; i++) {
		const char *text = i >= 0 ? s->arg[i] : s->argv0 ? s->argv0 : s->exec;

		fits = (argv[n++] = expand(text, &known)) != NULL;
	}
	if (!fits)
		return fail(s, call, code, "cannot execute the plugin", "arguments are too long");
	for (int i = 1; i < count; i++)
		argv[n++] = call->argv[i];
	if (call->input_fd < 0 ||
	    (lseek(call->input_fd, 0, SEEK_SET) == 0 && dup2(call->input_fd, 0) == 0)) {
		signal(SIGPIPE, call->sigpipe);
		execv(path, argv);
		signal(SIGPIPE, SIG_IGN);
	}
	snprintf(call->why, sizeof call->why, "%s: %s", path, strerror(errno));
	return fail(s, call, code, "cannot execute the plugin", call->why);
}

/* -- launcher only: the queue of DELs, as cnisdk/agent/queue.py describes it ---------------- */

/* Open the directory of the queue, made if need be; -1 unless it is ours alone. */
static int open_queue(const char *path)
{
	char parent[PATH_MAX];
	struct stat status;
	int fd;

	if (strlen(path) >= sizeof parent)
		return errno = ENAMETOOLONG, -1;
	strcpy(parent, path);
	for (char *slash = parent + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		mkdir(parent, 0755);
	}
	mkdir(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
	    (status.st_mode & 077) == 0)
		return fd;
	if (fd >= 0) {
		close(fd);
		errno = EPERM;
	}
	return -1;
}

static bool is_full(int queue)
{
	DIR *directory = fdopendir(dup(queue));
	struct dirent *entry;
	int entries = 0;

	while (directory && (entry = readdir(directory)))
		entries += entry->d_name[0] != '.';
	if (directory)
		closedir(directory);
	return !directory || entries >= MAX_ENTRIES;
}

/* FNV-1a over container and interface, so the agent finds the entries of an attachment. */
static uint64_t attachment_hash(const char *container_id, const char *ifname)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *container_id; container_id++)
		hash = (hash ^ (unsigned char)*container_id) * 0x100000001b3;
	for (hash *= 0x100000001b3; *ifname; ifname++)
		hash = (hash ^ (unsigned char)*ifname) * 0x100000001b3;
	return hash;
}

/* Write the call to a file of its own, whole or not at all. */
static bool write_entry(int queue, const struct call *call, const char *name)
{
	char temporary[80], header[HEADER_SIZE] = "CNIQ";
	int fd;

	put_u32(header + 4, 1);
	put_u32(header + 8, (uint32_t)call->payload_size);
	put_u32(header + 12, (uint32_t)call->input_size);
	snprintf(temporary, sizeof temporary, ".tmp-%s", name);
	fd = openat(queue, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	if (write_all(fd, header, sizeof header) &&
	    write_all(fd, call->payload, call->payload_size) &&
	    write_all(fd, call->input, call->input_size) && fsync(fd) == 0 &&
	    renameat(queue, temporary, queue, name) == 0)
		return fsync(queue) == 0;
	unlinkat(queue, temporary, 0);
	return false;
}

static int queue_delete(const struct settings *s, struct call *call)
{
	const char *container_id = getenv("CNI_CONTAINERID"), *ifname = getenv("CNI_IFNAME");
	struct timespec now;
	char name[64];
	int queue;

	if (!container_id || !*container_id || !ifname || !*ifname)
		return fail(s, call, 4, "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing",
			    "a DEL without them cannot be queued");
	if (call->payload_size == 0 ||
	    HEADER_SIZE + call->payload_size + call->input_size > MAX_SIZE)
		return fail(s, call, 11, "no agent serves DEL", "and the call is too large to queue");
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(name, sizeof name, "%011lld%09ld-%016llx-%d", (long long)now.tv_sec, now.tv_nsec,
		 (unsigned long long)attachment_hash(container_id, ifname), (int)getpid());
	queue = open_queue(s->queue_dir);
	if (queue >= 0 && is_full(queue))
		return fail(s, call, 11, "no agent serves DEL", "and the queue is full");
	if (queue >= 0 && write_entry(queue, call, name))
		return 0;
	snprintf(call->why, sizeof call->why, "and %s cannot be written to: %s", s->queue_dir,
		 strerror(errno));
	return fail(s, call, 11, "no agent serves DEL", call->why);
}

/* -- what there is to do --------------------------------------------------------------------- */

static int introduce(const struct settings *s, const struct call *call)
{
	for (char **variable = environ; *variable; variable++)
		if (!strncmp(*variable, "CNI_", 4))
			return fail(s, call, 4, "required env variables [CNI_COMMAND] missing", "");
	say("CNI plugin %s: served by the agent at %s\nCNI protocol versions supported: %s\n",
	    call->name, s->socket, s->versions);
	if (!call->argv[1])
		return 0;
	say("The agent serves runtimes only: type 'cnisdk add' and the like instead\n");
	return 2;
}

int run_alone(const struct settings *s, struct call *call)
{
	char msg[192];

	if (s->exec)
		return execute(s, call);
	if (!*call->command)
		return introduce(s, call);
	if (!strcmp(call->command, "DEL") && s->on_del == DEL_IGNORE)
		return 0;
	if (!strcmp(call->command, "DEL") && s->on_del == DEL_QUEUE)
		return queue_delete(s, call);
	if (!strcmp(call->command, "STATUS"))
		return fail(s, call, 50, "no agent serves STATUS", call->why);
	if (!strcmp(call->command, "ADD") || !strcmp(call->command, "DEL") ||
	    !strcmp(call->command, "CHECK") || !strcmp(call->command, "GC")) {
		snprintf(msg, sizeof msg, "no agent serves %s", call->command);
		return fail(s, call, 11, msg, call->why);
	}
	snprintf(msg, sizeof msg, "unknown CNI_COMMAND: %.128s", call->command);
	return fail(s, call, 4, msg, call->why);
}
