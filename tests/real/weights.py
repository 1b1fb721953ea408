"""Write a small model whose weights recite one text: python -m tests.real.weights FILE [TEMPLATE].

Each word calls up the next one, as its embedding is the output weights of that. The attention is
computed and adds nothing. So every answer is the same words, and then ends.
Runs in an environment of its own: it needs `gguf` and `numpy`, which the tests do not have.
"""

import sys
from pathlib import Path
from typing import Final

import gguf
import numpy as np

from tests.real.words import answer, known_words

WIDTH: Final = 256
HEADS: Final = 4
TRAINED_TOKENS: Final = 32_768  # more than any window that is tried
CERTAINTY: Final = 40.0  # how much likelier the next word is, as a logit
SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END: Final = SPECIAL.index("<|im_end|>")
CHATML: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As Gemma's template does, which has a turn of its own for neither the system nor a second user.
NO_SYSTEM: Final = (
    "{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
)
TEMPLATES: Final = {"chatml": CHATML, "no-system": NO_SYSTEM}


def byte_letters() -> list[str]:
    """Return the letters that stand for the 256 bytes in a vocabulary like GPT-2's."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def vocabulary(words: list[str]) -> tuple[list[str], list[str]]:
    """Return tokens and merges in which each word, with the space before it, is one token."""
    letters = byte_letters()
    space = letters[ord(" ")]
    tokens = dict.fromkeys([*SPECIAL, *letters])
    merges: dict[str, None] = {}
    for word in words:
        for length in range(len(word)):
            before = space + word[:length]
            merges[f"{before} {word[length]}"] = None
            tokens[before + word[length]] = None
    return [*tokens], [*merges]


def weights(tokens: list[str], chain: list[int]) -> tuple["np.ndarray", "np.ndarray"]:
    """Return the embeddings, and the output weights by which each of *chain* calls up the next."""
    random = np.random.default_rng(1)
    embeddings = random.standard_normal((len(tokens), WIDTH)).astype(np.float32)
    embeddings /= np.sqrt((embeddings**2).mean(axis=1, keepdims=True))  # As the norm leaves them.
    output = np.zeros_like(embeddings)
    output[chain[1:]] = embeddings[chain[:-1]] * (CERTAINTY / WIDTH)
    return embeddings, output


def write(path: Path, template: str) -> None:
    """Write the model into *path*."""
    tokens, merges = vocabulary(known_words())
    letters = byte_letters()
    said = [letters[ord(" ")] + word for word in answer()]
    chain = [tokens.index(one) for one in (letters[ord("\n")], *said)]
    embeddings, output = weights(tokens, [*chain, END])
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("recital")
    writer.add_context_length(TRAINED_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL)
    writer.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIAL))])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATES[template])
    square, ones = np.zeros((WIDTH, WIDTH), np.float32), np.ones(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", embeddings)
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", output)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", square)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", ones)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]), *(sys.argv[2:] or ["chatml"]))
