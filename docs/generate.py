"""What the site is made of beside its pages: files of the repository, and tables that the package itself says.

Pages link to files as they lie in the repository (`../experiments/results/quickstart.csv`), so that a link works where
the page is read as a file, too; the site holds each file that a page links to. Its first page is README.md, and the
README of every folder of experiments is a page. A line `<!-- generated: WHAT -->` is replaced by what `GENERATED` says.
"""

import ast
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import halo_jax as hj
from halo_jax.records import rows as rows_of_tables
from halo_jax.records.column_docs import columns_of

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")  # the target of [text](target#part)
_GENERATED = re.compile(r"^<!-- generated: (.+) -->$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the repository's own pages, and every file that a page links to. Called by MkDocs."""
    _add(files, config, "README.md")
    for path in sorted(ROOT.glob("experiments/*/README.md")):
        _add(files, config, path.relative_to(ROOT).as_posix())
    for file in list(files.documentation_pages()):
        for target in _LINK.findall(file.content_string):
            linked = _linked(file.src_uri, target)
            if files.get_file_from_path(_in_site(linked)) is None and (ROOT / linked).is_file():
                _add(files, config, linked)
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Turn links of the repository into links of the site, and fill in what is generated. Called by MkDocs."""
    here = page.file.src_uri

    def in_site(link: re.Match[str]) -> str:
        return os.path.relpath(_in_site(_linked(here, link[1])), os.path.dirname(here) or ".")

    return _GENERATED.sub(lambda found: generated(found[1]), _LINK.sub(in_site, markdown))


def _add(files: Files, config: Any, path: str) -> None:
    files.append(File.generated(config, _in_site(path), abs_src_path=str(ROOT / path)))


def _linked(page: str, target: str) -> str:
    """The path in the repository of what a page of the site links to."""
    lies_at = {"index.md": "README.md"}.get(page, page if page.startswith("experiments/") else f"docs/{page}")
    path = os.path.normpath(os.path.join(os.path.dirname(lies_at), target))
    return f"{path}/README.md" if (ROOT / path / "README.md").is_file() else path


def _in_site(path: str) -> str:
    """Where a file of the repository lies in the site."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def generated(what: str) -> str:
    """The Markdown for one line `<!-- generated: WHAT -->`: a name in `GENERATED`, with an argument if it takes one."""
    name, *arguments = what.split()
    return GENERATED[name](*arguments)


def fields() -> str:
    """All fields of an experiment, a table a section."""
    sections: dict[str, list[list[str]]] = {}
    for name, field in hj.config.all_fields().items():
        row = [f"`{name}`", f"`{field.default!r}`", field.kind.allowed, field.reason]
        sections.setdefault(name.rpartition(".")[0], []).append(row)
    head = ["field", "default", "allowed", "what it is"]
    return "\n\n".join(f"## {name or 'The experiment'}\n\n{_table(head, rows)}" for name, rows in sections.items())


def columns(record: str) -> str:
    """The columns of a table of a run: the fields of its row, with the comments that stand beside them."""
    rows = [
        [f"`{column.name}`", column.kind, column.unit, column.meaning]
        for column in columns_of(getattr(rows_of_tables, record))
    ]
    return _table(["column", "kind", "unit", "what it is"], rows)


def entries(table: str) -> str:
    """The names in a table of entries, each with the first line of its docstring."""
    rows = [[f"`{name}`", _first_line(entry)] for name, entry in getattr(hj, table).items()]
    return _table(["name", "what it is"], rows)


def _first_line(entry: Any) -> str:
    return (inspect.getdoc(entry) or "").partition("\n")[0]


def api() -> str:
    """What `hj` exports but tables and rooms, by mkdocstrings."""
    names = [name for name in hj.__all__ if not name.isupper() and not inspect.ismodule(getattr(hj, name))]
    return "\n\n".join(_documented(hj, name) for name in names)


def rooms() -> str:
    """The rooms that `hj` exports: what each says of itself, and its public names."""
    modules = [name for name in hj.__all__ if inspect.ismodule(getattr(hj, name))]
    return "\n\n".join(f"## hj.{name}\n\n{_room(name)}" for name in modules)


def _room(name: str) -> str:
    room = getattr(hj, name)
    public = [member for member in getattr(room, "__all__", ()) if member not in hj.__all__ and not member.isupper()]
    return "\n\n".join([inspect.getdoc(room) or "", *(_documented(room, member) for member in public)])


def _documented(module: Any, name: str) -> str:
    """A name by mkdocstrings and, where it is a tuple with named fields that its docstring does not list, these."""
    value, text = getattr(module, name), f"::: {module.__name__}.{name}"
    if not hasattr(value, "_fields") or "Attributes:" in (value.__doc__ or ""):
        return text
    source = inspect.getsource(value)
    lines, fields = (
        source.splitlines(),
        [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.AnnAssign)],
    )
    code = [line.strip() for node in fields for line in lines[node.lineno - 1 : node.end_lineno]]
    return "\n".join([text, "", "Its fields, in order:", "", "```python", *code, "```"])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


GENERATED: dict[str, Callable[..., str]] = {
    "api": api,
    "columns": columns,
    "entries": entries,
    "fields": fields,
    "rooms": rooms,
}
