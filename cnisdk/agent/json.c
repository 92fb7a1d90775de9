/* The little JSON a launcher needs: one key of stdin, and the two objects it may answer with. */
#define _GNU_SOURCE
#include "launcher.h"

#include <stdio.h>
#include <string.h>

#define VERSION_PATIENCE_MS 100 /* for a stdin that nobody writes to or closes */

/* Copy what may be echoed without escaping; anything else counts as not stated. */
static void copy_version(char version[65], const char *from, size_t size)
{
	static const char allowed[] = "0123456789.+-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz";

	if (size > 0 && size <= 64) {
		memcpy(version, from, size);
		version[size] = '\0';
		if (strspn(version, allowed) == size)
			return;
	}
	version[0] = '\0';
}

/*
 * Find the string that is "cniVersion" of the JSON object, "" if there is none.  Return whether
 * the object is complete.  Nothing is validated beyond strings and the nesting of brackets.
 */
bool stated_version(const char *json, size_t size, char version[65])
{
	bool is_value = false, is_ours = false;
	size_t i = 0, depth = 0;

	version[0] = '\0';
	while (i < size && strchr(" \t\r\n", json[i]) && json[i])
		i++;
	if (i == size || json[i] != '{')
		return false;
	for (; i < size; i++) {
		size_t start = i + 1;

		switch (json[i]) {
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return true;
			break;
		case ':':
			is_value = depth == 1 ? true : is_value;
			break;
		case ',':
			is_value = depth == 1 ? false : is_value;
			break;
		case '"':
			for (i++; i < size && json[i] != '"'; i++)
				i += json[i] == '\\';
			if (i >= size)
				break;
			if (depth == 1 && !is_value) {
				is_ours = i - start == 10 && !memcmp(json + start, "cniVersion", 10);
				if (is_ours)
					version[0] = '\0'; /* the last one counts */
			} else if (depth == 1 && is_ours) {
				copy_version(version, json + start, i - start);
			}
			break;
		}
	}
	version[0] = '\0';
	return false;
}

/* What the runtime stated, or else the newest version. */
static void version_in_use(const struct settings *s, const struct call *call, char version[65])
{
	const char *comma = strrchr(s->versions, ',');

	stated_version(call->input, call->input_size, version);
	if (!*version)
		snprintf(version, 65, "%s", comma ? comma + 1 : s->versions);
}

/* SPEC section 5, "Version"; one line, as the Go library prints it. */
int answer_version(const struct settings *s, struct call *call)
{
	char version[65], out[2048];
	const char *from = s->versions;
	int n;

	read_input(call, now_ms() + VERSION_PATIENCE_MS);
	version_in_use(s, call, version);
	n = snprintf(out, sizeof out, "{\"cniVersion\": \"%s\", \"supportedVersions\": [", version);
	for (const char *comma = from; comma; from = comma + 1) {
		int length = (int)((comma = strchr(from, ',')) ? comma - from : (int)strlen(from));

		n += snprintf(out + n, sizeof out - (size_t)n, "\"%.*s\"%s", length, from,
			      comma ? ", " : "]}\n");
		if (n >= (int)sizeof out)
			return 1;
	}
	return write_all(1, out, (size_t)n) ? 0 : 1;
}

/* Copy `from` with what JSON does not allow in a string escaped; at most `room` bytes. */
static size_t put_escaped(char *to, size_t room, const char *from)
{
	size_t n = 0;

	for (; *from && n + 7 < room; from++) {
		unsigned char c = (unsigned char)*from;

		if (c == '"' || c == '\\')
			to[n++] = '\\', to[n++] = *from;
		else if (c < 0x20 || c > 0x7e) /* bytes are no text: a path may be of any encoding */
			n += (size_t)snprintf(to + n, room - n, "\\u%04x", c);
		else
			to[n++] = *from;
	}
	to[n] = '\0';
	return n;
}

/* Answer with an error object, SPEC section 5, and return the exit status. */
int fail(const struct settings *s, const struct call *call, int code, const char *msg,
	 const char *details)
{
	char version[65], text[512], why[1536], out[2304];
	int n;

	version_in_use(s, call, version);
	put_escaped(text, sizeof text, msg);
	put_escaped(why, sizeof why, details);
	n = snprintf(out, sizeof out,
		     "{\n    \"cniVersion\": \"%s\",\n    \"code\": %d,\n    \"msg\": \"%s\",\n"
		     "    \"details\": \"%s\"\n}\n",
		     version, code, text, why);
	write_all(1, out, (size_t)n);
	return 1;
}
