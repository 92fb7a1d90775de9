/* Reads how this executable runs from its own end; cnisdk/agent/trailer.py has the format. */
#define _GNU_SOURCE
#include "launcher.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define MAX_SETTINGS 8192
#define MAGIC "# cnisdk-trailer 1 "
#define FOOTER_SIZE (sizeof MAGIC - 1 + 16 + 1 + 8 + 1 + 16 + 1 + 16 + 1)

static char tail[MAX_SETTINGS + 1]; /* the settings point into it */

/* Take a hexadecimal number of exactly `digits` digits and the character `end` behind it. */
static bool take_number(const char **at, int digits, char end, uint64_t *number)
{
	static const char hex[] = "0123456789abcdef";

	for (*number = 0; digits > 0; digits--, ++*at) {
		const char *digit = **at ? strchr(hex, **at) : NULL;

		if (!digit)
			return false;
		*number = *number << 4 | (uint64_t)(digit - hex);
	}
	return *(*at)++ == end;
}

static void take_setting(struct settings *s, const char *key, const char *value, bool *exec)
{
	if (!strcmp(key, "versions"))
		s->versions = value;
	else if (!strcmp(key, "mode"))
		*exec = !strcmp(value, "exec");
	else if (!strcmp(key, "exec"))
		s->exec = value;
	else if (!strcmp(key, "argv0"))
		s->argv0 = value;
	else if (!strcmp(key, "arg") && s->args < MAX_ARGS)
		s->arg[s->args++] = value;
	else if (!strcmp(key, "payload-id"))
		s->payload_id = value;
	else if (!strcmp(key, "unpack-dir") && s->unpack_dirs < MAX_UNPACK_DIRS)
		s->unpack_dir[s->unpack_dirs++] = value;
	else if (!strcmp(key, "on-del") && !strcmp(value, "fail"))
		s->on_del = DEL_FAIL;
	else if (!strcmp(key, "on-del") && !strcmp(value, "ignore"))
		s->on_del = DEL_IGNORE;
	else if (!strcmp(key, "queue-dir"))
		s->queue_dir = value;
	else if (!strcmp(key, "socket"))
		s->socket = value;
	else if (!strcmp(key, "warm"))
		s->warm = value;
	else if (!strcmp(key, "patience-ms"))
		s->patience_ms = atoi(value);
	else if (!strcmp(key, "limit-ms"))
		s->limit_ms = atoi(value);
}

static void take_lines(struct settings *s, char *text, char *end)
{
	bool exec = false;

	while (text < end) {
		char *line = text, *newline = memchr(text, '\n', (size_t)(end - text)), *equals;

		if (!newline)
			break;
		*newline = '\0';
		text = newline + 1;
		if (line[0] == '#' && line[1] == ' ' && (equals = strchr(line, '='))) {
			*equals = '\0';
			take_setting(s, line + 2, equals + 1, &exec);
		}
	}
	if (!exec)
		s->exec = NULL;
}

/* A file without a trailer, or with a damaged one, is a launcher only. */
void read_settings(struct settings *s)
{
	uint64_t start, length, size, kept;
	const char *at;

	*s = (struct settings){
		.versions = "0.1.0,0.2.0,0.3.0,0.3.1,0.4.0,1.0.0,1.1.0",
		.socket = "/run/cnisdk/agent.sock",
		.queue_dir = "/var/lib/cnisdk/queue",
		.warm = "",
		.patience_ms = 1000,
		.limit_ms = 600000,
	};
	s->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (s->fd < 0) /* no /proc: the path we were executed by */
		s->fd = open((const char *)getauxval(AT_EXECFN), O_RDONLY | O_CLOEXEC);
	size = (uint64_t)lseek(s->fd, 0, SEEK_END);
	if (s->fd < 0 || (int64_t)size < (int64_t)FOOTER_SIZE)
		return;
	kept = size < MAX_SETTINGS ? size : MAX_SETTINGS;
	if (pread(s->fd, tail, kept, (off_t)(size - kept)) != (ssize_t)kept)
		return;
	at = tail + kept - FOOTER_SIZE;
	if (memcmp(at, MAGIC, sizeof MAGIC - 1))
		return;
	at += sizeof MAGIC - 1;
	if (!take_number(&at, 16, ' ', &start) || !take_number(&at, 8, ' ', &length) ||
	    !take_number(&at, 16, ' ', &s->payload) ||
	    !take_number(&at, 16, '\n', &s->payload_length))
		return;
	if (length > kept - FOOTER_SIZE || start != size - FOOTER_SIZE - length ||
	    s->payload > start || s->payload_length > start - s->payload)
		return;
	take_lines(s, tail + kept - FOOTER_SIZE - length, tail + kept - FOOTER_SIZE);
}
