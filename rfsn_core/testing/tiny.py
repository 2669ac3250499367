"""A real language model of 300 KB, made on the spot: it speaks gibberish, over the true protocol, at great speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WORDS = (
    "the a river ferry lantern road night water stone door old rope light gate smith bread no yes you I we is was went"
    " came and but near under over again"
).split()
CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def write_gguf(path: Path, *, context: int = 8192, seed: int = 1) -> Path:
    """Write a llama of two blocks, 64 wide, with a byte vocabulary and a few words. Needs the package `gguf`.

    The rows of special and byte tokens are zero at the output, so that words win.
    """
    import gguf

    width, heads, kv_heads, blocks, inner = 64, 4, 2, 2, 128
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *(f"▁{word}" for word in WORDS)]
    tokens += [chr(letter) for letter in range(ord("a"), ord("z") + 1)] + [".", ","]
    kinds = [2, 3, 3, *([6] * 256), *([1] * (len(tokens) - 259))]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(blocks)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(CHAT)
    random = np.random.default_rng(seed)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32))

    tensor("token_embd.weight", len(tokens), width)
    for block in range(blocks):
        writer.add_tensor(f"blk.{block}.attn_norm.weight", np.ones(width, np.float32))
        writer.add_tensor(f"blk.{block}.ffn_norm.weight", np.ones(width, np.float32))
        tensor(f"blk.{block}.attn_q.weight", width, width)
        tensor(f"blk.{block}.attn_k.weight", width * kv_heads // heads, width)
        tensor(f"blk.{block}.attn_v.weight", width * kv_heads // heads, width)
        tensor(f"blk.{block}.attn_output.weight", width, width)
        tensor(f"blk.{block}.ffn_gate.weight", inner, width)
        tensor(f"blk.{block}.ffn_up.weight", inner, width)
        tensor(f"blk.{block}.ffn_down.weight", width, inner)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    output = 3 * random.standard_normal((len(tokens), width)).astype(np.float32) / np.sqrt(width).astype(np.float32)
    output[:260] = 0
    writer.add_tensor("output.weight", output.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
