"""The site of the documentation is whole."""

from pathlib import Path

import pytest

import cnisdk
import cnisdk.runtime
from cnisdk.types.schema import plugin_schema
from docs import pages
from tests.docs import site
from tests.house.tree import PROJECTS


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


def test_pages_load_nothing_from_elsewhere(directory: Path) -> None:
    loaded = [link for page in site.pages(directory).values() for link in page.loaded]

    assert [link for link in loaded if link.startswith(("http:", "https:", "//"))] == []
    assert loaded


def test_the_reference_has_every_name_that_authors_import(directory: Path) -> None:
    names = {f"cnisdk.{name}" for name in cnisdk.__all__}
    names |= {f"cnisdk.runtime.{name}" for name in cnisdk.runtime.__all__}

    assert names - site.documented(directory) == set()


def test_the_reference_has_every_key_of_every_plugin(directory: Path) -> None:
    text = (directory / "reference" / "configuration" / "index.html").read_text()
    plugins = pages.plugins()

    assert len(plugins) == len(PROJECTS)
    for name, plugin in plugins.items():
        assert f'id="{name}"' in text
        for key in plugin_schema(plugin.config_type)["properties"]:
            assert f"<code>{key}</code>" in text, f"{name}: {key}"
