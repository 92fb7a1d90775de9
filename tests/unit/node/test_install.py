import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cnisdk.agent import trailer
from cnisdk.node import directory
from tests.unit.node.conftest import BIN, CONF, RECEIPTS, Install, executable, network, tree


def put(files: Path) -> list[Path]:
    return sorted(files.iterdir())


def test_everything_is_put_where_it_belongs(install: Install, node: Path, files: Path) -> None:
    done = install(*put(files))

    assert done.exit_code == 0
    for name in ("a", "b"):
        assert (node / BIN / name).read_bytes() == (files / name).read_bytes()
        assert (node / BIN / name).stat().st_mode & 0o7777 == 0o755
    assert (node / CONF / "10-net.conflist").read_bytes() == put(files)[0].read_bytes()


def test_a_network_comes_after_its_plugins(install: Install, files: Path) -> None:
    done = install(*put(files))

    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        f"/{BIN}/a",
        f"/{BIN}/b",
        f"/{CONF}/10-net.conflist",
    ]


def test_links_to_one_payload_stay_links(install: Install, node: Path, files: Path) -> None:
    install(*put(files))

    assert (node / BIN / "a").samefile(node / BIN / "b")
    assert (node / BIN / "a").stat().st_nlink == 2


def test_symbolic_links_to_one_payload_become_links(
    install: Install, node: Path, files: Path
) -> None:
    (files / "c").symlink_to("a")

    install(*put(files))

    assert not (node / BIN / "c").is_symlink()
    assert (node / BIN / "a").samefile(node / BIN / "c")


def test_a_new_name_is_linked_to_what_is_there_already(
    install: Install, node: Path, files: Path
) -> None:
    install(files / "a", "--name", "n")

    install(files / "a", files / "b", "--name", "n")

    assert (node / BIN / "a").samefile(node / BIN / "b")


def test_nobody_but_the_owner_may_write_what_is_installed(
    install: Install, node: Path, files: Path
) -> None:
    (files / "a").chmod(0o6777)
    (files / "10-net.conflist").chmod(0o600)

    install(*put(files))

    assert (node / BIN / "a").stat().st_mode & 0o7777 == 0o755
    assert (node / CONF / "10-net.conflist").stat().st_mode & 0o7777 == 0o600


def test_what_is_the_same_is_not_touched(install: Install, node: Path, files: Path) -> None:
    install(*put(files))
    before = {path: path.stat() for path in sorted(node.rglob("*"))}

    done = install(*put(files))

    assert {path: path.stat() for path in sorted(node.rglob("*"))} == before
    assert all(line.startswith("unchanged ") for line in done.stdout.splitlines())


def test_only_what_is_new_is_replaced(install: Install, node: Path, files: Path) -> None:
    install(*put(files))
    before = (node / CONF / "10-net.conflist").stat()
    (files / "a").unlink()
    executable(files / "a", "two")

    done = install(*put(files))

    assert done.exit_code == 0
    assert b"two" in (node / BIN / "a").read_bytes()
    assert b"one" in (node / BIN / "b").read_bytes()
    assert (node / CONF / "10-net.conflist").stat() == before


def test_an_executable_in_use_is_replaced(install: Install, node: Path, files: Path) -> None:
    program = files / "sleeper"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    install(program)
    with subprocess.Popen([node / BIN / "sleeper", "60"]) as running:
        with program.open("ab") as file:
            file.write(b"new")

        done = install(program)

        running.kill()
    assert done.exit_code == 0
    assert (node / BIN / "sleeper").read_bytes().endswith(b"new")


def test_what_a_version_has_no_more_goes(install: Install, node: Path, files: Path) -> None:
    install(*put(files))
    network(files / "20-net.conflist", plugins=[{"type": "a"}])

    done = install(files / "a", files / "20-net.conflist", "--name", "10-net")

    assert done.exit_code == 0
    assert sorted(tree(node)) == [
        f"{CONF}/20-net.conflist",
        f"{BIN}/a",
        f"{RECEIPTS}/10-net.json",
    ]
    assert [line for line in done.stdout.splitlines() if "removed" in line] == [
        f"removed /{CONF}/10-net.conflist",
        f"removed /{BIN}/b",
    ]


