"""Pages of the site that are no file in docs/: made of code, or kept elsewhere in the checkout.

A hook of mkdocs.  Links between files of the checkout work where the files lie; here they are
turned into links between pages.  Of one that leads to a file that is no page the text remains; one
that leads nowhere stays as it is, and the build fails.
"""

import json
import os
import posixpath
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PROJECTS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))

Schema = dict[str, Any]

# File of the checkout: its page.
ELSEWHERE = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    **{
        f"plugins/{project.name}/README.md": f"plugins/{project.name.replace('_', '-')}.md"
        for project in PROJECTS
    },
}

_LINK = re.compile(
    r"(?P<before>!?\[(?P<text>[^\]]*)\]\()(?P<target>[^)#\s:]+)(?P<anchor>(?:#[^)]*)?\))"
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give pages that the navigation does not place one at the end of the tools."""
    placed = json.dumps(config.nav)
    found = (path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md"))
    (tools,) = (section["Tools"] for section in config.nav or () if "Tools" in section)
    tools += sorted(page for page in found if json.dumps(page) not in placed)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    made = {page: (ROOT / source).read_text() for source, page in ELSEWHERE.items()}
    made["reference/configuration.md"] = configuration()
    made["reference/commands.md"] = commands()
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages."""
    own = page.file.src_uri
    sources = {target: source for source, target in ELSEWHERE.items()}
    directory = posixpath.dirname(sources.get(own, f"docs/{own}"))

    def followed(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(directory, match["target"]))
        if (ROOT / target).is_dir() and f"{target}/README.md" in ELSEWHERE:
            target = f"{target}/README.md"
        found = ELSEWHERE.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(found) is not None:
            page_path = posixpath.relpath(found, posixpath.dirname(own) or ".")
            return match["before"] + page_path + match["anchor"]
        return match["text"] if (ROOT / target).exists() else match[0]

    return _LINK.sub(followed, markdown)


# -- the configuration reference ---------------------------------------------------------------


def configuration() -> str:
    """Return what may be in a network's configuration, from the models that a call is held to."""
    from cnisdk.types.schema import conflist_schema, plugin_schema

    text = [
        "# Configuration\n",
        "What an administrator may write, as the code has it: this page is made of the classes",
        "that a call is checked against. `NAME schema` prints the same as JSON Schema, for any",
        "plugin made with cnisdk. Unknown keys are left alone, as the specification wants it.\n",
        "## A network: `*.conflist`\n",
        *_table(conflist_schema({}), {}),
    ]
    for name, plugin in plugins().items():
        schema = plugin_schema(plugin.config_type, name=name, about=plugin.__doc__ or "")
        text += [f"\n## `{name}`\n", f"{schema.get('description', '')}\n", *_table(schema, schema)]
    return "\n".join(text) + "\n"


def plugins() -> dict[str, Any]:
    """Return the plugin classes of the checkout by their names."""
    found = {}
    for project in PROJECTS:
        if str(project) not in sys.path:
            sys.path.insert(0, str(project))
        declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        for name, value in declared["entry-points"]["cnisdk.plugins"].items():
            module, _, attribute = value.partition(":")
            found[name] = getattr(import_module(module), attribute)
    return found


def _table(schema: Schema, root: Schema) -> list[str]:
    return ["| key | value | |", "|---|---|---|", *_rows(schema, root, "", ())]


def _rows(schema: Schema, root: Schema, above: str, seen: tuple[str, ...]) -> list[str]:
    rows: list[str] = []
    required = schema.get("required", ())
    for key, value in schema.get("properties", {}).items():
        path = f"{above}{key}"
        about = " ".join(value.get("description", "").split())
        notes = [about] if about else []
        if key in required:
            notes.append("Required.")
        elif value.get("default") not in (None, "", [], {}):
            notes.append(f"Default `{_json(value['default'])}`.")
        rows.append(f"| `{path}` | {_kind(value, root)} | {_cell(' '.join(notes))} |")
        for name, inner in _objects(value, root):
            if name not in seen:
                many = "[]." if _is_array(value) else "."
                rows += _rows(inner, root, path + many, (*seen, name))
    return rows


def _is_array(schema: Schema) -> bool:
    return any(one.get("type") == "array" for one in _ways(schema))


def _ways(schema: Schema) -> list[Schema]:
    return schema.get("anyOf") or schema.get("allOf") or [schema]


def _objects(schema: Schema, root: Schema) -> list[tuple[str, Schema]]:
    """Return the declared objects that a value, or its elements, may be."""
    found = []
    for way in _ways(schema):
        if "items" in way:
            found += _objects(way["items"], root)
        elif "$ref" in way:
            name = way["$ref"].rpartition("/")[2]
            found.append((name, root["$defs"][name]))
    return found


def _kind(schema: Schema, root: Schema) -> str:
    """Return in words what a value may be."""
    if "enum" in schema:
        return ", ".join(f"`{_json(value)}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{_json(schema['const'])}`"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _kind({"type": "object", **root["$defs"][name], "description": ""}, root)
    if len(ways := _ways(schema)) > 1:
        return " or ".join(
            dict.fromkeys(_kind(way, root) for way in ways if way.get("type") != "null")
        )
    if ways[0] is not schema:
        return _kind(ways[0], root)
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}), root)}"
    words = [str(schema.get("type", "anything"))]
    if "format" in schema:
        words.append(f"({schema['format']})")
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        words.append(f"{'' if low is None else low} to {'' if high is None else high}".strip())
    if "pattern" in schema:
        words.append(f"`{schema['pattern']}`".replace("|", "\\|"))
    return " ".join(words)


def _json(value: object) -> str:
    return json.dumps(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


# -- the commands ------------------------------------------------------------------------------


def commands() -> str:
    """Return the help of every command."""
    from cnisdk.cli.group import COMMANDS, cnisdk

    os.environ["COLUMNS"] = "80"
    text = ["# Commands\n", "What `--help` says.\n", "## cnisdk\n", _help(cnisdk, "cnisdk")]
    for name in COMMANDS:
        if command := cnisdk.get_command(click.Context(cnisdk), name):
            text += [f"## cnisdk {name}\n", _help(command, f"cnisdk {name}")]
    return "\n".join(text)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, max_content_width=88)
    return f"```text\n{command.get_help(context)}\n```\n"
