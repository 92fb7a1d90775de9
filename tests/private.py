"""Run the whole test session in namespaces of its own, as anybody, touching nothing.

A pytest plugin (``-p tests.private`` in pyproject.toml) that is imported before pytest captures
anything or xdist starts a worker: it re-executes the session in a fresh user, network, mount,
pid, ipc and uts namespace, where the caller is root and the machine's network is out of reach.
Every process the tests leave dies with the pid namespace.  Of real root something stays outside,
for what needs to be that; see `tests.runtimes.outside`.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

from cnisdk.conformance.private import prepare, witness
from tests.runtimes import outside

INSIDE = "CNISDK_PRIVATE"


def _enter() -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        sys.exit("the tests need unshare (util-linux)")
    flags = ["--user", "--map-root-user", "--net", "--mount", "--ipc", "--uts", "--pid", "--fork"]
    flags += ["--kill-child", "--mount-proc"]
    probe = subprocess.run([unshare, *flags, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        sys.exit(
            "the tests need unprivileged user namespaces, which this machine refuses:\n"
            f"{probe.stderr}allow them (sysctl kernel.unprivileged_userns_clone=1, "
            "kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces > 0)"
        )
    # A shell has what it starts in the background ignore SIGINT, and all its children with it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    # Everybody is root inside, and pytest names its directory after that.
    temporary = os.path.join(tempfile.gettempdir(), f"cnisdk-tests-{os.getuid()}")
    os.makedirs(temporary, mode=0o700, exist_ok=True)
    environ = {"PYTEST_DEBUG_TEMPROOT": temporary, **os.environ, **witness(), INSIDE: "1"}
    if outside.is_real_root():
        environ |= outside.stay(temporary)
    os.execve(unshare, [unshare, *flags, "--", *command], environ)


def _prepare() -> None:
    prepare()
    os.environ[INSIDE] = "2"


if INSIDE not in os.environ:
    _enter()
elif os.environ[INSIDE] == "1":
    _prepare()
