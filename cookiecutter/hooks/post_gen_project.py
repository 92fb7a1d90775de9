"""Keep the files of the kind that was asked for, under names without it."""

from pathlib import Path

KINDS = ("interface", "chained", "ipam")

for path in sorted(Path().rglob("*")):
    stem, dot, rest = path.name.partition(".")
    kind = stem.rpartition("_")[2]
    if not path.is_file() or kind not in KINDS or not dot:
        continue
    if kind == "{{ cookiecutter.kind }}":
        path.rename(path.with_name(stem.removesuffix(f"_{kind}") + dot + rest))
    else:
        path.unlink()
