"""Whether a server's count of tokens measures the prompt that it was sent."""

from typing import Any

import pytest

from bot.llm.prompt_additions import adds_to_prompts, shows_addition


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [{"type": "web_search"}]},
        {"functions": [{"name": "look_up"}]},
        {"plugins": [{"id": "web"}]},
        {"web_search_options": {}},
        {"web_search": True},
        {"search_parameters": {"mode": "auto"}},
        {"enable_search": True},
        {"data_sources": [{"type": "azure_search"}]},
        {"documents": ["a text"]},
        {"mcp_servers": [{}]},
        {"response_format": {"type": "json_schema"}},
        {"transforms": ["middle-out"]},
        {"temperature": 0.5, "grounding": {"enabled": True}},
        {"venice_parameters": {"enable_web_search": "auto"}},
        {"extra_body": {"google": {"tools": [{"google_search": {}}]}}},
        {"venice_parameters": {"include_venice_system_prompt": True}},
    ],
)
def test_an_option_may_add_to_the_prompt(options: dict[str, Any]) -> None:
    assert adds_to_prompts("gpt-5", options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.5, "top_p": 1, "seed": 1, "stop": ["a"], "user": "u"},
        {"reasoning_effort": "none", "verbosity": "low", "service_tier": "flex"},
        {"provider": {"order": ["a"]}, "models": ["a"], "prompt_cache_key": "k", "store": False},
        {"tools": [], "plugins": None, "enable_search": False, "tool_choice": "none"},
        {"venice_parameters": {"enable_web_search": "off"}, "search": {"enabled": False}},
        {"user_agent": "bot", "profile": "fast", "usage": {"include": True}},
        {"chat_template_kwargs": {"enable_thinking": False}, "metadata": {"a": "b"}},
    ],
)
def test_other_options_do_not(options: dict[str, Any]) -> None:
    assert not adds_to_prompts("gpt-5", options)


@pytest.mark.parametrize(
    ("model", "adds"),
    [
        ("openai/gpt-5:online", True),
        ("gpt-4o-search-preview", True),
        ("perplexity/sonar-pro", True),
        ("llama-3.1-sonar-small-128k-online", True),
        ("o4-mini-deep-research", True),
        ("groq/compound-mini", True),
        ("@preset/support", True),
        ("gpt-5", False),
        ("meta-llama/llama-3.3-70b-instruct:free", False),
        ("qwen3:8b", False),
    ],
)
def test_a_model_may_search_by_itself(model: str, adds: bool) -> None:
    assert adds_to_prompts(model, {}) is adds


@pytest.mark.parametrize(
    ("part", "adds"),
    [
        ({"annotations": [{"type": "url_citation"}]}, True),
        ({"citations": ["https://a.test"]}, True),
        ({"search_results": [{}]}, True),
        ({"server_tool_use": {"web_search_requests": 2}}, True),
        ({"num_sources_used": 3}, True),
        ({"executed_tools": [{}]}, True),
        ({"groundingMetadata": {"webSearchQueries": ["a"]}}, True),
        ({"venice_parameters": {"web_search_citations": [{}]}}, True),
        ({"provider_specific_fields": {"web_search_results": [{}]}}, True),
        ({"venice_parameters": {"web_search_citations": []}}, False),
        ({"resource_usage": {"gpu": 1}}, False),
        ({"annotations": []}, False),
        ({"citations": None}, False),
        ({"server_tool_use": {"web_search_requests": 0}}, False),
        ({"num_sources_used": 0}, False),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}, False),
        ({"id": "search", "choices": [{"a": "citations"}]}, False),
    ],
)
def test_an_answer_shows_what_was_added(part: dict[str, Any], adds: bool) -> None:
    assert shows_addition({}, part) is adds
