"""Recognise when a server adds to a prompt: its token count then does not measure the prompt alone.

Servers add search results, descriptions of tools and documents. An option of the request, the model
or the account at the API makes them do so; for the account, only the answer shows it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

# Words in the names of options: `tools`, `web_search_options`, `plugins`, `search_parameters`,
# `enable_search`, `data_sources`, `documents`, `mcp_servers`, `response_format`, `transforms` ...
_OPTION: Final = re.compile(
    r"search|tool|plugin|function|ground|retriev|citation|document|data_?source|knowledge|\brag\b"
    r"|mcp|connector|\bweb|browser|brows(?:e|ing)|\bfile|preset|transform|response_format|schema"
    r"|guided|^prompt$|(?<!user_)agent|system_prompt|character|\bmemor",
    re.IGNORECASE,
)
# Models that search by themselves, and presets, which may have a prompt of their own.
_MODEL: Final = re.compile(
    r"[:-]online\b|search|\bsonar|research|\bcompound\b|grounded|@preset/", re.IGNORECASE
)
# In an answer, its message and its usage: what the server found, and how often it searched.
_FOUND: Final = re.compile(
    r"citation|annotation|search|(?<!re)source|grounding|server_tool|executed_tools|tool_use|plugin",
    re.IGNORECASE,
)
# Names that most events have; only others are searched.
_USUAL: Final = frozenset(
    {
        *("id", "object", "created", "model", "choices", "usage", "system_fingerprint"),
        *("service_tier", "role", "content", "refusal", "tool_calls"),
        *("index", "delta", "message", "finish_reason", "logprobs"),
    }
)
_OFF: Final = ("", "none", "off", "false", "disabled", "never")
_DEPTH: Final = 3  # Servers put options, and what they found, into objects of their own.


def adds_to_prompts(model: str, options: Mapping[str, Any]) -> bool:
    """Whether a server adds to prompts for *model* if the request has *options*."""
    if _MODEL.search(model):
        return True
    return _switches_on(options, _DEPTH)


def _switches_on(options: Mapping[str, Any], depth: int) -> bool:
    return any(
        (_OPTION.search(name) is not None and _is_on(value))
        or (depth > 0 and isinstance(value, Mapping) and _switches_on(value, depth - 1))
        for name, value in options.items()
    )


def _is_on(value: object) -> bool:
    # An empty object switches an option on, an empty list has nothing in it.
    if isinstance(value, Mapping):
        return not any(name.startswith("enable") and not _is_on(value[name]) for name in value)
    return value.lower() not in _OFF if isinstance(value, str) else value not in (None, False, [])


def shows_addition(*parts: Mapping[str, Any]) -> bool:
    """Whether *parts* of an answer, its usage among them, show that the server added something."""
    if all(map(_USUAL.issuperset, parts)):
        return False  # the fast path
    return any(_shows(part, _DEPTH) for part in parts)


def _shows(part: Mapping[str, Any], depth: int) -> bool:
    return any(
        (_FOUND.search(name) is not None and _has_any(part[name]))
        or (depth > 0 and isinstance(part[name], Mapping) and _shows(part[name], depth - 1))
        for name in part.keys() - _USUAL
    )


def _has_any(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_any, value.values()))
    return bool(value)
