"""What is known of a model's files before any is there: which are read, and where they are published.

One `ModelSpec` per set of weights; an engine's is its `EngineSpec`. How files come and are checked is the
business of `i2v.weights`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Repository:
    """One repository that a model's files come from, whole or in part.

    Attributes:
        repo: on the Hugging Face hub, "owner/name".
        revision: its commit; other commits are not asked for.
        modelscope: ids under which ModelScope may have the same files.
        size: bytes of what the engine reads of it, about: for what is said before any hub was asked.
        licence: as the repository states it.
        folder: the sub-folder of the model's folder that holds the repository's files, "" for the model's
            folder itself. A file belongs to the repository with the deepest folder above it.
        variant: which variant of a weights file is preferred where there is one; "" for none.
        must_accept: a person must accept the licence before anything is downloaded.
        licence_url: its text; empty: the repository's page.
    """

    repo: str
    revision: str
    modelscope: tuple[str, ...]
    size: int
    licence: str
    folder: str = ""
    variant: str = "fp16"
    must_accept: bool = False
    licence_url: str = ""


@dataclass(frozen=True)
class Conversion:
    """A file that is published in float32, and may be kept in bfloat16 (`i2v.weights.conversion`).

    Attributes:
        file: one of `ModelSpec.files`, whose repository's variant is "bf16": what is read where it is there.
        size: bytes in bfloat16, about.
        in_float32: parts of the names of tensors that stay as they are.
    """

    file: str
    size: int
    in_float32: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model's files.

    Attributes:
        files: what is read of the model's folder; empty where there are no weights. A .safetensors may be
            there as its variant or in shards with an index (`i2v.weights.shards`). The first one makes a
            folder the model's: it is fetched last, and folders without it are not looked at.
        optional_files: what is read too where it is there.
        gguf_files: those of `files` in whose place a .gguf file in their folder can be.
        pipelines: what `_class_name` in model_index.json may be; empty: it is not looked at.
        tensor_table: the name of the table of its published tensors in `i2v/weights`, where it is not the
            model's own: models of one architecture share one.
        embedded: the weights ship inside the package.
        published: the repositories that the weights can be had from, each with a folder of its own; the
            first one has the first of `files`. Empty: they are published nowhere.
        conversions: what of `files` is kept smaller where a person wants that.
    """

    name: str
    title: str
    files: tuple[str, ...] = ()
    optional_files: tuple[str, ...] = ()
    gguf_files: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    tensor_table: str = ""
    embedded: bool = False
    published: tuple[Repository, ...] = ()
    conversions: tuple[Conversion, ...] = ()

    @property
    def published_bytes(self) -> int:
        """What all of `published` has, about."""
        return sum(part.size for part in self.published)
