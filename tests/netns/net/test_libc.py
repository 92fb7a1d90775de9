import subprocess
from pathlib import Path

import pytest

from cnisdk.net import libc


@pytest.mark.parametrize("path", ["/", "/proc", "/sys", "/dev/shm", "/run"])
def test_statfs_says_the_type_that_stat_says(path: str) -> None:
    said = subprocess.run(["stat", "-f", "-c", "%t", path], capture_output=True, check=True).stdout

    assert libc.statfs(path) == int(said, 16)


def test_statfs_of_nothing_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        libc.statfs(str(tmp_path / "nothing"))

    assert caught.value.filename == str(tmp_path / "nothing")
