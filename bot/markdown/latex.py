"""Write LaTeX mathematics in Unicode, in one line, if that says the same.

TeX, not the author, decides about spaces: relations and binary operators get one on each side. A
fraction becomes a/b, with brackets if it would be read otherwise; a script that Unicode cannot
express becomes ^(…) or _(…). Environments, signs over or under others and unknown commands cannot
be written in a line.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from bot.markdown import latex_symbols as symbols
from bot.markdown.latex_symbols import Kind

DEEPEST: Final = 20  # groups within groups; deeper ones are unreadable in one line
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)\*?\s*|\\(.)", re.DOTALL)
_SPACE: Final = re.compile(r"\s+")
_PRIMES: Final = ("", "′", "″", "‴", "⁗")
# Signs that are attached to a letter and are part of it.
_SCRIPT_SIGNS: Final = "".join(
    sign
    for signs in (symbols.SUPERSCRIPTS, symbols.SUBSCRIPTS, symbols.ACCENTS, symbols.LINES)
    for sign in (*signs.values(), *_PRIMES)
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
_OPERANDS: Final = {Kind.ORDINARY, Kind.FRACTION, Kind.NAME}
_OPERANDS_END: Final = {*_OPERANDS, Kind.CLOSING}
_OPERANDS_BEGIN: Final = {*_OPERANDS, Kind.OPENING, Kind.LARGE}


class _Atom(NamedTuple):
    text: str
    kind: Kind


_SYMBOLS: Final = {
    name: _Atom(sign, kind)
    for kind, signs in symbols.SYMBOLS.items()
    for name, sign in signs.items()
}
_SIGN_KINDS: Final = {
    **dict.fromkeys("=<>≤≥≠≈≡∈∉⊂⊆→⇒↔⇔←≔∼∝", Kind.RELATION),
    **dict.fromkeys("+-*±×·÷", Kind.BINARY),
    **dict.fromkeys("([", Kind.OPENING),
    **dict.fromkeys(")]", Kind.CLOSING),
    **dict.fromkeys(",;:", Kind.COMMA),
    "~": Kind.SPACE,
}
_SIGNS_SHOWN: Final = {"-": "−", "*": "∗", "~": " "}


class _Unsupported(Exception):
    """The formula cannot be written in a line."""


def to_unicode(source: str) -> str | None:
    """Return *source*, LaTeX without its delimiters, in Unicode; None if that is impossible."""
    try:
        shown = _joined(_Reader(source).until(""))
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
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0

    def until(self, closing: str) -> list[_Atom]:
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
            self._depth += 1
            if self._depth > DEEPEST:
                raise _Unsupported
            atoms = self._command()
            self._depth -= 1
            return atoms
        if char.isspace():
            return self._space()
        if char in "^_":
            return []
        self._at += 1
        if char == "{":
            return [_Atom(_joined(self.until("}")), Kind.ORDINARY)]
        return [_sign(char)]

    def _space(self) -> list[_Atom]:
        """Keep a space after a comma, and between words or numbers."""
        start = self._at
        self._skip_space()
        before, after = self._source[max(0, start - 20) : start], self._peek()
        is_kept = before[-1:] in set(",;:") or (
            after.isdigit()
            if before[-1:].isdigit()
            else _WORD_BEFORE.search(before) and _WORD.match(self._source, self._at)
        )
        return [_Atom(" ", Kind.SPACE)] if is_kept else []

    def _scripted(self, atoms: list[_Atom]) -> list[_Atom]:
        """Return *atoms*, the last one with the scripts that follow it."""
        below = above = ""
        while (mark := self._peek()) and mark in "^_'":
            self._at += 1
            if mark == "'":
                above += "′"
            elif mark == "^":
                above += superscript(self._argument(is_tight=True))
            else:
                below += subscript(self._argument(is_tight=True))
        if not below and not above:
            return atoms
        primes = above.count("′")
        above = above.replace("′" * primes, _PRIMES[primes]) if primes < len(_PRIMES) else above
        base = atoms.pop() if atoms else _Atom("", Kind.ORDINARY)
        is_group = base.kind is Kind.FRACTION or (base.kind is Kind.ORDINARY and " " in base.text)
        text = f"({base.text})" if is_group else base.text
        kind = Kind.ORDINARY if base.kind is Kind.FRACTION else base.kind
        return [*atoms, _Atom(text + below + above, kind)]

    def _argument(self, *, is_tight: bool = False) -> str:
        """Return the argument of a command or script: a group, a command or one character."""
        return _joined(self._argument_atoms(), is_tight=is_tight)

    def _argument_atoms(self) -> list[_Atom]:
        self._skip_space()
        if self._peek() in {"", "}", "^", "_", "&"}:
            raise _Unsupported
        if self._peek() != "{":
            return self._atoms()
        self._at += 1
        return self.until("}")

    def _command(self) -> list[_Atom]:
        match = _COMMAND.match(self._source, self._at)
        if match is None:
            raise _Unsupported
        self._at = match.end()
        name = match[1] or match[2]
        if name in _SYMBOLS:
            return [_SYMBOLS[name]]
        if name in symbols.DROPPED:
            return []
        if name in _CONSTRUCTS:
            return [_CONSTRUCTS[name](self)]
        return [_Atom(_styled(name, self._argument(is_tight=True)), Kind.ORDINARY)]

    def _fraction(self) -> _Atom:
        above = self._argument()
        below = self._argument()
        outside = above
        while _IN_BRACKETS.search(outside):
            outside = _IN_BRACKETS.sub("", outside)
        if re.search(r"[ /]", outside):
            above = _bracketed(above)
        return _Atom(f"{above}/{_as_factor(below)}", Kind.FRACTION)

    def _root(self) -> _Atom:
        degree = ""
        if self._peek() == "[":
            self._at += 1
            degree = _joined(self.until("]"), is_tight=True)
        roots = {"": "√", "2": "√", "3": "∛", "4": "∜"}
        sign = roots.get(degree) or f"{superscript(degree)}√"
        return _Atom(sign + _as_factor(self._argument()), Kind.ORDINARY)

    def _negated(self) -> _Atom:
        [first, *_] = self._argument_atoms() or [_Atom("", Kind.ORDINARY)]
        if len(first.text) != 1:
            raise _Unsupported
        return _Atom(unicodedata.normalize("NFC", first.text + "\u0338"), first.kind)

    def _delimiter(self, kind: Kind) -> _Atom:
        self._skip_space()
        sign = self._peek()
        if sign == "\\":
            [atom] = self._atoms() or [_Atom("", kind)]
            return _Atom(atom.text, kind)
        if not sign or sign.isalnum():
            raise _Unsupported
        self._at += 1
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


_CONSTRUCTS: Final[dict[str, Callable[[_Reader], _Atom]]] = {
    **dict.fromkeys(("frac", "dfrac", "tfrac", "cfrac"), _Reader._fraction),
    **dict.fromkeys(
        ("binom", "dbinom", "tbinom"),
        lambda reader: _Atom(f"C({reader._argument()}, {reader._argument()})", Kind.ORDINARY),
    ),
    **dict.fromkeys(symbols.TEXTS, lambda reader: _Atom(reader._verbatim(), Kind.NAME)),
    "sqrt": _Reader._root,
    "not": _Reader._negated,
    "left": lambda reader: reader._delimiter(Kind.OPENING),
    "right": lambda reader: reader._delimiter(Kind.CLOSING),
    "pmod": lambda reader: _Atom(f" (mod {reader._argument()})", Kind.CLOSING),
    "tag": lambda reader: _Atom(f"\u2003({reader._verbatim()})", Kind.CLOSING),
}


def _sign(char: str) -> _Atom:
    if char in "}&$#":
        raise _Unsupported
    return _Atom(_SIGNS_SHOWN.get(char, char), _SIGN_KINDS.get(char, Kind.ORDINARY))


def _script(text: str, signs: Mapping[str, str], mark: str) -> str:
    if all(char in signs for char in text):
        return "".join(signs[char] for char in text)
    return mark + (text if len(text) == 1 else _bracketed(text))


def _bracketed(text: str) -> str:
    return text if _IN_BRACKETS.fullmatch(text) else f"({text})"


def _as_factor(text: str) -> str:
    return text if _ATOM.fullmatch(text.rstrip(_SCRIPT_SIGNS)) else _bracketed(text)


def _styled(command: str, text: str) -> str:
    """Return *text* in the font, or with the accent, that *command* gives it."""
    if command in symbols.PLAIN_FONTS:
        return text
    if command in symbols.ALPHABETS:
        return text.translate(symbols.ALPHABETS[command])
    base = re.sub(r"[\u0300-\u036f\u20d0-\u20ff]", "", text)
    if len(base) == 1 and command in symbols.ACCENTS:
        return text + symbols.ACCENTS[command]
    if command in symbols.LINES and text and text == base:
        return "".join(char + symbols.LINES[command] for char in text)
    raise _Unsupported


def _joined(atoms: Sequence[_Atom], *, is_tight: bool = False) -> str:
    """Return the text of *atoms*; if it *is_tight*, only names get spaces around them."""
    shown = ""
    before: Kind | None = None
    operand: Kind | None = None  # the last one that is no space
    for number, atom in enumerate(atoms):
        after = atoms[number + 1].kind if number + 1 < len(atoms) else None
        text, kind = _in_context(atom, operand, after)
        shown += " " * _needs_space(before, kind, is_tight=is_tight) + text
        before = kind
        operand = operand if kind is Kind.SPACE else kind
    return shown


def _in_context(atom: _Atom, before: Kind | None, after: Kind | None) -> _Atom:
    """Return *atom* as its neighbours change it: into a sign, or a factor in brackets."""
    if atom.kind is Kind.BINARY:
        has_right = after in _OPERANDS_BEGIN or after in {Kind.BINARY, Kind.SPACE}
        return atom if before in _OPERANDS_END and has_right else _Atom(atom.text, Kind.SIGN)
    is_factor = before in _OPERANDS_END - {Kind.NAME} or after in _OPERANDS_BEGIN
    if atom.kind is Kind.FRACTION and is_factor:
        return _Atom(f"({atom.text})", Kind.ORDINARY)
    return atom


def _needs_space(before: Kind | None, kind: Kind, *, is_tight: bool) -> bool:
    """Whether a space belongs between two atoms."""
    if before is None or Kind.SPACE in (before, kind):
        return False
    if before is Kind.NAME and kind in {*_OPERANDS, Kind.LARGE}:
        return True
    if kind is Kind.NAME and before in _OPERANDS_END:
        return True
    if is_tight:
        return False
    if not {before, kind}.isdisjoint({Kind.RELATION, Kind.BINARY}):
        return True
    if before is Kind.LARGE:
        return kind in {*_OPERANDS, Kind.OPENING}
    return kind is Kind.LARGE and before in _OPERANDS_END
