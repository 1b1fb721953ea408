"""Measure the structure of bot/ without the sandbox, in this checkout or in another one."""

import argparse
import ast
import io
import statistics
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeGuard

from docs.rooms import ROOT, arrows, imported, layers, modules

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
LIBRARY: Final = "discord"
LAYOUT: Final = frozenset(
    {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
        *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
    }
)


def figures(root: Path) -> dict[str, object]:
    """Return the figures of the checkout at *root* by their names."""
    paths = modules(root)
    sources = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    trees = {name: ast.parse(source) for name, source in sources.items()}
    lengths = [len(source.splitlines()) for source in sources.values()]
    functions = {
        f"{name}.{node.name}": node
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, FunctionNode)
    }
    longest = max(functions, key=lambda name: _length(functions[name]))
    widest, parameters = max(_constructors(trees), key=lambda one: one[1])
    used = {name: set(imported(path, paths)) - {name} for name, path in paths.items()}
    return {
        "modules": len(paths),
        "lines": sum(lengths),
        "lines of code": sum(_lines_of_code(sources[name], trees[name]) for name in paths),
        "median module": statistics.median_low(lengths),
        "longest module": max(lengths),
        "functions": len(functions),
        "median function": statistics.median_low(map(_length, functions.values())),
        "longest function": f"{_length(functions[longest])} ({longest})",
        "functions over 40 lines": sum(_length(one) > 40 for one in functions.values()),
        "widest constructor": f"{parameters} ({widest})",
        "constructors over 7": sum(count > 7 for _, count in _constructors(trees)),
        "layers of modules": max(layers(used).values()),
        "layers of rooms": max(layers(arrows(root)).values()),
        f"modules that import {LIBRARY}": sum(map(_uses_library, trees.values())),
    }


def _length(node: FunctionNode) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _lines_of_code(source: str, tree: ast.Module) -> int:
    """Count the lines that are not blank, comments, docstrings or imports."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def _is_docstring(node: ast.AST) -> TypeGuard[ast.Expr]:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _constructors(trees: dict[str, ast.Module]) -> Iterator[tuple[str, int]]:
    """Yield each constructor with its number of parameters, without self."""
    for name, tree in trees.items():
        for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            for node in cls.body:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    args = node.args
                    yield f"{name}.{cls.name}", len(args.args) + len(args.kwonlyargs) - 1


def _uses_library(tree: ast.Module) -> bool:
    names = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(name.partition(".")[0] == LIBRARY for name in names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/structure", description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, default=ROOT)
    for figure, value in figures(parser.parse_args().checkout).items():
        print(f"{figure:30} {value}")
