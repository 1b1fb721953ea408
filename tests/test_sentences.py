"""What people read: every sentence is used, complete, and says what to do."""

import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from bot import errors
from bot.errors import ModelError
from bot.sentences import ENGLISH, Sentences

BOT = Path(errors.__file__).parent
FIELDS = [one.name for one in fields(Sentences)]
KINDS = [one for one in vars(errors).values() if isinstance(one, type)]
MODEL_ERRORS = [one for one in KINDS if issubclass(one, ModelError)]
LIMITS = {  # Discord's, in characters
    "_description": 100,
    "_option": 100,
    "_title": 45,
    "_label": 45,
    "system_scope_channel": 100,
    "system_scope_server": 100,
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_sentence_is_used(name: str) -> None:
    sources = (path.read_text() for path in BOT.glob("*.py") if path.name != "sentences.py")
    assert any(re.search(rf"\b{name}\b", source) for source in sources)


@pytest.mark.parametrize("error", MODEL_ERRORS, ids=lambda error: error.__name__)
def test_every_error_of_the_model_has_a_sentence_of_its_own(error: type[ModelError]) -> None:
    sentence = error().explain(ENGLISH)
    assert sentence.endswith(".")
    same = [one for one in MODEL_ERRORS if one().explain(ENGLISH) == sentence]
    assert same in ([error], [ModelError, errors.ModelFailed])


def test_a_persons_sentence_never_holds_what_is_for_the_log() -> None:
    assert "401 sk-secret" not in errors.ModelKeyRefused("401 sk-secret").explain(ENGLISH)


@pytest.mark.parametrize(("name", "text"), asdict(ENGLISH).items())
def test_every_sentence_fits_where_it_is_shown(name: str, text: str) -> None:
    assert text == text.strip() != ""
    assert "\n" not in text, "a notice is one line of small print"
    longest = min((limit for end, limit in LIMITS.items() if name.endswith(end)), default=300)
    assert len(text) <= longest


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
