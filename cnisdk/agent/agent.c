/* Hands a call to the agent and waits for its outcome; protocol.py says what is said and why. */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define PROTOCOL_VERSION 1
#define HEADER_SIZE 16
#define MAX_DESCRIPTORS 5
#define OVERFLOW_UID 65534 /* whoever our user namespace does not know */
enum { CALLER_NETNS = 3, CNI_NETNS = 4 }; /* bits of the mask after stdin, stdout, stderr */

/* Return what kept the agent from serving, for `call->why`; always NOT_BEGUN. */
__attribute__((format(printf, 2, 3))) static enum outcome without(struct call *call,
								   const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(call->why, sizeof call->why, format, args);
	va_end(args);
	return NOT_BEGUN;
}

/* Connect to an agent that is root's or our own; nothing else may have our descriptors. */
static int connect_agent(struct call *call, const char *path, int patience_ms)
{
	struct timeval patience = { patience_ms / 1000, patience_ms % 1000 * 1000 + 1 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer = { 0, 0, 0 };
	socklen_t size = sizeof peer;
	int fd, n;

	if (strlen(path) >= sizeof address.sun_path) {
		without(call, "%.128s...: path of the socket is too long", path);
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Bounds a connect to a full backlog, too. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	do
		n = connect(fd, (struct sockaddr *)&address, sizeof address);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		call->no_agent = errno == ENOENT || errno == ECONNREFUSED;
		without(call, "%s: %s", path, strerror(errno));
	} else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
		   (peer.uid != 0 && peer.uid != geteuid()) || peer.uid == OVERFLOW_UID) {
		without(call, "%s: belongs to uid %u, which is not to be trusted", path, peer.uid);
	} else {
		return fd;
	}
	close(fd);
	return -1;
}

/* Return XDG_RUNTIME_DIR if nobody but this user can write there; after su(1) it is another's. */
const char *runtime_directory(void)
{
	const char *path = getenv("XDG_RUNTIME_DIR");
	struct stat status;

	if (!path || *path != '/' || lstat(path, &status) < 0 || status.st_uid != geteuid() ||
	    (status.st_mode & 022))
		return NULL;
	return path;
}

/* Return where an agent that an earlier call has left behind would listen, see warm.py. */
static const char *warm_socket(const struct settings *s, int place)
{
	const char *base = place == 0 ? "/run" : runtime_directory();
	static char path[PATH_MAX];

	if (place > 1 || !base || *base != '/' || !s->payload_id || atoi(s->warm) <= 0)
		return NULL;
	snprintf(path, sizeof path, "%s/cnisdk-warm/%.32s/agent.sock", base, s->payload_id);
	return path;
}

/* Connect to the agent that somebody set up, or else to one that was left behind. */
static int connect_any(const struct settings *s, struct call *call)
{
	const char *path = getenv("CNISDK_SOCKET");
	int fd = connect_agent(call, path && *path ? path : s->socket, s->patience_ms);
	struct call first = *call;

	for (int place = 0; fd < 0 && (path = warm_socket(s, place)); place++)
		fd = connect_agent(call, path, s->patience_ms);
	if (fd < 0)
		*call = first; /* what is wrong with the first one is what matters */
	else
		call->no_agent = false;
	return fd;
}

/* Send all of the request, the descriptors with its first byte. */
static bool send_request(int fd, const struct call *call, const int *fds, uint32_t mask)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
	} control = { .bytes = { 0 } };
	size_t count = (size_t)__builtin_popcount(mask), sent = 0;
	char header[HEADER_SIZE] = "CNIA";
	struct iovec parts[2] = { { header, sizeof header },
				  { (char *)call->payload, call->payload_size } };
	struct msghdr message = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	put_u32(header + 4, PROTOCOL_VERSION);
	put_u32(header + 8, (uint32_t)call->payload_size);
	put_u32(header + 12, mask);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
	while (sent < sizeof header + call->payload_size) {
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return false;
		if (n < 0)
			continue;
		message.msg_control = NULL;
		message.msg_controllen = 0;
		sent += (size_t)n;
		for (struct iovec *part = parts; part < parts + 2; part++) {
			size_t taken = (size_t)n < part->iov_len ? (size_t)n : part->iov_len;

			part->iov_base = (char *)part->iov_base + taken;
			part->iov_len -= taken;
			n -= (ssize_t)taken;
		}
	}
	return true;
}

