"""Real models, made on the spot: a language model of 500 KB that speaks gibberish, and voices of some KB that hum.

The true engines load them, so that tests need no download and no stand-in for an engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    tokens += [f"▁{word}." for word in WORDS]  # so that sentences end
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


KOKORO_VOICES = ("af_heart", "af_bella", "am_adam")


def write_kokoro(model: Path, voices: Path, *, timings: bool = True) -> None:
    """Write a Kokoro model that hums a tone for each phoneme, and its voices. Needs the package `onnx`.

    :param timings: whether the export tells how long each phoneme is.
    """
    import onnx
    from onnx import TensorProto as Type
    from onnx import helper

    node, random = helper.make_node, np.random.default_rng(1)
    pitches = random.uniform(120, 900, 178).astype(np.float32)
    pitches[:17] = 0  # punctuation is silent
    constants = {
        "frames_of": random.integers(2, 7, 178).astype(np.float32),
        "pitch_of": pitches,
        "flat": np.array([-1]),
        "one": np.array(1),
        "one_float": np.array(1, np.float32),
        "tau": np.array(2 * np.pi / 24000, np.float32),
        "gain": np.array(0.3, np.float32),
        **_shared(600),
    }
    nodes = [
        node("Reshape", ["input_ids", "flat"], ["ids"]),
        node("Gather", ["frames_of", "ids"], ["plain"]),
        node("Div", ["plain", "speed"], ["stretched"]),
        node("Round", ["stretched"], ["rounded"]),
        node("Max", ["rounded", "one_float"], ["least"]),
        node("Cast", ["least"], ["duration"], to=Type.INT64),
        *_hum("duration"),
        node("ReduceMean", ["style"], ["mean"], keepdims=0),
        node("Sigmoid", ["mean"], ["loudness"]),
        node("Mul", ["sine", "loudness"], ["voiced"]),
        node("Mul", ["voiced", "gain"], ["waveform"]),
    ]
    inputs = [("input_ids", Type.INT64, [1, "N"]), ("style", Type.FLOAT, [1, 256]), ("speed", Type.FLOAT, [1])]
    outputs = [("waveform", Type.FLOAT, ["L"]), *([("duration", Type.INT64, ["N"])] if timings else [])]
    onnx.save(_model(nodes, inputs, outputs, constants, opset=17, ir=9), str(model))
    styles = {
        name: (random.standard_normal((510, 1, 256)) * 0.1 + index).astype(np.float32)
        for index, name in enumerate(KOKORO_VOICES)
    }
    with voices.open("wb") as file:
        np.savez(file, **styles)  # type: ignore[arg-type]


def write_piper(model: Path, ids: Mapping[str, Sequence[int]], *, speakers: int = 1, rate: int = 16000) -> None:
    """Write a Piper voice that hums a tone for each phoneme, and its `.json`. Needs the package `onnx`.

    :param ids: phoneme → ids: `piper.phoneme_ids.DEFAULT_PHONEME_ID_MAP`.
    """
    import onnx
    from onnx import TensorProto as Type
    from onnx import helper

    node, random = helper.make_node, np.random.default_rng(1)
    count = max(place for places in ids.values() for place in places) + 1
    pitches = random.uniform(120, 900, count).astype(np.float32)
    for mark in "_^$ .,;:!?":
        pitches[ids.get(mark, [0])[0]] = 0
    constants = {
        "frames_of": random.uniform(2, 6, count).astype(np.float32),
        "pitch_of": pitches,
        "flat": np.array([-1]),
        "one": np.array(1),
        "tau": np.array(2 * np.pi / rate, np.float32),
        "gain": np.array(0.3, np.float32),
        "second": np.array(1),
        "as_ids": np.array([1, 1, -1]),
        "as_wave": np.array([1, 1, 1, -1]),
        **_shared(256),
    }
    nodes = [
        node("Reshape", ["input", "flat"], ["ids"]),
        node("Gather", ["frames_of", "ids"], ["plain"]),
        node("Gather", ["scales", "second"], ["length_scale"]),
        node("Mul", ["plain", "length_scale"], ["stretched"]),
        node("Reshape", ["stretched", "as_ids"], ["shaped"]),
        node("Ceil", ["shaped"], ["w_ceil"]),
        node("Reshape", ["w_ceil", "flat"], ["flat_durations"]),
        node("Cast", ["flat_durations"], ["durations"], to=Type.INT64),
        *_hum("durations"),
        node("Mul", ["sine", "gain"], ["quiet"]),
        node("Reshape", ["quiet", "as_wave"], ["output"]),
    ]
    inputs = [("input", Type.INT64, [1, "N"]), ("input_lengths", Type.INT64, [1]), ("scales", Type.FLOAT, [3])]
    if speakers > 1:
        constants["factors"] = np.linspace(1, 1.5, speakers).astype(np.float32)
        nodes[-2:-1] = [
            node("Gather", ["factors", "sid"], ["factor"]),
            node("Mul", ["sine", "factor"], ["spoken"]),
            node("Mul", ["spoken", "gain"], ["quiet"]),
        ]
        inputs.append(("sid", Type.INT64, [1]))
    onnx.save(_model(nodes, inputs, [("output", Type.FLOAT, [1, 1, 1, "T"])], constants, opset=15, ir=8), str(model))
    settings: dict[str, Any] = {
        "audio": {"sample_rate": rate, "quality": "x_low"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": {name: list(places) for name, places in ids.items()},
        "num_symbols": count,
        "num_speakers": speakers,
        "speaker_id_map": {f"speaker{n}": n for n in range(speakers)} if speakers > 1 else {},
        "hop_length": 256,
    }
    model.with_name(model.name + ".json").write_text(json.dumps(settings), "utf-8")


def _shared(hop: int) -> dict[str, Any]:
    return {
        "zero": np.array(0),
        "first": np.array([0]),
        "second_axis": np.array([1]),
        "hops": np.array([1, hop]),
        "hop": np.array(hop),
    }


def _hum(durations: str) -> list[Any]:
    """Return nodes from `ids` and their durations in frames to `sine`: a tone for each id."""
    from onnx import TensorProto as Type
    from onnx.helper import make_node as node

    return [
        node("CumSum", [durations, "zero"], ["ends"]),
        node("ReduceSum", [durations, "first"], ["total"], keepdims=0),
        node("Range", ["zero", "total", "one"], ["frames"]),
        node("Unsqueeze", ["ends", "first"], ["row"]),
        node("Unsqueeze", ["frames", "second_axis"], ["column"]),
        node("LessOrEqual", ["row", "column"], ["past"]),
        node("Cast", ["past"], ["counted"], to=Type.INT64),
        node("ReduceSum", ["counted", "second_axis"], ["token"], keepdims=0),
        node("Gather", ["pitch_of", "ids"], ["pitch_of_id"]),
        node("Gather", ["pitch_of_id", "token"], ["pitch"]),
        node("Unsqueeze", ["pitch", "second_axis"], ["pitch_column"]),
        node("Expand", ["pitch_column", "hops"], ["spread"]),
        node("Reshape", ["spread", "flat"], ["pitches"]),
        node("Mul", ["total", "hop"], ["samples"]),
        node("Range", ["zero", "samples", "one"], ["places"]),
        node("Cast", ["places"], ["time"], to=Type.FLOAT),
        node("Mul", ["time", "pitches"], ["turns"]),
        node("Mul", ["turns", "tau"], ["phase"]),
        node("Sin", ["phase"], ["sine"]),
    ]


def _model(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any], *, opset: int, ir: int
) -> Any:
    import onnx
    from onnx import helper, numpy_helper

    used = {name for item in nodes for name in item.input}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*item) for item in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    onnx.checker.check_model(model, full_check=True)
    return model
