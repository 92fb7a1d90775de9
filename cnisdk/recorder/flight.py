"""What stands between a runtime and a plugin that is recorded: runs it, and keeps the call.

`cnisdk.recorder.wrapping` copies this file and log.py beside the plugin, so they need nothing but
an interpreter, and import nothing but what is built in or close to it: a runtime waits for them.

The plugin runs as a child, with pipes for its streams; what comes out of one goes into the
runtime's at once, and a copy stays here, up to a limit.  Its environment is the runtime's, byte
for byte; its end, by status or signal, becomes ours; signals are handed on, and it dies with us.
The call is written when its stdin is complete, and again when it has ended: of a call that never
ends, or that is killed, the first remains.
"""

import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from cnisdk.recorder.log import Log

MARKER = b"# cnisdk-recorder 1 "
"""The second line of what takes a plugin's place."""

_PIECE = 65536
_FORWARDED = (1, 2, 3, 10, 12, 15)  # HUP INT QUIT USR1 USR2 TERM
_ENOENT, _EAGAIN, _ETXTBSY, _EPIPE = 2, 11, 26, 32
_SIG_BLOCK, _SIG_SETMASK = 0, 2
_SIGINT, _SIGKILL, _SIGPIPE, _SIGXFSZ = 2, 9, 13, 25
_POLLIN, _POLLOUT, _POLLERR = 1, 4, 8
_PR_SET_PDEATHSIG = 1


def main(settings: "dict[str, Any]", log: "type[Log]") -> "NoReturn":
    """Be the plugin: ``settings`` are those that `wrapping` wrote, see there."""
    environ = read_environ()
    paths = originals(settings, sys.argv[0])
    if len(sys.argv) > 1 or not environ.get(b"CNI_COMMAND"):
        # Typed by a person, or no call at all, such as the daemon of dhcp.
        default_signals()
        answer_failure(execute(paths, environ), 2)
    flight = Flight(settings, environ, paths)
    flight.log = log(settings, flight)
    end(flight.run())


def read_environ() -> dict[bytes, bytes]:
    """Return the environment as the runtime made it; the interpreter may have added to its own."""
    try:
        fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return dict(posix.environ)
    try:
        block = b"".join(iter(lambda: posix.read(fd, _PIECE), b""))
    except OSError:
        return dict(posix.environ)
    finally:
        posix.close(fd)
    environ: dict[bytes, bytes] = {}
    for variable in block.split(b"\0"):
        name, equals, value = variable.partition(b"=")
        if equals and name:
            environ.setdefault(name, value)  # of two the first counts, as in getenv(3)
    return environ


def originals(settings: "dict[str, Any]", argv0: str) -> list[str]:
    """Return where the plugin may be, likeliest first.

    The first one is by the name that we were called by, where a link of that name led to us.  The
    last is our own place: recording may have ended since we were started.
    """
    name = settings["name"]
    here, slash, called = argv0.rpartition("/")
    beside = f"{here}{slash}{settings['beside']}/{name}"
    paths = [f"{settings['run']}/{called}", f"{settings['run']}/{name}", beside]
    return [*dict.fromkeys(paths), settings["place"]]


def execute(paths: list[str], environ: dict[bytes, bytes]) -> OSError:
    """Become the plugin; return why that cannot be."""
    failure = OSError(_ENOENT, "the recorder has lost the plugin", paths[-1])
    for path in paths:
        if path is paths[-1] and is_wrapper(path):
            break
        for delay in (0.01, 0.05, 0.2, 0.5, 1.0, 0.0):
            try:
                posix.execve(path, sys.argv, environ)
            except OSError as err:
                err.filename = path
                if err.errno == _ETXTBSY and delay:
                    time.sleep(delay)  # being replaced by writing into it
                    continue
                if err.errno != _ENOENT:
                    return err
                break
    return failure


def is_wrapper(path: str) -> bool:
    """Say whether one of ours is at ``path``; True if that cannot be told."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return True
    try:
        return MARKER in posix.read(fd, 512)
    except OSError:
        return True
    finally:
        posix.close(fd)


def answer_failure(err: OSError, fd: int = 1) -> "NoReturn":
    """Say as a plugin does that there is none; SPEC section 5, "Error"."""
    said = f"{err.filename}: {err.strerror}"
    details = "".join(c if c.isprintable() and c not in '"\\' else "?" for c in said)
    text = (
        '{\n    "cniVersion": "1.1.0",\n    "code": 5,\n'
        '    "msg": "cannot execute the recorded plugin",\n'
        f'    "details": "{details}"\n}}\n'
    )
    try:
        posix.write(fd, text.encode("utf-8", "replace"))
    finally:
        posix._exit(1)


def end(status: int) -> "NoReturn":
    """End as the child did."""
    if status >= 0:
        posix._exit(status)
    _signal = signals()
    leave_no_core()
    if -status != _SIGKILL:
        _signal.signal(-status, _signal.SIG_DFL)
        _signal.pthread_sigmask(_SIG_SETMASK, ())
    posix.kill(posix.getpid(), -status)
    posix._exit(128 - status)


def leave_no_core() -> None:
    """Have the kernel write no core file of ours beside the plugin's."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        return  # then there are two


