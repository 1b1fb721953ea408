"""Draw docs/rooms.svg: the rooms of bot/ and which of them import which, read from the imports."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PICTURE: Final = Path(__file__).with_name("rooms.svg")
LEAF: Final = "sandbox"  # It imports nothing from the rest, and is started by the commands alone.
# All may import these, which import no room.
EVERYWHERE: Final = {
    "access",
    "backoff",
    "bounded",
    "live",
    "log_events",
    "logs",
    "metrics",
    "program",
    "secret_shapes",
    "shards",
    "signals",
}

# Modules that would be far below the one that imports them.
RAISED: Final = ("arguments", "maintenance", "shard_host")

WIDTH: Final = 960
# The middle of each box. The height of a box comes from the imports.
MIDDLES: Final = {
    "__main__": 440,
    "app": 440,
    "arguments": 110,
    "maintenance": 850,
    "doctor": 700,
    "build": 660,
    "connection": 440,
    "shard_host": 240,
    "client": 440,
    "commands": 200,
    "recovery": 440,
    "inbox": 340,
    "terminal": 850,
    "assistant": 90,
    "attachments": 240,
    "cluster": 390,
    "monitoring": 690,
    "replies": 540,
    "reload": 530,
    "settings": 850,
    "llm": 90,
    "storage": 330,
    "transport": 560,
    "errors": 330,
    "conversation": 330,
    "i18n": 230,
    "markdown": 430,
}
LAYER_HEIGHT: Final = 68
BOX_WIDTH: Final = 132
BOX_HEIGHT: Final = 32
HEAD: Final = """<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"
markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#8c959f"/></marker></defs>"""
STYLE: Final = """
text { font: bold 15px 'Helvetica Neue', Helvetica, Arial, sans-serif; text-anchor: middle; }
rect { rx: 6px; }
.room { fill: #ddf4ff; stroke: #0969da; }
.module { fill: #f6f8fa; stroke: #8c959f; }
line { stroke: #8c959f; marker-end: url(#head); }
"""


def modules(root: Path) -> dict[str, Path]:
    """Return the modules of bot/ without the sandbox, by their full names."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for path in sorted((root / "bot").rglob("*.py"))
        if path.name != "__init__.py" and LEAF not in path.parts
    }


def imported(path: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield those of *names* that the module at *path* imports, whether at once or late."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (whole | {node.module}) & set(names)


def room_of(name: str) -> str:
    """Return the room of a module, or the module itself if it is beside the rooms."""
    return name.split(".")[1]


def arrows(root: Path) -> dict[str, set[str]]:
    """Return for each room the rooms that it imports."""
    paths = modules(root)
    found: dict[str, set[str]] = {room_of(name): set() for name in paths}
    for name, path in paths.items():
        found[room_of(name)] |= {room_of(one) for one in imported(path, paths)} - {room_of(name)}
    return found


def layers(found: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the layer of each room: one above the highest room that it imports, from 1 on."""
    heights: dict[str, int] = {}
    for room in TopologicalSorter(found).static_order():
        heights[room] = 1 + max((heights[one] for one in found[room]), default=0)
    return heights


def essential(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the arrows without those that a longer way replaces."""
    below: dict[str, set[str]] = {}
    for room in TopologicalSorter(found).static_order():
        below[room] = found[room].union(*(below[one] for one in found[room]))
    return {
        room: {one for one in used if not any(one in below[other] for other in used)}
        for room, used in found.items()
    }


def picture(root: Path = ROOT) -> str:
    """Return the picture as SVG."""
    found = {
        room: used - EVERYWHERE for room, used in arrows(root).items() if room not in EVERYWHERE
    }
    heights = layers(found)
    for raised in RAISED:
        heights[raised] = min(heights[room] for room in found if raised in found[room]) - 1
    top = max(heights.values())
    places = {
        room: (MIDDLES[room], (top - height) * LAYER_HEIGHT + 12)
        for room, height in heights.items()
    }
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top * LAYER_HEIGHT + 12}">',
        f"<style>{STYLE}</style>",
        HEAD,
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for room, used in sorted(essential(found).items()):
        x, y = places[room]
        pieces += [
            f'<line x1="{x}" y1="{y + BOX_HEIGHT}" x2="{places[one][0]}" y2="{places[one][1]}"/>'
            for one in sorted(used)
        ]
    for room, (x, y) in sorted(places.items()):
        is_room = (root / "bot" / room).is_dir()
        left, kind = x - BOX_WIDTH // 2, "room" if is_room else "module"
        pieces += [
            f'<rect class="{kind}" x="{left}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"/>',
            f'<text x="{x}" y="{y + 21}">{room + "/" * is_room}</text>',
        ]
    return "\n".join([*pieces, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
