"""i2v.service.fingerprints: another request or picture has another one."""

from __future__ import annotations

from i2v.core.schema import GenerationRequest
from i2v.service.fingerprints import fingerprint


def test_all_that_was_asked_for_counts() -> None:
    first, second = (GenerationRequest.parse({"prompt": prompt}) for prompt in ("a", "b"))
    assert fingerprint(first, b"x", []) == fingerprint(GenerationRequest.parse({"prompt": "a"}), b"x", [])
    made = {
        fingerprint(first, b"x", []), fingerprint(second, b"x", []), fingerprint(first, b"y", []),
        fingerprint(first, b"x", [b"y", b"z"]), fingerprint(first, b"x", [b"yz"]),
    }  # fmt: skip
    assert len(made) == 5


def test_a_request_without_new_fields_is_what_it_was_before_there_were_any() -> None:
    """A key that was used before an upgrade finds its job."""
    before = "5bdfdceb9354337e0f22a74bcf7e575bfc4ec58d772aee15f95dd953f2f17ae1"
    assert fingerprint(GenerationRequest.parse({"prompt": "a"}), b"x", []) == before
    with_lora = GenerationRequest.parse({"prompt": "a", "loras": ["ink:0.5"]})
    before = "38164d6977e55aa5ad9ba42ecde1367387a09b4558e32efb9162800313b7d24a"
    assert fingerprint(with_lora, b"x", []) == before
