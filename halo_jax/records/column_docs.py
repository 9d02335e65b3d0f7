"""What the columns of a table mean, read from the class of its rows: documentation is made of nothing else."""

import ast
import inspect
import io
import tokenize
from typing import NamedTuple, get_type_hints

from halo_jax.records.units import unit_of

_KINDS = {
    int: "whole number",
    float: "number",
    str: "text",
    int | None: "whole number or nothing",
    float | None: "number or nothing",
}


class ColumnDoc(NamedTuple):
    """One column, as documentation tells of it."""

    name: str
    kind: str  # "number", "whole number", "text", and "or nothing" where a cell may be empty
    unit: str  # "mJ", "s", ...; nothing where the column counts, names or is a fraction
    meaning: str  # the comment behind the field


def columns_of(row: type) -> list[ColumnDoc]:
    """The columns of a table with rows of a NamedTuple class, such as `RoundRecord`, in their order."""
    source = inspect.getsource(row)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    kinds = get_type_hints(row)
    return [
        ColumnDoc(node.target.id, _KINDS[kinds[node.target.id]], unit_of(node.target.id), comments.get(node.lineno, ""))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
