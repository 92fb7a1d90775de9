/*
 * The executable in CNI_PATH: hands a call to the agent, or does without it.
 *
 * 1. The settings behind this file say what to do without an agent (trailer.c).
 * 2. With arguments it was typed by a person, and the plugin itself sees to that (4).  VERSION is
 *    answered here (json.c).
 * 3. Any other call is sent to the agent with its descriptors, and its exit status awaited
 *    (agent.c).  What is said, and why no call can be done twice, is in protocol.py.
 * 4. No agent, or it refuses, or takes too long to accept: one call, by executing the program that
 *    the settings name, or for a launcher only an error or a queued DEL (alone.c).
 *
 * stdin is read to its end first and kept in a memfd, so that 4 is possible after an agent has
 * read it and died.  What the agent writes goes to memfds, too, and is copied when it is done: the
 * runtime waits for the end of its pipes, so none of them may be in the hands of an agent that
 * hangs, and no runtime that is slow to read may hold up the agent.  Every descriptor made here is
 * close-on-exec.  SIGTERM and SIGINT just kill: the agent sees the connection close, stops the
 * hook and undoes it.  launcher.py does all of this in Python; each test is run against both.
 */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

static char input[MAX_STDIN + 1];
static char payload[MAX_PAYLOAD];

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void put_u32(char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++, value >>= 8)
		to[i] = (char)(value & 0xff);
}

/* Wait for `events`; 0 when the deadline has passed, INT64_MAX being none. */
int await(int fd, short events, int64_t deadline)
{
	struct pollfd wait = { fd, events, 0 };
	int n;

	do {
		int64_t left = deadline - (deadline == INT64_MAX ? 0 : now_ms());

		n = poll(&wait, 1, deadline == INT64_MAX ? -1 : left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return n;
}

bool write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EAGAIN)
			await(fd, POLLOUT, INT64_MAX);
		else if (n < 0 && errno != EINTR)
			return false;
		else if (n > 0)
			bytes += n, size -= (size_t)n;
	}
	return true;
}

/* Write to the runtime's log, if somebody reads it. */
void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(2, format, args);
	va_end(args);
}

/* Read stdin to its end; with a deadline only until then, or until a JSON object is complete. */
bool read_input(struct call *call, int64_t deadline)
{
	char version[65];
	ssize_t n;

	call->input = input;
	while (call->input_size < sizeof input) {
		if (deadline != INT64_MAX && await(0, POLLIN, deadline) <= 0)
			break;
		n = read(0, input + call->input_size, sizeof input - call->input_size);
		if (n == 0)
			break;
		if (n < 0 && errno == EAGAIN)
			await(0, POLLIN, deadline);
		else if (n < 0 && errno != EINTR)
			return false;
		if (n < 0)
			continue;
		call->input_size += (size_t)n;
		if (deadline != INT64_MAX && stated_version(input, call->input_size, version))
			break;
	}
	return true;
}

/* Make a file without a name, in memory. */
int make_memfd(void)
{
	int fd = memfd_create("cnisdk", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("cnisdk", MFD_CLOEXEC);
	return fd;
}

static bool keep_input(struct call *call)
{
	call->input_fd = make_memfd();
	return call->input_fd >= 0 && write_all(call->input_fd, call->input, call->input_size) &&
	       lseek(call->input_fd, 0, SEEK_SET) == 0;
}

/* See which of the descriptors 0 to 2 there are, and let nothing else take their place. */
static bool find_streams(struct call *call)
{
	struct pollfd streams[3] = { { 0, 0, 0 }, { 1, 0, 0 }, { 2, 0, 0 } };

	if (poll(streams, 3, 0) < 0)
		return false;
	for (int fd = 0; fd < 3; fd++) {
		call->open[fd] = !(streams[fd].revents & POLLNVAL);
		/* A stdout that nobody reads must not take an answer: it is read-only. */
		if (!call->open[fd] && open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
			return false;
	}
	return true;
}

static bool is_passed(const char *variable)
{
	static const char *const names[] = { "TRACEPARENT=", "TRACESTATE=", "BAGGAGE=", "PATH=" };

	if (!strncmp(variable, "CNI_", 4) && strchr(variable, '='))
		return true;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strncmp(variable, names[i], strlen(names[i])))
			return true;
	return false;
}

static bool put_string(struct call *call, const char *string)
{
	size_t size = strlen(string) + 1;

	if (size > MAX_PAYLOAD - call->payload_size)
		return false;
	memcpy(payload + call->payload_size, string, size);
	call->payload_size += size;
	return true;
}

static void build_payload(struct call *call)
{
	bool fits = true;
	uint32_t argc = 0;

	call->payload = payload;
	call->payload_size = 4;
	for (; fits && call->argv[argc]; argc++)
		fits = put_string(call, call->argv[argc]);
	put_u32(payload, argc);
	for (char **variable = environ; fits && *variable; variable++)
		fits = !is_passed(*variable) || put_string(call, *variable);
	if (!fits)
		call->payload_size = 0;
}

/* What may be done again when the agent that had begun it is gone; ADD may not. */
static bool is_repeatable(const char *command)
{
	return !strcmp(command, "DEL") || !strcmp(command, "CHECK") ||
	       !strcmp(command, "STATUS") || !strcmp(command, "GC");
}

int main(int argc, char **argv)
{
	static char *unnamed[] = { (char *)"cnisdk", NULL };
	static struct call call = { .input_fd = -1 };
	static struct settings settings;
	const char *command = getenv("CNI_COMMAND"), *warm = getenv("CNISDK_WARM"), *slash;
	int status = 1;

	call.argv = argc > 0 ? argv : unnamed;
	slash = strrchr(call.argv[0], '/');
	call.name = slash ? slash + 1 : call.argv[0];
	call.command = command ? command : "";
	call.sigpipe = signal(SIGPIPE, SIG_IGN);
	if (!find_streams(&call))
		return 1;
	read_settings(&settings);
	if (warm && *warm)
		settings.warm = warm;
	if (!*call.command || (argc > 1 && settings.exec)) /* the latter is a person, see console */
		return run_alone(&settings, &call);
	if (!strcmp(call.command, "VERSION"))
		return answer_version(&settings, &call);
	if (!read_input(&call, INT64_MAX))
		return fail(&settings, &call, 5, "error reading from stdin", strerror(errno));
	if (!keep_input(&call))
		return fail(&settings, &call, 5, "cannot keep stdin", strerror(errno));
	build_payload(&call);
	switch (ask_agent(&settings, &call, &status)) {
	case DONE:
		return status;
	case LATE:
		return fail(&settings, &call, 11, "the agent takes too long", call.why);
	case DIED:
		if (!is_repeatable(call.command))
			return fail(&settings, &call, 11, "the agent stopped",
				    call.why);
		break;
	case NOT_BEGUN:
		break;
	}
	if (!call.no_agent)
		say("cnisdk: %s; %s goes on without it\n", call.why, call.command);
	return run_alone(&settings, &call);
}