def test_a_plugin_that_a_network_wants_is_not_taken_away(
    install: Install, node: Path, files: Path
) -> None:
    install(*put(files))
    before = tree(node)

    done = install(files / "a", files / "10-net.conflist")

    assert done.exit_code == 1
    assert "$.plugins[1].type: there is no plugin b" in done.stderr
    assert tree(node) == before


# -- what is somebody else's -------------------------------------------------------------------


def test_a_file_of_somebody_else_is_not_replaced(install: Install, node: Path, files: Path) -> None:
    (node / BIN).mkdir(parents=True)
    executable(node / BIN / "a", "distribution")

    done = install(*put(files))

    assert done.exit_code == 1
    assert f"/{BIN}/a is there and was not put there by cnisdk install" in done.stderr
    assert "--force" in done.stderr
    assert list(tree(node)) == [f"{BIN}/a"]

    assert install(*put(files), "--force").exit_code == 0
    assert b"one" in (node / BIN / "a").read_bytes()


def test_a_link_of_somebody_else_is_replaced_and_not_followed(
    install: Install, node: Path, files: Path
) -> None:
    (node / BIN).mkdir(parents=True)
    multi = executable(node / BIN / "multi", "distribution")
    (node / BIN / "a").symlink_to("multi")
    before = multi.read_bytes()

    assert install(files / "a").exit_code == 1
    assert install(files / "a", "--force").exit_code == 0

    assert not (node / BIN / "a").is_symlink()
    assert multi.read_bytes() == before


def test_what_was_changed_by_hand_is_not_replaced(
    install: Install, node: Path, files: Path
) -> None:
    install(*put(files))
    network(node / CONF / "10-net.conflist", disableCheck=True)

    done = install(*put(files))

    assert done.exit_code == 1
    assert "was changed since it was installed" in done.stderr


def test_two_installations_do_not_take_from_one_another(
    install: Install, node: Path, files: Path
) -> None:
    install(files / "a", "--name", "first")
    install(files / "a", "--name", "second")

    done = install("--uninstall", "--name", "first")

    assert f"left /{BIN}/a: second has it too" in done.stdout
    assert (node / BIN / "a").exists()
    install("--uninstall", "--name", "second")
    assert tree(node) == {}


# -- two paths of one directory -------------------------------------------------------------------


def two_paths(node: Path) -> tuple[list[str], list[str]]:
    """Lay out a node whose /opt is /var/opt; return the options that say either."""
    (node / "var/opt").mkdir(parents=True)
    (node / "opt").symlink_to("/var/opt")
    first, second = (
        ["--bin-dir", f"{opt}/cni/bin", "--conf-dir", f"{opt}/cni/net.d", "--name", "n"]
        for opt in ("/opt", "/var/opt")
    )
    return first, second


@pytest.mark.parametrize("changed", [False, True])
def test_what_is_installed_again_by_another_path_stays(
    install: Install, node: Path, files: Path, *, changed: bool
) -> None:
    first, second = two_paths(node)
    install(*put(files), *first)
    if changed:
        for path in (files / "a", files / "b"):
            path.unlink()
            executable(path, "two")

    done = install(*put(files), *second)

    assert done.exit_code == 0
    assert "removed" not in done.stdout
    for name in ("bin/a", "bin/b", "net.d/10-net.conflist"):
        assert (node / "var/opt/cni" / name).read_bytes() == (
            files / name.split("/")[1]
        ).read_bytes()
    gone = install("--uninstall", "--name", "n")
    assert gone.stdout.count("removed /var/opt/cni/") == 3
    assert tree(node) == {"opt": "-> /var/opt"}


def test_what_is_put_into_a_directory_that_was_gone_stays_by_another_path(
    install: Install, node: Path, files: Path
) -> None:
    """Neither path leads anywhere when the two are compared."""
    first, second = two_paths(node)
    install(*put(files), *first)
    shutil.rmtree(node / "var/opt/cni")

    done = install(*put(files), *second)

    assert done.exit_code == 0
    assert "removed" not in done.stdout
    assert (node / "var/opt/cni/bin/a").exists()


