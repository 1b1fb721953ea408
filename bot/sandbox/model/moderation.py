"""The verdicts of the stand-in's moderations, in the shape that OpenAI documents."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.sandbox.model.rules import check_image

JsonObject = dict[str, Any]

MODERATION_MODELS: Final = ("omni-moderation-latest", "omni-moderation-2024-09-26")
_ONLY_TEXT: Final = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening"),
    *("illicit", "illicit/violent", "sexual/minors"),
)
_TEXT_AND_IMAGES: Final = (
    *("self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "violence"),
    "violence/graphic",
)
MODERATION_CATEGORIES: Final = (*_ONLY_TEXT, *_TEXT_AND_IMAGES)
_SCORES: Final = {False: 0.0001, True: 0.98}


@dataclass(frozen=True, slots=True)
class Input:
    """What gets one verdict: its *text*, or the URL of its image, and the *kinds* of its parts."""

    text: str
    kinds: tuple[str, ...] = ("text",)


def inputs_of(given: str | Sequence[str | JsonObject]) -> list[Input]:
    """Return the inputs of a request: each text, or all parts together."""
    if isinstance(given, str):
        return [Input(given)]
    texts = [one for one in given if isinstance(one, str)]
    if texts:
        return [Input(text) for text in texts]
    parts = [one for one in given if not isinstance(one, str)]
    images = [part for part in parts if part["type"] == "image_url"]
    for image in images:
        check_image(image)
    said = [part["text"] for part in parts if part["type"] == "text"]
    kinds = (*(("text",) if said else ()), *(("image",) if images else ()))
    return [Input("\n".join((*said, *(image["image_url"]["url"] for image in images))), kinds)]


def verdict(one: Input, categories: Collection[str]) -> JsonObject:
    """Return the verdict on an input that is flagged in *categories*."""
    applies = {
        name: [kind for kind in one.kinds if kind == "text" or name in _TEXT_AND_IMAGES]
        for name in MODERATION_CATEGORIES
    }
    flags = {name: name in categories and bool(applies[name]) for name in MODERATION_CATEGORIES}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {name: _SCORES[flag] for name, flag in flags.items()},
        "category_applied_input_types": applies,
    }
