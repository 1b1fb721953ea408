"""Refusals of streamed answers, in the words of many servers."""

import json
from typing import Any

import pytest

from bot.llm.streaming_refusals import refuses_streaming, requires_streaming


def error(message: str, **fields: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", **fields}})


REFUSALS = (
    error(
        "Your organization must be verified to stream this model. Please go to: https://x.y/z and "
        "click on Verify Organization.",
        param="stream",
        code="unsupported_value",
    ),
    error("Your organization must be verified to stream this model."),
    error(
        "Unsupported value: 'stream' does not support true with this model. "
        "Supported values are: false.",
        param="stream",
    ),
    error("Unsupported value: 'stream' does not support true with this model. Only the default"),
    error("Something is wrong.", param="stream"),
    error("Unknown parameter: 'stream'."),
    error("Unrecognized fields: stream"),
    error("create() got an unexpected keyword argument 'stream'"),
    error("Parameter stream=true is incompatible with n>1"),
    error("Streaming is not compatible with logprobs"),
    error("Streaming requests are rejected by policy"),
    error("This backend is not yet able to stream"),
    error("Streaming wird nicht unterstützt"),
    error("El streaming no está soportado"),
    error("ストリーミングはサポートされていません"),
    error("Unrecognized request argument supplied: stream"),
    error("Nope", code="stream_not_supported"),
    error("Nope", code="streaming_unsupported"),
    json.dumps({"error": ["Error in `stream`: `stream` is not supported for this model"]}),
    json.dumps({"message": "Streaming completion is not support yet, please remove 'stream' key"}),
    json.dumps({"detail": "stream=true is not supported yet"}),
    json.dumps({"detail": "stream=True is not supported. Set stream=false or omit it."}),
    json.dumps({"detail": [{"loc": ["body", "stream"], "msg": "Extra inputs are not permitted"}]}),
    json.dumps({"detail": [{"loc": ["body", "stream"], "msg": "Input should be False"}]}),
    json.dumps({"detail": "Streaming is not yet supported on this gateway. Set stream=false."}),
    json.dumps({"detail": "Streaming not yet implemented"}),
    json.dumps({"error": "Streaming is currently unavailable"}),
    json.dumps({"error": "This model does not support streaming."}),
    json.dumps({"error": "Model x doesn't support streamed responses"}),
    json.dumps({"message": "The model is unsupported for streaming."}),
    json.dumps({"message": "This model doesn't support tool use in streaming mode."}),
    json.dumps({"message": "Streaming mode is not allowed for your plan"}),
    json.dumps({"message": "Streaming is disabled"}),
    json.dumps({"message": "Streaming is only available to verified organizations"}),
    json.dumps({"message": "You are not allowed to use streaming with this key"}),
    json.dumps({"message": "You do not have permission to stream from this model"}),
    json.dumps({"message": "not authorized to perform: bedrock:InvokeModelWithResponseStream"}),
    json.dumps({"message": "Only non-streaming requests are supported"}),
    json.dumps({"message": "Responses of this model cannot be streamed"}),
    json.dumps({"message": "stream must be false"}),
    json.dumps({"message": "'stream' must be set to false"}),
    json.dumps({"message": "Please use stream: false"}),
    json.dumps({"message": "Please disable streaming and try again"}),
    *(
        json.dumps({"error": {"message": message}}, ensure_ascii=False)
        for message in (
            "Streaming responses require a verified organization",
            "Please verify your organization before you can stream",
            "To stream this model, verify your organization",
            "SSE is not supported",
            "This model doesn't stream",
            "Streaming endpoint not available",
            "The stream option must be false",
            "该模型不支持流式输出",
            "이 모델은 스트리밍을 지원하지 않습니다",
        )
    ),
    "Streaming unsupported!",
    "<html><body>streaming not supported</body></html>",
)
ONLY_STREAMS = (
    error("This model only support stream mode, please enable the stream parameter to access it."),
    json.dumps({"detail": "Stream must be set to true"}),
    error("stream must be true"),
    error("This endpoint only supports streaming."),
    error("Non-streaming requests are not supported for this model."),
    error("This model does not support non-streaming output; use stream=true"),
    error("Streaming is required for this model"),
    json.dumps({"message": "该模型仅支持流式输出"}, ensure_ascii=False),
)
OTHERS = (
    error("The 'stream_options' parameter is only allowed when 'stream' is enabled."),
    error("Unsupported parameter: 'stream_options' is not supported with this model."),
    error("Extra inputs are not permitted", param="stream_options"),
    json.dumps({"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not"}]}),
    error("Your organization must be verified to use the model `o3`."),
    error("Your organization must be verified to generate reasoning summaries."),
    error("The upstream provider does not support this model."),
    error("Upstream not available"),
    error("Invalid JSON in stream"),
    error("Error while streaming: unknown model gpt-9"),
    error("Unknown model: stream-lm"),
    error("stream disconnected before completion: the model is not available"),
    error("Stream ended unexpectedly because the server is not available"),
    error("Streaming response failed. Model not supported"),
    error("The stream was closed; tools are not supported"),
    error("Unsupported value: 'temperature' does not support 0.5 with this model."),
    error("stream error", code="stream_error"),
    error("stream timed out", code="stream_timeout"),
    error("System role not supported"),
    json.dumps({"detail": [{"loc": ["body", "x"], "input": "streaming is off", "msg": "No"}]}),
    json.dumps({"detail": [{"loc": ["x"], "input": json.dumps({"param": "stream"}), "msg": "No"}]}),
    error("This model's maximum context length is 4096 tokens."),
    "",
)


@pytest.mark.parametrize("body", REFUSALS)
def test_a_refusal_of_streaming_is_recognised(body: str) -> None:
    assert refuses_streaming(body)


@pytest.mark.parametrize("body", ONLY_STREAMS)
def test_a_server_that_only_streams_is_recognised(body: str) -> None:
    assert requires_streaming(body)
    assert not refuses_streaming(body)


@pytest.mark.parametrize("body", OTHERS)
def test_other_errors_say_nothing_about_streaming(body: str) -> None:
    assert not refuses_streaming(body)