def test_what_a_version_has_no_more_goes_by_another_path(
    install: Install, node: Path, files: Path
) -> None:
    """And is none of those plugins that a network may want."""
    first, second = two_paths(node)
    install(files / "a", files / "b", *first)

    refused = install(files / "a", files / "10-net.conflist", *second)
    done = install(files / "a", *second)

    assert "there is no plugin b" in refused.stderr
    assert done.stdout.splitlines() == ["unchanged /var/opt/cni/bin/a", "removed /opt/cni/bin/b"]
    assert [path.name for path in (node / "var/opt/cni/bin").iterdir()] == ["a"]


def test_what_another_installation_has_by_another_path_is_left(
    install: Install, node: Path, files: Path
) -> None:
    first, second = two_paths(node)
    install(files / "a", *first)
    install(files / "a", *second[:-1], "other")

    done = install("--uninstall", "--name", "n")

    assert done.stdout == "left /opt/cni/bin/a: other has it too\n"
    assert (node / "opt").is_symlink()
    assert (node / "var/opt/cni/bin/a").exists()


# -- uninstall ---------------------------------------------------------------------------------


def test_uninstall_takes_away_what_was_put_there(install: Install, node: Path, files: Path) -> None:
    install(*put(files))

    done = install(*put(files), "--uninstall")

    assert tree(node) == {}
    assert done.stdout.splitlines() == [
        f"removed /{CONF}/10-net.conflist",
        f"removed /{BIN}/a",
        f"removed /{BIN}/b",
    ]


def test_uninstall_leaves_what_was_there_before(install: Install, node: Path, files: Path) -> None:
    (node / BIN).mkdir(parents=True)
    executable(node / BIN / "a", "one")  # the same, from elsewhere
    executable(node / BIN / "other", "other")
    before = tree(node)
    install(*put(files))

    install("--uninstall", "--name", "10-net")

    assert tree(node) == before


def test_uninstall_leaves_what_was_changed(install: Install, node: Path, files: Path) -> None:
    install(*put(files))
    network(node / CONF / "10-net.conflist", disableCheck=True)

    done = install("--uninstall", "--name", "10-net")

    assert done.exit_code == 0
    assert f"left /{CONF}/10-net.conflist: changed since it was installed" in done.stdout
    assert list(tree(node)) == [f"{CONF}/10-net.conflist"]


def test_uninstall_a_second_time_succeeds(install: Install, node: Path, files: Path) -> None:
    install(*put(files))
    install("--uninstall", "--name", "10-net")

    done = install("--uninstall", "--name", "10-net")

    assert done.exit_code == 0
    assert "nothing is installed as 10-net" in done.stdout


def test_uninstall_of_a_node_without_anything_makes_nothing(install: Install, node: Path) -> None:
    assert install("--uninstall", "--name", "x").exit_code == 0
    assert list(node.iterdir()) == []


def test_a_receipt_that_is_none_is_refused(install: Install, node: Path, files: Path) -> None:
    install(*put(files))
    before = tree(node)
    for wire in ("{", "{}", '{"cnisdkInstall": 1, "files": [{"path": "etc/passwd"}]}'):
        (node / RECEIPTS / "10-net.json").write_text(wire)

        done = install("--uninstall", "--name", "10-net")

        assert done.exit_code == 1
        assert "is no receipt" in done.stderr
    assert set(tree(node)) == set(before)


def test_receipts_that_others_can_write_are_not_believed(
    install: Install, node: Path, files: Path
) -> None:
    install(*put(files))
    (node / RECEIPTS).chmod(0o777)

    done = install("--uninstall", "--name", "10-net")

    assert done.exit_code == 1
    assert "can be written to by others" in done.stderr
    assert (node / BIN / "a").exists()


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"plugins": []}, "$.plugins: empty"),
        ({"name": "../x"}, "$.name"),
        ({"cniVersion": "9.0.0"}, "$.cniVersion: '9.0.0' is not one of"),
        ({"plugins": [{"type": "gone"}]}, "$.plugins[0].type: there is no plugin gone"),
        (
            {"plugins": [{"type": "a", "ipam": {"type": "gone"}}]},
            "$.plugins[0].ipam.type: there is no plugin gone",
        ),
    ],
)
def test_a_network_that_cannot_work_is_refused_before_anything_is_written(
    install: Install, node: Path, files: Path, keys: dict[str, object], problem: str
) -> None:
    network(files / "10-net.conflist", **keys)

    done = install(*put(files))

    assert done.exit_code == 1
    assert problem in done.stderr
    assert tree(node) == {}


