"""The shapes of keys and tokens, and how they are removed from a text.

A secret without a known shape, such as `password = '…'`, stays on purpose: a program that removes
all random text also removes commit hashes and pictures.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple


class SecretKind(StrEnum):
    """The kinds of secrets; a kind is named in the mark that replaces a secret."""

    ANTHROPIC = "Anthropic key"
    AWS = "AWS key"
    DISCORD_TOKEN = "Discord token"
    DISCORD_WEBHOOK = "Discord webhook URL"
    GITHUB = "GitHub token"
    GITLAB = "GitLab token"
    GOOGLE = "Google key"
    HUGGING_FACE = "Hugging Face token"
    JWT = "JWT"
    NPM = "npm token"
    OPENAI = "OpenAI key"
    PRIVATE_KEY = "private key"
    PYPI = "PyPI token"
    SLACK = "Slack token"
    STRIPE = "Stripe key"
    TELEGRAM = "Telegram token"
    URL_PASSWORD = "password in a URL"


class _Shape(NamedTuple):
    """A *pattern*, tried only if a text contains one of the *literals*. Its group 1 is kept."""

    kind: str
    literals: tuple[str, ...]
    pattern: str


# What comes before a key: not the middle of a word or of encoded data, but perhaps an escape that
# ends in a letter or a digit, such as \n, %3D, \u0026 or the color in the output of a program.
_AFTER: Final = "|".join(
    rf"(?<={escape}{{0}})"
    for escape in (
        r"\\[nrt]",
        r"%[0-9A-Fa-f]{{2}}",
        r"\\u[0-9A-Fa-f]{{4}}",
        r"[\[;]\dm",
        r"[\[;]\d\dm",
    )
)
_START: Final = rf"()(?:(?<![A-Za-z0-9])|{_AFTER.format('')})"
# A placeholder such as ghp_xxxxxxxx or ghp_12345678 repeats a character or counts, and an
# identifier has no digit.
_RANDOM: Final = r"(?![\w-]{0,40}?(?:(\w)\2{5}|1234567|abcdefg|ABCDEFG))"
_RANDOM_PATH: Final = _RANDOM.replace("-]", "/+-]")
_DIGIT: Final = r"(?=[\w-]{0,100}\d)"
# What examples have in the place of a password: the user's name, such words, or a variable.
_EXAMPLE: Final = (
    r"(?:(?i:\2\d{0,4}|(?:changeme|example|guest|postgres|redacted|root|test|tiger|user)\d{0,4}"
    r"|[a-z_-]{0,20}(?:pass(?:wd|word)?|pwd?|secret|token)\d{0,4}|1234\d{0,6}|비밀번호|암호"
    r"|x+|\*+|\.+|…)@|[\[{%$*])"
)
# Each pattern takes time in proportion to the text: a repetition follows a fixed beginning, and
# what ends it is not among the characters that it takes.
_SHAPES: Final = (
    _Shape(
        SecretKind.PRIVATE_KEY,
        ("PRIVATE KEY",),
        r"()-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"(?=(?:(?!-----)[\s\S]){0,400}?[A-Za-z0-9+/=]{40})(?:"
        r"(?:(?!-----)[\s\S])++-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:(?:\s|\\[nr])*+[A-Za-z0-9+/=]{16,}+)++)",
    ),
    _Shape(
        SecretKind.ANTHROPIC,
        ("sk-ant-",),
        rf"{_START}sk-ant-[a-z]{{3,10}}\d\d-{_RANDOM}{_DIGIT}[\w-]{{40,}}",
    ),
    _Shape(
        SecretKind.OPENAI,
        ("sk-",),
        rf"{_START}(?<![_-])sk-{_RANDOM}"
        rf"(?:(?:admin|None|or-v1|proj|svcacct)-{_DIGIT}[\w-]{{40,}}"
        rf"|{_DIGIT}[A-Za-z0-9]{{32,}}(?![\w-]))",
    ),
    _Shape(
        SecretKind.GITHUB,
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        rf"{_START}gh[pousr]_{_RANDOM}[A-Za-z0-9]{{36,}}",
    ),
    _Shape(
        SecretKind.GITHUB,
        ("github_pat_",),
        rf"{_START}github_pat_[A-Za-z0-9]{{22}}_[A-Za-z0-9]{{40,}}",
    ),
    _Shape(
        SecretKind.GITLAB,
        ("glpat-", "gldt-", "glrt-", "glptt-", "glsoat-"),
        rf"{_START}gl(?:pat|dt|rt|ptt|soat)-{_RANDOM}[\w-]{{20,}}(?:\.[\w-]{{2,20}}){{0,2}}",
    ),
    _Shape(
        SecretKind.AWS,
        ("AKIA", "ASIA"),
        rf"{_START}A[KS]IA(?!.{{9}}EXAMPLE)[A-Z2-7]{{16}}(?![A-Za-z0-9])",
    ),
    _Shape(
        SecretKind.AWS,
        ("ecret_access", "ecretAccess", "ECRET_ACCESS"),
        r"""((?i:secret_?access_?key)["'\s:=>]{1,8})"""
        rf"(?!.{{30}}EXAMPLE){_RANDOM_PATH}[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+])",
    ),
    # Three parts: the bot's id, when the token was made, and a signature. The id is a number, whose
    # digits leave few characters in base64.
    _Shape(
        SecretKind.DISCORD_TOKEN,
        (".",),
        rf"[MNO]()(?:(?<![\w-].)|{_AFTER.format('.')})[DTjz][AEIMQUYcgk][w-z0-5]"
        r"(?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){4,5}[\w-]{0,3}\.[\w-]{6}\.[\w-]{27,50}",
    ),
    _Shape(
        SecretKind.DISCORD_WEBHOOK,
        ("/webhooks/",),
        r"()https?://(?:(?:canary|ptb)\.)?discord(?:app)?\.com/api/(?:v\d{1,2}/)?"
        r"webhooks/\d{17,20}/[\w-]{60,}",
    ),
    _Shape(
        SecretKind.SLACK,
        ("xox",),
        rf"{_START}xox[abeoprs](?:\.xox[abp])?-{_RANDOM}\d[\w-]{{20,}}",
    ),
    _Shape(SecretKind.SLACK, ("xapp-",), rf"{_START}xapp-\d-[A-Z0-9]{{6,}}-\d{{6,}}-\w{{20,}}"),
    _Shape(
        SecretKind.SLACK,
        ("hooks.slack.com",),
        rf"()https://hooks\.slack\.com/(?:services|workflows)/{_RANDOM_PATH}[\w/]{{30,}}",
    ),
    _Shape(SecretKind.GOOGLE, ("AIza",), rf"{_START}AIza{_RANDOM}[\w-]{{35}}(?![\w-])"),
    _Shape(SecretKind.GOOGLE, ("GOCSPX-",), rf"{_START}GOCSPX-{_RANDOM}[\w-]{{28}}"),
    _Shape(SecretKind.GOOGLE, ("ya29.",), rf"{_START}ya29\.{_RANDOM}[\w-]{{40,}}"),
    _Shape(
        SecretKind.STRIPE,
        ("k_live_", "k_test_"),
        rf"{_START}[rs]k_(?:live|test)_(?!4eC39H){_RANDOM}[A-Za-z0-9]{{16,}}",
    ),
    _Shape(SecretKind.STRIPE, ("whsec_",), rf"{_START}whsec_{_RANDOM}[A-Za-z0-9+/=]{{32,}}"),
    _Shape(
        SecretKind.JWT,
        ("eyJ",),
        rf"{_START}(?<![_-])eyJ[\w-]{{10,}}+\.(?!eyJzdWIiOiIxMjM0NTY3ODkw)eyJ[\w-]{{10,}}+"
        r"\.[\w-]{10,}",
    ),
    _Shape(SecretKind.HUGGING_FACE, ("hf_",), rf"{_START}hf_{_RANDOM}[A-Za-z0-9]{{34,}}"),
    _Shape(SecretKind.NPM, ("npm_",), rf"{_START}npm_{_RANDOM}[A-Za-z0-9]{{36}}"),
    _Shape(SecretKind.PYPI, ("pypi-AgE",), rf"{_START}pypi-AgE{_RANDOM}[\w-]{{60,}}"),
    _Shape(SecretKind.TELEGRAM, (":AA",), rf"{_START}\d{{8,10}}:AA{_RANDOM}[\w-]{{33}}(?![\w-])"),
    _Shape(
        SecretKind.URL_PASSWORD,
        ("://",),
        # A password may have an @, which should be encoded.
        rf"(://([^\s/:@\"'<>]{{0,100}}):)(?!{_EXAMPLE})"
        r"(?:[^\s/@\"'<>]{3,200}|[^\s/@\"'<>]{1,2}@[^\s/@?#:,\"'<>]{1,100})"
        r"(?:@[^\s/@?#:,\"'<>]{1,100}){0,3}(?=@[\w\[$%{<(])",
    ),
)
# These occur only in log lines: in the addresses and the headers of requests.
_LOG_SHAPES: Final = (
    _Shape("token", ("/interactions/", "/webhooks/"), r"(/(?:interactions|webhooks)/\d+/)[\w.-]+"),
    _Shape(
        "authorization", ("Bearer ", "Bot ", "Basic "), r"((?:Bearer|Bot|Basic) )[\w.~+/=-]{20,}"
    ),
)
_OF_PEOPLE: Final = [(literal, shape) for shape in _SHAPES for literal in shape.literals]
_OF_LOG: Final = [(literal, shape) for shape in _LOG_SHAPES for literal in shape.literals]
_MARK: Final = "[removed: {}]"
_MARKED: Final = re.compile(rf"\[removed: ({'|'.join(SecretKind)})\]")


def redacted(text: str) -> str:
    """Return *text* from outside, with a mark in the place of each secret.

    What people wrote that looks like a mark is changed, so that `removed_kinds` counts none of it.
    """
    if "[removed: " in text:
        text = _MARKED.sub(r"(removed: \1)", text)
    return _replaced(text, _OF_PEOPLE)


def redacted_line(line: str) -> str:
    """Return a line of the log, with a mark in the place of each secret; the ids in URLs stay."""
    return _replaced(_replaced(line, _OF_LOG), _OF_PEOPLE)


def removed_kinds(*texts: str) -> list[SecretKind]:
    """Return the kinds of the secrets that were removed from *texts*, each once, in their order."""
    found = (kind for text in texts for kind in _MARKED.findall(text))
    return [*map(SecretKind, dict.fromkeys(found))]


def _replaced(text: str, by_literal: Sequence[tuple[str, _Shape]]) -> str:
    for literal, shape in by_literal:
        if literal in text:
            text = _compiled(shape.pattern).sub(rf"\g<1>{_MARK.format(shape.kind)}", text)
    return text


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a compiled pattern; compiling all of them at the start would take memory."""
    return re.compile(pattern, re.ASCII)
