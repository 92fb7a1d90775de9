"""The site of the documentation is whole."""

import re
from pathlib import Path
from types import ModuleType

import pytest

import cnisdk
import cnisdk.runtime
from cnisdk.types.schema import plugin_schema
from docs import pages
from tests.docs import site
from tests.house.tree import PROJECTS, ROOT


@pytest.fixture
def directory() -> Path:
    built = site.build()
    assert built.status == 0, built.said
    return built.directory


def test_the_site_is_made_without_a_warning() -> None:
    built = site.build()

    assert built.status == 0, built.said
    assert "WARNING" not in built.said
    assert "ERROR" not in built.said


def test_no_link_within_the_site_is_dead(directory: Path) -> None:
    found = site.pages(directory)

    assert len(found) > 20
    assert site.dead_links(found) == []


@pytest.mark.parametrize("link", ["nowhere/", "other/#nothing", "#nothing", "lost.svg"])
def test_a_dead_link_would_be_found(link: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("<h1 id=something>")
    (tmp_path / "index.html").write_text(f'<a href="other/#something"><a href="{link}">')

    assert site.dead_links(site.pages(tmp_path)) == [f"{tmp_path}/index.html: {link}"]


def test_a_page_is_in_the_navigation_once() -> None:
    placed = re.findall(
        r"^ +- (?:.*: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE
    )

    assert sorted(placed) == sorted(set(placed))
    assert "tutorial.md" in placed


def test_pages_load_nothing_from_elsewhere(directory: Path) -> None:
    loaded = [link for page in site.pages(directory).values() for link in page.loaded]

    assert [link for link in loaded if link.startswith(("http:", "https:", "//"))] == []
    assert loaded


def test_the_reference_has_every_name_that_authors_import(directory: Path) -> None:
    there = site.documented(directory)

    missing = [
        f"{package.__name__}.{name}"
        for package in (cnisdk, cnisdk.runtime)
        for name in package.__all__
        if not {f"{package.__name__}.{name}", home_of(getattr(package, name), name)} & there
    ]
    assert missing == []


def home_of(value: object, name: str) -> str:
    """Return what a name is called where it comes from: a module, or something of one."""
    if isinstance(value, ModuleType):
        return value.__name__
    return f"{getattr(value, '__module__', '')}.{name}"


def test_the_reference_has_every_key_of_every_plugin(directory: Path) -> None:
    text = (directory / "reference" / "configuration" / "index.html").read_text()
    plugins = pages.plugins()

    assert len(plugins) == len(PROJECTS)
    for name, plugin in plugins.items():
        assert f'id="{name}"' in text
        for key in plugin_schema(plugin.config_type)["properties"]:
            assert f"<code>{key}</code>" in text, f"{name}: {key}"
