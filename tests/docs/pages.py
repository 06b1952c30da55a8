"""Reading the documentation as its readers do: what is code in it, what commands it calls, where it links to."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

SHELLS = {"console", "sh", "bash", "shell"}
OPERATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "(", ")"}

_fence = re.compile(r"^(?P<mark>```+)(?P<language>[\w-]*)\s*$")
_span = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")
_link = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_heading = re.compile(r"^#{1,6} +(?P<title>.+?)\s*$")
_placeholder = re.compile(r"^[A-Z][A-Z_]*$|…|\.\.\.$|[|/\[\]{}<>]")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and the line of its first content."""

    language: str
    line: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """A Markdown file: blocks of code, and the text around them by line number."""

    path: Path
    blocks: tuple[Block, ...]
    text: tuple[tuple[int, str], ...]


def read_page(path: Path) -> Page:
    """Split a page into code and text. A fence that is never closed is an error."""
    blocks: list[Block] = []
    text: list[tuple[int, str]] = []
    inside: list[str] | None = None
    mark = language = ""
    begun = 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = _fence.match(line)
        if inside is None and fence:
            inside, mark, language, begun = [], fence["mark"], fence["language"], number + 1
        elif inside is not None and line.rstrip() == mark:
            blocks.append(Block(language, begun, tuple(inside)))
            inside = None
        elif inside is not None:
            inside.append(line)
        else:
            text.append((number, line))
    assert inside is None, f"{path.name}:{begun}: the block is never closed"
    return Page(path, tuple(blocks), tuple(text))


def calls(page: Page) -> Iterator[tuple[int, list[str]]]:
    """Every call of `dais` in the page's blocks, complete with its arguments: what a reader would type.

    One that is shown to fail, by `error:` in the line after it, is left out.
    """
    for block in page.blocks:
        shown = [*block.lines, ""]
        for index, line in enumerate(block.lines):
            number = block.line + index
            if line.startswith("$ ") or block.language in SHELLS - {"console"}:
                typed = line.removeprefix("$ ")
                while typed.endswith("\\"):
                    index += 1
                    typed = typed[:-1] + shown[index]
                if not shown[index + 1].startswith("error: "):
                    yield from ((number, words) for words in simple_commands(typed) if words[:1] == ["dais"])
            elif re.match(r"\s+dais \w", line):  # an example with its comment behind it, in the help or printed
                example = re.split(r"\s{2,}", line.strip())[0]
                yield from ((number, words) for words in simple_commands(example) if words[:1] == ["dais"])


def simple_commands(typed: str) -> Iterator[list[str]]:
    """The commands of a shell line, also those inside `$(…)`; assignments before them are left out."""
    for inner in re.findall(r"\$\(([^()]*)\)", typed):
        yield from simple_commands(inner)
    lexer = shlex.shlex(re.sub(r"\$\([^()]*\)", "X", typed), posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in OPERATORS:
            if words or not re.match(r"\w+=", word):
                words.append(word)
        elif words:
            yield words
            words = []


def mentions(page: Page) -> Iterator[tuple[int, list[str]]]:
    """Every `dais …` between back-ticks in the text: often with placeholders, so only names count."""
    for number, line in page.text:
        for span in _span.finditer(line):
            words = span["code"].split()
            if words[:1] == ["dais"]:
                yield number, words


def problem_of_call(main: click.Command, words: list[str]) -> str | None:
    """What the command line says to a call, short of running it. Files need not be there."""
    try:
        command, context, rest = _resolve(main, words)
        if isinstance(command, click.Group) and rest[:1] != ["--help"]:
            return f"`{' '.join(words)}` names no command"
        command.make_context(context.info_name, [word for word in rest if word != "--help"], parent=context.parent)
    except click.BadParameter as error:
        if error.param is not None and isinstance(error.param.type, click.Path):
            return None
        return error.format_message()
    except click.UsageError as error:
        return error.format_message()
    except click.exceptions.Exit:
        return None
    return None


def problem_of_mention(main: click.Command, words: list[str]) -> str | None:
    """A command or an option that a mention names and that does not exist."""
    try:
        command, _, rest = _resolve(main, [word for word in words if not _placeholder.search(word)])
    except click.UsageError as error:
        return error.format_message()
    known = {"--help"} | {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in rest:
        if word == "--":
            break
        name = word.partition("=")[0].rstrip(",;:")
        if word.startswith("-") and name not in known:
            return f"`{' '.join(words)}`: there is no option {name}"
    return None


def _resolve(main: click.Command, words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """The command that the words name, its context, and the words behind it. Raises UsageError."""
    command, context, rest = main, click.Context(main, info_name="dais"), words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        _, child, rest = command.resolve_command(context, rest)
        assert child is not None
        command, context = child, click.Context(child, info_name=child.name, parent=context)
    return command, context, rest


def links(page: Page) -> Iterator[tuple[int, str]]:
    """Where the page's text links to inside the project, with the heading if it names one."""
    for number, line in page.text:
        for link in _link.finditer(_span.sub("", line)):
            if not re.match(r"[a-z]+:", link["target"]):
                yield number, link["target"]


def problem_of_link(page: Page, target: str) -> str | None:
    """What is wrong with a relative link: no such file, or no such heading in it."""
    name, _, heading = target.partition("#")
    path = (page.path.parent / name).resolve() if name else page.path
    if not path.exists():
        return f"{target} leads nowhere"
    if heading and path.suffix == ".md" and heading not in headings(read_page(path)):
        return f"{name or page.path.name} has no heading #{heading}"
    return None


def headings(page: Page) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    titles = (found["title"] for _, line in page.text if (found := _heading.match(line)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
