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
    r"|mcp|connector|\bweb|browser|brows(?:e|ing)|file|preset|transform|response_format|schema"
    r"|guided|^prompt$|agent",
    re.IGNORECASE,
)
# Models that search by themselves, and presets, which may have a prompt of their own.
_MODEL: Final = re.compile(
    r"[:-]online\b|search|\bsonar|research|\bcompound\b|grounded|@preset/", re.IGNORECASE
)
# In an answer, its message and its usage: what the server found, and how often it searched.
_FOUND: Final = re.compile(
    r"citation|annotation|search|source|grounding|server_tool|executed_tools|tool_use|plugin",
    re.IGNORECASE,
)
# Names that most events have; only others are searched.
_USUAL: Final = frozenset(
    {
        *("id", "object", "created", "model", "choices", "usage", "system_fingerprint"),
        *("service_tier", "role", "content", "refusal", "tool_calls"),
    }
)


def adds_to_prompts(model: str, options: Mapping[str, Any]) -> bool:
    """Whether a server adds to prompts for *model* if the request has *options*."""
    if _MODEL.search(model):
        return True
    # An empty object switches an option on, an empty list has nothing in it.
    return any(
        _OPTION.search(name) and value not in (None, False, [], "", "none")
        for name, value in options.items()
    )


def shows_addition(*parts: Mapping[str, Any]) -> bool:
    """Whether *parts* of an answer, its usage among them, show that the server added something."""
    if all(map(_USUAL.issuperset, parts)):
        return False  # the fast path
    return any(
        _FOUND.search(name) and _has_any(part[name])
        for part in parts
        for name in part.keys() - _USUAL
    )


def _has_any(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_any, value.values()))
    return bool(value)
