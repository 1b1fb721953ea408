"""Errors about pictures: whether the model never takes any; no error repeats them."""

import base64
import json
from typing import Any

import pytest

from bot.conversation.context_window import NO_REPORTED_LIMITS, ReportedLimits
from bot.conversation.images import Image
from bot.conversation.prompt import Prompt, Role, Turn
from bot.errors import (
    ContentFiltered,
    ImagesUnsupported,
    ModelAccessDenied,
    ModelBusy,
    ModelContextExceeded,
    ModelError,
    ModelFailed,
    ModelFailedOnImages,
    ModelKeyRefused,
    ModelQuotaExceeded,
    ModelRateLimited,
    ModelReplyTooLong,
    ModelRequestRefused,
    ModelTimeout,
    ModelUnknown,
    ModelUnreachable,
)
from bot.llm.api_errors import names_system_role, response_error, stream_error
from bot.llm.redactor import Redactor

DATA = bytes(range(256)) * 4
PLAIN = Prompt((Turn(Role.USER, "What is out there?"),), 9, 0, 100)
PICTURED = PLAIN.with_images({0: [Image(DATA, "image/png")]})


def private(prompt: Prompt) -> Redactor:
    return Redactor("key", prompt)


@pytest.mark.parametrize(
    ("status", "message", "named", "otherwise"),
    [
        (404, "No endpoints found that support image input", ImagesUnsupported, ModelUnknown),
        (
            500,
            "this model is missing data required for image input",
            ImagesUnsupported,
            ModelFailed,
        ),
        (400, "this model does not support image input (ref: x)", ImagesUnsupported, None),
        (500, "image input is not supported - hint: mmproj", ImagesUnsupported, ModelFailed),
        (400, "At most 0 image(s) may be provided in one prompt.", ImagesUnsupported, None),
        (400, "x/y is not a multimodal model", ImagesUnsupported, None),
        (
            400,
            "Model does not support images. Please use a model that does.",
            ImagesUnsupported,
            None,
        ),
        (400, "image_url is only supported by certain models.", ImagesUnsupported, None),
        (400, "Image input is not enabled for this model", ImagesUnsupported, None),
        (422, "unknown variant `image_url`, expected `text`", ImagesUnsupported, None),
        (400, "'messages.0.content' : value must be a string", ImagesUnsupported, None),
        (400, "messages[1].content must be a string", ImagesUnsupported, None),
        (400, "You uploaded an unsupported image.", ModelRequestRefused, None),
        (400, "Image format not supported", ModelRequestRefused, None),
        (500, "Failed to load image or audio file", ModelRequestRefused, ModelFailed),
        (400, "At most 1 image(s) may be provided in one prompt.", ModelRequestRefused, None),
        (400, "Bad request", ModelRequestRefused, None),
        (500, "Internal server error", ModelFailedOnImages, ModelFailed),
        (502, "Bad gateway", ModelFailed, ModelFailed),
        (429, "The vision model does not support so many images", ModelBusy, ModelBusy),
        (401, "Your key may not use vision", ModelKeyRefused, ModelKeyRefused),
        (404, "The model gpt-vision does not exist", ModelUnknown, ModelUnknown),
        (
            400,
            "The context length with images is exceeded",
            ModelContextExceeded,
            ModelContextExceeded,
        ),
    ],
)
def test_a_picture_error_needs_pictures_in_the_request(
    status: int, message: str, named: type[ModelError], otherwise: type[ModelError] | None
) -> None:
    said = json.dumps({"error": {"message": message}})
    assert type(response_error(status, said, private(PICTURED))) is named
    assert type(response_error(status, said, private(PLAIN))) is (otherwise or ModelRequestRefused)


def test_an_echoed_picture_is_redacted() -> None:
    data = base64.b64encode(DATA).decode()
    for at in (0, 1, 400):
        said = json.dumps({"error": {"message": f"Bad: data:image/png;base64,{data[at:]}"}})
        assert str(response_error(400, said, private(PICTURED))) == (
            "400 Bad: data:image/png;base64,(data)"
        )


