"""Directories that are ours alone, so that what is in them was put there by nobody else."""

import os
import stat


def problem(directory: str) -> str:
    """Say why others may be at work in a directory, ``""`` if none can be; OSError without one."""
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode):
        return f"{directory} is no directory"
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        return (
            f"{directory} belongs to uid {status.st_uid} with mode {mode:04o}; "
            "it has to be ours, and 0700"
        )
    return ""
