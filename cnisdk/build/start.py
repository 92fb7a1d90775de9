"""What runs first in a built executable: finds the modules of its payload, then the plugin.

A launcher executes it as ``main.pyc NAME EXECUTABLE WARM``, with the interpreter isolated (-I -S),
so that nothing around it decides what is imported.  Beside it are ``modules`` (see
`cnisdk.build.bundle`), ``plugins`` with a line ``NAME=MODULE:CLASS`` for each, and ``site`` with
what is not Python: extension modules, data.  WARM is for how many seconds to leave an agent behind,
see `cnisdk.agent.warm`.

Import budget: nothing before `main` has put the finder in its place, as every module costs a
search until then; no garbage is collected while modules are imported, since they are no garbage.
"""

import gc
import marshal
import posix
import sys
import time
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import (
    ExtensionFileLoader,
    PathFinder,
    SourcelessFileLoader,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from cnisdk.call import Call, HandOver, Served
    from cnisdk.plugin import Plugin

LATER = {"secrets"}
"""Loaded when first used: pydantic imports it for one function, and with it all of OpenSSL."""


class Modules:
    """Finds the modules of the payload at ``directory``; on sys.meta_path before any path."""

    def __init__(self, directory: str) -> None:
        self.site = f"{directory}/site/"
        self.fd = posix.open(f"{directory}/modules", posix.O_RDONLY | posix.O_CLOEXEC)
        head = posix.pread(self.fd, 24, 0)  # see bundle.py
        size = int(head[15:23], 16)
        self.start = 24 + size
        # Nobody but root and ourselves can have written the file.
        self.index = marshal.loads(posix.pread(self.fd, size, 24))  # noqa: S302

    def find_spec(self, name: str, path: object = None, target: object = None) -> "Any":
        """Return the spec of a module, None if it is not ours."""
        if name in LATER:
            from importlib.util import LazyLoader

            spec = self._spec(name) or PathFinder.find_spec(name)
            if spec is not None and spec.loader is not None:
                spec.loader = LazyLoader(spec.loader)
            return spec
        return self._spec(name)

    def _spec(self, name: str) -> "ModuleSpec | None":
        found = self.index.get(name)
        if found is None:
            return None
        if type(found) is str:
            file = self.site + found
            spec = ModuleSpec(name, ExtensionFileLoader(name, file), origin=file)
            spec.has_location = True
            return spec
        _, size, is_package = found
        directory = self.site + name.replace(".", "/")
        if is_package and not size:
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [directory]
            return spec
        file = directory + ("/__init__.pyc" if is_package else ".pyc")
        spec = ModuleSpec(name, Loader(name, file, self), origin=file, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [directory]
        return spec

    def code(self, name: str) -> "Any":
        """Return the code of a module."""
        offset, size, _ = self.index[name]
        return marshal.loads(posix.pread(self.fd, size, self.start + offset))  # noqa: S302


class Loader(SourcelessFileLoader):
    """Loads a module as if it were a .pyc file of ``site``, with data files beside it."""

    def __init__(self, name: str, path: str, modules: Modules) -> None:
        super().__init__(name, path)
        self.modules = modules

    def get_code(self, fullname: str) -> "Any":
        """Return the code of the module."""
        return self.modules.code(fullname)


def main() -> "NoReturn":
    """Be the plugin that the executable was called by the name of."""
    gc.disable()
    main_file, name, executable, warm, *arguments = sys.argv
    directory = main_file.rpartition("/")[0]
    sys.argv = [executable, *arguments]
    # Behind what is built in and frozen, before everything that searches.
    sys.meta_path.insert(2, Modules(directory))
    sys.path.append(f"{directory}/site")
    plugins = read_plugins(directory)
    if not name:
        describe(plugins)
    run(plugins, name, directory.rpartition("/")[2], warm)


def run(plugins: dict[str, str], name: str, identity: str, warm: str = "") -> "NoReturn":
    """Import the plugin ``name`` and serve the call with it.

    ``warm`` is for how many seconds to leave an agent behind then; none if it is no number.
    """
    gc.disable()
    began = time.time()
    try:
        plugin = load(plugins, name)
        from cnisdk import runner
    except Exception as err:  # noqa: BLE001 - whatever an author's module raises
        refuse(err)
    gc.freeze()
    gc.enable()

    def afterwards() -> None:
        if warm.isdigit() and int(warm):
            leave_agent(plugins, identity, int(warm), began)

    runner.main(plugin, served=served(plugins, identity), afterwards=afterwards)


def leave_agent(plugins: dict[str, str], identity: str, seconds: int, began: float) -> None:
    """Leave a process behind that serves the next calls; return to end this one.

    All descriptors of the caller are given up first, so it need not wait for more than the fork.
    """
    gc.freeze()  # what is closed here must not be closed again, once the number means another
    finders = [finder for finder in sys.meta_path if isinstance(finder, Modules)]
    keep = {finder.fd for finder in finders}
    try:
        if len(posix.listdir("/proc/self/task")) > 1:
            return  # left by a hook: what they hold locked would stay so
        null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        for fd in range(3):
            posix.dup2(null, fd)
        for fd in map(int, posix.listdir("/proc/self/fd")):
            if fd > 2 and fd not in keep:
                close(fd)
        if posix.fork():
            return
    except OSError:
        return
    try:
        posix.setsid()
        if not posix.fork():
            from cnisdk.agent import warm

            def load_all() -> "dict[str, type[Plugin[Any]]]":
                loaded = {name: load(plugins, name) for name in plugins}
                # A process of its own would find nothing to import.
                return {name: one for name, one in loaded.items() if not one.needs_process}

            warm.serve(load_all, identity, seconds, loaded=0.0 if finders else began)
    finally:
        posix._exit(0)


def close(fd: int) -> None:
    """Close a descriptor; the one that listed them is closed already."""
    try:
        posix.close(fd)
    except OSError:
        return


def read_plugins(directory: str) -> dict[str, str]:
    """Return the plugins of the payload: name and ``module:Class``."""
    with open(f"{directory}/plugins", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split("=", 1) for line in file)


def load(plugins: dict[str, str], name: str) -> "type[Plugin[Any]]":
    """Import the plugin ``name``; a payload with one plugin may be called anything."""
    from importlib import import_module

    value = plugins.get(name)
    if value is None and len(plugins) == 1:
        (value,) = plugins.values()
    if value is None:
        raise LookupError(f"called as {name!r}, but it is only {', '.join(sorted(plugins))}")
    module, _, attr = value.partition(":")
    plugin: Any = import_module(module)
    for part in attr.split("."):
        plugin = getattr(plugin, part)
    return plugin  # type: ignore[no-any-return]


def refuse(err: Exception) -> "NoReturn":
    """Answer that the plugin cannot be imported: code 999, the traceback on stderr only."""
    import json
    import traceback

    traceback.print_exc()
    answer = {
        "cniVersion": "1.1.0",
        "code": 999,
        "msg": "cannot import the plugin",
        "details": f"{type(err).__name__}: {err}",
    }
    posix.write(1, json.dumps(answer, indent=4).encode() + b"\n")
    posix._exit(1)


def served(plugins: dict[str, str], identity: str) -> "Served":
    """Return what runs a delegate in this process, if CNI_PATH means ours and no other.

    Ours is an executable with the same payload, whatever its name and place.  Any other, such
    as a Go plugin of the same name, is left to be executed.
    """

    def serve(name: str, call: "Call", hand_over: "HandOver | None") -> bytes | None:
        if name not in plugins:
            return None
        from cnisdk import invoke, runner
        from cnisdk.agent import trailer
        from cnisdk.errors import CNIError

        try:
            found = trailer.read(invoke.find(name, call.plugin_dirs))
        except (CNIError, OSError):
            return None  # executing it will say what is wrong
        if found is None or found.value("payload-id") != identity:
            return None
        plugin = load(plugins, name)
        if plugin.needs_process:
            return None
        answer: list[bytes] = []
        runner.Run(plugin, call, hand_over).serve(call.stdin, answer.append)
        return b"".join(answer)

    return serve


def describe(plugins: dict[str, str]) -> "NoReturn":
    """Tell the build what the payload has, having imported all of it that calls need."""
    import json

    from cnisdk import runner
    from cnisdk.agent import trailer
    from cnisdk.plugin import Plugin
    from cnisdk.types.config import salvage_config

    del runner, trailer  # imported to see that they can be
    versions = {}
    for name, value in plugins.items():
        plugin: object = load(plugins, name)
        if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
            raise TypeError(f"{name} = {value!r} is no subclass of Plugin")
        salvage_config(plugin.config_type, {"name": "build", "type": name})  # makes its schema
        versions[name] = plugin.versions
    sys.stdout.write(json.dumps(versions))
    sys.exit(0)


if __name__ == "__main__":
    main()