static bool receive(int fd, char *bytes, size_t size, int flags)
{
	ssize_t n;

	do
		n = recv(fd, bytes, size, flags);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)size;
}

static enum outcome await_outcome(const struct settings *s, struct call *call, int fd, int *status)
{
	int64_t limit = now_ms() + s->limit_ms;
	unsigned char answer[5];

	if (await(fd, POLLIN, now_ms() + s->patience_ms) <= 0) {
		/* First withdraw, then look: see protocol.py. */
		shutdown(fd, SHUT_WR);
		if (!receive(fd, (char *)answer, 1, MSG_DONTWAIT))
			return without(call, "the agent did not answer within %d ms", s->patience_ms);
	} else if (!receive(fd, (char *)answer, 1, 0)) {
		return without(call, "the agent closed the connection");
	}
	if (*answer == 'A') {
		if (await(fd, POLLIN, limit) <= 0) {
			without(call, "the agent did not finish within %d ms", s->limit_ms);
			return LATE;
		}
		if (!receive(fd, (char *)answer, 1, 0))
			*answer = 0;
		if (*answer == 'S' && receive(fd, (char *)answer + 1, 4, MSG_WAITALL)) {
			*status = answer[2] | answer[3] | answer[4] ? 1 : answer[1];
			return DONE;
		}
		if (*answer != 'R') {
			without(call, "the agent stopped while it served the call");
			return DIED;
		}
	}
	if (*answer == 'R' && receive(fd, (char *)answer + 1, 1, 0))
		return without(call, "the agent refused the call, reason %c",
			       answer[1] > 32 && answer[1] < 127 ? answer[1] : '?');
	return without(call, "no agent of ours answers");
}

/* Open the namespace at `path` if it is a file of the same filesystem as `own`, which is nsfs. */
static int open_netns(const char *path, int own)
{
	int fd = path && *path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	struct stat ours, theirs;

	if (fd < 0 || (fstat(fd, &theirs) == 0 && fstat(own, &ours) == 0 &&
		       theirs.st_dev == ours.st_dev))
		return fd;
	close(fd); /* a file, a FIFO: the agent decides what that means */
	return -1;
}

/* Copy what the agent wrote. */
static bool copy_output(int from, int to)
{
	char bytes[16384];
	off_t offset = 0;
	ssize_t n;

	while (from >= 0 && (n = pread(from, bytes, sizeof bytes, offset)) != 0) {
		if (n < 0 || !write_all(to, bytes, (size_t)n))
			return false;
		offset += n;
	}
	return true;
}

enum outcome ask_agent(const struct settings *s, struct call *call, int *status)
{
	int streams[3] = { call->input_fd, -1, -1 }, fds[MAX_DESCRIPTORS], count = 0, fd;
	enum outcome outcome = NOT_BEGUN;
	uint32_t mask = 0;
	int own, container;

	if (call->payload_size == 0)
		return without(call, "the variables are larger than %d bytes", MAX_PAYLOAD);
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return without(call, "/proc/self/ns/net: %s", strerror(errno));
	fd = connect_any(s, call);
	if (fd < 0)
		return NOT_BEGUN;
	for (int stream = 0; stream < 3; stream++) {
		if (!call->open[stream])
			continue;
		if (stream > 0 && (streams[stream] = make_memfd()) < 0)
			return without(call, "cannot keep output: %s", strerror(errno));
		fds[count++] = streams[stream];
		mask |= 1u << stream;
	}
	fds[count++] = own;
	mask |= 1u << CALLER_NETNS;
	container = open_netns(getenv("CNI_NETNS"), own);
	if (container >= 0) {
		fds[count++] = container;
		mask |= 1u << CNI_NETNS;
	}
	if (!send_request(fd, call, fds, mask))
		return without(call, "the agent does not take the call: %s", strerror(errno));
	outcome = await_outcome(s, call, fd, status);
	close(fd);
	copy_output(streams[2], 2);
	if (outcome == DONE && !copy_output(streams[1], 1))
		*status = 1;
	return outcome;
}
