"""Check the body of a request as OpenAI's chat completions do: names, types, bounds, values.

The words and their order are those that OpenAI's API has been seen to answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bot.sandbox.model.rules import Refusal

JsonObject = dict[str, Any]

_SUBSTITUTES: Final = ("tool_calls", "function_call", "refusal", "audio")  # for an answer's content


class Rule(Protocol):
    """What a value must be."""

    def check(self, name: str, value: object) -> None:
        """Raise `Refusal` 400 that names the parameter *name* if *value* is something else."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value: its contents do not concern the stand-in."""

    def check(self, name: str, value: object) -> None:
        """Accept it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A boolean, number or text, in OpenAI's words for its type, within bounds."""

    expected: str
    kinds: tuple[str, ...]
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Check type, bounds and choices."""
        _check_kind(name, value, self.expected, self.kinds)
        if isinstance(value, int | float):
            self._check_bounds(name, value)
        if self.choices and value not in self.choices:
            raise _unsupported(name, value, self.choices)

    def _check_bounds(self, name: str, value: float) -> None:
        if self.least is not None and value < self.least:
            raise self._out_of_bounds(name, value, f">= {self.least}", "below minimum")
        if self.most is not None and value > self.most:
            raise self._out_of_bounds(name, value, f"<= {self.most}", "above maximum")

    def _out_of_bounds(self, name: str, value: float, bound: str, side: str) -> Refusal:
        kind = self.expected.split()[-1]
        return Refusal(
            400,
            f"Invalid '{name}': {kind} {side} value. "
            f"Expected a value {bound}, but got {value} instead.",
            name,
            f"{kind}_{side.removesuffix('imum').replace(' ', '_')}_value",
        )


@dataclass(frozen=True, slots=True)
class Object:
    """An object; without *fields* it may have any."""

    fields: Mapping[str, Rule] | None = None
    required: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Check that all *required* fields are there, and no others than *fields*."""
        _check_kind(name, value, "an object", ("an object",))
        assert isinstance(value, dict)
        for wanted in self.required:
            if wanted not in value:
                raise _missing(f"{name}.{wanted}")
        if self.fields is None:
            return
        for given in value:
            if given not in self.fields:
                raise _unknown(f"{name}.{given}")
        for given, rule in self.fields.items():
            if given in value:
                rule.check(f"{name}.{given}", value[given])


@dataclass(frozen=True, slots=True)
class Tagged:
    """An object whose field *tag* decides its other fields."""

    tag: str
    objects: Mapping[str, Object]

    def check(self, name: str, value: object) -> None:
        """Check the tag, then the object of that kind."""
        _check_kind(name, value, "an object", ("an object",))
        assert isinstance(value, dict)
        if self.tag not in value:
            raise _missing(f"{name}.{self.tag}")
        kind = value[self.tag]
        if kind not in self.objects:
            raise _unsupported(f"{name}.{self.tag}", kind, tuple(self.objects))
        self.objects[kind].check(name, value)


@dataclass(frozen=True, slots=True)
class Array:
    """A list of *items*."""

    items: Rule
    expected: str = "an array of objects"
    least: int = 0
    most: int | None = None

    def check(self, name: str, value: object) -> None:
        """Check the length and each item."""
        _check_kind(name, value, self.expected, ("an array",))
        assert isinstance(value, list)
        if len(value) < self.least:
            raise Refusal(
                400,
                f"Invalid '{name}': empty array. Expected an array with minimum length "
                f"{self.least}, but got an empty array instead.",
                name,
                "empty_array",
            )
        if self.most is not None and len(value) > self.most:
            raise Refusal(
                400,
                f"Invalid '{name}': array too long. Expected an array with maximum length "
                f"{self.most}, but got an array with length {len(value)} instead.",
                name,
                "array_above_max_length",
            )
        for number, item in enumerate(value):
            self.items.check(f"{name}[{number}]", item)


@dataclass(frozen=True, slots=True)
class TextOr:
    """A text or a list, and perhaps null, which a later check refuses."""

    array: Array
    nullable: bool = False
    expected: str = field(default="one of a string or array of objects", kw_only=True)

    def check(self, name: str, value: object) -> None:
        """Check the list if it is none of the others."""
        if isinstance(value, str) or (value is None and self.nullable):
            return
        _check_kind(name, value, self.expected, ("an array",))
        self.array.check(name, value)