LONG = Prompt((Turn(Role.USER, "What is out there?"),), 3500, 0, 100, reply_tokens=2000)
OPENAI = (
    "This model's maximum context length is 8192 tokens. However, you requested 10050 tokens "
    "(8050 in the messages, 2000 in the completion)."
)


@pytest.mark.parametrize(
    ("status", "body", "reported"),
    [
        # OpenRouter, with the words of another provider
        (
            400,
            {
                "error": {
                    "message": "Provider returned error",
                    "code": 400,
                    "metadata": {"raw": json.dumps({"message": OPENAI}), "provider_name": "X"},
                }
            },
            ReportedLimits(8192, 8050),
        ),
        # Mistral, KoboldCpp and Cloudflare have places of their own
        (
            400,
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "value_error",
                            "msg": "Prompt contains 4200 tokens, too large for model with 4096 "
                            "maximum context length",
                        }
                    ]
                },
            },
            ReportedLimits(4096, 4200),
        ),
        (
            400,
            {"detail": {"msg": "Max context length exceeded: 5000 / 4096 tokens"}},
            ReportedLimits(4096),
        ),
        (
            413,
            {
                "success": False,
                "errors": [
                    {
                        "message": "AiError: The estimated number of input and maximum output "
                        "tokens (10050) exceeded this model context window limit (7968).",
                        "code": 5021,
                    }
                ],
            },
            ReportedLimits(7968),
        ),
        # More than a minute allows: waiting is in vain
        (
            413,
            {
                "error": {
                    "message": "Request too large for model `x` in organization `y` on tokens per "
                    "minute (TPM): Limit 6000, Requested 6294, please reduce your message size",
                    "code": "rate_limit_exceeded",
                }
            },
            ReportedLimits(6000, requested=6294),
        ),
        (
            429,
            {
                "error": {
                    "message": "Request too large for gpt-4o on tokens per min (TPM): Limit 3000, "
                    "Requested 4100. The input or output tokens must be reduced.",
                    "code": "rate_limit_exceeded",
                }
            },
            ReportedLimits(3000, requested=4100),
        ),
        (
            429,
            {
                "error": {
                    "message": "Rate limit reached for model `x` in organization `y` on tokens per "
                    "minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.5s",
                    "code": "rate_limit_exceeded",
                }
            },
            ReportedLimits(7000, requested=12903),
        ),
        (
            429,
            {"message": "Limit: 6,000 tokens. Used: 1,200. Requested: 7,000. Try again in 1m2s."},
            ReportedLimits(6000, requested=7000),
        ),
        (
            429,
            {
                "error": {
                    "message": "This request would exceed your organization's rate limit of 3,000 "
                    "input tokens per minute (org: x, model: y).",
                    "type": "rate_limit_error",
                }
            },
            ReportedLimits(3000),
        ),
        (
            429,
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota. * Quota exceeded for metric: "
                    "x/generate_content_free_tier_input_token_count, limit: 3000, model: gemma\n"
                    "Please retry in 30.1s.",
                    "status": "RESOURCE_EXHAUSTED",
                }
            },
            ReportedLimits(3000),
        ),
        (
            429,
            {"error": {"message": "TPM limit 3000 exceeded: your request needs 5500 tokens"}},
            ReportedLimits(3000, requested=5500),
        ),
        (
            429,
            {"error": {"message": "Request tokens (5500) exceed the per-minute limit (3000)"}},
            ReportedLimits(3000, requested=5500),
        ),
        (413, {"error": {"message": "It is so.", "code": "rate_limit"}}, NO_REPORTED_LIMITS),
        (
            413,
            {
                "error": {
                    "message": "Request body too large for gpt-4o model. Max size: 8000 tokens.",
                    "code": "tokens_limit_reached",
                }
            },
            ReportedLimits(8000),
        ),
        # TabbyAPI and LMDeploy name the request first
        (
            400,
            {"error": {"message": "Context length 5123 is greater than max_seq_len 4096."}},
            ReportedLimits(4096),
        ),
        (
            400,
            {"message": "Input length 5000 exceeds the maximum session_len 4096."},
            ReportedLimits(4096),
        ),
        # Cohere names the excess too, new-api the request's id
        (
            400,
            {
                "message": "too many tokens: size limit exceeded by 5919 tokens. The limit for "
                "this model is 128000 tokens."
            },
            ReportedLimits(128000),
        ),
        (
            400,
            {
                "error": {
                    "message": "prompt too long: 4200 is more than 4096 tokens (request id: "
                    "20261130194334123456789012345678)"
                }
            },
            ReportedLimits(4096),
        ),
        (400, {"error": {"message": "Prompt 超长", "code": "1261"}}, NO_REPORTED_LIMITS),
    ],
)
def test_too_long_is_recognised_anywhere(
    status: int, body: dict[str, object], reported: ReportedLimits
) -> None:
    error = response_error(status, json.dumps(body), private(LONG))
    assert type(error) is ModelContextExceeded
    assert error.reported == reported


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        (
            (
                "The maximum tokens you requested exceeds the model limit of 1024. Try again with "
                "a maximum tokens value that is lower than 1024."
            ),
            1024,
        ),
        ("Input validation error: `max_new_tokens` must be <= 1024. Given: 2000", 1024),
        (
            (
                "Unable to submit request because it has a maxOutputTokens value of 2000 but the "
                "supported range is from 1 (inclusive) to 1025 (exclusive)."
            ),
            1025,
        ),
    ],
)
def test_the_reply_limit_is_recognised_by_other_names(message: str, reply: int) -> None:
    error = response_error(400, json.dumps({"error": {"message": message}}), private(LONG))
    assert type(error) is ModelReplyTooLong
    assert error.reported == ReportedLimits(reply=reply)


