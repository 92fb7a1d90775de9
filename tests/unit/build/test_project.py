"""What a project consists of, and what it requires."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from cnisdk.build import payload
from cnisdk.build.errors import BuildError
from cnisdk.build.project import GROUP, Project, is_wanted, plugin_project
from cnisdk.build.requirements import closure
from tests.host import ROOT
from tests.unit.build.conftest import PLUGIN

Make = Callable[..., Path]


def test_a_project_is_read_as_it_lies_in_the_checkout() -> None:
    project = plugin_project(ROOT / "plugins" / "host_local")

    assert project.plugins == {"host-local": "cni_host_local:HostLocal"}
    assert "cni_host_local/store.py" in project.files()
    assert not [path for path in project.files() if path.startswith(("tests", "pyproject"))]


@pytest.mark.parametrize("root", ["", "src"])
def test_packages_are_found_beside_pyproject_and_in_src(make_project: Make, root: str) -> None:
    project = plugin_project(make_project(root=root))

    assert list(project.files()) == ["cni_mine/__init__.py"]


def test_a_module_that_is_no_package_is_found(make_project: Make) -> None:
    directory = make_project(entry='mine = "mine:Mine"')
    (directory / "mine.py").write_text("")

    assert list(plugin_project(directory).files()) == ["mine.py"]


def test_what_hatch_is_told_to_pack_is_taken(make_project: Make) -> None:
    directory = make_project()
    (directory / "lib" / "other").mkdir(parents=True)
    (directory / "lib" / "other" / "data.json").write_text("{}")
    with (directory / "pyproject.toml").open("a") as file:
        file.write('[tool.hatch.build.targets.wheel]\npackages = ["lib/other"]\n')

    assert list(Project.read(directory).files()) == ["other/data.json"]


def test_a_directory_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is no project"):
        plugin_project(tmp_path)


def test_an_installed_distribution_is_as_good_as_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "cni_from_index/__init__.py": PLUGIN,
        "cni_from_index-1.dist-info/METADATA": "Name: cni-from-index\nVersion: 1\n",
        "cni_from_index-1.dist-info/entry_points.txt": f"[{GROUP}]\nmine = cni_from_index:Mine\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    record = "".join(f"{name},,\n" for name in files)
    (tmp_path / "cni_from_index-1.dist-info/RECORD").write_text(record)
    monkeypatch.syspath_prepend(str(tmp_path))

    project = plugin_project("cni-from-index")

    assert project.plugins == {"mine": "cni_from_index:Mine"}
    assert "cni_from_index/__init__.py" in payload.collect([project])


def test_an_editable_distribution_is_the_project_in_its_directory() -> None:
    assert plugin_project("cni-bridge").directory == ROOT / "plugins" / "bridge"


def test_a_name_that_is_nothing_is_told_how_to_go_on() -> None:
    with pytest.raises(BuildError, match="neither a directory nor an installed") as raised:
        plugin_project("cni-nothing")

    assert raised.value.step.endswith("pip install cni-nothing")


def test_a_distribution_without_a_plugin_is_refused() -> None:
    with pytest.raises(BuildError, match="pytest has no plugin"):
        plugin_project("pytest")


def test_a_project_without_a_plugin_is_told_how_to_declare_one(make_project: Make) -> None:
    with pytest.raises(BuildError, match="no plugin in") as raised:
        plugin_project(make_project(entry=None))

    assert "my_package:MyPlugin" in raised.value.step


@pytest.mark.parametrize("value", ["cni_mine", ":Mine", "cni_mine:"])
def test_an_entry_point_that_names_no_class_is_refused(make_project: Make, value: str) -> None:
    with pytest.raises(BuildError, match="names no class"):
        plugin_project(make_project(entry=f'mine = "{value}"'))


def test_a_plugin_whose_module_is_not_there_is_refused(make_project: Make) -> None:
    with pytest.raises(BuildError, match="neither here nor in src"):
        plugin_project(make_project(entry='mine = "elsewhere:Mine"'))


@pytest.mark.parametrize(
    "path",
    ["p/__pycache__/a.pyc", "p/py.typed", "p/a.pyi", "p/tests/test_a.py", "p/.hidden", "p/a.c"],
)
def test_what_no_node_needs_is_left_out(path: str) -> None:
    assert not is_wanted(PurePosixPath(path))


def test_the_closure_follows_requirements_of_requirements() -> None:
    found = closure([("pydantic>=2", "mine")])

    assert {"pydantic", "pydantic-core", "annotated-types"} <= set(found)
    assert "email-validator" not in found  # of an extra


def test_a_requirement_for_another_platform_is_none() -> None:
    assert closure([('nonsense-of-mine; sys_platform == "win32"', "mine")]) == {}


def test_a_requirement_that_is_not_installed_is_named_with_who_has_it() -> None:
    with pytest.raises(BuildError, match="mine requires nonsense-of-mine>1") as raised:
        closure([("nonsense-of-mine>1", "mine")])

    assert raised.value.step == "pip install 'nonsense-of-mine>1'"


def test_a_version_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(BuildError, match=r"mine requires pydantic<2, but 2\S+ is installed"):
        closure([("pydantic<2", "mine")])


def test_a_requirement_that_is_none_is_refused() -> None:
    with pytest.raises(BuildError, match="mine requires '>='"):
        closure([(">=", "mine")])


def test_collecting_takes_cnisdk_but_not_what_builds() -> None:
    files = payload.collect([plugin_project(ROOT / "plugins" / "bridge")])

    assert {"cnisdk/runner.py", "cnisdk/agent/trailer.py", "cni_bridge/plugin.py"} <= set(files)
    assert "pydantic/main.py" in files
    assert not [path for path in files if path.startswith(("cnisdk/build/p", "cnisdk/cli"))]