ANYTHING: Final = Anything()
BOOLEAN: Final = Value("a boolean", ("a boolean",))
TEXT: Final = Value("a string", ("a string",))


def _integer(least: int | None = None, most: int | None = None) -> Value:
    return Value("an integer", ("an integer",), least, most)


def _decimal(least: float, most: float) -> Value:
    return Value("a decimal", ("an integer", "a decimal number"), least, most)


def _one_of(*choices: str) -> Value:
    return Value("a string", ("a string",), choices=choices)


_DETAIL: Final = _one_of("auto", "low", "high", "original")
_PARTS: Final = Tagged(
    "type",
    {
        "text": Object({"type": TEXT, "text": TEXT}, ("text",)),
        "image_url": Object(
            {"type": TEXT, "image_url": Object({"url": TEXT, "detail": _DETAIL}, ("url",))},
            ("image_url",),
        ),
        "input_audio": Object({"type": TEXT, "input_audio": Object()}, ("input_audio",)),
        "refusal": Object({"type": TEXT, "refusal": TEXT}, ("refusal",)),
        "audio": Object(),
        "file": Object({"type": TEXT, "file": Object()}, ("file",)),
    },
)
_MODERATED: Final = Tagged("type", {kind: _PARTS.objects[kind] for kind in ("text", "image_url")})
_SAID: Final[dict[str, Rule]] = {
    "role": TEXT,
    "content": TextOr(Array(_PARTS, least=1), nullable=True),
    "name": TEXT,
}
_CALLS: Final = Array(Object(required=("id", "type", "function")), least=1)
_ANSWERED: Final[dict[str, Rule]] = {
    **_SAID,
    "refusal": ANYTHING,
    "audio": ANYTHING,
    "tool_calls": _CALLS,
    "function_call": ANYTHING,
}
_MESSAGES: Final = Tagged(
    "role",
    {
        "system": Object(_SAID),
        "assistant": Object(_ANSWERED),
        "user": Object(_SAID),
        "function": Object(_SAID, ("name",)),
        "tool": Object({**_SAID, "tool_call_id": TEXT}, ("tool_call_id",)),
        "developer": Object(_SAID),
    },
)
_STREAM_OPTIONS: Final = Object({"include_usage": BOOLEAN, "include_obfuscation": BOOLEAN})
_STOP: Final = TextOr(
    Array(TEXT, "an array of strings", most=4), expected="one of a string or array of strings"
)
# In the order in which OpenAI reports what is wrong with them.
_PARAMETERS: Final[Mapping[str, Rule]] = {
    "model": TEXT,
    "messages": Array(_MESSAGES, least=1),
    "functions": Array(Object(required=("name",)), "an array of function definitions"),
    "function_call": ANYTHING,
    "tools": Array(Object(required=("type",))),
    "tool_choice": ANYTHING,
    "parallel_tool_calls": BOOLEAN,
    "max_completion_tokens": _integer(1),
    "max_tokens": _integer(1),
    "n": _integer(1, 128),
    "stop": _STOP,
    "temperature": _decimal(0, 2),
    "top_p": _decimal(0, 1),
    "presence_penalty": _decimal(-2, 2),
    "frequency_penalty": _decimal(-2, 2),
    "logit_bias": Object(),
    "logprobs": BOOLEAN,
    "top_logprobs": _integer(0, 20),
    "user": TEXT,
    "seed": _integer(),
    "safety_identifier": TEXT,
    "prompt_cache_key": TEXT,
    "prompt_cache_retention": _one_of("in_memory", "24h"),
    "service_tier": _one_of("auto", "default", "fast", "flex", "priority"),
    "stream": BOOLEAN,
    "stream_options": _STREAM_OPTIONS,
    "store": BOOLEAN,
    "metadata": Object(),
    "response_format": Object(required=("type",)),
    "prediction": Object(),
    "modalities": Array(TEXT, "an array of strings"),
    "audio": Object(),
    "web_search_options": Object(),
    "verbosity": _one_of("low", "medium", "high"),
    "reasoning_effort": _one_of("none", "minimal", "low", "medium", "high", "xhigh"),
}


