"""The limits that refusals of real servers report."""

import json

import pytest

from bot.conversation.context_window import NO_REPORTED_LIMITS, ReportedLimits
from bot.conversation.prompt import Prompt, Role, Turn
from bot.errors import (
    ModelBusy,
    ModelContextExceeded,
    ModelError,
    ModelFailed,
    ModelReplyTooLong,
    ModelRequestRefused,
)
from bot.llm.api_errors import response_error
from bot.llm.redactor import Redactor
from bot.llm.reported_limits import names_counts, reported_limits

PROMPT_TOKENS = 4000  # of the request that is refused, by the estimate
ASKED = Redactor("key", Prompt((Turn(Role.USER, "What is out there?"),), PROMPT_TOKENS, 0, 100))


def refused(status: int, message: str) -> ModelError:
    return response_error(status, json.dumps({"error": {"message": message}}), ASKED)


@pytest.mark.parametrize(
    ("status", "message", "reported"),
    [
        # OpenAI
        (
            400,
            (
                "This model's maximum context length is 4097 tokens. However, you requested 5360 "
                "tokens (3360 in the messages, 2000 in the completion). Please reduce the length "
                "of the messages or completion."
            ),
            ReportedLimits(4097, 3360),
        ),
        (
            400,
            (
                "This model's maximum context length is 8,192 tokens. However, your messages "
                "resulted in 9,230 tokens. Please reduce the length of the messages."
            ),
            ReportedLimits(8192, 9230),
        ),
        # llama.cpp
        (
            400,
            (
                "request (4133 tokens) exceeds the available context size (4096 tokens), try "
                "increasing it"
            ),
            ReportedLimits(4096, 4133),
        ),
        # vLLM; what it counts of a long prompt ends where the window does
        (
            400,
            (
                "This model's maximum context length is 2048 tokens. However, you requested 2000 "
                "output tokens and your prompt contains 107 input tokens, for a total of 2107 "
                "tokens. Please reduce the length of the input prompt or the number of requested "
                "output tokens."
            ),
            ReportedLimits(2048, 107),
        ),
        (
            400,
            (
                "This model's maximum context length is 2048 tokens. However, you requested 2000 "
                "output tokens and your prompt contains at least 49 input tokens, for a total of "
                "at least 2049 tokens. Please reduce the length of the input prompt or the number"
                " of requested output tokens."
            ),
            ReportedLimits(2048),
        ),
        (
            400,
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum"
                " context length is 2048 tokens and your request has 107 input tokens (2000 > "
                "2048 - 107)."
            ),
            ReportedLimits(2048, 107),
        ),
        # LM Studio
        (
            400,
            "Cannot truncate prompt with n_keep (11378) >= n_ctx (4096)",
            ReportedLimits(4096, 11378),
        ),
        (
            400,
            (
                "Trying to keep the first 5120 tokens when context the overflows. However, the "
                "model is loaded with context length of only 4096 tokens, which is not enough."
            ),
            ReportedLimits(4096),
        ),
        (
            400,
            (
                "The number of tokens to keep from the initial prompt is greater than the context"
                " length"
            ),
            NO_REPORTED_LIMITS,
        ),
        # dasllama
        (
            400,
            "the rendered prompt is 2107 tokens; the model context is 2048",
            ReportedLimits(2048, 2107),
        ),
        (
            400,
            (
                "the rendered prompt is 1317 tokens; the model context is 1024 — shorten the "
                "conversation or raise --ctx"
            ),
            ReportedLimits(1024, 1317),
        ),
        # LiteLLM, before llama.cpp
        (
            400,
            (
                "litellm.ContextWindowExceededError: litellm.BadRequestError: "
                "ContextWindowExceededError: OpenAIException - request (1316 tokens) exceeds the "
                "available context size (1024 tokens), try increasing it"
            ),
            ReportedLimits(1024, 1316),
        ),
        # llama-cpp-python
        (400, "Requested tokens (2107) exceed context window of 2048", ReportedLimits(2048)),
        # text-generation-inference
        (
            422,
            (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. "
                "Given: 5120 `inputs` tokens and 2000 `max_new_tokens`"
            ),
            ReportedLimits(4096, 5120),
        ),
        (
            422,
            "Input validation error: `inputs` must have less than 4095 tokens. Given: 5120",
            ReportedLimits(4095, 5120),
        ),
        # xAI, Gemini, Moonshot, DashScope
        (
            400,
            "This model's maximum prompt length is 131072 but the request contains 150000 tokens.",
            ReportedLimits(131072, 150000),
        ),
        (
            400,
            (
                "The input token count (1150000) exceeds the maximum number of tokens allowed "
                "(1048576)."
            ),
            ReportedLimits(1048576, 1150000),
        ),
        (
            400,
            "Invalid request: Your request exceeded model token limit: 8192",
            ReportedLimits(8192),
        ),
        (
            400,
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 6000]",
            ReportedLimits(6000),
        ),
        # Anthropic
        (400, "prompt is too long: 205000 tokens > 200000 maximum", ReportedLimits(200000, 205000)),
        (
            400,
            (
                "input length and `max_tokens` exceed context limit: 199000 + 2000 > 200000, "
                "decrease input length or `max_tokens` and try again"
            ),
            ReportedLimits(200000, 199000),
        ),
        # Cohere, Mistral, OpenRouter, Groq, GitHub
        (
            400,
            (
                "too many tokens: total number of tokens in the prompt cannot exceed 4081 - "
                "received 5000. Try using a shorter prompt."
            ),
            ReportedLimits(4081, 5000),
        ),
        (
            400,
            (
                "Prompt contains 33000 tokens and 0 draft tokens, too large for model with 32768 "
                "maximum context length"
            ),
            ReportedLimits(32768, 33000),
        ),
        (
            400,
            (
                "This endpoint's maximum context length is 32768 tokens. However, you requested "
                "about 40000 tokens (38000 of text input, 2000 in the output)."
            ),
            ReportedLimits(32768, 38000),
        ),
        (400, "Please reduce the length of the messages or completion.", NO_REPORTED_LIMITS),
        (400, "prompt token count of 130000 exceeds the limit of 128000", ReportedLimits(128000)),
        # Words that no pattern knows, with two counts
        (500, "3012 tokens are beyond my 2048", ReportedLimits(2048)),
        (413, "Payload Too Large", NO_REPORTED_LIMITS),
    ],
)
def test_a_refusal_reports_the_window(status: int, message: str, reported: ReportedLimits) -> None:
    error = refused(status, message)
    assert type(error) is ModelContextExceeded
    assert error.reported == reported


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ("max_tokens is too large: 2000. This model supports at most 512 completion tokens.", 512),
        ("Range of max_tokens should be [1, 1024]", 1024),
        ("max_tokens: 2000 > 1024, which is the maximum allowed number of output tokens", 1024),
        ("`max_tokens` must be less than or equal to `512`", 512),
        ("max_completion_tokens is too large: 2000", 2000),
    ],
)
def test_a_refusal_reports_the_reply_limit(message: str, reply: int) -> None:
    error = refused(400, message)
    assert type(error) is ModelReplyTooLong
    assert error.reported == ReportedLimits(reply=reply)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (
            429,
            (
                "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, "
                "Requested 2000. Please try again in 2s."
            ),
            ModelBusy,
        ),
        (429, "Maximum context length of 8192 tokens per minute", ModelBusy),
        (503, "3000 tokens are queued, and 2048 at most", ModelBusy),
        (400, "image is 4096 x 2048 pixels", ModelRequestRefused),
        (400, "Invalid 'temperature': 4000 is more than 2048", ModelRequestRefused),
        (
            400,
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead."
            ),
            ModelRequestRefused,
        ),
        (400, "Unknown name 'max_tokens': Cannot find field.", ModelRequestRefused),
        (
            400,
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 16, but got 1.",
            ModelRequestRefused,
        ),
        (400, "The token limit of 3 retries is 5", ModelRequestRefused),
        (500, "Internal server error after 3000 ms in 2048 threads", ModelFailed),
        (500, "context deadline exceeded: 3000 ms, request 4096", ModelFailed),
    ],
)
def test_other_refusals_report_no_window(status: int, message: str, kind: type[ModelError]) -> None:
    assert type(refused(status, message)) is kind


def test_the_window_may_be_in_its_own_field() -> None:
    fields = {"n_prompt_tokens": 4133, "n_ctx": 4096}
    assert reported_limits("too large", fields) == ReportedLimits(4096, 4133)
    assert (
        reported_limits("too large", {"n_prompt_tokens": "4133", "n_ctx": True})
        == NO_REPORTED_LIMITS
    )


def test_a_number_below_every_window_is_ignored() -> None:
    assert reported_limits("the context is 12 tokens", {}) == NO_REPORTED_LIMITS


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("3012 tokens, 2048 allowed", True),
        ("3012 tokens", False),
        ("3012 apples, 2048 allowed", False),
        ("3012 tokens, 12 allowed", False),
        ("gpt-4-3012 takes tokens up to version-2048", False),
        ("700 tokens, 300 allowed", False),  # The request was far larger.
    ],
)
def test_two_token_counts_mean_too_long_in_any_wording(message: str, named: bool) -> None:
    assert names_counts(message, PROMPT_TOKENS) is named
