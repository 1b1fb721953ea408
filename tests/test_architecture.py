"""The table of imports, held by reading them: who may know whom."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "bot").rglob("*.py"))
}
OWN = [name for name in MODULES if not name.startswith("bot.sandbox")]
STAND_INS = [name for name in MODULES if name.startswith("bot.sandbox")]

# Whose business a library is. The others are given plain values.
LIBRARIES = {
    "discord": {
        "recovery.missed",
        "inbox.addressing",
        "commands.ask",
        "attachments.reader",
        "transport.rate_limit_buckets",
        "replies.buttons",
        "recovery.catch_up",
        "inbox.reply_chain",
        "inbox.edits",
        "inbox.channels",
        "client",
        "commands.base",
        "recovery.reconcile",
        "commands.tree",
        "transport.calls",
        "replies.destination",
        "replies.discord_reply",
        "inbox.embeds",
        "commands.modals",
        "transport.patches",
        "transport.websocket",
        "recovery.guilds",
        "commands.help",
        "inbox.messages",
        "commands.system_prompt",
        "replies.interaction_channel",
        "inbox.interactions",
        "commands.model",
        "commands.privacy",
        "inbox.threads",
        "commands.buttons",
        "inbox.questions",
        "transport.reconnect",
        "recovery.unfinished",
        "commands.usage",
        "inbox.channel_context",
    },
    "aiosqlite": {"storage.database"},
    "sqlite3": {"storage.database", "storage.database_file", "storage.schema"},
    "openai": {"llm.api_failures", "llm.client"},
    "httpx2": {"llm.api_failures", "llm.completion", "llm.client"},
    "aiohttp": {
        *(
            "llm.api_failures",
            "attachments.reader",
            "transport.rate_limit_buckets",
            "commands.base",
            "commands.tree",
            "transport.calls",
        ),
        *("transport.patches", "llm.client"),
    },
    "pydantic": {"settings"},
    "dotenv": {"settings"},
    "pypdf": {"attachments.pdf_worker"},
}
# Pure: no files, no sockets, no tasks, no clock.
PURE = {
    "markdown.html_tags",
    "llm.calls",
    "llm.stream_decoder",
    "conversation.context_window",
    "conversation.exchange",
    "attachments.text_encoding",
    "markdown.masked_links",
    "backoff",
    "bounded",
    "errors",
    "conversation.gaps",
    "markdown.characters",
    "conversation.images",
    "markdown.inline",
    "i18n.korean",
    "i18n.languages",
    "inbox.recent_edits",
    "markdown.latex",
    "markdown.latex_symbols",
    "inbox.user_limits",
    "markdown.links",
    "llm.listed_models",
    "conversation.reply_actions",
    "replies.parts",
    "transport.payload_checks",
    "llm.prices",
    "conversation.prompt",
    "llm.reasoning_filter",
    "llm.api_errors",
    "markdown.renderer",
    "replies.reply_text",
    "i18n.sentences",
    "replies.showing",
    "conversation.snowflakes",
    "markdown.splitter",
    "markdown.tables",
    "conversation.token_estimate",
    "markdown.visible",
}
IMPURE = {"aiohttp", "aiosqlite", "asyncio", "discord", "logging", "os", "pathlib", "time"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imported(name: str, *, at_start: bool = False) -> frozenset[str]:
    """Return the modules that *name* imports, by their full names.

    With *at_start* only those that are imported with it, not within functions or for types alone.
    """
    tree = parsed(MODULES[name])
    nodes = _run_at_start(tree.body) if at_start else ast.walk(tree)
    found = set[str]()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            source = node.module or ""
            names = {f"{source}.{alias.name}" for alias in node.names}
            found |= names & MODULES.keys() or {source}
    return frozenset(found)


def _run_at_start(body: list[ast.stmt]) -> list[ast.stmt]:
    nodes: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        nodes.append(node)
        if isinstance(node, ast.If | ast.Try):
            nodes += _run_at_start(node.body)
    return nodes


def own_imports(name: str, *, at_start: bool = False) -> set[str]:
    """Return the modules of this program that *name* imports."""
    return {one for one in imported(name, at_start=at_start) if one in MODULES}


def importers(wanted: str) -> set[str]:
    return {name.removeprefix("bot.") for name in OWN if wanted in imported(name)}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_the_business_of_few(library: str) -> None:
    users = {
        name.removeprefix("bot.")
        for name in OWN
        if any(one.partition(".")[0] == library for one in imported(name))
    }
    assert users == LIBRARIES[library]


@pytest.mark.parametrize("name", STAND_INS)
def test_stand_ins_share_no_code_with_the_bot(name: str) -> None:
    assert own_imports(name) <= set(STAND_INS)


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_decides_does_nothing_else(name: str) -> None:
    assert not {one.partition(".")[0] for one in imported(f"bot.{name}")} & IMPURE
    assert all(one.removeprefix("bot.") in PURE for one in own_imports(f"bot.{name}"))


def test_settings_are_read_at_the_top_only() -> None:
    assert importers("bot.settings") == {"__main__", "app", "terminal"}


def test_stand_ins_are_started_by_the_commands_only() -> None:
    users = {
        name.removeprefix("bot.")
        for name in OWN
        if any(one in STAND_INS for one in own_imports(name))
    }
    assert users == {"__main__", "terminal"}


@pytest.mark.parametrize(
    ("below", "above"),
    [
        (
            "assistant.assistant",
            {
                "inbox.edits",
                "client",
                "commands.base",
                "connection",
                "commands.help",
                "inbox.messages",
                "commands.system_prompt",
                "inbox.interactions",
                "commands.model",
                "commands.privacy",
                "commands.buttons",
                "recovery.unfinished",
                "commands.regenerate",
                "app",
                "terminal",
            },
        ),
        ("llm.client", {"app"}),
        (
            "storage.database",
            {
                "storage.erasure",
                "storage.facts",
                "storage.exchanges",
                "storage.preferences",
                "storage.places",
                "storage.usage",
            },
        ),
        ("client", {"commands.base", "connection"}),
        (
            "commands.base",
            {
                *(
                    "commands.ask",
                    "connection",
                    "commands.modals",
                    "commands.help",
                    "commands.system_prompt",
                    "commands.model",
                    "commands.privacy",
                ),
                *("commands.buttons", "commands.usage"),
            },
        ),
        ("connection", {"app"}),
        ("app", {"__main__", "terminal"}),
        ("terminal", {"__main__"}),
        ("__main__", set()),
    ],
)
def test_arrows_point_downwards(below: str, above: set[str]) -> None:
    assert importers(f"bot.{below}") == above


@pytest.mark.parametrize("at_start", [True, False])
def test_imports_make_no_circle(at_start: bool) -> None:
    """Not even with what is imported late; CycleError names the circle."""
    names = MODULES if at_start else OWN
    graph = {name: own_imports(name, at_start=at_start) for name in names}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_in_its_first_sentence_what_it_owns(name: str) -> None:
    docstring = ast.get_docstring(parsed(MODULES[name]))
    assert docstring, "it has a docstring"
    first = docstring.partition("\n\n")[0]
    assert re.fullmatch(r"[A-Z].{10,}\.", first, re.DOTALL), "and that begins with a sentence"


def test_only_what_runs_is_at_the_top_of_the_command_line() -> None:
    """Discord's and OpenAI's libraries take 0.6 s to import; --help and a typing slip do not."""
    code = (
        "import sys, bot.__main__\n"
        "try: bot.__main__.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({one.partition('.')[0] for one in sys.modules}))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    loaded = set(ast.literal_eval(shown.splitlines()[-1]))
    assert not loaded & {"discord", "openai", "aiohttp", "httpx2", "pydantic", "aiosqlite"}


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_is_mocked(path: Path) -> None:
    """Stand in at the wire, double at our own ports."""
    nodes = [
        node for node in ast.walk(parsed(path)) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not [node for node in nodes if "mock" in ast.unparse(node)]
