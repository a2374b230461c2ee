#!/usr/bin/env python3
"""Makes docs/reference/typescript.md from the declarations that the build of the TypeScript SDK writes (`dist/*.d.ts`)."""

from __future__ import annotations

import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DIST = ROOT / "sdk/typescript/dist"
HEAD = """\
# Reference of the TypeScript SDK

`make reference` makes this page from the sources; do not edit it. The [guide](../guides/sdk.md) shows the package at
work, [testing](../guides/testing.md) its module `kapelle/testing`.
"""
DECLARED = re.compile(
    r"^(?:(?P<doc>/\*\*(?:(?!\*/).)*?\*/)\n)?export (?:declare )?(?:abstract )?(?P<kind>class|interface|type|const|function) (?P<name>\w+)",
    re.M | re.S,
)
MEMBER = re.compile(
    r"(?:^    (?P<doc>/\*\*(?:(?!\*/).)*?\*/)\n)?"
    # One line, or deeper lines between a first and a last one.
    r"^    (?P<text>[a-zA-Z\[][^\n]*;|[a-zA-Z\[][^\n]*\n(?:     [^\n]*\n)*    [^ \n][^\n]*;)$",
    re.M | re.S,
)


def words(doc: str | None) -> str:
    """A comment without its marks."""
    lines = (doc or "").removeprefix("/**").removesuffix("*/").splitlines()
    return textwrap.dedent("\n".join(re.sub(r"^ *\* ?", "", line).rstrip() for line in lines)).strip()


class Declaration:
    def __init__(self, match: re.Match[str], text: str) -> None:
        self.name, self.kind, self.doc, self.text = match["name"], match["kind"], words(match["doc"]), text

    def head(self) -> str:
        return self.text.split("{")[0].strip().removeprefix("export ").removeprefix("declare ")

    def members(self) -> list[tuple[str, str]]:
        inner = self.text[self.text.index("{") + 1:]
        found = []
        for match in MEMBER.finditer(inner):
            text = textwrap.dedent("    " + match["text"])
            if text.startswith(("private ", "protected ")) or (text.startswith("constructor") and "Asker" in text):
                continue
            found.append((text, words(match["doc"])))
        return found

    def page(self, title: str = "", level: str = "##") -> str:
        parts = [f"{level} {title or self.name}", self.doc]
        if self.kind == "interface" or not self.text.rstrip().endswith("}"):
            text = re.sub(r"^export (declare )?", "", self.text.strip())
            parts.append(f"```ts\n{text}\n```")
        else:
            head = self.head()
            parts += [f"`{head}`"] if " extends " in head else []
            plain: list[str] = []
            for text, doc in self.members():
                text = text.replace("constructor", "new " + self.name, 1)
                if doc:
                    parts += ["```ts\n" + "\n".join(plain) + "\n```"] if plain else []
                    parts.append(f"```ts\n{text}\n```\n\n{doc}")
                    plain = []
                else:
                    plain.append(text)
            parts += ["```ts\n" + "\n".join(plain) + "\n```"] if plain else []
        return "\n\n".join(part for part in parts if part)


def declarations(path: pathlib.Path) -> dict[str, Declaration]:
    text = path.read_text("utf-8")
    found = {}
    for match in DECLARED.finditer(text):
        start = match.start("kind") - len(text[text.rfind("\n", 0, match.start("kind")) + 1:match.start("kind")])
        one_line = text[start:text.index("\n", start) + 1]
        # A body ends at the first line that is a bracket alone; a line without one ends itself.
        end = text.index("\n", start) if one_line.rstrip().endswith(";") else re.compile(r"^[}\]].*$", re.M).search(text, start).end()
        found[match["name"]] = Declaration(match, text[start:end])
    return found


def page() -> str:
    known: dict[str, Declaration] = {}
    for path in sorted(DIST.glob("*.d.ts")):
        if path.name != "testing.d.ts":
            known.update(declarations(path))
    index = (DIST / "index.d.ts").read_text("utf-8")
    names = [name.strip().removeprefix("type ") for block in re.findall(r"export (?:type )?\{([^}]*)\}", index)
             for name in block.split(",") if name.strip()]
    first = ["Client", "Host", "Context"]
    groups = ["Tasks", "Runs", "Approvals", "Workers", "Queues", "Schedules", "Dead", "Files"]
    parts = [HEAD.rstrip()]
    for name in [*first, *(name for name in names if name not in first and name not in groups)]:
        if name not in known:
            raise SystemExit(f"sdk/typescript: `{name}` of index.ts is declared nowhere")
        parts.append(known[name].page())
        if name == "Client":
            parts += [known[group].page(f"client.{group.lower()}", "###") for group in groups if group in known]
    parts.append("## kapelle/testing")
    parts += [one.page(level="###") for one in declarations(DIST / "testing.d.ts").values()]
    return "\n\n".join(parts) + "\n"