def test_a_proxy_page_reports_no_window() -> None:
    """The number in it is the status."""
    page = (
        "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
        "<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr>"
        "<center>nginx/1.18.0 (Ubuntu)</center>\r\n</body>\r\n</html>"
    )
    error = response_error(413, page, private(LONG))
    assert type(error) is ModelContextExceeded
    assert error.reported == NO_REPORTED_LIMITS


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (
            402,
            (
                "This request requires more credits, or fewer max_tokens. You requested up to 2000 "
                "tokens, but can only afford 121. To increase, upgrade to an account with a higher "
                "total limit"
            ),
            ModelQuotaExceeded,
        ),
        (402, "Prompt tokens limit exceeded: 9000 > 1200. Upgrade.", ModelQuotaExceeded),
        (403, "You have exceeded your daily token limit of 3000. Used 4123.", ModelRateLimited),
        (400, "You have exceeded your monthly token limit (3000): 4123", ModelRateLimited),
        (500, "Failed to fetch a token from http://auth:8080, status 401", ModelFailed),
        (500, "token bucket 1732999999 is before 1732999000", ModelFailed),
        (400, "Unknown parameter: 'context_length'.", ModelRequestRefused),
        (429, "Rate limit reached: limit 3000 tokens per minute, requested 1443", ModelBusy),
        (
            429,
            (
                "Rate limit reached for model `x` on tokens per minute (TPM): Limit 6000, Used "
                "5034, Requested 1443. Please try again in 4.77s."
            ),
            ModelBusy,
        ),
        (429, "Rate limit of 9000 tokens per minute exceeded", ModelBusy),
        (429, "current tpm: 12260, tpm limit: 5000, rpm limit: 15", ModelBusy),
        (429, "Limit 1000 requests. You made 1001 requests.", ModelBusy),
        (429, "Rate limit of 3000 reached; request has 5000 bytes", ModelBusy),
        (429, "This would exceed your rate limit of 400 output tokens per minute", ModelBusy),
        (400, "The prompt is too long, try again after shortening it", ModelContextExceeded),
        (400, "Too many tokens, please wait before trying again.", ModelRequestRefused),
    ],
)
def test_an_account_quota_is_not_a_window(
    status: int, message: str, kind: type[ModelError]
) -> None:
    error = response_error(status, json.dumps({"error": {"message": message}}), private(LONG))
    assert type(error) is kind


