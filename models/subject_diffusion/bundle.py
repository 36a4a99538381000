# SPDX-License-Identifier: Apache-2.0
"""A module and those of this package that it needs, as the source of one file that needs nothing of ours."""

import ast
from importlib.util import find_spec
from pathlib import Path

_PACKAGE = "models.subject_diffusion."
_HEADER = '''# SPDX-License-Identifier: Apache-2.0
"""SubjectForge's {module} with what it needs of its package, written by an export: it runs alone."""

from __future__ import annotations

'''


def bundled(module: str) -> str:
    """Python source that defines what a module defines.

    Args:
        module: of this package, by its last name.

    Raises:
        ValueError: two of the modules define the same name at their top.
    """
    order: list[str] = []
    _visit(module, order)
    imports: dict[str, None] = {}
    bodies, names = [], {}
    for name in order:
        source = _source(name)
        tree = ast.parse(source)
        for node in tree.body:
            for defined in _defined(node):
                if defined in names:
                    raise ValueError(f"both {names[defined]} and {name} define {defined}")
                names[defined] = name
        imports |= dict.fromkeys(ast.unparse(node) for node in tree.body if _is_foreign_import(node))
        bodies.append(_body(source, tree))
    return (
        _HEADER.format(module=module) + "\n".join(sorted(imports)) + "\n\n\n" + "\n\n\n".join(bodies) + "\n"
    )


def _source(module: str) -> str:
    spec = find_spec(_PACKAGE + module)
    if spec is None or spec.origin is None:
        raise ValueError(f"no module {module}")
    return Path(spec.origin).read_text(encoding="utf-8")


def _visit(module: str, order: list[str]) -> None:
    """Add a module after those that it needs."""
    if module in order:
        return
    for node in ast.parse(_source(module)).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            _visit(str(node.module).removeprefix(_PACKAGE), order)
    order.append(module)


def _is_foreign_import(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not (node.module or "").startswith((_PACKAGE, "__future__"))
    return isinstance(node, ast.Import)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _body(source: str, tree: ast.Module) -> str:
    """A module's source without docstring, imports, and what only type checkers read."""
    lines = source.splitlines()
    for place, node in enumerate(tree.body):
        docstring = place == 0 and isinstance(node, ast.Expr)
        typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if docstring or typing or isinstance(node, ast.Import | ast.ImportFrom):
            for line in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[line] = ""
    text = "\n".join(line for line in lines if not line.startswith("# SPDX"))
    return text.strip()