def default_signals() -> None:
    """Undo what the interpreter does to signals."""
    _signal = signals()
    for number in (_SIGPIPE, _SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    if _signal.getsignal(_SIGINT) != _signal.SIG_IGN:
        _signal.signal(_SIGINT, _signal.SIG_DFL)


def signals() -> "Any":
    """Return what signal makes its enumerations from, which takes it 2 ms."""
    import _signal  # type: ignore[import-not-found]

    return _signal


class Stream:
    """One of the plugin's streams: where it leads, and what is kept of it."""

    def __init__(self, number: int, limit: int) -> None:
        self.number = number
        self.limit = limit
        self.kept: list[bytes] = []
        self.size = 0
        self.fd = -1
        """Our end of the pipe, -1 when it is closed."""
        self.lost = 0
        """Why the other side takes no more: an errno."""

    def keep(self, piece: bytes) -> None:
        """Keep what has passed, up to the limit."""
        room = self.limit - self.size
        if room > 0:
            self.kept.append(piece[:room])
        self.size += len(piece)

    def close(self) -> None:
        """Close our end."""
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1

    def take(self) -> bool:
        """Hand on one piece of output; False when there is no more, or none yet."""
        try:
            piece = posix.read(self.fd, _PIECE)
        except OSError as err:
            if err.errno == _EAGAIN:
                return False
            piece = b""
        if not piece:
            self.close()
            return False
        self.keep(piece)
        try:
            write_all(self.number, piece)
        except OSError as err:
            self.lost = err.errno or _EPIPE
            self.close()  # the plugin is to meet with the same
            return False
        return True


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, however long the other side takes."""
    while data:
        try:
            data = data[posix.write(fd, data) :]
        except OSError as err:
            if err.errno != _EAGAIN:
                raise
            import select

            poll = select.poll()
            poll.register(fd, _POLLOUT)
            poll.poll()


class Flight:
    """One call."""

    log: "Log"
    poller: "Any"

    def __init__(
        self, settings: "dict[str, Any]", environ: dict[bytes, bytes], paths: list[str]
    ) -> None:
        self.environ = environ
        self.paths = paths
        self.began = time.time()
        self.clock = time.monotonic()
        self.streams = [Stream(number, settings["stream"]) for number in range(3)]
        self.outputs: dict[int, Stream] = {}
        """Those of which there may be more, by our ends of their pipes."""
        self.closed = [number for number in range(3) if not is_open(number)]
        self.pending = b""
        """Of stdin, read and not yet written."""
        self.child = 0
        self.runs = True

    def run(self) -> int:
        """Run the plugin and return its exit status, minus the signal's number if one ended it."""
        for number in self.closed:  # so that no pipe takes the place of one
            while posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC) < number:
                pass
        self.start()
        status = self.carry()
        self.outputs = {fd: stream for fd, stream in self.outputs.items() if stream.fd >= 0}
        self.log.ended(status)
        if self.outputs:
            self.leave_behind()
        return 1 if self.streams[1].lost and status == 0 else status

    def start(self) -> None:
        """Start the plugin."""
        _signal = signals()
        pipes = [posix.pipe2(posix.O_CLOEXEC) for _ in range(3)]
        ends = [pipes[0][0], pipes[1][1], pipes[2][1]]
        parent = posix.getpid()
        mask = _signal.pthread_sigmask(_SIG_BLOCK, _FORWARDED)
        self.child = posix.fork()
        if self.child == 0:
            self.become(ends, parent, mask)
        for number in _FORWARDED:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, self.hand_on)
        _signal.pthread_sigmask(_SIG_SETMASK, mask)
        for stream, mine in zip(self.streams, (pipes[0][1], pipes[1][0], pipes[2][0]), strict=True):
            stream.fd = mine
            posix.set_blocking(mine, False)
        for fd in ends:
            posix.close(fd)

    def become(self, ends: list[int], parent: int, mask: "Any") -> "NoReturn":
        """Be the plugin, in the child."""
        try:
            _signal = signals()
            die_with_parent()
            if posix.getppid() != parent:
                posix._exit(1)
            for number in range(3):
                if number in self.closed:
                    posix.close(number)
                else:
                    posix.dup2(ends[number], number)
            default_signals()
            _signal.pthread_sigmask(_SIG_SETMASK, mask)
            answer_failure(execute(self.paths, self.environ))
        finally:
            posix._exit(1)

    def hand_on(self, number: int, frame: object) -> None:
        """Let the plugin have a signal."""
        if self.runs:
            try:
                posix.kill(self.child, number)
            except OSError:
                return

    def carry(self) -> int:
        """Carry everything between the runtime and the plugin until that ends."""
        pidfd = self.watch()
        ended = False
        while not ended and (self.outputs or pidfd >= 0):
            for fd, events in self.poller.poll():
                if fd == pidfd:
                    ended = True
                elif fd in (0, self.streams[0].fd):
                    self.feed()
                elif fd in self.outputs:
                    self.take(fd)
                elif fd in (1, 2):
                    self.unread(self.streams[fd], events)
        self.runs = not ended
        _, status = posix.waitpid(self.child, 0)
        self.runs = False
        for stream in self.outputs.values():
            while stream.take():
                pass
        return posix.waitstatus_to_exitcode(status)

    def watch(self) -> int:
        """Prepare to wait for all that can happen; return what tells of the plugin's end."""
        import select

        self.poller = select.poll()
        self.outputs = {stream.fd: stream for stream in self.streams[1:]}
        pidfd = pidfd_of(self.child)
        for fd in (pidfd, *self.outputs):
            if fd >= 0:
                self.poller.register(fd, _POLLIN)
        for number in (1, 2):
            self.poller.register(number, 0)  # to learn that nobody reads any more
        if 0 in self.closed:
            self.streams[0].close()
        else:
            self.poller.register(0, _POLLIN)
        return pidfd

    def take(self, fd: int) -> None:
        """Hand on a piece of output; wait for no more if that was the last."""
        stream = self.outputs[fd]
        if not stream.take() and stream.fd < 0:
            self.poller.unregister(fd)
            del self.outputs[fd]

    def unread(self, stream: Stream, events: int) -> None:
        """Let the plugin meet with a stream that the runtime does not read any more."""
        self.poller.unregister(stream.number)
        if events & _POLLERR and stream.fd in self.outputs:
            self.poller.unregister(stream.fd)
            del self.outputs[stream.fd]
            stream.lost = _EPIPE
            stream.close()

    def feed(self) -> None:
        """Hand on stdin: read a piece if there is none, and write what the pipe takes.

        Either we wait for the runtime or for the plugin, never for both.
        """
        stdin = self.streams[0]
        waited_for_plugin = bool(self.pending)
        if not waited_for_plugin:
            try:
                self.pending = posix.read(0, _PIECE)
            except OSError as err:
                if err.errno == _EAGAIN:
                    return
            stdin.keep(self.pending)
        done = not self.pending
        while self.pending:
            try:
                self.pending = self.pending[posix.write(stdin.fd, self.pending) :]
            except OSError as err:
                done = err.errno != _EAGAIN  # the plugin does not want to know
                break
        waits_for_plugin = bool(self.pending) and not done
        if waited_for_plugin and not waits_for_plugin:
            self.poller.unregister(stdin.fd)
        if not waited_for_plugin and (waits_for_plugin or done):
            self.poller.unregister(0)
        if waits_for_plugin and not waited_for_plugin:
            self.poller.register(stdin.fd, _POLLOUT)
        if waited_for_plugin and not waits_for_plugin and not done:
            self.poller.register(0, _POLLIN)
        if done:
            stdin.close()
            self.log.begun()

    def leave_behind(self) -> None:
        """Leave a process that carries what children of the plugin still write, to its end."""
        if posix.fork():
            return
        try:
            for number in {0, 1, 2} - {stream.number for stream in self.outputs.values()}:
                posix.close(number)
            import select

            self.poller = select.poll()
            for fd in self.outputs:
                posix.set_blocking(fd, True)
                self.poller.register(fd, _POLLIN)
            while self.outputs:
                for fd, _ in self.poller.poll():
                    stream = self.outputs[fd]
                    self.take(fd)
                    if stream.fd < 0:
                        posix.close(stream.number)
        finally:
            posix._exit(0)


def is_open(fd: int) -> bool:
    """Say whether there is such a descriptor."""
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def pidfd_of(pid: int) -> int:
    """Return a descriptor that says when a child has ended, -1 where there is none."""
    try:
        return posix.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone; see prctl(2).

    By way of what ctypes is made from, which itself takes 4 ms.
    """
    try:
        import _ctypes

        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl")  # type: ignore[arg-type]
        _ctypes.call_function(prctl, (_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))
    except (ImportError, AttributeError, OSError):
        return  # no such thing here: it lives to its end
