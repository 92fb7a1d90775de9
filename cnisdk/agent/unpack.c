/*
 * Unpacks the payload behind the launcher, once for each payload; archive.py has the format.
 *
 * The directory of a payload has the payload's identity for a name and comes to be by a rename,
 * so that it is there means that all of it is.  It is made beside that, under a lock on the base
 * directory, which ends with whoever holds it; what a killed one left there is removed by the
 * next.  A base directory is used only if nobody but root and ourselves can write to it: what is
 * in there will be executed.
 */
#define _GNU_SOURCE
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "cnisdk-payload 1 "
#define MAX_INDEX (4 << 20)
#define UNFINISHED ".unfinished-" /* what no launcher ever looks for */
#define DAY (24 * 60 * 60)
#define KEPT (30 * DAY) /* without a call */
#define OVERFLOW_UID 65534
#define MAX_LINKS 8

/* -- where to -------------------------------------------------------------------------------- */

static bool is_ours(const struct stat *status)
{
	return status->st_uid == 0 ||
	       (status->st_uid == geteuid() && status->st_uid != OVERFLOW_UID);
}

/* In a user namespace without root's uid, that of / stands for it: nothing there is safer. */
static bool is_of_root(const struct stat *status)
{
	struct stat root;

	return status->st_uid == OVERFLOW_UID && stat("/", &root) == 0 &&
	       root.st_uid == OVERFLOW_UID;
}

/*
 * Return why others could put something else in the place of `base`, NULL if nobody can.  Who owns
 * a directory can make it writable at any time, so that its mode is not enough.  Where a link
 * leads to counts as well, and all that is above that.
 */
static const char *distrust_parents(const char *base, int links)
{
	char path[PATH_MAX], target[PATH_MAX], next[2 * PATH_MAX];
	struct stat status;

	if (strlen(base) >= sizeof path)
		return strerror(ENAMETOOLONG);
	strcpy(path, base);
	for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (lstat(*path ? path : "/", &status) < 0) {
			if (errno == ENOENT)
				continue; /* and where it could be made is looked at next */
			return strerror(errno);
		}
		if (!is_ours(&status) && !is_of_root(&status))
			return "is in a directory of another user";
		if (S_ISLNK(status.st_mode)) {
			ssize_t n = readlink(path, target, sizeof target - 1);
			int above = (int)(strrchr(path, '/') - path);
			const char *problem;

			if (n < 0)
				return strerror(errno);
			if (links == 0)
				return strerror(ELOOP);
			target[n] = '\0';
			snprintf(next, sizeof next, "%.*s/%s/.", *target == '/' ? 0 : above, path,
				 target);
			problem = distrust_parents(next, links - 1);
			if (problem)
				return problem;
		} else if ((status.st_mode & 022) && !(status.st_mode & S_ISVTX)) {
			/* A sticky directory keeps others from moving what is ours. */
			return "is in a directory that can be written to by others";
		}
	}
	return NULL;
}

/* Return why the directory must not be used, NULL if it may: its parents count, too. */
static const char *distrust(const char *base)
{
	const char *problem;
	struct stat status;

	if (base[0] != '/' || strlen(base) >= PATH_MAX)
		return "is no absolute path";
	if (!strncmp(base, "/tmp/", 5) || !strncmp(base, "/var/tmp/", 9))
		return "is temporary";
	problem = distrust_parents(base, MAX_LINKS);
	if (problem)
		return problem;
	if (lstat(base, &status) < 0)
		return strerror(errno);
	if (!S_ISDIR(status.st_mode))
		return "is no directory";
	if (!is_ours(&status) || (status.st_mode & 022))
		return "can be written to by others";
	return NULL;
}

/* Make a directory unless others could have it made somewhere else. */
static void make_directory(const char *path)
{
	if (!distrust_parents(path, MAX_LINKS))
		mkdir(path, 0755);
}