def test_an_echo_of_the_request_reports_nothing() -> None:
    """FastAPI sends the input back that it did not like."""
    detail = {
        "loc": ["body", "messages", 0, "content"],
        "msg": "Input should be a valid string",
        "input": "The maximum context length is 4096 tokens, of 8192. System role not supported.",
    }
    body = json.dumps({"detail": [detail]})
    assert type(response_error(422, body, private(LONG))) is ModelRequestRefused
    assert not names_system_role(body)
    assert names_system_role(json.dumps({"detail": "System role not supported"}))
    limit = stream_error({"message": "limit 5000 tokens per minute, used 4000"}, private(LONG))
    assert type(limit) is ModelFailed


def said(message: str, **fields: object) -> dict[str, object]:
    return {"error": {"message": message, "type": None, "param": None, "code": None} | fields}


GEMINI_KEY = {
    "code": 400,
    "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
    "details": [{"@type": "x/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # A refused key
        (400, {"error": GEMINI_KEY}, ModelKeyRefused),
        (400, [{"error": GEMINI_KEY}], ModelKeyRefused),
        (400, said("API key expired. Please renew the API key."), ModelKeyRefused),
        (400, said("Incorrect API key provided: xa***. Get one at x."), ModelKeyRefused),
        (400, said("No connected db.", type="no_db_connection"), ModelKeyRefused),
        (400, said("Missing or invalid Authorization header."), ModelKeyRefused),
        (401, said("No cookie auth credentials found"), ModelKeyRefused),
        (403, said("Your API key was reported as leaked. Use another API key."), ModelKeyRefused),
        (403, said("Method doesn't allow unregistered callers"), ModelKeyRefused),
        (400, said("litellm.AuthenticationError: OpenAIException - nope"), ModelKeyRefused),
        (401, said("nope", code="InvalidApiKey"), ModelKeyRefused),
        (400, said("Please pass a valid API key."), ModelKeyRefused),
        (400, said("No API key passed in."), ModelKeyRefused),
        (403, said("API key was not provided"), ModelKeyRefused),
        (400, said("LiteLLM Virtual Key expected. Received=(key)"), ModelKeyRefused),
        (403, said("x: wrong. Make sure to provide a valid key"), ModelKeyRefused),
        (403, said("该令牌已过期"), ModelKeyRefused),
        # Access that another key does not give
        (403, said("Forbidden"), ModelAccessDenied),
        (403, "<html><h1>403 Forbidden</h1></html>", ModelAccessDenied),
        (403, said("x", code="unsupported_country_region_territory"), ModelAccessDenied),
        (400, said("User location is not supported for the API use."), ModelAccessDenied),
        (451, said("Unavailable"), ModelAccessDenied),
        (401, said("You have insufficient permissions. Missing scopes: x"), ModelAccessDenied),
        (401, said("Your IP may not", code="ip_not_authorized"), ModelAccessDenied),
        (400, said("This organization has been disabled."), ModelAccessDenied),
        # An unknown model
        (
            400,
            said("/chat/completions: Invalid model name passed in model=x. Call `/v1/models`"),
            ModelUnknown,
        ),
        (
            403,
            said("key not allowed to access model. x", type="key_model_access_denied"),
            ModelUnknown,
        ),
        (401, said("team may not", type="team_model_access_denied"), ModelUnknown),
        (400, said("Server is pinned to 'a/b'; requested 'c/d'"), ModelUnknown),
        (400, {"detail": "Server is pinned to 'a/b'; requested 'c/d'"}, ModelUnknown),
        (400, said("Invalid model: x", type="invalid_model", code="1500"), ModelUnknown),
        (400, said("The model `x` has been decommissioned.", code="model_x"), ModelUnknown),
        (403, said("Project `p` does not have access to model `x`"), ModelUnknown),
        (
            400,
            said("The requested model is not supported.", code="model_not_supported"),
            ModelUnknown,
        ),
        (400, said("LLM Provider NOT provided. You passed model=x"), ModelUnknown),
        (404, said("No endpoints found for a/b."), ModelUnknown),
        (400, said("You passed in model=x. There is no 'model_name' with this"), ModelUnknown),
        (400, {"detail": "model `x` is not loaded"}, ModelUnknown),
        (400, said("模型不存在，请检查模型代码。"), ModelUnknown),
        (410, said("Gone"), ModelUnknown),
        (400, said("Model x is not supported, available models: a, b"), ModelUnknown),
        (400, said("The supported API model names are a or b, but you passed x."), ModelUnknown),
        (400, {"message": "The provided model identifier is invalid."}, ModelUnknown),
        (400, {"message": "Invocation of x with on-demand throughput isn't so"}, ModelUnknown),
        (400, said("could not find model x in configuration"), ModelUnknown),
        (403, said("该令牌无权使用模型：x"), ModelUnknown),
        (400, said("Model is unavailable."), ModelUnknown),
        (400, said("[404] This model has been deprecated. Migrate to x"), ModelUnknown),
        (400, {"error": '{"error":{"message":"x is not a valid model ID"}}'}, ModelUnknown),
        # A budget that is used up
        (
            400,
            said("Budget has been exceeded! Current cost: 5", type="budget_exceeded"),
            ModelQuotaExceeded,
        ),
        (422, said("x", type="budget_exceeded"), ModelQuotaExceeded),
        (429, said("x", type="budget_exceeded", code="429"), ModelQuotaExceeded),
        (400, said("Your credit balance is too low to access the API."), ModelQuotaExceeded),
        (403, said("Your team doesn't have any credits yet"), ModelQuotaExceeded),
        (429, said("Your team has used all available credits"), ModelQuotaExceeded),
        (403, said("x", code="AccountOverdueError"), ModelQuotaExceeded),
        (400, said("x", code="Arrearage"), ModelQuotaExceeded),
        (
            429,
            said("You exceeded your current quota", code="insufficient_quota"),
            ModelQuotaExceeded,
        ),
        (429, said("You exceeded your current quota"), ModelQuotaExceeded),
        (429, said("suspended", type="exceeded_current_quota_error"), ModelQuotaExceeded),
        (400, said("ExceededTokenBudget: Current spend for token: 0.02"), ModelQuotaExceeded),
        (
            429,
            said("Your prepayment credits are depleted.", status="RESOURCE_EXHAUSTED"),
            ModelQuotaExceeded,
        ),
        (403, said("Sorry, your account balance is insufficient", code=30001), ModelQuotaExceeded),
        (
            403,
            said("The free tier of the model has been exhausted.", code="x"),
            ModelQuotaExceeded,
        ),
        (403, said("x", code="AllocationQuota.FreeTierOnly"), ModelQuotaExceeded),
        (403, said("用户额度不足", code="insufficient_user_quota"), ModelQuotaExceeded),
        (403, said("该令牌额度已用尽"), ModelQuotaExceeded),
        (400, said("Your trial credits have been used up"), ModelQuotaExceeded),
        (403, said("token quota is not enough, need 5"), ModelQuotaExceeded),
        # Withheld
        (
            400,
            said("litellm.ContentPolicyViolationError: AzureException - no", code="400"),
            ContentFiltered,
        ),
        (403, said("x requires moderation on y. Your input was flagged for z"), ContentFiltered),
        (403, said("Content violates usage guidelines. Failed check: x"), ContentFiltered),
        (
            400,
            said("Invalid prompt: your prompt was flagged as x", code="invalid_prompt"),
            ContentFiltered,
        ),
        (400, said("Content Exists Risk"), ContentFiltered),
        (400, said("x", code="data_inspection_failed"), ContentFiltered),
        (400, said("The response was filtered", code="content_filter"), ContentFiltered),
        (400, said("Output blocked by content filtering policy"), ContentFiltered),
        (400, said("Violated guardrail policy"), ContentFiltered),
        (400, said("Content blocked: PROHIBITED_CONTENT"), ContentFiltered),
        (400, said("It contains sensitive words that violate Responsible AI"), ContentFiltered),
        (400, said("Your request was rejected by our safety system."), ContentFiltered),
        # What waiting helps against
        (429, said("x", type="tokens", code="rate_limit_exceeded"), ModelBusy),
        (429, said("Too many requests: your prompt was not flagged"), ModelBusy),
        (429, said("x", code="RateLimitReached"), ModelBusy),
        (429, said("x", code="Throttling.RateQuota"), ModelBusy),
        (400, said("x", code="ThrottlingException"), ModelBusy),
        (429, said("You exceeded your current quota", status="RESOURCE_EXHAUSTED"), ModelBusy),
        (503, said("The model x is not available: overloaded"), ModelBusy),
        (498, said("Flex tier capacity exceeded"), ModelBusy),
        (
            429,
            said("Allocated quota exceeded, please increase it.", code="insufficient_quota"),
            ModelBusy,
        ),
        (400, said("You passed in model=x. There are no healthy deployments for it"), ModelBusy),
        (429, said("该API已达今日调用次数限额", code="1304"), ModelRateLimited),
        (403, said("Key limit exceeded (daily limit)"), ModelRateLimited),
        (429, said("You have used up your daily free allocation of neurons"), ModelRateLimited),
        # Neither
        (501, said("Not Implemented"), ModelRequestRefused),
        (504, "<h1>504 Gateway Time-out</h1>", ModelTimeout),
        (524, "", ModelTimeout),
        (521, "", ModelUnreachable),
        (424, said("Request failed during generation"), ModelFailed),
        (400, said("Unknown parameter: 'prompt_cache_key'"), ModelRequestRefused),
        (400, said("Model x does not support tools"), ModelRequestRefused),
        (400, said("Model x no longer supports `temperature`"), ModelRequestRefused),
        (400, said("Image URL expired after 24 hours"), ModelRequestRefused),
        (400, said("The daily date is invalid: limit is 1 to 31"), ModelRequestRefused),
        (400, said("Model `x` does not do this. `y` is not available."), ModelRequestRefused),
        (400, said("`safety_identifier` is not supported by safety systems"), ModelRequestRefused),
        (400, said("guardrail_id is not a valid field"), ModelRequestRefused),
        (400, said("Model account-disabled-7b: temperature out of range"), ModelRequestRefused),
        (400, said("The message was flagged as duplicate"), ModelRequestRefused),
        (400, said("Unsupported parameter: 'temperature' with this model"), ModelRequestRefused),
        (400, said("Model x: `temperature` is deprecated."), ModelRequestRefused),
        (500, said("Failed to fetch a token from x, status 401"), ModelFailed),
    ],
)
def test_the_words_of_an_error_say_what_it_means(
    status: int, body: object, kind: type[ModelError]
) -> None:
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    assert type(response_error(status, text, private(PLAIN))) is kind


@pytest.mark.parametrize(
    ("status", "is_transient"),
    [(408, True), (429, True), (500, True), (504, True), (529, True), (400, False), (501, False)],
)
def test_only_a_failure_that_may_pass_is_retried(status: int, *, is_transient: bool) -> None:
    assert response_error(status, "", private(PLAIN)).is_transient is is_transient


OPENROUTER = {"message": "Provider returned error", "metadata": {"error_type": "x"}}
STREAM_PROBLEMS: tuple[tuple[dict[str, Any], type[ModelError]], ...] = (
    ({"message": "slow down", "code": 429}, ModelBusy),
    ({"message": "slow down", "code": "503"}, ModelBusy),
    ({"message": "x", "status": 502}, ModelFailed),
    ({"message": "x", "status_code": 500}, ModelFailed),
    ({"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}, ModelBusy),
    ({"message": "x", "status": "UNAVAILABLE"}, ModelBusy),
    ({"message": "x", "status": "RESOURCE_EXHAUSTED"}, ModelBusy),
    ({"message": "x", "status": "DEADLINE_EXCEEDED"}, ModelTimeout),
    ({"message": "x", "status": "INVALID_ARGUMENT"}, ModelRequestRefused),
    ({"type": "overloaded_error", "message": "Overloaded"}, ModelBusy),
    (
        {"type": "service_unavailable_error", "code": "server_is_overloaded", "message": "x"},
        ModelBusy,
    ),
    ({"type": "rate_limit_error", "message": "x"}, ModelBusy),
    ({"type": "requests", "code": "rate_limit_exceeded", "message": "x"}, ModelBusy),
    ({"type": "timeout_error", "message": "x"}, ModelTimeout),
    ({"type": "authentication_error", "message": "x"}, ModelKeyRefused),
    ({"type": "permission_error", "message": "x"}, ModelAccessDenied),
    ({"type": "not_found_error", "message": "x"}, ModelUnknown),
    ({"type": "invalid_request_error", "message": "x"}, ModelRequestRefused),
    ({"type": "BadRequestError", "message": "x"}, ModelRequestRefused),
    ({"type": "ThrottlingException", "message": "x"}, ModelBusy),
    ({"type": "server_error", "message": "The engine is currently overloaded"}, ModelBusy),
    (OPENROUTER | {"code": 502}, ModelFailed),
    (OPENROUTER | {"metadata": {"error_type": "provider_unavailable"}}, ModelBusy),
    (OPENROUTER | {"metadata": {"error_type": "rate_limit_exceeded"}}, ModelBusy),
    ({"message": "Overloaded"}, ModelBusy),
    ({"message": "Our servers are currently overloaded. Please try again later."}, ModelBusy),
    ({"message": "Worker local total request limit reached (33/32)"}, ModelBusy),
    ({"message": "The service is temporarily unavailable"}, ModelBusy),
    ({"message": "Model is currently busy"}, ModelBusy),
    ({"message": "Too many requests, please slow down"}, ModelBusy),
    ({"message": "no capacity"}, ModelBusy),
    ({"message": "We are experiencing high demand"}, ModelBusy),
    ({"message": "Request timed out"}, ModelTimeout),
    ({"message": "Internal Server Error", "type": "server_error"}, ModelFailed),
    (
        {"message": "Cannot truncate prompt with n_keep (11378) >= n_ctx (4096)"},
        ModelContextExceeded,
    ),
    ({"message": "broken", "code": "x"}, ModelFailed),
    ({"message": "broken", "code": 200}, ModelFailed),
    ({"code": "9" * 5000}, ModelFailed),
    ({"code": True, "message": ["x"], "metadata": [1]}, ModelFailed),
    ({}, ModelFailed),
)


@pytest.mark.parametrize(("problem", "kind"), STREAM_PROBLEMS, ids=lambda one: str(one)[:60])
def test_an_error_within_a_stream_means_what_a_response_would(
    problem: dict[str, Any], kind: type[ModelError]
) -> None:
    assert type(stream_error(problem, private(PLAIN))) is kind


@pytest.mark.parametrize(
    "message",
    [
        "ensure this value is less than or equal to 1024",
        "Input should be less than or equal to 1024",
    ],
)
def test_the_field_that_fastapi_names_counts(message: str) -> None:
    body = json.dumps({"detail": [{"loc": ["body", "max_tokens"], "msg": message, "input": 2000}]})
    error = response_error(422, body, private(LONG))
    assert type(error) is ModelReplyTooLong
    assert error.reported == ReportedLimits(reply=1024)


def test_a_role_that_fastapi_refuses_is_the_system_role() -> None:
    place = ["body", "messages", 0, "role"]
    detail = [{"loc": place, "msg": "Input should be 'user' or 'assistant'"}]
    assert names_system_role(json.dumps({"detail": detail}))
