"""What people read: every sentence is used, complete, and says what to do."""

import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from string import Formatter
from typing import get_args, get_type_hints

import pytest

from bot import errors
from bot.conversation.exchange import Conversation, Exchange, FromInteraction
from bot.errors import ModelError
from bot.i18n.languages import LANGUAGES, Languages, of_locale
from bot.i18n.sentences import ENGLISH, Sentences
from bot.settings import LANGUAGE_CODES, Settings
from tests.doubles import an_exchange

TABLES = [
    pytest.param(name, strings, id=f"{language} {name}")
    for language, strings in LANGUAGES.items()
    for name in asdict(strings)
]
BOT = Path(errors.__file__).parent
FIELDS = [one.name for one in fields(Sentences)]
KINDS = [one for one in vars(errors).values() if isinstance(one, type)]
MODEL_ERRORS = [one for one in KINDS if issubclass(one, ModelError)]
TABLE_FILES = {"sentences.py", "korean.py"}
# What is typed in the terminal is the same in each language.
TOLD = [name for name in FIELDS if not name.startswith("terminal_")]
OPTIONS = [name for name in FIELDS if name.endswith("_option_name")]
COMMANDS = {
    getattr(ENGLISH, name): getattr(LANGUAGES["ko"], name)
    for name in FIELDS
    if name.endswith("_name") and name not in OPTIONS
}
LIMITS = {  # Discord's, in characters
    "_description": 100,
    "_option": 100,
    "_title": 45,
    "_label": 45,
    "_menu": 32,
    "_name": 32,
    "_choice": 100,
    "scope_channel": 100,
    "scope_server": 100,
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_sentence_is_used(name: str) -> None:
    sources = (path.read_text() for path in BOT.rglob("*.py") if path.name not in TABLE_FILES)
    assert any(re.search(rf"\.{name}\b|\"{name}\"", source) for source in sources)


@pytest.mark.parametrize("error", MODEL_ERRORS, ids=lambda error: error.__name__)
def test_every_error_of_the_model_has_a_sentence_of_its_own(error: type[ModelError]) -> None:
    sentence = error().explain(ENGLISH)
    assert sentence.endswith(".")
    same = [one for one in MODEL_ERRORS if one().explain(ENGLISH) == sentence]
    assert same in ([error], [ModelError, errors.ModelFailed])


def test_a_persons_sentence_never_holds_what_is_for_the_log() -> None:
    assert "401 sk-secret" not in errors.ModelKeyRefused("401 sk-secret").explain(ENGLISH)


@pytest.mark.parametrize(("name", "strings"), TABLES)
def test_every_sentence_fits_where_it_is_shown(name: str, strings: Sentences) -> None:
    text = getattr(strings, name)
    assert text == text.strip() != ""
    assert "\n" not in text, "a notice is one line of small print"
    longest = min((limit for end, limit in LIMITS.items() if name.endswith(end)), default=300)
    assert len(text) <= longest


def slots(text: str) -> set[str]:
    return {name for _, name, *_ in Formatter().parse(text) if name}


@pytest.mark.parametrize(("name", "strings"), TABLES)
def test_every_language_has_the_sentence_with_the_same_slots(name: str, strings: Sentences) -> None:
    english, text = getattr(ENGLISH, name), getattr(strings, name)
    assert slots(text) == slots(english)
    settings = re.compile(r"[A-Z]+_[A-Z_]+")
    assert set(settings.findall(text)) == set(settings.findall(english))


@pytest.mark.parametrize("name", TOLD)
def test_every_sentence_names_commands_by_what_they_are_called_in_its_language(name: str) -> None:
    """What all read may be read in another language than the place's: it names them in both."""
    english, korean = getattr(ENGLISH, name), getattr(LANGUAGES["ko"], name)
    in_english = re.findall(r"(?<![\w/])/([\w-]+)", english)
    assert set(in_english) <= COMMANDS.keys()
    in_korean = [called(word) for word in re.findall(r"(?<![\w(])/([\w-]+)", korean)]
    assert in_korean == [COMMANDS[one] for one in in_english]
    pairs = re.findall(r"/([\w-]+)\(/([\w-]+)\)", korean)
    assert all(COMMANDS[second] == first for first, second in pairs)
    assert len(pairs) == (len(in_english) if name.startswith("model_") else 0)


def called(word: str) -> str:
    """Return the name of the command that *word* begins with, before a particle."""
    names = [one for one in COMMANDS.values() if word.startswith(one)]
    name = max(names, key=len, default="")
    assert word[len(name) :] in {"", "은", "는", "를", "로", "으로"}, word
    return name


def test_what_korean_people_type_is_lower_case_and_for_one_command_each() -> None:
    """Discord takes letters of any language, digits, - and _."""
    names = [getattr(LANGUAGES["ko"], one) for one in FIELDS if one.endswith("_name")]
    assert all(re.fullmatch(r"[-\w]{1,32}", one) and one == one.lower() for one in names)
    assert len({*COMMANDS.values()}) == len(COMMANDS)


@pytest.mark.parametrize("name", FIELDS)
def test_every_korean_sentence_is_korean(name: str) -> None:
    assert re.search("[가-힣]", getattr(LANGUAGES["ko"], name))
    assert not re.search("[가-힣]", getattr(ENGLISH, name))


@pytest.mark.parametrize("name", FIELDS)
def test_no_korean_particle_depends_on_what_is_put_before_it(name: str) -> None:
    """Which one is right is decided by the sound that a word ends with."""
    particles = "은|는|이|가|을|를|과|와|으로|로|이나|나|예요|아|야"
    assert not re.search(rf"}}[`*]*(?:{particles})", getattr(LANGUAGES["ko"], name))


def test_the_setting_takes_each_language_and_no_other() -> None:
    assert tuple(LANGUAGES) == LANGUAGE_CODES == get_args(get_type_hints(Settings)["language"])


def test_a_language_is_chosen_by_place_and_person() -> None:
    locales = {1: "ko", 2: "en-US", 3: "fr", 4: None}
    english, korean = Languages("en"), Languages("ko", locales.get)
    assert [one.of_guild(None) for one in (english, korean)] == [*LANGUAGES.values()]
    assert [korean.of_guild(one) for one in (1, 2, 3, 4, 5)] == [
        LANGUAGES["ko"],
        ENGLISH,
        *[LANGUAGES["ko"]] * 3,
    ]
    spoken = [of_locale(one) for one in ("ko", "en-GB", "ja", "")]
    assert spoken == [LANGUAGES["ko"], ENGLISH, ENGLISH, ENGLISH]


def _spoken(languages: Languages, exchange: Exchange) -> Sentences:
    return languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)


def test_an_answer_speaks_to_the_person_who_alone_sees_it() -> None:
    korean = Languages("ko")
    locales = ("", "ko", "en-GB", "de")
    alone = Conversation(1, None, 7, person_id=99)
    asked = [an_exchange(1, origin=FromInteraction("x", locale)) for locale in locales]
    spoken = [_spoken(korean, replace(exchange, conversation=alone)) for exchange in asked]
    assert _spoken(korean, asked[2]) == LANGUAGES["ko"]
    assert spoken == [LANGUAGES["ko"], LANGUAGES["ko"], ENGLISH, ENGLISH]


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
    own = [one for one in KINDS if issubclass(one, errors.BotError)]
    assert found == {one.__name__: one.__base__.__name__ for one in own if one.__base__}