static void make_directories(const char *path)
{
	char parent[PATH_MAX];

	if (strlen(path) >= sizeof parent)
		return;
	strcpy(parent, path);
	for (char *slash = parent + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		make_directory(parent);
	}
	make_directory(path);
}

/* -- taking away ----------------------------------------------------------------------------- */

static void remove_tree(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
		    unlinkat(fd, entry->d_name, 0) < 0)
			remove_tree(fd, entry->d_name);
	if (directory)
		closedir(directory);
	unlinkat(parent, name, AT_REMOVEDIR);
}

static bool is_identity(const char *name)
{
	return strlen(name) == 32 && strspn(name, "0123456789abcdef") == 32;
}

/* Say whether a directory has what payload.py puts into each, so that it is not somebody else's. */
static bool is_payload(int base, const char *name)
{
	static const char *const files[] = { "main.pyc", "plugins", "modules" };
	int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;
	bool found = fd >= 0;

	for (size_t i = 0; found && i < sizeof files / sizeof *files; i++)
		found = fstatat(fd, files[i], &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(status.st_mode);
	if (fd >= 0)
		close(fd);
	return found;
}

/* Remove what killed launchers left, and payloads that nobody has called for long. */
static void tidy(int base)
{
	int copy = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	char name[sizeof UNFINISHED + 32];
	struct dirent *entry;
	struct stat status;

	while (directory && (entry = readdir(directory))) {
		if (!strncmp(entry->d_name, UNFINISHED, sizeof UNFINISHED - 1) &&
		    is_identity(entry->d_name + sizeof UNFINISHED - 1)) {
			remove_tree(base, entry->d_name);
		} else if (is_identity(entry->d_name) &&
			   fstatat(base, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			   status.st_mtime < time(NULL) - KEPT && is_payload(base, entry->d_name)) {
			snprintf(name, sizeof name, UNFINISHED "%.32s", entry->d_name);
			if (renameat(base, entry->d_name, base, name) == 0)
				remove_tree(base, name);
		}
	}
	if (directory)
		closedir(directory);
}

/* -- unpacking --------------------------------------------------------------------------------- */

static bool copy(int in, off_t offset, int out, uint64_t size)
{
	while (size > 0) {
		size_t piece = size < (1 << 30) ? size : 1 << 30;
		ssize_t n = copy_file_range(in, &offset, out, NULL, piece, 0);

		if (n <= 0) /* other file systems, older kernels */
			n = sendfile(out, in, &offset, piece);
		if (n == 0)
			errno = EIO; /* cut off */
		if (n <= 0)
			return false;
		size -= (uint64_t)n;
	}
	return true;
}

/* Make one entry of the index in `tree`, or with `sync` bring it to the disk. */
static bool make_entry(const struct settings *s, int tree, char *line, bool sync)
{
	char kind = *line, *at = line + 1;
	mode_t mode = (mode_t)strtoul(at, &at, 8);
	uint64_t offset = strtoull(at, &at, 16), size = strtoull(at, &at, 16);
	const char *path = at + 1;
	bool done;
	int fd;

	if (kind == 'd' && !sync)
		return mkdirat(tree, path, mode) == 0;
	fd = openat(tree, path, O_CLOEXEC | O_NOFOLLOW |
		    (sync ? O_RDONLY : O_WRONLY | O_CREAT | O_EXCL), mode);
	if (fd < 0)
		return false;
	if (sync)
		done = fsync(fd) == 0;
	else
		done = fchmod(fd, mode) == 0 &&
		       copy(s->fd, (off_t)(s->payload + offset), fd, size);
	return close(fd) == 0 && done;
}

/* Make all entries, then sync all: the disk is waited for once and not for each. */
static bool make_entries(const struct settings *s, int tree, char *index)
{
	for (int sync = 0; sync < 2; sync++)
		for (char *line = index, *end; (end = strchr(line, '\n')); line = end + 1) {
			bool done;

			*end = '\0';
			done = make_entry(s, tree, line, sync);
			*end = '\n';
			if (!done)
				return false;
		}
	return fsync(tree) == 0;
}

static char *read_index(const struct settings *s)
{
	char head[sizeof MAGIC - 1 + 9] = "";
	uint64_t size;
	char *index;

	errno = EBADMSG;
	if (pread(s->fd, head, sizeof head, (off_t)s->payload) != sizeof head ||
	    memcmp(head, MAGIC, sizeof MAGIC - 1))
		return NULL;
	size = strtoull(head + sizeof MAGIC - 1, NULL, 16);
	if (size > MAX_INDEX || size > s->payload_length || !(index = calloc(1, size + 1)))
		return NULL;
	if (pread(s->fd, index, size, (off_t)(s->payload + sizeof head)) == (ssize_t)size)
		return index;
	free(index);
	return NULL;
}

/* Under the lock: make the directory unless somebody has meanwhile. */
static bool unpack(const struct settings *s, int base)
{
	char name[sizeof UNFINISHED + 32], *index;
	struct stat status;
	bool done = false;
	int tree;

	if (fstatat(base, s->payload_id, &status, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	tidy(base);
	index = read_index(s);
	if (!index)
		return false;
	snprintf(name, sizeof name, UNFINISHED "%.32s", s->payload_id);
	if (mkdirat(base, name, 0755) == 0) {
		tree = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		done = tree >= 0 && fchmod(tree, 0755) == 0 && make_entries(s, tree, index) &&
		       renameat(base, name, base, s->payload_id) == 0 && fsync(base) == 0;
		if (!done) {
			int problem = errno;

			remove_tree(base, name);
			errno = problem;
		}
		close(tree);
	}
	free(index);
	return done;
}

/* Return what kept us from unpacking into `path`, NULL if nothing did. */
static const char *unpack_into(const struct settings *s, const char *path)
{
	const char *problem;
	struct statvfs filesystem;
	int base;

	make_directories(path);
	problem = distrust(path);
	if (problem)
		return problem;
	if (statvfs(path, &filesystem) == 0 && (filesystem.f_flag & ST_NOEXEC))
		return "is mounted noexec";
	base = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (base < 0)
		return strerror(errno);
	if (flock(base, LOCK_EX) < 0 || !unpack(s, base))
		problem = strerror(errno);
	close(base);
	return problem;
}

/* Say whether the payload is in the base directory, and remember that it is in use. */
static bool is_unpacked(const char *base, const char *directory)
{
	struct stat status;

	if (stat(directory, &status) < 0 || !S_ISDIR(status.st_mode) || distrust(base))
		return false;
	if (status.st_mtime < time(NULL) - DAY)
		utimensat(AT_FDCWD, directory, NULL, 0);
	return true;
}

const char *prepare_one_call(const struct settings *s, char *directory)
{
	static char problems[1024], runtime[PATH_MAX];
	const char *bases[MAX_UNPACK_DIRS + 1], *variable = runtime_directory();
	size_t used = 0;
	int count = 0;

	*directory = '\0';
	if (!s->payload_id || s->payload_length == 0)
		return NULL;
	for (; count < s->unpack_dirs; count++)
		bases[count] = s->unpack_dir[count];
	if (count == 0) {
		bases[count++] = "/var/lib/cnisdk/payload";
		bases[count++] = "/run/cnisdk-payload";
		if (variable && snprintf(runtime, sizeof runtime, "%s/cnisdk/payload", variable) <
					(int)sizeof runtime)
			bases[count++] = runtime;
	}
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < count; i++) {
			const char *problem = NULL;

			if (snprintf(directory, PATH_MAX, "%s/%.32s", bases[i], s->payload_id) >=
			    PATH_MAX)
				continue;
			if (pass == 0 ? is_unpacked(bases[i], directory)
				      : !(problem = unpack_into(s, bases[i])))
				return NULL;
			if (problem && used < sizeof problems)
				used += (size_t)snprintf(problems + used, sizeof problems - used,
							 "%s%.200s: %s", used ? "; " : "",
							 bases[i], problem);
		}
	return problems;
}
