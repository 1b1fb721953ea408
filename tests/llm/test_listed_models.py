"""The values read from an API's list of models, for each form of it."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.llm.listed_models import MAX_MODELS, listed_models
from bot.llm.models import ListedModel

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "data", "shutdown_date", "deprecation", "inference", "capabilities", "type"]
            ),
            inner,
        )
    ),
)
DAY = date(2027, 1, 31)
NOON = int(datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp())


def read(value: object) -> list[ListedModel]:
    return listed_models(json.dumps(value).encode())


def shutdown_of(**fields: object) -> date | None:
    [model] = read({"data": [{"id": "m", **fields}]})
    return model.shutdown


def test_names_are_unique_in_the_order_of_the_api() -> None:
    entries = [{"id": "b"}, {"id": "org/a:1", "shutdown_date": None}, {"id": "b", "x": 1}]
    expected = [ListedModel("b"), ListedModel("org/a:1")]
    assert read({"object": "list", "data": entries}) == expected
    assert read(entries) == expected, "some servers send the bare list"


@pytest.mark.parametrize(
    "entry",
    [
        *(None, 5, "m", [], {}, {"id": 5}, {"id": ""}, {"id": "a b"}, {"id": "a\ud800"}),
        *({"id": "x" * 201}, {"id": "a\n"}, {"name": "m"}),
    ],
)
def test_malformed_models_are_left_out(entry: object) -> None:
    assert read({"data": [entry, {"id": "m"}]}) == [ListedModel("m")]


@pytest.mark.parametrize(
    "answer", ["null", "5", '"m"', "{}", '{"data": {"id": "m"}}', "", "<html>"]
)
def test_a_malformed_list_is_an_error(answer: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever it is
        listed_models(answer.encode())


@pytest.mark.parametrize("answer", [b"[" * 100_000, b"\xff\xfe\xfd", b"1" * 5000])
def test_json_that_breaks_the_parser_is_an_error(answer: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever it is
        listed_models(answer)


def test_a_million_entries_are_bounded() -> None:
    assert len(read([{"id": f"m{number}"} for number in range(MAX_MODELS + 5)])) == MAX_MODELS
    assert read([1] * 1_000_000) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shutdown_date", "2027-01-31"),
        ("retirement_date", "2027-01-31T23:00:00Z"),
        ("expiration_date", " 2027-01-31T00:00:00 "),
        ("deprecation_date", "2027-02-01T08:00:00+09:00"),
        ("deprecation", NOON),
        ("deprecation", float(NOON)),
        ("shutdown_date", NOON * 1000),
        ("shutdown_date", str(NOON)),
        ("deprecation", {"fine_tune": 5, "inference": NOON}),
    ],
)
def test_dates_of_several_apis_are_read(field: str, value: object) -> None:
    assert shutdown_of(**{field: value}) == DAY


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "soon", "2027-13-45", True, [], {}, {"inference": []}, 0, -1, 1e300, "9" * 400),
        *(float("inf"), float("nan"), "0001-01-01T00:00:00+14:00", "9999-12-31"),
    ],
)
def test_a_malformed_date_is_none(value: object) -> None:
    assert shutdown_of(shutdown_date=value) is None
    assert shutdown_of(shutdown_date=value, deprecation="2027-01-31") == DAY, (
        "the next field counts"
    )


@given(JSON)
def test_any_json_is_a_list_or_a_value_error(value: Any) -> None:
    try:
        models = read(value)
    except ValueError:
        return
    assert len({model.name for model in models}) == len(models)


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "text-embedding-3-small"},
        {"id": "nomic-embed-text:latest"},
        {"id": "whisper-large-v3-turbo"},
        {"id": "openai/gpt-4o-mini-tts"},
        {"id": "gpt-4o-transcribe"},
        {"id": "gpt-realtime-2"},
        {"id": "omni-moderation-latest"},
        {"id": "dall-e-3"},
        {"id": "gpt-image-1"},
        {"id": "chatgpt-image-latest"},
        {"id": "Sora-2"},
        {"id": "davinci-002"},
        {"id": "o1-pro-2025-03-19"},
        {"id": "gpt-5.2-pro"},
        {"id": "gpt-5-codex"},
        {"id": "o3-deep-research"},
        {"id": "computer-use-preview"},
        {"id": "bge-m3:latest"},
        {"id": "all-minilm"},
        {"id": "models/imagen-4.0"},
        {"id": "grok-2-image-1212"},
        {"id": "gpt-3.5-turbo-instruct-0914"},
        {"id": "m", "capabilities": {"completion_chat": False}},
        {"id": "m", "capabilities": {"chat_completion": False}},
        {"id": "m", "architecture": {"output_modalities": ["image"]}},
        {"id": "m", "type": "rerank"},
        *({"id": "m", "mode": mode} for mode in ("embedding", "completion", "image_generation")),
        *({"id": "m", "mode": mode} for mode in ("audio_speech", "ocr", "realtime", "of tomorrow")),
        {"id": "m", "model_info": {"mode": "rerank"}},
        *({"id": "m", "type": kind} for kind in ("image", "embeddings", "reranking", "video")),
        *({"id": "m", "type": kind} for kind in ("audio", "transcribe", "text-to-speech")),
        *({"id": "m", "task": kind} for kind in ("embeddings", "llm/v1/embeddings", "tts")),
        {"id": "m", "task": "llm/v1/completions"},
        {"id": "m", "pipeline_tag": "sentence-similarity"},
        {"id": "m", "capabilities": {"type": "embeddings"}},
        {"id": "m", "capabilities": ["embedding"]},
        {"id": "m", "supported_endpoint_types": ["embeddings", "jina-rerank"]},
        {"id": "m", "endpoints": ["embed", "rerank"]},
        {"id": "m", "supports_chat": False},
        {"id": "gpt-oss-20b", "active": False},
        {"id": "m", "mode": "chat", "active": False},
        {"id": "m", "providers": [{"provider": "x", "status": "error"}]},
        {"id": "m", "output_modalities": ["embeddings"]},
        {"id": "m", "architecture": {"modality": "text->image"}},
        {"id": "m", "modalities": {"input": ["text"], "output": ["audio"]}},
        {"id": "m", "kind": "embedding"},
        {"id": "m", "supported_endpoints": ["/v1/images/generations"]},
        {"id": "m", "supported_generation_methods": ["embedContent"]},
    ],
)
def test_models_that_cannot_chat_are_left_out(entry: dict[str, object]) -> None:
    assert read([entry]) == []


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "gpt-5.1"},
        {"id": "qwen2.5-7b-instruct"},
        {"id": "llama-guard-4-12b"},
        {"id": "watts-8b"},
        {"id": "gemini-3-pro"},
        {"id": "openai/o1-pro", "architecture": {"output_modalities": ["text"]}},
        {"id": "m", "type": "model"},
        {"id": "m", "type": ["chat"]},
        {"id": "m", "capabilities": {"completion_chat": "?"}, "architecture": {}},
        {"id": "embedded-chat", "capabilities": {"completion_chat": True}},
        {"id": "gpt-image-chat", "architecture": {"output_modalities": ["image", "text"]}},
        *({"id": "gpt-5-codex", "mode": mode} for mode in ("chat", "responses")),
        {"id": "m", "model_info": {"mode": "chat"}},
        {"id": "m", "mode": None},
        *({"id": "m", "type": kind} for kind in ("chat", "language", "llm", "vlm", "code")),
        *({"id": "m", "task": kind} for kind in ("chat-completion", "llm/v1/chat")),
        *({"id": "m", "pipeline_tag": kind} for kind in ("image-text-to-text", "text-generation")),
        {"id": "m", "capabilities": {"type": "chat", "family": "gpt"}},
        {"id": "m", "capabilities": ["completion", "embedding"]},
        {"id": "m", "supported_endpoint_types": ["openai", "image-generation"]},
        {"id": "m", "endpoints": ["chat", "rerank"]},
        {"id": "m", "active": True},
        {"id": "m", "providers": [{"status": "error"}, {"status": "live"}]},
        *({"id": "m", "providers": providers} for providers in (None, [], [5], [{"x": 1}])),
        {"id": "m", "architecture": {"modality": "text+image->text"}},
    ],
)
def test_models_that_may_chat_are_listed(entry: dict[str, object]) -> None:
    assert [model.name for model in read([entry])] == [entry["id"]]


@pytest.mark.parametrize(
    "name",
    [
        *("openai/text-embedding-3-small", "azure/whisper-1", "vertex_ai/imagen-4.0-generate-001"),
        *("vertex_ai/textembedding-gecko@003", "vertex_ai/multimodalembedding@001"),
        *("vertex_ai/imagegeneration@006", "vertex_ai/veo-3.0-generate-001", "models/aqa"),
        *("azure/dall-e-3", "azure/standard/1024-x-1024/dall-e-2", "azure/tts-1-hd"),
        *("openai/gpt-3.5-turbo-instruct", "openai/davinci-002", "azure/gpt-5-pro-2025-10-06"),
        *("openai/gpt-4o-mini-transcribe", "openai/gpt-audio", "gpt-4o-mini-audio-preview"),
        *("bedrock/amazon.titan-embed-text-v2:0", "bedrock/cohere.rerank-v3-5:0"),
        *("bedrock/amazon.titan-image-generator-v2:0", "amazon.nova-canvas-v1:0"),
        *(
            "amazon.nova-2-sonic-v1:0",
            "stability.stable-diffusion-xl-v1",
            "us.amazon.nova-reel-v1:1",
        ),
        *("deepgram/nova-3", "elevenlabs/scribe_v1", "voyage/voyage-3.5", "jina_ai/jina-clip-v2"),
        *("groq/whisper-large-v3", "groq/playai-tts", "text-completion-openai/babbage-002"),
        *("baai/bge-m3", "intfloat/multilingual-e5-large-instruct", "nvidia/nv-embedqa-e5-v5"),
        *("nvidia/llama-3.2-nemoretriever-300m-embed-v1", "snowflake-arctic-embed:335m"),
        *("embeddinggemma", "paraphrase-multilingual", "mxbai-embed-large", "codestral-embed"),
        *("Qwen/Qwen3-Reranker-4B", "thenlper/gte-large", "netease-youdao/bce-embedding-base_v1"),
        *("black-forest-labs/FLUX.1-schnell", "Kwai-Kolors/Kolors", "Wan-AI/Wan2.2-T2V-A14B"),
        *("stabilityai/stable-diffusion-3-5-large", "recraft/recraftv3", "xai/grok-imagine-image"),
        *("FunAudioLLM/SenseVoiceSmall", "FunAudioLLM/CosyVoice2-0.5B", "IndexTeam/IndexTTS-2"),
        *("fishaudio/fish-speech-1.5", "gemini/gemini-2.5-flash-preview-tts", "gemini/lyria-002"),
        *(
            "gemini-2.5-flash-native-audio-latest",
            "gemini-live-2.5-flash",
            "mistral/mistral-ocr-2505",
        ),
        *("text-moderation-stable", "text-davinci-003", "text-search-ada-doc-001", "azure/sora-2"),
        *("openai/*", "*", "perplexity/search", "openai/container", "image-01", "music-1.5"),
        *("hunyuan-video", "luma.ray-v2:0", "vertex_ai/chirp", "sambert-zhichu-v1"),
    ],
)
def test_names_of_other_kinds_are_left_out_behind_a_provider_too(name: str) -> None:
    assert read([{"id": name}]) == []


@pytest.mark.parametrize(
    "name",
    [
        *("openai/gpt-4o", "azure/gpt-4.1-mini", "anthropic/claude-opus-4-5", "groq/gemma2-9b-it"),
        *("gpt-4o-search-preview", "gpt-5-search-api", "gemini/gemini-2.5-flash-image"),
        *("vertex_ai/gemini-3-pro", "bedrock/us.amazon.nova-2-lite-v1:0", "amazon.nova-pro-v1:0"),
        *("mistral/voxtral-small-latest", "codestral-latest", "deepseek-ocr", "ultravox-v0_5"),
        *("meta-llama/Llama-Prompt-Guard-2-86M", "ibm/granite-speechless", "qwen3-vl:8b"),
        *(
            "eclipse-7b",
            "deliver-3b",
            "geminilive",
            "wanderer-8b",
            "hunyuan-a13b",
            "phi-4-multimodal",
        ),
        *("together_ai/Qwen/Qwen2.5-VL-72B-Instruct", "perplexity/sonar-pro", "text-bison@002"),
        *("kimi-k2-thinking", "exaone-deep:7.8b", "provider/o1-preview", "olive-13b", "canaryless"),
        *("sonar-deep-research", "researcher-8b", "gemini-3-pro-image-preview", "chirpy-7b"),
    ],
)
def test_names_of_chat_models_are_listed_behind_a_provider_too(name: str) -> None:
    assert [model.name for model in read([{"id": name}])] == [name]


def test_the_smallest_window_of_a_models_providers_counts() -> None:
    providers = [{"status": "live", "context_length": size} for size in (8192, 4096)]
    assert [model.window for model in read([{"id": "m", "providers": providers}])] == [4096]
