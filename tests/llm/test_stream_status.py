"""Error objects within a stream, as servers word them."""

from typing import Any

import pytest

from bot.llm.stream_status import stream_status

OPENROUTER = {"message": "Provider returned error", "metadata": {"error_type": "x"}}
PROBLEMS: tuple[tuple[dict[str, Any], int], ...] = (
    ({"message": "slow down", "code": 429}, 429),
    ({"message": "slow down", "code": "503"}, 503),
    ({"message": "x", "status": 502}, 502),
    ({"message": "x", "status_code": 500}, 500),
    ({"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}, 503),
    ({"message": "x", "status": "UNAVAILABLE"}, 503),
    ({"message": "x", "status": "RESOURCE_EXHAUSTED"}, 429),
    ({"message": "x", "status": "DEADLINE_EXCEEDED"}, 408),
    ({"message": "x", "status": "INVALID_ARGUMENT"}, 400),
    ({"type": "overloaded_error", "message": "Overloaded"}, 503),
    ({"type": "service_unavailable_error", "code": "server_is_overloaded", "message": "x"}, 503),
    ({"type": "rate_limit_error", "message": "x"}, 429),
    ({"type": "requests", "code": "rate_limit_exceeded", "message": "x"}, 429),
    ({"type": "timeout_error", "message": "x"}, 408),
    ({"type": "authentication_error", "message": "x"}, 401),
    ({"type": "permission_error", "message": "x"}, 403),
    ({"type": "not_found_error", "message": "x"}, 404),
    ({"type": "invalid_request_error", "message": "x"}, 400),
    ({"type": "BadRequestError", "message": "x"}, 400),
    ({"type": "ThrottlingException", "message": "x"}, 429),
    ({"type": "server_error", "message": "The engine is currently overloaded"}, 503),
    (OPENROUTER | {"code": 502}, 502),
    (OPENROUTER | {"metadata": {"error_type": "provider_unavailable"}}, 503),
    (OPENROUTER | {"metadata": {"error_type": "rate_limit_exceeded"}}, 429),
    ({"message": "Overloaded"}, 503),
    ({"message": "Our servers are currently overloaded. Please try again later."}, 503),
    ({"message": "Worker local total request limit reached (33/32)"}, 429),
    ({"message": "The service is temporarily unavailable"}, 503),
    ({"message": "Model is currently busy"}, 503),
    ({"message": "Too many requests, please slow down"}, 429),
    ({"message": "no capacity"}, 503),
    ({"message": "We are experiencing high demand"}, 503),
    ({"message": "Request timed out"}, 408),
    ({"message": "Internal Server Error", "type": "server_error"}, 0),
    ({"message": "Cannot truncate prompt with n_keep (11378) >= n_ctx (4096)"}, 0),
    ({"message": "broken", "code": "x"}, 0),
    ({"message": "broken", "code": 200}, 0),
    ({"code": "9" * 5000}, 0),
    ({"code": True, "message": ["x"], "metadata": [1]}, 0),
    ({}, 0),
)


@pytest.mark.parametrize(("problem", "status"), PROBLEMS, ids=lambda one: str(one)[:60])
def test_an_error_within_a_stream_stands_for_a_status(problem: dict[str, Any], status: int) -> None:
    assert stream_status(problem) == status
