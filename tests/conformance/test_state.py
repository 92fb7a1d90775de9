"""What is left of a container."""

import os
import threading
from pathlib import Path

from cnisdk.conformance.state import files_of


def test_a_pipe_that_nobody_writes_to_does_not_hold_the_search(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "10.1.0.2").write_text("c1\r\neth0")
    found: list[str] = []
    search = threading.Thread(
        target=lambda: found.extend(files_of("c1", [tmp_path], Path("/nowhere"))), daemon=True
    )
    search.start()
    search.join(10)

    assert found == [str(tmp_path / "10.1.0.2")]
