/* What the parts of the launcher know of each other; launcher.c says how it works. */
#ifndef CNISDK_LAUNCHER_H
#define CNISDK_LAUNCHER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_ARGS 64	      /* of arg= in the trailer */
#define MAX_UNPACK_DIRS 8     /* of unpack-dir= */
#define MAX_PAYLOAD (1 << 20) /* a larger call is made without the agent */
#define MAX_STDIN (4 << 20)   /* more is refused by whoever serves the call */

/* How this executable runs: what trailer.py describes, or the defaults. */
struct settings {
	int fd; /* the executable itself, -1 if it cannot be read */
	uint64_t payload, payload_length;
	const char *versions; /* comma separated, oldest first */
	const char *socket;
	const char *queue_dir;
	const char *exec; /* NULL: launcher only */
	const char *argv0;
	const char *arg[MAX_ARGS];
	int args;
	const char *payload_id; /* NULL: nothing to unpack */
	const char *warm; /* seconds, "" for none: CNISDK_WARM comes before warm= */
	const char *unpack_dir[MAX_UNPACK_DIRS];
	int unpack_dirs; /* 0: the usual ones */
	enum { DEL_QUEUE, DEL_FAIL, DEL_IGNORE } on_del;
	int patience_ms, limit_ms;
};

/* One call on its way. */
struct call {
	char **argv;
	const char *name;    /* that the executable was called by */
	const char *command; /* CNI_COMMAND, "" if unset */
	bool open[3];	     /* which of stdin, stdout, stderr the caller gave */
	char *input;	     /* what was read of stdin */
	size_t input_size;
	int input_fd;	     /* a memfd with all of it at offset 0; -1: stdin is untouched */
	void (*sigpipe)(int); /* what the one call shall find */
	const char *payload; /* argv and whitelisted variables, as protocol.py has it */
	size_t payload_size; /* 0: larger than MAX_PAYLOAD */
	char why[256];	     /* what kept the agent from serving the call */
	bool no_agent;	     /* nobody listens, which is as usual as an agent */
};

/* What became of a call that the agent was asked to serve. */
enum outcome {
	NOT_BEGUN, /* and never will be */
	DONE,
	DIED, /* the agent had begun and is gone */
	LATE, /* the agent has begun and is still there */
};

/* launcher.c */
int64_t now_ms(void);
int await(int fd, short events, int64_t deadline);
bool write_all(int fd, const char *bytes, size_t size);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void put_u32(char *to, uint32_t value);
int make_memfd(void);
bool read_input(struct call *call, int64_t deadline);

/* agent.c */
enum outcome ask_agent(const struct settings *settings, struct call *call, int *status);
const char *runtime_directory(void);

/* trailer.c */
void read_settings(struct settings *settings);

/* json.c */
bool stated_version(const char *json, size_t size, char version[65]);
int answer_version(const struct settings *settings, struct call *call);
int fail(const struct settings *settings, const struct call *call, int code, const char *msg,
	 const char *details);

/* alone.c */
int run_alone(const struct settings *settings, struct call *call);

/*
 * Make what exec= names ready to run, as by unpacking the payload, and put the directory for %d
 * into `directory`, PATH_MAX bytes.  Return NULL, or what went wrong.  unpack.c does it; without
 * that, the weak definition in alone.c has nothing to do.
 */
const char *prepare_one_call(const struct settings *settings, char *directory);

#endif
