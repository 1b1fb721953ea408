"""Write LaTeX mathematics in Unicode, in one line, if that says the same.

TeX, not the author, decides about spaces: relations and binary operators get one on each side. A
fraction becomes a/b, with brackets if it would be read otherwise; a script that Unicode cannot
express becomes ^(…) or _(…). Environments, signs over or under others and unknown commands cannot
be written in a line.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from bot.markdown import latex_symbols as symbols

DEEPEST: Final = 20  # groups within groups; deeper ones are unreadable in one line
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)\*?\s*|\\(.)", re.DOTALL)
_SPACE: Final = re.compile(r"\s+")
_PRIMES: Final = ("", "′", "″", "‴", "⁗")
_RELATION_SIGNS: Final = frozenset("=<>≤≥≠≈≡∈∉⊂⊆→⇒↔⇔←≔∼∝")
_BINARY_SIGNS: Final = {"+": "+", "-": "−", "*": "∗", "±": "±", "×": "×", "·": "·", "÷": "÷"}
# Signs that are attached to a letter and are part of it.
_SCRIPT_SIGNS: Final = "".join(
    {
        *symbols.SUPERSCRIPTS.values(),
        *symbols.SUBSCRIPTS.values(),
        *symbols.ACCENTS.values(),
        *symbols.LINES.values(),
        *_PRIMES,
    }
)
# A number, a letter, a differential, a word, a function call or a text in brackets: none of these
# needs further brackets in a/b.
_ATOM: Final = re.compile(
    r"√?(?:[\d.,]+|[d∂δΔ]?[^\W\d_]|[^\W\d_]{4,}|(?:(?![\x00-\u03ff])[^\W\d_])+)"
    r"|[∛∜√]?[^\W\d_]?\([^()]*\)"
)
_IN_BRACKETS: Final = re.compile(r"\([^()]*\)")
_WORD_BEFORE: Final = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{2,}$")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")


class _Kind(Enum):
    ORDINARY = auto()
    NAME = auto()  # of a function: sin, lim
    LARGE = auto()  # ∑, ∫
    BINARY = auto()
    SIGN = auto()  # a minus without a left side
    RELATION = auto()
    OPENING = auto()
    CLOSING = auto()
    COMMA = auto()
    SPACE = auto()
    FRACTION = auto()


_FACTOR_BEFORE: Final = {_Kind.ORDINARY, _Kind.CLOSING, _Kind.FRACTION}
_FACTOR_AFTER: Final = {
    _Kind.ORDINARY,
    _Kind.OPENING,
    _Kind.LARGE,
    _Kind.NAME,
    _Kind.FRACTION,
}
_OPERANDS_END: Final = {_Kind.ORDINARY, _Kind.CLOSING, _Kind.FRACTION, _Kind.NAME}
_OPERANDS_BEGIN: Final = {*_OPERANDS_END, _Kind.OPENING, _Kind.LARGE} - {_Kind.CLOSING}


class _Atom(NamedTuple):
    text: str
    kind: _Kind


class _Unsupported(Exception):
    """The formula cannot be written in a line."""


def to_unicode(source: str) -> str | None:
    """Return *source*, LaTeX without its delimiters, in Unicode; None if that is impossible."""
    reader = _Reader(source)
    try:
        shown = _joined(reader.read_all())
    except _Unsupported:
        return None
    return unicodedata.normalize("NFC", re.sub(" {2,}", " ", shown).strip()) or None


def superscript(text: str) -> str:
    """Return *text* as a superscript."""
    return _script(text, symbols.SUPERSCRIPTS, "^")


def subscript(text: str) -> str:
    """Return *text* as a subscript."""
    return _script(text, symbols.SUBSCRIPTS, "_")


class _Reader:
    """Reads atoms from *source*, one after another."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0

    def read_all(self) -> list[_Atom]:
        return self._until("")

    def _until(self, closing: str) -> list[_Atom]:
        """Return the atoms before *closing*, and move past it; "" is the end of the source."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Unsupported
        atoms: list[_Atom] = []
        while (char := self._peek()) != closing:
            if not char:
                raise _Unsupported
            found = self._atoms()
            if not found and atoms:  # A script may follow a space that has no meaning.
                found = [atoms.pop()]
            atoms += self._scripted(found)
        self._at += len(closing)
        self._depth -= 1
        return atoms

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _skip_space(self) -> None:
        space = _SPACE.match(self._source, self._at)
        self._at = space.end() if space else self._at

    def _atoms(self) -> list[_Atom]:
        char = self._peek()
        if char == "\\":
            return self._command()
        if char.isspace():
            return self._space()
        if char in "^_":
            return []
        self._at += 1
        if char == "{":
            return [_Atom(_joined(self._until("}")), _Kind.ORDINARY)]
        return [_sign(char)]

    def _space(self) -> list[_Atom]:
        """Keep a space after a comma, and between words or numbers."""
        start = self._at
        self._skip_space()
        before, after = self._source[max(0, start - 20) : start], self._peek()
        keeps = before[-1:] in set(",;:") or (
            before[-1:].isdigit() and after.isdigit()
            if before[-1:].isdigit()
            else _WORD_BEFORE.search(before) and _WORD.match(self._source, self._at)
        )
        return [_Atom(" ", _Kind.SPACE)] if keeps else []

    def _scripted(self, atoms: list[_Atom]) -> list[_Atom]:
        """Return *atoms*, the last one with the scripts that follow it."""
        below = above = ""
        while (mark := self._peek()) and mark in "^_'":
            self._at += 1
            if mark == "'":
                above += "′"
            elif mark == "^":
                above += superscript(self._tight_argument())
            else:
                below += subscript(self._tight_argument())
        if not below and not above:
            return atoms
        primes = above.count("′")
        above = above.replace("′" * primes, _PRIMES[primes]) if primes < len(_PRIMES) else above
        base = atoms.pop() if atoms else _Atom("", _Kind.ORDINARY)
        is_group = base.kind is _Kind.FRACTION or (base.kind is _Kind.ORDINARY and " " in base.text)
        text = f"({base.text})" if is_group else base.text
        kind = _Kind.ORDINARY if base.kind is _Kind.FRACTION else base.kind
        return [*atoms, _Atom(text + below + above, kind)]

    def _argument(self) -> list[_Atom]:
        """Return the argument of a command or script: a group, a command or one character."""
        self._skip_space()
        if self._peek() in {"", "}", "^", "_", "&"}:
            raise _Unsupported
        if self._peek() != "{":
            return self._atoms()
        self._at += 1
        return self._until("}")

    def _tight_argument(self) -> str:
        return _joined(self._argument(), is_tight=True)

    def _command(self) -> list[_Atom]:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Unsupported
        atoms = self._command_atoms()
        self._depth -= 1
        return atoms

    def _command_atoms(self) -> list[_Atom]:
        match = _COMMAND.match(self._source, self._at)
        if match is None:
            raise _Unsupported
        self._at = match.end()
        name = match[1] or match[2]
        if (found := _symbol(name)) is not None:
            return [found]
        if name in symbols.SPACES:
            return [_Atom(symbols.SPACES[name], _Kind.SPACE)]
        if name in symbols.DROPPED:
            return []
        if name in symbols.TEXTS:
            return [_Atom(self._verbatim(), _Kind.NAME)]
        if name in symbols.PLAIN_FONTS:
            return [_Atom(self._tight_argument(), _Kind.ORDINARY)]
        if name in symbols.ALPHABETS or name == "mathscr":
            name = "mathcal" if name == "mathscr" else name
            return [_Atom(_in_alphabet(name, self._tight_argument()), _Kind.ORDINARY)]
        if name in symbols.ACCENTS or name in symbols.LINES:
            return [_Atom(_accented(name, self._tight_argument()), _Kind.ORDINARY)]
        return self._construct(name)

    def _construct(self, name: str) -> list[_Atom]:
        constructs: dict[str, Callable[[], _Atom]] = {
            "frac": self._fraction,
            "dfrac": self._fraction,
            "tfrac": self._fraction,
            "cfrac": self._fraction,
            "sqrt": self._root,
            "binom": self._binomial,
            "dbinom": self._binomial,
            "tbinom": self._binomial,
            "not": self._negated,
            "left": lambda: self._delimiter(_Kind.OPENING),
            "right": lambda: self._delimiter(_Kind.CLOSING),
            "pmod": lambda: _Atom(f" (mod {_joined(self._argument())})", _Kind.CLOSING),
            "tag": lambda: _Atom(f"{symbols.SPACES['quad']}({self._verbatim()})", _Kind.CLOSING),
        }
        if name not in constructs:
            raise _Unsupported
        return [constructs[name]()]

    def _fraction(self) -> _Atom:
        above = _joined(self._argument())
        below = _joined(self._argument())
        if re.search(r"[ /]", _without_brackets(above)):
            above = _bracketed(above)
        return _Atom(f"{above}/{_as_factor(below)}", _Kind.FRACTION)

    def _root(self) -> _Atom:
        degree = ""
        if self._peek() == "[":
            self._at += 1
            degree = _joined(self._until("]"), is_tight=True)
        roots = {"": "√", "2": "√", "3": "∛", "4": "∜"}
        sign = roots.get(degree) or f"{superscript(degree)}√"
        return _Atom(sign + _as_factor(_joined(self._argument())), _Kind.ORDINARY)

    def _binomial(self) -> _Atom:
        above, below = _joined(self._argument()), _joined(self._argument())
        return _Atom(f"C({above}, {below})", _Kind.ORDINARY)

    def _negated(self) -> _Atom:
        [first, *_] = self._argument() or [_Atom("", _Kind.ORDINARY)]
        if len(first.text) != 1:
            raise _Unsupported
        return _Atom(unicodedata.normalize("NFC", first.text + "\u0338"), first.kind)

    def _delimiter(self, kind: _Kind) -> _Atom:
        self._skip_space()
        if self._peek() == "\\":
            [atom] = self._command() or [_Atom("", kind)]
            return _Atom(atom.text, kind)
        self._at += 1
        sign = self._source[self._at - 1 : self._at]
        if not sign or sign.isalnum():
            raise _Unsupported
        return _Atom("" if sign == "." else sign, kind)

    def _verbatim(self) -> str:
        """Return a group of plain text, in which only signs are escaped."""
        self._skip_space()
        if self._peek() != "{":
            raise _Unsupported
        end, depth = self._at + 1, 1
        while depth:
            if end >= len(self._source):
                raise _Unsupported
            char = self._source[end]
            depth += (char == "{") - (char == "}")
            end += 2 if char == "\\" else 1
        text = self._source[self._at + 1 : end - 1]
        self._at = end
        if re.search(r"\\[A-Za-z]|\$", text):
            raise _Unsupported
        return _SPACE.sub(" ", re.sub(r"\\(.)|[{}]", r"\1", text))


def _symbol(name: str) -> _Atom | None:
    """Return the sign that the command *name* stands for, None if it stands for none."""
    tables: Iterable[tuple[Mapping[str, str], _Kind]] = (
        (symbols.ORDINARY, _Kind.ORDINARY),
        (symbols.RELATIONS, _Kind.RELATION),
        (symbols.BINARIES, _Kind.BINARY),
        (symbols.LARGE, _Kind.LARGE),
        (symbols.OPENING, _Kind.OPENING),
        (symbols.CLOSING, _Kind.CLOSING),
    )
    for table, kind in tables:
        if name in table:
            return _Atom(table[name], kind)
    if name in symbols.NAMES:
        return _Atom(name, _Kind.NAME)
    if name == "{":
        return _Atom(name, _Kind.OPENING)
    if name == "}":
        return _Atom(name, _Kind.CLOSING)
    if name == "|":
        return _Atom("‖", _Kind.ORDINARY)
    if name == "colon":
        return _Atom(": ", _Kind.COMMA)
    return _Atom(name, _Kind.ORDINARY) if name in set("%#&$_") else None


def _sign(char: str) -> _Atom:
    """Return the atom for a character; letters and digits are ordinary."""
    if char in "}&$#":
        raise _Unsupported
    if char == "~":
        return _Atom(" ", _Kind.SPACE)
    if char in _RELATION_SIGNS:
        return _Atom(char, _Kind.RELATION)
    if char in _BINARY_SIGNS:
        return _Atom(_BINARY_SIGNS[char], _Kind.BINARY)
    kinds = {"(": _Kind.OPENING, "[": _Kind.OPENING, ")": _Kind.CLOSING, "]": _Kind.CLOSING}
    kinds |= dict.fromkeys(",;:", _Kind.COMMA)
    return _Atom(char, kinds.get(char, _Kind.ORDINARY))


def _script(text: str, signs: Mapping[str, str], mark: str) -> str:
    if all(char in signs for char in text):
        return "".join(signs[char] for char in text)
    return mark + (text if len(text) == 1 else _bracketed(text))


def _bracketed(text: str) -> str:
    return text if _IN_BRACKETS.fullmatch(text) else f"({text})"


def _without_brackets(text: str) -> str:
    while _IN_BRACKETS.search(text):
        text = _IN_BRACKETS.sub("", text)
    return text


def _as_factor(text: str) -> str:
    return text if _ATOM.fullmatch(text.rstrip(_SCRIPT_SIGNS)) else _bracketed(text)


def _in_alphabet(name: str, text: str) -> str:
    upper, lower, zero, exceptions = symbols.ALPHABETS[name]
    firsts = [(upper, "A", "Z"), (lower, "a", "z")]
    firsts += [(zero, "0", "9")] if zero else []

    def turned(char: str) -> str:
        if char in exceptions:
            return exceptions[char]
        for ours, first, last in firsts:
            if first <= char <= last:
                return chr(ord(ours) + ord(char) - ord(first))
        return char

    return "".join(map(turned, text))


def _accented(name: str, text: str) -> str:
    base = re.sub(r"[\u0300-\u036f\u20d0-\u20ff]", "", text)
    if len(base) == 1 and name in symbols.ACCENTS:
        return text + symbols.ACCENTS[name]
    if name in symbols.LINES and text and text == base:
        return "".join(char + symbols.LINES[name] for char in text)
    raise _Unsupported


def _joined(atoms: Sequence[_Atom], *, is_tight: bool = False) -> str:
    """Return the text of *atoms*; if it *is_tight*, only names get spaces around them."""
    shown = ""
    before: _Kind | None = None
    operand: _Kind | None = None  # the last one that is no space
    for number, atom in enumerate(atoms):
        after = atoms[number + 1].kind if number + 1 < len(atoms) else None
        text, kind = _in_context(atom, operand, after)
        shown += " " * _needs_space(before, kind, is_tight=is_tight) + text
        before = kind
        operand = operand if kind is _Kind.SPACE else kind
    return shown


def _in_context(atom: _Atom, before: _Kind | None, after: _Kind | None) -> _Atom:
    """Return *atom* as its neighbours change it: into a sign, or a factor in brackets."""
    if atom.kind is _Kind.BINARY and not _is_between(before, after):
        return _Atom(atom.text, _Kind.SIGN)
    if atom.kind is _Kind.FRACTION and (before in _FACTOR_BEFORE or after in _FACTOR_AFTER):
        return _Atom(f"({atom.text})", _Kind.ORDINARY)
    return atom


def _is_between(before: _Kind | None, after: _Kind | None) -> bool:
    """Whether there is an operand on either side."""
    begins = after in _OPERANDS_BEGIN or after in {_Kind.BINARY, _Kind.SPACE}
    return before in _OPERANDS_END and begins


def _needs_space(before: _Kind | None, kind: _Kind, *, is_tight: bool) -> bool:
    """Whether a space belongs between two atoms."""
    if before is None or _Kind.SPACE in (before, kind):
        return False
    operands = {_Kind.ORDINARY, _Kind.NAME, _Kind.FRACTION, _Kind.LARGE}
    if before is _Kind.NAME and kind in operands:
        return True
    if kind is _Kind.NAME and before in {*operands, _Kind.CLOSING} - {_Kind.LARGE}:
        return True
    if is_tight:
        return False
    if not {before, kind}.isdisjoint({_Kind.RELATION, _Kind.BINARY}):
        return True
    if before is _Kind.LARGE:
        return kind in {*operands, _Kind.OPENING} - {_Kind.LARGE}
    return kind is _Kind.LARGE and before in _OPERANDS_END
