"""The embedded text encoder: a CLIP text model and byte-level BPE, pretrained to tell which motion a prompt
asks for.

It is trained on what the pipeline reads (the last layer but one, then the final layer norm: `clip_skip=1`),
at every position from the end-of-text token on, and then frozen: the UNet gets a clear motion code from the
first step.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from scripts.train_embedded.motions import _STYLES, _SUBJECTS, HELD_OUT_PHRASES, MOTIONS, sample_prompt
from scripts.train_embedded.photos import ROOT

WIDTH = 64
MAX_LENGTH = 77
NAMES = (*MOTIONS, "none")


def no_motion_prompt(rng: random.Random) -> str:
    """Return a prompt that names no motion: empty, or a subject with or without a style."""
    if rng.random() < 0.4:
        return ""
    return ", ".join([rng.choice(_SUBJECTS), *rng.sample(_STYLES, rng.randint(0, 2))])


def build_tokenizer(folder: Path, seed: int = 0, vocabulary: int = 1000) -> None:
    """Write `vocab.json` and `merges.txt`: merges learned with CLIP's own word splitting, Chinese by the
    character.

    A run of Chinese is one word to CLIP, so learned merges would glue whole phrases and split a new one
    anywhere.
    """
    rng = random.Random(seed)
    corpus = [sample_prompt(name, rng) for _ in range(3000) for name in MOTIONS]
    corpus += [no_motion_prompt(rng) for _ in range(3000)]
    characters = sorted({letter for prompt in corpus for letter in prompt if ord(letter) > 0x2E80})
    learner = Tokenizer(BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r"[^\x00-\x7f]"), " "), normalizers.Lowercase()]
    )
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner.train_from_iterator(
        corpus,
        BpeTrainer(
            vocab_size=vocabulary, end_of_word_suffix="</w>", initial_alphabet=alphabet, show_progress=False
        ),
    )
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for letter in characters:
        first, second, third = spell.pre_tokenize_str(letter)[0][0]
        merges += [(first, second), (first + second, third), (first + second, third + "</w>")]
    merges = list(dict.fromkeys(merges))
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), *("".join(pair) for pair in merges)]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(
        json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False), "utf-8"
    )
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), "utf-8")
    CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=MAX_LENGTH
    ).save_pretrained(folder)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=3,
            num_attention_heads=4, max_position_embeddings=MAX_LENGTH, hidden_act="quick_gelu",
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


def embed(
    tokenizer: CLIPTokenizer, model: CLIPTextModel, prompts: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ((B, 77, 64) states as the pipeline reads them, (B, 77) mask from the end of text on)."""
    ids = tokenizer(
        prompts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    states = model(ids, output_hidden_states=True).hidden_states[-2]
    core = getattr(model, "text_model", model)
    ended = (ids == tokenizer.eos_token_id).cumsum(1) > 0
    return core.final_layer_norm(states), ended


def train(tokenizer: CLIPTokenizer, model: CLIPTextModel, steps: int, seed: int) -> None:
    torch.manual_seed(seed)
    rng = random.Random(seed)
    head = nn.Linear(WIDTH, len(NAMES))
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    start = time.monotonic()
    for step in range(steps):
        names = [rng.choice(NAMES) for _ in range(32)]
        prompts = [no_motion_prompt(rng) if name == "none" else sample_prompt(name, rng) for name in names]
        states, ended = embed(tokenizer, model, prompts)
        targets = torch.tensor([NAMES.index(name) for name in names])[:, None].expand_as(ended)
        loss = nn.functional.cross_entropy(head(states)[ended], targets[ended])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1} loss {loss.item():.4f} {time.monotonic() - start:.0f} s", flush=True)
    with torch.no_grad():
        for title, pairs in (
            ("trained phrasing", [(name, sample_prompt(name, rng)) for name in MOTIONS for _ in range(40)]),
            (
                "held-out phrasing",
                [(name, prompt) for name, prompts in HELD_OUT_PHRASES.items() for prompt in prompts],
            ),
        ):
            states, ended = embed(tokenizer, model, [prompt for _, prompt in pairs])
            said = head(states)[:, -1].argmax(-1).tolist()
            right = [NAMES[answer] == name for answer, (name, _) in zip(said, pairs, strict=True)]
            print(
                f"{title}: {sum(right)} of {len(right)}",
                [pair for ok, pair in zip(right, pairs, strict=True) if not ok][:8],
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints")
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.checkpoints / "tokenizer"
    build_tokenizer(folder, options.seed)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    torch.manual_seed(options.seed)
    model = new_text_encoder(tokenizer)
    print(f"{len(tokenizer)} tokens;", tokenizer.tokenize("The camera pans left, 镜头向左移动"))
    train(tokenizer, model, options.steps, options.seed)
    torch.save(model.state_dict(), options.checkpoints / "text.pt")


if __name__ == "__main__":
    main()
