"""Every sentence for people is used, translated, and within Discord's limits."""

import re
from dataclasses import replace
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from bot import errors
from bot.conversation.exchange import Conversation, Exchange, FromInteraction
from bot.errors import ModelError
from bot.i18n.korean import KOREAN
from bot.i18n.languages import LANGUAGES, Languages, of_locale
from bot.i18n.sentences import ENGLISH, Sentences, names_in
from bot.settings import Language
from tests.doubles import an_exchange

NAMES = names_in(Sentences)
ROWS = [(name, getattr(ENGLISH, name), getattr(KOREAN, name)) for name in NAMES]
BOT = Path(errors.__file__).parent
CLASSES = [value for value in vars(errors).values() if isinstance(value, type)]
MODEL_ERRORS = [error for error in CLASSES if issubclass(error, ModelError)]
TABLE_FILES = {"sentences.py", "korean.py"}
OPTIONS = [name for name in NAMES if name.endswith("_option_name")]
COMMANDS = {
    english: korean
    for name, english, korean in ROWS
    if name.endswith("_name") and name not in OPTIONS
}
LIMITS = {  # Discord's, in characters
    "_description": 100,
    "_option": 100,
    "_title": 45,
    "_label": 45,
    "_menu": 32,
    "_name": 32,
    "_subcommand": 32,
    "_choice": 100,
    "scope_channel": 100,
    "scope_server": 100,
}


def test_every_sentence_is_used() -> None:
    sources = [path.read_text() for path in BOT.rglob("*.py") if path.name not in TABLE_FILES]
    of_a_table = re.compile(r"(?:\b(?:strings|text|t|_strings|default)|\))\.(\w+)")
    used = {name for source in sources for name in of_a_table.findall(source)}
    assert set(NAMES) <= used


@pytest.mark.parametrize(("lacks", "adds"), [("stopped", None), (None, "x"), ("stopped", "x")])
def test_a_language_has_exactly_the_sentences_of_english(
    lacks: str | None, adds: str | None
) -> None:
    """A class of a language that differs is an error at start, which says by which names."""
    names = {*NAMES, adds or NAMES[0]} - {lacks}
    with pytest.raises(TypeError, match=f"{lacks or adds}"):
        type("Other", (Sentences,), dict.fromkeys(names, ""))


@pytest.mark.parametrize("error", MODEL_ERRORS, ids=lambda error: error.__name__)
def test_every_model_error_has_its_own_sentence(error: type[ModelError]) -> None:
    sentence = error().explain(ENGLISH)
    assert sentence.endswith(".")
    same = [other for other in MODEL_ERRORS if other().explain(ENGLISH) == sentence]
    assert same in ([error], [ModelError, errors.ModelFailed, errors.ModelFailedOnImages])


def test_a_sentence_never_repeats_the_text_of_an_error() -> None:
    assert "401 sk-secret" not in errors.ModelKeyRefused("401 sk-secret").explain(ENGLISH)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_fits_discords_limit(language: str) -> None:
    for name in NAMES:
        text = getattr(LANGUAGES[language], name)
        assert text == text.strip() != "", name
        assert "\n" not in text, f"{name}: a notice is one line of small print"
        limits = (limit for end, limit in LIMITS.items() if name.endswith(end))
        assert len(text) <= min(limits, default=300), name


def slots(text: str) -> set[str]:
    return {name for _, name, *_ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_sentence_with_the_same_slots_and_settings(language: str) -> None:
    settings = re.compile(r"[A-Z]+_[A-Z_]+")
    for name, english, _ in ROWS:
        text = getattr(LANGUAGES[language], name)
        assert slots(text) == slots(english), name
        assert {*settings.findall(text)} == {*settings.findall(english)}, name


def test_every_sentence_names_commands_in_its_language() -> None:
    """Errors of the model are read by everyone in a place: in Korean they name both.

    The commands of the terminal are the same in each language.
    """
    for name, english, korean in ROWS:
        if name.startswith("terminal_"):
            continue
        in_english = re.findall(r"(?<![\w/])/([\w-]+)", english)
        assert set(in_english) <= COMMANDS.keys(), name
        in_korean = [called(word) for word in re.findall(r"(?<![\w(])/([\w-]+)", korean)]
        assert in_korean == [COMMANDS[command] for command in in_english], name
        pairs = re.findall(r"/([\w-]+)\(/([\w-]+)\)", korean)
        assert all(COMMANDS[second] == first for first, second in pairs), name
        assert len(pairs) == (len(in_english) if name.startswith("model_") else 0), name


def called(word: str) -> str:
    """Return the name of the command that *word* begins with, before a particle."""
    names = [command for command in COMMANDS.values() if word.startswith(command)]
    name = max(names, key=len, default="")
    assert word[len(name) :] in {"", "은", "는", "를", "로", "으로"}, word
    return name


def test_korean_command_names_are_lower_case_and_differ() -> None:
    """Discord takes letters of any language, digits, - and _."""
    names = [korean for name, _, korean in ROWS if name.endswith("_name")]
    assert all(re.fullmatch(r"[-\w]{1,32}", name) and name == name.lower() for name in names)
    assert len({*COMMANDS.values()}) == len(COMMANDS)


def test_every_korean_sentence_is_korean() -> None:
    for name, english, korean in ROWS:
        assert re.search("[가-힣]", korean), name
        assert not re.search("[가-힣]", english), name


def test_no_korean_particle_follows_a_slot() -> None:
    """Which particle is right depends on the last sound of the value."""
    particles = "은|는|이|가|을|를|과|와|으로|로|이나|나|예요|아|야"
    for name, _, korean in ROWS:
        assert not re.search(rf"}}[`*]*(?:{particles})", korean), name


def test_the_language_setting_accepts_every_language_and_auto() -> None:
    assert tuple(LANGUAGES) == get_args(Language)


def test_a_language_is_chosen_by_place_and_person() -> None:
    locales = {1: "ko", 2: "en-US", 3: "fr", 4: None}
    english, korean = Languages("en"), Languages("ko", locales.get)
    assert [one.of_guild(None) for one in (english, korean)] == [*LANGUAGES.values()]
    assert [korean.of_guild(one) for one in (1, 2, 3, 4, 5)] == [
        KOREAN,
        ENGLISH,
        *[KOREAN] * 3,
    ]
    spoken = [of_locale(one) for one in ("ko", "en-GB", "ja", "")]
    assert spoken == [KOREAN, ENGLISH, ENGLISH, ENGLISH]


def _language_of(languages: Languages, exchange: Exchange) -> Sentences:
    return languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)


def test_an_ephemeral_answer_uses_its_persons_language() -> None:
    korean = Languages("ko")
    locales = ("", "ko", "en-GB", "de")
    alone = Conversation(1, None, 7, person_id=99)
    asked = [an_exchange(1, origin=FromInteraction("x", locale)) for locale in locales]
    spoken = [_language_of(korean, replace(exchange, conversation=alone)) for exchange in asked]
    assert _language_of(korean, asked[2]) == KOREAN
    assert spoken == [KOREAN, KOREAN, ENGLISH, ENGLISH]


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn = re.findall(r"^(.*?)(\w+)(?: {2,}.*)?$", errors.__doc__ or "", re.MULTILINE)
    parents = ["Exception"]
    found = {}
    for indent, name in drawn:
        if name not in vars(errors):
            continue
        depth = len(indent) // 4
        found[name] = parents[depth]
        parents[depth + 1 :] = [name]
    own = [one for one in CLASSES if issubclass(one, errors.BotError)]
    assert found == {one.__name__: one.__base__.__name__ for one in own if one.__base__}
