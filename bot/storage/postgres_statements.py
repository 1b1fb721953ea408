"""Compile the statements of the stores, which are written for SQLite, for PostgreSQL."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

# A string, a comment, a list in JSON, or a parameter: by its place or by its name.
_TOKENS: Final = re.compile(
    r"(?P<kept>'(?:[^']|'')*'|--[^\n]*|::)"
    r"|json_each\(\s*(?P<list>\?|:\w+)\s*\)"
    r"|(?P<parameter>\?|(?<!:):[A-Za-z_]\w*)"
)
_LIST: Final = (
    "(SELECT CAST(value AS BIGINT) AS value FROM json_array_elements_text(CAST({} AS json)))"
)


class Compiled(NamedTuple):
    """The text for PostgreSQL, and the names of its parameters; none if they go by place."""

    text: str
    names: tuple[str, ...]

    def arguments(self, places: Sequence[object], named: Mapping[str, object]) -> Sequence[object]:
        """Return the parameters in the order of the text."""
        return [named[name] for name in self.names] if self.names else places


@lru_cache(maxsize=512)
def compiled(sql: str) -> Compiled:
    """Return *sql* with `$1` in the place of `?` or `:name`, and its lists in PostgreSQL's words.

    `json_each(:ids)` lists whole numbers. What is in quotes or in a comment stays.
    """
    names: dict[str, str] = {}
    count = 0

    def number(parameter: str) -> str:
        nonlocal count
        if parameter == "?":
            count += 1
            return f"${count}"
        return names.setdefault(parameter[1:], f"${len(names) + 1}")

    def replaced(match: re.Match[str]) -> str:
        if match["kept"]:
            return match["kept"]
        if match["list"]:
            return _LIST.format(number(match["list"]))
        return number(match["parameter"])

    return Compiled(_TOKENS.sub(replaced, sql), tuple(names))