def test_a_version_that_a_plugin_does_not_speak_is_refused(
    install: Install, node: Path, files: Path
) -> None:
    (files / "b").unlink()
    settings = [("versions", "0.4.0"), ("mode", "none")]
    (files / "b").write_bytes(trailer.append(b"#!/bin/sh\n", settings))
    (files / "b").chmod(0o755)

    done = install(*put(files))

    assert done.exit_code == 1
    assert "b does not speak version 1.0.0, only 0.4.0" in done.stderr
    assert tree(node) == {}


def test_what_is_not_executable_is_refused(install: Install, node: Path, files: Path) -> None:
    (files / "README").write_text("read me")

    done = install(*put(files))

    assert done.exit_code == 1
    assert "README is not executable" in done.stderr
    assert tree(node) == {}


def test_the_same_name_twice_is_refused(install: Install, files: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    done = install(files / "a", executable(other / "a", "two"))

    assert done.exit_code == 1
    assert "have the same name" in done.stderr


def test_a_directory_in_the_place_of_a_plugin_is_refused(
    install: Install, node: Path, files: Path
) -> None:
    (node / BIN / "a").mkdir(parents=True)

    done = install(files / "a", "--force")

    assert done.exit_code == 1
    assert "is a directory" in done.stderr


def test_a_dry_run_does_nothing(install: Install, node: Path, files: Path) -> None:
    done = install(*put(files), "--dry-run")

    assert done.exit_code == 0
    assert [line.rpartition(" ")[0] for line in done.stdout.splitlines()] == ["would put"] * 3
    assert list(node.iterdir()) == []


# -- a prefix ----------------------------------------------------------------------------------


def test_links_of_a_mounted_root_do_not_lead_out_of_it(
    install: Install, node: Path, files: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (node / "opt").mkdir()
    (node / "opt/cni").symlink_to(outside)  # absolute: where the node has it
    (node / "etc").symlink_to("../../outside")
    (node / "outside").mkdir()

    done = install(*put(files))

    assert done.exit_code == 0
    assert list(outside.iterdir()) == []
    inside = node / outside.relative_to("/")
    assert (inside / "bin/a").exists()
    assert (node / "outside/cni/net.d/10-net.conflist").exists()


def test_directories_that_were_said_win(install: Install, node: Path, files: Path) -> None:
    install(*put(files), "--bin-dir", "/bins/", "--conf-dir", "/nets")

    assert (node / "bins/a").exists()
    assert (node / "nets/10-net.conflist").exists()
    assert not (node / "opt").exists()
    assert install(files / "a", "--bin-dir", "bins").exit_code == 2


def test_labels_go_on_to_the_new_file(
    install: Install, node: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label that anybody may set stands for SELinux's, which root alone may."""
    monkeypatch.setattr(directory, "LABELS", ("user.label",))
    install(files / "a")
    os.setxattr(node / BIN / "a", "user.label", b"bin_t")
    executable(files / "a", "two")

    install(files / "a")

    assert b"two" in (node / BIN / "a").read_bytes()
    assert os.getxattr(node / BIN / "a", "user.label") == b"bin_t"


def test_a_file_that_grows_while_it_is_read_is_not_installed(
    install: Install, node: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = directory.Directory.draft

    def grown(self: directory.Directory, name: str, source_fd: int, mode: int) -> str:
        with (files / "a").open("a") as file:
            file.write("more")
        return draft(self, name, source_fd, mode)

    monkeypatch.setattr(directory.Directory, "draft", grown)

    done = install(files / "a")

    assert done.exit_code == 1
    assert "changed while it was read" in done.stderr
    assert tree(node) == {}


def test_a_receipt_says_what_and_where(install: Install, node: Path, files: Path) -> None:
    install(*put(files))

    wire = json.loads((node / RECEIPTS / "10-net.json").read_text())
    assert [file["path"] for file in wire["files"]] == [
        f"/{CONF}/10-net.conflist",
        f"/{BIN}/a",
        f"/{BIN}/b",
    ]
