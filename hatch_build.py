"""Put into the wheel what no package has: the template, and launchers that are compiled already.

Whoever installs the wheel needs no compiler to build executables then.  Without ziglang it has at
most this machine's, by musl-gcc; where it has none, `cnisdk build` compiles or does without.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MACHINES = ("x86_64", "aarch64")


class Launchers(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles `cnisdk/agent/*.c` for every machine that there are launchers for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add ``cnisdk/agent/bin/launcher-MACHINE``; an editable install has the sources."""
        sys.path.insert(0, self.root)
        from cnisdk.agent import native

        if version == "editable":
            return
        build_data["force_include"][f"{self.root}/cookiecutter"] = "cnisdk/template"
        self._directory = tempfile.TemporaryDirectory()
        for machine in MACHINES:
            path = Path(self._directory.name) / f"launcher-{machine}"
            if native.has_ziglang():
                compiler = [sys.executable, "-m", "ziglang", "cc"]
                compiler += ["-target", f"{machine}-linux-musl"]
            elif machine == native.machine() and shutil.which("musl-gcc"):
                compiler = ["musl-gcc"]
            else:
                self.app.display_warning(f"the wheel has no launcher for {machine}: no ziglang")
                continue
            made = native.compile_launcher(str(path), cc=compiler, report=self.app.display_error)
            if made is None and native.has_ziglang():
                self.app.abort(f"cannot compile the launcher for {machine}")
            elif made is None:
                self.app.display_warning(f"the wheel has no launcher for {machine}")
            else:
                build_data["force_include"][made] = f"cnisdk/agent/bin/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the compiled files away."""
        if hasattr(self, "_directory"):
            self._directory.cleanup()