def check_request(body: object, tokens_parameter: str) -> JsonObject:
    """Return *body* if a chat completions API accepts it, else raise `Refusal` 400.

    *tokens_parameter* is the server's name for the limit of a reply: "max_completion_tokens"
    (OpenAI's newer models), "max_tokens" (many compatible servers) or "either".
    """
    if not isinstance(body, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Refusal(400, "you must provide a model parameter")
    if "messages" not in body:
        raise _missing("messages")
    for name in body:
        if name not in _PARAMETERS:
            raise _unknown(name)
    for name, rule in _PARAMETERS.items():
        if body.get(name) is not None or name == "messages":
            rule.check(name, body.get(name))
    _check_reply_limit(body, tokens_parameter)
    if "stream_options" in body and not body.get("stream"):
        raise Refusal(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    _check_contents(body["messages"])
    return body


def check_moderation(body: object) -> JsonObject:
    """Return *body* if OpenAI's moderations accept it, else raise `Refusal` 400."""
    if not isinstance(body, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    if "input" not in body:
        raise _missing("input")
    for name in body:
        if name not in {"input", "model"}:
            raise _unknown(name)
    if body.get("model") is not None:
        TEXT.check("model", body["model"])
    given = body["input"]
    is_text = isinstance(given, list) and isinstance(next(iter(given), ""), str)
    expected = "one of a string, array of strings or array of objects"
    TextOr(Array(TEXT if is_text else _MODERATED, least=1), expected=expected).check("input", given)
    if isinstance(given, list):
        images = sum(not isinstance(one, str) and one["type"] == "image_url" for one in given)
        if images > 1:
            message = f"Number of images ({images}) exceeds maximum of 1"
            raise Refusal(400, message, "input", "too_many_images")
    return body


def _check_reply_limit(body: JsonObject, tokens_parameter: str) -> None:
    given = [name for name in ("max_tokens", "max_completion_tokens") if body.get(name) is not None]
    if len(given) == 2:
        raise Refusal(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        )
    for name in given:
        if tokens_parameter not in (name, "either"):
            raise Refusal(
                400,
                f"Unsupported parameter: '{name}' is not supported with this model. "
                f"Use '{tokens_parameter}' instead.",
                name,
                "unsupported_parameter",
            )


def _check_contents(messages: Sequence[JsonObject]) -> None:
    """Refuse a message without content, unless an answer has something in its place."""
    for number, message in enumerate(messages):
        stands_in = message["role"] == "assistant" and any(map(message.get, _SUBSTITUTES))
        if message.get("content") is None and not stands_in:
            raise Refusal(
                400,
                "Invalid value for 'content': expected a string, got null.",
                f"messages.[{number}].content",
            )


def _check_kind(name: str, value: object, expected: str, kinds: Sequence[str]) -> None:
    kind = _kind(value)
    if kind not in kinds:
        raise Refusal(
            400,
            f"Invalid type for '{name}': expected {expected}, but got {kind} instead.",
            name,
            "invalid_type",
        )


def _kind(value: object) -> str:
    kinds = (
        (type(None), "null"),
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a decimal number"),
        (str, "a string"),
        (list, "an array"),
    )
    return next((kind for type_, kind in kinds if isinstance(value, type_)), "an object")


def _missing(name: str) -> Refusal:
    message = f"Missing required parameter: '{name}'."
    return Refusal(400, message, name, "missing_required_parameter")


def _unknown(name: str) -> Refusal:
    return Refusal(400, f"Unknown parameter: '{name}'.", name, "unknown_parameter")


def _unsupported(name: str, value: object, choices: Sequence[str]) -> Refusal:
    *others, last = (f"'{one}'" for one in choices)
    known = f"{', '.join(others)}, and {last}" if len(others) > 1 else " and ".join([*others, last])
    message = f"Invalid value: '{value}'. Supported values are: {known}."
    return Refusal(400, message, name, "invalid_value")
