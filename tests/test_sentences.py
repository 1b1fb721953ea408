"""What people read: every sentence is used, complete, and says what to do."""

import re
from dataclasses import asdict, fields
from pathlib import Path
from string import Formatter
from typing import get_args, get_type_hints

import pytest

from bot import errors
from bot.errors import ModelError
from bot.languages import LANGUAGES, Languages
from bot.sentences import ENGLISH, Sentences
from bot.settings import SPOKEN, Settings

TABLES = [
    pytest.param(name, say, id=f"{language} {name}")
    for language, say in LANGUAGES.items()
    for name in asdict(say)
]
BOT = Path(errors.__file__).parent
FIELDS = [one.name for one in fields(Sentences)]
KINDS = [one for one in vars(errors).values() if isinstance(one, type)]
MODEL_ERRORS = [one for one in KINDS if issubclass(one, ModelError)]
TABLE_FILES = {"sentences.py", "korean.py"}
LIMITS = {  # Discord's, in characters
    "_description": 100,
    "_option": 100,
    "_title": 45,
    "_label": 45,
    "_menu": 32,
    "_choice": 100,
    "system_scope_channel": 100,
    "system_scope_server": 100,
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_sentence_is_used(name: str) -> None:
    sources = (path.read_text() for path in BOT.glob("*.py") if path.name not in TABLE_FILES)
    assert any(re.search(rf"\b{name}\b", source) for source in sources)


@pytest.mark.parametrize("error", MODEL_ERRORS, ids=lambda error: error.__name__)
def test_every_error_of_the_model_has_a_sentence_of_its_own(error: type[ModelError]) -> None:
    sentence = error().explain(ENGLISH)
    assert sentence.endswith(".")
    same = [one for one in MODEL_ERRORS if one().explain(ENGLISH) == sentence]
    assert same in ([error], [ModelError, errors.ModelFailed])


def test_a_persons_sentence_never_holds_what_is_for_the_log() -> None:
    assert "401 sk-secret" not in errors.ModelKeyRefused("401 sk-secret").explain(ENGLISH)


@pytest.mark.parametrize(("name", "say"), TABLES)
def test_every_sentence_fits_where_it_is_shown(name: str, say: Sentences) -> None:
    text = getattr(say, name)
    assert text == text.strip() != ""
    assert "\n" not in text, "a notice is one line of small print"
    longest = min((limit for end, limit in LIMITS.items() if name.endswith(end)), default=300)
    assert len(text) <= longest


def slots(text: str) -> set[str]:
    return {name for _, name, *_ in Formatter().parse(text) if name}


@pytest.mark.parametrize(("name", "say"), TABLES)
def test_every_language_has_the_sentence_with_the_same_slots(name: str, say: Sentences) -> None:
    english, text = getattr(ENGLISH, name), getattr(say, name)
    assert slots(text) == slots(english)
    named = re.compile(r"/[a-z]+|[A-Z]+_[A-Z_]+")
    assert set(named.findall(text)) == set(named.findall(english))


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
    assert tuple(LANGUAGES) == SPOKEN == get_args(get_type_hints(Settings)["language"])


def test_a_language_is_chosen_by_place_and_person() -> None:
    english, korean = Languages("en"), Languages("ko")
    assert [one.of_guild(None) for one in (english, korean)] == [*LANGUAGES.values()]
    locales = {1: "ko", 2: "en-US", 3: "fr", 4: None}
    korean.follow(locales.get)
    assert [korean.of_guild(one) for one in (1, 2, 3, 4, 5)] == [
        LANGUAGES["ko"],
        ENGLISH,
        *[LANGUAGES["ko"]] * 3,
    ]
    spoken = [english.of_locale(one) for one in ("ko", "en-GB", "ja", "")]
    assert spoken == [LANGUAGES["ko"], ENGLISH, ENGLISH, ENGLISH]


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
