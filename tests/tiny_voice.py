"""A voice of Piper for tests: its files and names, and a network that hums for as long as it is told to.

The ONNX file is written by hand, as protocol buffers are on the wire (onnx.proto3), so that no package for it
is needed.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

SAMPLES = 8_000  # that a sentence takes at a length scale of 1
SAMPLE_RATE = 16_000
_FLOAT, _INT64 = 1, 7  # TensorProto.DataType


def write_voice(path: Path, letters: str = "helo ") -> None:
    """Write the voice NAME.onnx with its JSON; it knows the given letters."""
    path.write_bytes(_model())
    ids = {letter: [number] for number, letter in enumerate(f"_^${letters}")}
    facts = {
        "audio": {"sample_rate": SAMPLE_RATE}, "espeak": {"voice": "en"}, "phoneme_type": "text",
        "num_symbols": len(ids), "num_speakers": 1, "phoneme_id_map": ids,
    }  # fmt: skip
    path.with_name(f"{path.name}.json").write_text(json.dumps(facts))


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, kind: int, data: bytes) -> bytes:
    return _number(1, 1) + _number(2, kind) + _bytes(8, name) + _bytes(9, data)


def _node(kind: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
    parts = b"".join(_bytes(1, name) for name in inputs) + _bytes(2, output) + _bytes(4, kind)
    return parts + (_bytes(5, attribute) if attribute else b"")


def _integer(name: str, value: int) -> bytes:
    return _bytes(1, name) + _number(3, value) + _number(20, 2)


def _value(name: str, kind: int, *dims: str) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, dim)) for dim in dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def _model() -> bytes:
    """Return: ConstantOfShape([1, 1, SAMPLES * scales[1]], 0.5)."""
    half = _bytes(1, "value") + _bytes(5, _tensor("", _FLOAT, struct.pack("<f", 0.5))) + _number(20, 4)
    nodes = [
        _node("Gather", ["scales", "at"], "scale"),
        _node("Mul", ["scale", "samples"], "length"),
        _node("Cast", ["length"], "count", _integer("to", _INT64)),
        _node("Concat", ["one", "one", "count"], "shape", _integer("axis", 0)),
        _node("ConstantOfShape", ["shape"], "output", half),
    ]
    constants = [
        _tensor("at", _INT64, struct.pack("<q", 1)),
        _tensor("one", _INT64, struct.pack("<q", 1)),
        _tensor("samples", _FLOAT, struct.pack("<f", SAMPLES)),
    ]
    inputs = [
        _value("input", _INT64, "batch", "phonemes"),
        _value("input_lengths", _INT64, "batch"),
        _value("scales", _FLOAT, "three"),
    ]
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, "hum")
    graph += b"".join(_bytes(5, constant) for constant in constants)
    graph += b"".join(_bytes(11, each) for each in inputs)
    graph += _bytes(12, _value("output", _FLOAT, "batch", "channel", "time"))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 17))
