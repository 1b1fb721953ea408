"""The rules of imports between rooms, checked by reading the imports."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from docs.rooms import PICTURE, picture

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "bot").rglob("*.py"))
}
OWN = [name for name in MODULES if not name.startswith("bot.sandbox")]
STAND_INS = [name for name in MODULES if name.startswith("bot.sandbox")]

# The rooms and the modules beside them, from the top down. Each imports only from what is below it,
# and rooms in one layer do not know each other.
LAYERS = (
    {"__main__"},
    {"app", "arguments", "doctor", "maintenance"},
    {"build", "connection", "shard_host"},
    {"client", "commands", "reload"},
    {"recovery"},
    {"inbox", "terminal"},
    {"assistant", "attachments", "cluster", "monitoring", "replies", "settings"},
    {"llm", "storage", "transport"},
    {"errors"},
    {"conversation"},
    {
        *("access", "backoff", "bounded", "i18n", "live", "logs", "markdown", "metrics", "program"),
        "shards",
    },
    {"log_events", "secret_shapes", "signals"},
)
BUILDERS = {"bot.app", "bot.build"}
# The modules of each room that other rooms import; those that build the bot may import all.
PUBLIC_MODULES: dict[str, set[str]] = {
    "assistant": {
        "assistant",
        "budgets",
        "conversations",
        "generator",
        "overrides",
        "ports",
        "prompt_images",
    },
    "attachments": {"names", "reader", "text_encoding"},
    "conversation": {
        "calibration",
        "context_window",
        "exchange",
        "image_selection",
        "images",
        "prompt_echoes",
        "prompt",
        "prompt_markup",
        "removed_secrets",
        "reply_actions",
        "snowflakes",
        "token_estimate",
    },
    "doctor": {"command"},
    "i18n": {"languages", "sentences", "times"},
    "inbox": {
        "addressing",
        "admission",
        "channels",
        "claims",
        "edits",
        "gate",
        "in_flight",
        "interaction_places",
        "messages",
        "questions",
        "reply_factory",
        "threads",
        "unsaved",
    },
    "llm": {
        "api_config",
        "base_address",
        "budget_rules",
        "budgets_setting",
        "client",
        "events",
        "model_catalog",
        "moderation",
        "models",
        "prices",
        "request_budget",
    },
    "markdown": {"characters", "renderer", "splitter", "syntax"},
    "monitoring": {"probe"},
    "recovery": {"catch_up", "guilds", "resume", "watermark"},
    "replies": {"buttons", "destination", "discord_reply", "interaction_channel", "parts"},
    "storage": {
        "backup",
        "copies",
        "database",
        "database_file",
        "exchange_queries",
        "exchanges",
        "facts",
        "identify",
        "orders",
        "inspection",
        "leases",
        "location",
        "move",
        "places",
        "postgres_inspection",
        "preferences",
        "schema",
        "server_facts",
        "spending",
        "sqlite",
        "usage",
    },
    "transport": {
        "calls",
        "concurrency",
        "gateway_state",
        "identify_budget",
        "members",
        "pacer",
        "patches",
        "payload_checks",
        "permissions",
        "reconnect",
        "redaction",
        "sign_ins",
    },
}
# Whose business a library is. The others are given plain values.
LIBRARIES = {
    "discord": {
        *("attachments", "client", "commands", "doctor", "inbox", "recovery", "replies"),
        "transport",
    },
    "aiosqlite": {"storage"},
    "asyncpg": {"storage"},
    "sqlite3": {"storage"},
    "openai": {"llm"},
    "httpx2": {"llm"},
    "aiohttp": {"attachments", "commands", "doctor", "llm", "monitoring", "transport"},
    "pydantic": {"settings"},
    "dotenv": {"settings"},
    "pypdf": {"attachments"},
    "prometheus_client": {"monitoring"},
}
# Pure: no files, no sockets, no tasks, no clock.
PURE = {
    "access",
    "backoff",
    "bounded",
    "conversation",
    "errors",
    "i18n",
    "live",
    "log_events",
    "markdown",
    "metrics",
    "secret_shapes",
    "shards",
}
PURE_MODULES = {
    "attachments.text_encoding",
    "inbox.recent_edits",
    "inbox.user_limits",
    "llm.answer_filter",
    "llm.api_config",
    "llm.api_errors",
    "llm.budget_rules",
    "llm.budgets_setting",
    "llm.error_patterns",
    "llm.events",
    "llm.listed_models",
    "llm.models",
    "llm.numbered_json",
    "llm.prices",
    "llm.prompt_additions",
    "llm.reasoning_filter",
    "llm.reasoning_marks",
    "llm.redactor",
    "llm.reported_limits",
    "llm.finish_reasons",
    "llm.stream_decoder",
    "llm.streaming_refusals",
    "llm.retry_delays",
    "monitoring.routes",
    "replies.parts",
    "replies.reply_text",
    "replies.plan",
    "transport.payload_checks",
}
IMPURE = {
    "aiohttp",
    "aiosqlite",
    "asyncio",
    "asyncpg",
    "discord",
    "logging",
    "os",
    "pathlib",
    "time",
}


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


def room_of(name: str) -> str:
    """Return the room of a module, or the module itself if it is beside the rooms."""
    return name.split(".")[1] if "." in name else name


def importers(wanted: str) -> set[str]:
    return {room_of(name) for name in OWN if wanted in imported(name)}


@pytest.mark.parametrize("library", LIBRARIES)
def test_only_named_rooms_import_a_library(library: str) -> None:
    users = {
        room_of(name)
        for name in OWN
        if any(one.partition(".")[0] == library for one in imported(name))
    }
    assert users == LIBRARIES[library]


def test_every_room_has_a_layer() -> None:
    rooms = {room_of(name) for name in OWN if name != "bot"}
    assert rooms == set().union(*LAYERS)
    assert len(LAYERS) <= 12


@pytest.mark.parametrize("name", [name for name in OWN if name != "bot"])
def test_imports_point_downwards(name: str) -> None:
    room = room_of(name)
    layer = next(number for number, rooms in enumerate(LAYERS) if room in rooms)
    below = set().union(*LAYERS[layer + 1 :])
    used = {room_of(one) for one in own_imports(name) - set(STAND_INS)} - {room, "bot"}
    assert used <= below


def test_rooms_import_only_the_public_modules_of_other_rooms() -> None:
    used: dict[str, set[str]] = {}
    for name in OWN:
        for one in own_imports(name) - set(STAND_INS):
            if one.count(".") == 2 and room_of(one) != room_of(name) and name not in BUILDERS:
                used.setdefault(room_of(one), set()).add(one.rpartition(".")[2])
    assert used == PUBLIC_MODULES


@pytest.mark.parametrize("name", STAND_INS)
def test_stand_ins_import_nothing_of_the_bot(name: str) -> None:
    assert own_imports(name) <= set(STAND_INS)


def is_pure(name: str) -> bool:
    return room_of(name) in PURE or name.removeprefix("bot.") in PURE_MODULES


@pytest.mark.parametrize("name", [name for name in OWN if is_pure(name)])
def test_pure_modules_do_no_io(name: str) -> None:
    assert not {one.partition(".")[0] for one in imported(name)} & IMPURE
    assert all(map(is_pure, own_imports(name)))


def test_only_patches_of_libraries_use_private_names() -> None:
    """`transport` has those of discord.py, `storage.sqlite` those of aiosqlite."""
    users = {
        name
        for name in OWN
        for node in ast.walk(parsed(MODULES[name]))
        if isinstance(node, ast.Attribute)
        and re.match(r"_(?!_|exit$|replace$)", node.attr)
        and ast.unparse(node.value) not in {"self", "cls", "super()"}
        and room_of(name) != "markdown"  # Its own classes share theirs.
    }
    assert {room_of(name) for name in users} == {"storage", "transport"}


def test_only_top_modules_read_settings() -> None:
    assert importers("bot.settings") == {
        *("__main__", "app", "build", "doctor", "maintenance", "reload", "terminal")
    }


def test_only_commands_start_stand_ins() -> None:
    users = {room_of(name) for name in OWN if own_imports(name) & set(STAND_INS)}
    assert users == {"__main__", "arguments", "terminal"}


def test_the_picture_of_the_rooms_is_drawn_from_the_imports() -> None:
    """scripts/picture draws it again."""
    assert PICTURE.read_text(encoding="utf-8") == picture()


@pytest.mark.parametrize("at_start", [True, False])
def test_imports_have_no_cycle(at_start: bool) -> None:
    """Late imports count too; CycleError names the circle."""
    names = MODULES if at_start else OWN
    graph = {name: own_imports(name, at_start=at_start) for name in names}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_begins_with_a_sentence(name: str) -> None:
    docstring = ast.get_docstring(parsed(MODULES[name]))
    assert docstring, "it has a docstring"
    first = docstring.partition("\n\n")[0]
    assert re.fullmatch(r"[A-Z].{10,}\.", first, re.DOTALL), "and that begins with a sentence"


def test_the_command_line_imports_only_what_a_command_needs() -> None:
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


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?!tests/)(?:\w+/)?\w+\.py)`", ARCHITECTURE)))
)
def test_the_modules_of_the_walks_exist(name: str) -> None:
    assert (ROOT / "bot" / name).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", ARCHITECTURE))))
def test_the_classes_of_the_walks_exist(name: str) -> None:
    cls, _, method = name.partition(".")
    bodies = [
        {
            node.name
            for node in found.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for path in MODULES.values()
        for found in ast.walk(parsed(path))
        if isinstance(found, ast.ClassDef) and found.name == cls
    ]
    is_setting = f"\n    {cls.lower()}: " in (ROOT / "bot" / "settings.py").read_text()
    assert is_setting or any(not method or method in body for body in bodies)
