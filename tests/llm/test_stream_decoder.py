"""The decoder of event streams: any bytes, in any pieces."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.llm.events import TokenUsage
from bot.llm.stream_decoder import LINE_LIMIT, Chunk, Malformed, StreamDecoder


def event(value: object, line_end: str = "\n") -> bytes:
    text = json.dumps(value, ensure_ascii=False)
    return f"data: {text}{line_end}{line_end}".encode(errors="surrogatepass")


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def decoded(*pieces: bytes) -> list[Chunk]:
    decoder = StreamDecoder()
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.end()


def outcome(*pieces: bytes) -> tuple[str, str]:
    """Return the text of all chunks and the name of the error at its end, if there was one."""
    decoder, chunks = StreamDecoder(), list[Chunk]()
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
        chunks += decoder.end()
    except ValueError as error:
        return said(chunks), type(error).__name__
    return said(chunks), ""


def said(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


WHOLE = (
    event(delta(role="assistant", content=""))
    + b": a comment\n\nevent: message\nid: 3\nretry: 10\n"
    + event(delta(content="안녕 "))
    + event(delta(content="🎉 é"))
    + event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    + event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
    + b"data: [DONE]\n\n"
)


def test_a_healthy_stream_is_decoded() -> None:
    chunks = decoded(WHOLE)
    assert said(chunks) == "안녕 🎉 é"
    assert chunks[-2].finish_reason == "stop"
    assert chunks[-1].usage == TokenUsage(5, 2)


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r", b"\n"])
@pytest.mark.parametrize("front", [b"", b"\xef\xbb\xbf", b"\n\n", b"\xef\xbb\xbf\r\n"])
def test_line_ends_and_a_byte_order_mark_change_nothing(line_end: bytes, front: bytes) -> None:
    data = front + WHOLE.replace(b"\n", line_end)
    assert decoded(data) == decoded(WHOLE)
    assert decoded(*(bytes([one]) for one in data)) == decoded(WHOLE)


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_how_the_bytes_are_cut_does_not_matter(line_end: bytes, data: st.DataObject) -> None:
    stream = WHOLE.replace(b"\n", line_end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decoded(*pieces) == decoded(stream)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "message", "content", "usage", "error", "text"])
            | st.sampled_from(["prompt_tokens", "finish_reason", "refusal", "reasoning"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
LINES = st.one_of(
    st.binary(max_size=30),
    JSON.map(event),
    st.sampled_from([b"data: [DONE]\n\n", b"data:", b"\n", b"\r", b"<html>", b"{", b": x\n"]),
    st.sampled_from(["\ud800", "\udc00", "\0", "é"]).map(lambda text: event(delta(content=text))),
)


@given(st.lists(LINES, max_size=6))
def test_any_bytes_give_clean_text_or_a_value_error(pieces: list[bytes]) -> None:
    """Nothing but ValueError (mostly its subclass Malformed), and text that UTF-8 can carry."""
    text, _ = outcome(*pieces)
    assert "\0" not in text
    text.encode()


@given(st.lists(LINES, max_size=4).map(b"".join), st.data())
def test_garbled_bytes_give_the_same_end_for_each_split(stream: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    assert outcome(stream[:cut], stream[cut:])[1] == outcome(stream)[1]


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": []},
        {"choices": None},
        {"choices": ["x"]},
        {"choices": {}},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": "x"}]},
        {"choices": [{"delta": {"content": None}}]},
        {"choices": [{"delta": {"content": 3}}]},
        {"choices": [{"finish_reason": ""}]},
        {"choices": [{"finish_reason": 7}]},
        {"usage": None},
        {"usage": {"prompt_tokens": 0}},
        {"usage": {"prompt_tokens": "many"}},
        {"usage": {"prompt_tokens": True}},
        {"usage": {"prompt_tokens": -5}},
        {"usage": {"prompt_tokens": 5.5}},
        {"usage": {"prompt_tokens": 10**4000}},
        {"usage": {"prompt_tokens": float("nan")}},
        {"usage": {"prompt_tokens": float("inf")}},
        {"choices": [{"finish_reason": " "}]},
        {"choices": [{"finish_reason": "null"}]},
        {"choices": [{"finish_reason": "FINISH_REASON_UNSPECIFIED"}]},
        {"choices": [{"error": None}]},
        {"type": "ping"},
        {"code": 0, "message": "ok"},
        {"code": 200, "message": "success"},
        {"status": "processing"},
        {"object": "chat.completion.chunk"},
        {"error": None},
        {},
    ],
)
def test_empty_events_are_ignored(odd: object) -> None:
    assert decoded(event(odd)) == [Chunk()]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"text": "b"}, 3, {"image": 1}]}, "ab"),
        ({"refusal": "I will not."}, "I will not."),
        ({"content": {"type": "text", "text": "a"}}, "a"),
        ({"content": "a\0b"}, "ab"),
        ({"content": "\0é"}, "é"),
        ({"content": "\ud83c\udf89"}, "🎉"),
        ({"content": "a\udc00b"}, "a\ufffdb"),
        ({"content": "\ufeffa"}, "\ufeffa"),
    ],
)
def test_text_of_odd_shapes_is_decoded(fields: dict[str, Any], text: str) -> None:
    escaped = b"data: " + json.dumps(delta(**fields)).encode() + b"\n\n"
    assert said(decoded(escaped)) == text


def test_a_surrogate_pair_in_two_chunks_is_one_character() -> None:
    halves = [b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % half for half in PAIR]
    assert said(decoded(*halves)) == "🎉"
    assert said(decoded(halves[0], event(delta(content="")), halves[1])) == "🎉"
    assert said(decoded(halves[0], event(delta(content="x")))) == "\ufffdx"
    assert said(decoded(halves[0])) == ""


PAIR = (rb"\ud83c", rb"\udf89")


def test_reasoning_is_reported_and_left_out() -> None:
    """Otherwise a model that thinks for long would seem to stall."""
    stream = event(delta(reasoning_content="hm")) + event(delta(reasoning="hm"))
    stream += event(delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "aG0="}]))
    assert decoded(stream) == [Chunk(reasoning=True)] * 3


def test_a_reasoning_part_is_reported_and_left_out() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    thoughts = (
        thinking,
        {"type": "reasoning", "text": "hm"},
        {"type": "reasoning_text", "text": "hm"},
        {"type": "redacted_thinking", "data": "aG0="},
        {"type": "text", "text": "hm", "thought": True},
    )
    for thought in thoughts:
        assert decoded(event(delta(content=[thought]))) == [Chunk(reasoning=True)]
        both = [thought, {"type": "text", "text": "a"}]
        assert decoded(event(delta(content=both))) == [Chunk(text="a", reasoning=True)]


def test_an_event_over_several_data_lines() -> None:
    assert said(decoded(b'data: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n')) == "a"


def test_a_split_line_end_is_one() -> None:
    """Else the event would end in the middle."""
    pieces = (b'data: {"choices":\r', b'\ndata: [{"delta":{"content":"a"}}]}\r', b"\n\r\n")
    assert said(decoded(*pieces)) == "a"


def test_a_last_line_without_a_line_end_counts() -> None:
    assert said(decoded(event(delta(content="a")).rstrip())) == "a"


def test_plain_json_instead_of_a_stream_is_one_chunk() -> None:
    whole = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}
    data = json.dumps(whole, indent=1).encode()
    assert decoded(b" \n" + data) == [Chunk(text="a", finish_reason="stop")]
    assert decoded(*(bytes([one]) for one in data)) == [Chunk(text="a", finish_reason="stop")]


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        ({"message": "overloaded", "code": 529}, {"message": "overloaded", "code": 529}),
        ("overloaded", {"message": "overloaded"}),
        (["overloaded"], {"message": "['overloaded']"}),
        (7, {"message": "7"}),
    ],
)
def test_an_error_event_is_an_error(problem: object, error: object) -> None:
    assert decoded(event({"error": problem})) == [Chunk(error=error)]  # type: ignore[arg-type]


def test_an_error_object_without_a_wrapping_is_an_error() -> None:
    """As vLLM sends it."""
    problem = {"object": "error", "message": "no room", "code": 400}
    assert decoded(event(problem)) == [Chunk(error=problem)]


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("error", '{"message": "busy", "code": 529}', {"message": "busy", "code": 529}),
        ("error", '{"error": {"code": 529}}', {"code": 529}),
        ("error", "Overloaded", {"message": "Overloaded"}),
        ("stream_error", '"Overloaded"', {"message": '"Overloaded"'}),
    ],
)
def test_the_data_of_an_error_event_is_an_error(name: str, data: str, error: object) -> None:
    """The name is that of one event."""
    stream = f"event: {name}\ndata: {data}\n\n".encode() + event(delta(content="a"))
    assert decoded(stream) == [Chunk(error=error), Chunk(text="a")]  # type: ignore[arg-type]


BARE = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}


@pytest.mark.parametrize(
    "stream",
    [
        json.dumps({"error": BARE}, indent=2).encode(),
        json.dumps([{"error": BARE}], indent=2).encode() + b"\r\n",
        json.dumps({"error": BARE}).encode() + b"\n\n",
        json.dumps({"error": BARE}, indent=2).encode() + b"\ndata: [DONE]\n\n",
        b"data: " + json.dumps({"error": BARE}, indent=2).encode() + b"\n\n",
        b"error: " + json.dumps(BARE).encode() + b"\n\n",
        event(BARE),
    ],
    ids=lambda stream: repr(stream[:24]),
)
def test_an_error_that_is_no_proper_event_is_an_error(stream: bytes) -> None:
    """As Gemini, llama.cpp and gateways send it."""
    chunks = [Chunk(text="a"), Chunk(error=BARE)]
    assert decoded(event(delta(content="a")) + stream) == chunks
    assert decoded(event(delta(content="a")), *(bytes([one]) for one in stream)) == chunks


@pytest.mark.parametrize("problem", [{"detail": "boom"}, {"errors": [{"message": "boom"}]}])
def test_an_object_that_only_tells_an_error_is_one(problem: dict[str, Any]) -> None:
    assert decoded(event(problem)) == [Chunk(error=problem)]


@pytest.mark.parametrize(
    "line", ["[2026-12-01 05:00] {retrying", "{", "upstream is slow", "[[", "x: y"]
)
def test_a_line_of_words_is_skipped(line: str) -> None:
    stream = event(delta(content="a")) + f"{line}\n".encode() + event(delta(content="b"))
    assert said(decoded(stream)) == "ab"


def test_an_error_within_a_choice_is_an_error() -> None:
    """As OpenRouter sends it."""
    problem = {"code": 502, "message": "Provider returned error"}
    choice = {"delta": {"content": ""}, "finish_reason": "error", "error": problem}
    assert decoded(event({"choices": [choice]})) == [Chunk(error=problem)]


KEEP_ALIVES = (
    *("null", "[]", '"keepalive"', "0", "1733030000.5", "true", '": OPENROUTER PROCESSING"'),
    *(": ping", ":keepalive", ": OPENROUTER PROCESSING", ' : {"ts": 1}', ":{", "", "  ", "[[[["),
    *("ping", "keepalive", "ping - 2026-12-01 05:00:00", "[PING]", "[heartbeat]", "-", "9" * 5000),
)


@pytest.mark.parametrize("data", KEEP_ALIVES, ids=lambda data: data[:20])
def test_data_that_keeps_the_connection_open_is_skipped(data: str) -> None:
    """Before the words, between them and in pieces."""
    sign = f"data: {data}\n\n".encode()
    assert decoded(sign) == []
    stream = sign + event(delta(content="a")) + sign + event(delta(content="b")) + sign
    assert said(decoded(stream)) == "ab"
    assert said(decoded(*(bytes([one]) for one in stream))) == "ab"


@pytest.mark.parametrize("name", ["ping", "keepalive", "keep-alive", "Heartbeat", "pong"])
def test_a_keep_alive_event_is_skipped_whatever_its_data(name: str) -> None:
    for data in ("", "ping", "{}", '{"type": "ping"}', '{"ts": 17', "}{", "null"):
        stream = f"event: {name}\ndata: {data}\n\n".encode() + event(delta(content="a"))
        assert decoded(stream) == [Chunk(text="a")], data


@pytest.mark.parametrize(
    "data",
    ['{"choices": [', "{nonsense", 'choices": [{"delta": {"content": "a"}}]}', "nonsense}"],
)
def test_a_broken_chunk_is_malformed_between_keep_alives(data: str) -> None:
    """Skipping it would lose words."""
    sign = b"data: ping\n\n"
    with pytest.raises(Malformed):
        decoded(sign + f"data: {data}\n\n".encode() + sign)


def test_a_list_holds_chunks() -> None:
    problem = {"code": 503, "message": "overloaded"}
    assert decoded(event([{"error": problem}])) == [Chunk(error=problem)]
    assert decoded(json.dumps([{"error": problem}]).encode()) == [Chunk(error=problem)]


def test_impossible_counts_are_none() -> None:
    for count in (True, -5, 10**4000, 5.0, None):
        stream = event({"usage": {"prompt_tokens": 7, "completion_tokens": count}})
        assert decoded(stream) == [Chunk(usage=TokenUsage(7, 0))]


@pytest.mark.parametrize(
    ("total", "completion"), [(300, 293), (12, 5), (3, 5), ("many", 5), (True, 5), (-9, 5)]
)
def test_what_only_the_total_counts_belongs_to_the_answer(total: object, completion: int) -> None:
    """Some servers count what the model thought in the total alone."""
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": total}
    assert decoded(event({"usage": usage})) == [Chunk(usage=TokenUsage(7, completion))]


def test_nothing_counts_after_the_end() -> None:
    behind = event(delta(content="more")) + b"data: {nonsense\n\n"
    assert said(decoded(WHOLE + behind)) == said(decoded(WHOLE, behind)) == "안녕 🎉 é"


@pytest.mark.parametrize(
    "piece",
    [b"x", b"data:\n", b'data: {"a":{},\n', b"data: {\n", b"data: [\n", b" ", b"{", b"\r"],
)
def test_a_malformed_stream_costs_linear_time(piece: bytes) -> None:
    """A megabyte in small pieces takes a second or two, where its square would take hours."""
    decoder = StreamDecoder()
    began = time.process_time()
    with contextlib.suppress(ValueError):
        for _ in range(300_000):
            decoder.feed(piece)
        decoder.end()
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "stream",
    [
        b"<html>Sign in</html>\n",
        b"data: {nonsense\n\n",
        b"data: \xed\x95\n\n",
        b"data: " + b'{"a":' * 100_000 + b"\n\n",
        b"data: " + b'{"choices":' + b"[" * 100_000 + b"\n\n",
        b"data: " + b"x" * (LINE_LIMIT + 1),
        b"{" + b" " * LINE_LIMIT,
        (b"data: {" + b" " * 65_000 + b"\n") * 20,
        b"data:\ndata: {x\n\n",
    ],
    ids=lambda stream: repr(stream[:24]),
)
def test_a_body_that_is_not_a_stream_is_malformed(stream: bytes) -> None:
    with pytest.raises(Malformed):
        decoded(stream)


@pytest.mark.parametrize("depth", range(100, 1000, 100))
def test_deeply_nested_text_is_text_or_malformed(depth: int) -> None:
    content = '[{"text":' * depth + '"a"' + "}]" * depth
    stream = f'data: {{"choices":[{{"delta":{{"content":{content}}}}}]}}\n\n'.encode()
    assert outcome(stream) in [("a", ""), ("", "Malformed")]


def test_a_truncated_plain_answer_is_malformed() -> None:
    """The one thing that is a ValueError but not Malformed, beside numbers of absurd length."""
    with pytest.raises(json.JSONDecodeError):
        decoded(b'{"choices": [')
    with pytest.raises(ValueError, match="digits"):
        decoded(b"data: {" + b'"a": ' + b"9" * 5000 + b"}\n\n")


def test_done_needs_a_line_of_its_own() -> None:
    decoder = StreamDecoder()
    decoder.feed(event(delta(content="[DONE]")))
    assert not decoder.done
    decoder.feed(b"data: [DONE]\n")
    assert decoder.done


@pytest.mark.parametrize(
    "end",
    [
        "data: [DONE]\r\n",
        "data:[DONE]",
        "data: [done]\n\n",
        'data: "[DONE]"\n\n',
        "data: [ DONE ]\n\n",
        "[DONE]\n\n",
        "event: done\ndata: {}\n\n",
        "event: end\ndata: \n\n",
    ],
)
def test_the_end_is_told_in_many_ways(end: str) -> None:
    decoder = StreamDecoder()
    decoder.feed(event(delta(content="a")))
    decoder.feed(end.encode())
    decoder.end()
    assert decoder.done


@pytest.mark.parametrize("words", ["DONE", "not [DONE]", "[DONE] soon", "[]"])
def test_other_words_are_no_end(words: str) -> None:
    decoder = StreamDecoder()
    decoder.feed(f"data: {words}\n\n".encode())
    assert not decoder.done


def test_a_whole_json_answer_is_done() -> None:
    decoder = StreamDecoder()
    decoder.feed(b'{"choices": [{"message": {"content": "a"}}]}')
    assert not decoder.done
    assert decoder.end() == [Chunk(text="a")]
    assert decoder.done
