#!/usr/bin/env python3
"""Makes docs/reference/python.md from the signatures and docstrings of the Python SDK."""

from __future__ import annotations

import ast
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "sdk/python/src/kapelle"
HEAD = """\
# Reference of the Python SDK

`make reference` makes this page from the sources; do not edit it. The [guide](../guides/sdk.md) shows the package at
work, [testing](../guides/testing.md) its module `kapelle.testing`.
"""


def exported(module: ast.Module) -> list[str]:
    """The names of `__all__`, or all public ones."""
    for node in module.body:
        if isinstance(node, ast.Assign) and any(isinstance(at, ast.Name) and at.id == "__all__" for at in node.targets):
            return list(ast.literal_eval(node.value))
    named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node.name for node in module.body if isinstance(node, named) and not node.name.startswith("_")]


def definitions() -> dict[str, ast.stmt]:
    """Every class, function and named value of the package."""
    found: dict[str, ast.stmt] = {}
    for path in sorted(PACKAGE.glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                found.setdefault(node.name, node)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, node)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.setdefault(node.target.id, node)
    return found


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> str:
    """The head of a function, one parameter a line when it is long."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args]
    if every and every[0].arg in ("self", "cls"):
        del every[0]
    texts: list[str] = []
    defaults = [None] * (len(every) - len(arguments.defaults)) + list(arguments.defaults)

    def one(argument: ast.arg, default: ast.expr | None, prefix: str = "") -> str:
        text = prefix + argument.arg
        if argument.annotation:
            text += f": {ast.unparse(argument.annotation)}"
        if default is not None:
            text += (" = " if argument.annotation else "=") + ast.unparse(default)
        return text

    texts += [one(argument, default) for argument, default in zip(every, defaults[-len(every) or len(defaults):])]
    if arguments.vararg:
        texts.append(one(arguments.vararg, None, "*"))
    elif arguments.kwonlyargs:
        texts.append("*")
    texts += [one(argument, default) for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    if arguments.kwarg:
        texts.append(one(arguments.kwarg, None, "**"))
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    constructor = node.name == "__init__"
    result = "" if constructor else result
    start = name if constructor else ("async def " if isinstance(node, ast.AsyncFunctionDef) else "def ") + name
    line = f"{start}({', '.join(texts)}){result}"
    return line if len(line) <= 100 else f"{start}(\n    " + ",\n    ".join(texts) + f",\n){result}"


def text_of(node: ast.AST) -> str:
    """The docstring, with its code indented as code."""
    return (ast.get_docstring(node) or "") if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) else ""


def members(node: ast.ClassDef, known: dict[str, ast.stmt]) -> list[str]:
    """What a class has: its fields and methods, and those of its own base classes."""
    parts: list[str] = []
    fields = [f"{at.target.id}: {ast.unparse(at.annotation)}" + (f" = {ast.unparse(at.value)}" if at.value else "")
              for at in node.body
              if isinstance(at, ast.AnnAssign) and isinstance(at.target, ast.Name) and not at.target.id.startswith("_")]
    if fields:
        parts.append("```python\n" + "\n".join(fields) + "\n```")
    for at in node.body:
        if not isinstance(at, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if at.name == "__init__":
            # A class that users do not make themselves: its constructor takes parts of the package.
            if any(of.annotation and ast.unparse(of.annotation).startswith(("_", "Asker", "Place")) for of in at.args.args):
                continue
            name = node.name
        elif at.name.startswith("_"):
            continue
        else:
            name = at.name
        property_ = any(isinstance(d, ast.Name) and d.id == "property" for d in at.decorator_list)
        head = f"{at.name}: {ast.unparse(at.returns) if at.returns else 'Any'}" if property_ else signature(at, name)
        parts.append(f"```python\n{head}\n```" + (f"\n\n{text_of(at)}" if text_of(at) else ""))
    for base in node.bases:
        other = known.get(ast.unparse(base).split("[")[0])
        if isinstance(other, ast.ClassDef) and other.name.startswith("_"):
            parts += members(other, known)
    return parts


def entry(name: str, known: dict[str, ast.stmt], level: str = "##", title: str = "") -> str:
    node = known[name]
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases if not ast.unparse(base).startswith("_"))
        parts = [f"{level} {title or name}", *([f"`class {name}({bases})`"] if bases else []), text_of(node), *members(node, known)]
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        parts = [f"{level} {name}", f"```python\n{signature(node, name)}\n```", text_of(node)]
    else:
        parts = [f"{level} {name}", f"```python\n{ast.unparse(node)}\n```"]
    return "\n\n".join(part for part in parts if part)


def page() -> str:
    known = definitions()
    parts = [HEAD.rstrip()]
    names = exported(ast.parse((PACKAGE / "__init__.py").read_text("utf-8")))
    # Clients, hosts and contexts first, then the rest by name; the groups of methods of a client stand behind it.
    first = ["Client", "AsyncClient", "Host", "Context", "AsyncContext"]
    for name in [*first, *(name for name in names if name not in first)]:
        if name not in known:
            raise SystemExit(f"sdk/python: `{name}` of __all__ is defined nowhere")
        parts.append(entry(name, known))
        if name == "Client":
            parts += [entry(group, known, "###", f"client.{group.lower()}") for group in groups()]
        if name == "AsyncClient":
            parts.append("Its groups (`client.tasks`, `client.runs`, ...) have the methods of `Client`'s, with `await`.")
    testing = ast.parse((PACKAGE / "testing.py").read_text("utf-8"))
    parts.append("## kapelle.testing")
    parts += [entry(name, known, "###") for name in exported(testing) if name in known]
    return "\n\n".join(parts) + "\n"


def groups() -> list[str]:
    """The groups of methods of a client: the classes of their files."""
    modules = [ast.parse((PACKAGE / f"{name}.py").read_text("utf-8")) for name in ("_tasks", "_runs", "_nouns", "_schedules")]
    return [at.name for module in modules for at in module.body if isinstance(at, ast.ClassDef)]
