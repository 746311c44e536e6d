"""The embedded text encoder: a CLIP text model and byte-level BPE, pretrained to tell what motion a prompt
asks for: along which axes, which way, how far, and with what easing.

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

from scripts.train_embedded.motions import AXES, HELD_OUT_PHRASES, MOTIONS, Take, plain_prompt, sample_clip
from scripts.train_embedded.photos import ROOT

WIDTH = 64
MAX_LENGTH = 77
MOTION_TARGETS = len(AXES)
TARGETS = MOTION_TARGETS + 2  # and the easing, and whether a motion is named at all
NO_MOTION = 0.15  # share of prompts that name none
NEAR = 0.25  # of a full motion along every axis: as near as an answer must be to count as right


def sample(rng: random.Random) -> tuple[str, list[float]]:
    """Return a prompt and what it asks for: `Take.targets`, then 1; six zeros where it names no motion."""
    if rng.random() < NO_MOTION:
        return plain_prompt(rng), [0.0] * TARGETS
    clip = sample_clip(rng)
    return clip.prompt, [*clip.take.targets, 1.0]


def build_tokenizer(folder: Path, seed: int = 0, vocabulary: int = 1000) -> None:
    """Write `vocab.json` and `merges.txt`: merges learned with CLIP's own word splitting, Chinese by the
    character.

    A run of Chinese is one word to CLIP, so learned merges would glue whole phrases and split a new one
    anywhere.
    """
    rng = random.Random(seed)
    corpus = [sample(rng)[0] for _ in range(30_000)]
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
    """Have every position from the end of the text on say what the prompt asks for."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    head = nn.Linear(WIDTH, TARGETS)
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    start = time.monotonic()
    for step in range(steps):
        prompts, asked = zip(*(sample(rng) for _ in range(32)), strict=True)
        states, ended = embed(tokenizer, model, list(prompts))
        targets = torch.tensor(asked)[:, None].expand(-1, MAX_LENGTH, -1)
        loss = nn.functional.smooth_l1_loss(head(states)[ended], targets[ended], beta=0.2)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1} loss {loss.item():.4f} {time.monotonic() - start:.0f} s", flush=True)
    report("trained phrasing", [sample(rng) for _ in range(400)], tokenizer, model, head)
    unseen = [(phrase, name) for name, phrases in HELD_OUT_PHRASES.items() for phrase in phrases]
    asked_by_name = {name: [*Take((name,)).targets, 1.0] for name in MOTIONS}
    report(
        "held-out phrasing",
        [(phrase, asked_by_name[name]) for phrase, name in unseen],
        tokenizer, model, head,
    )  # fmt: skip


@torch.no_grad()
def report(
    title: str,
    pairs: list[tuple[str, list[float]]],
    tokenizer: CLIPTokenizer,
    model: CLIPTextModel,
    head: nn.Linear,
) -> None:
    """Print how many prompts the encoder understands, and some that it does not."""
    states, _ = embed(tokenizer, model, [prompt for prompt, _ in pairs])
    errors = (head(states)[:, -1] - torch.tensor([asked for _, asked in pairs])).abs()[:, :MOTION_TARGETS]
    wrong = [
        prompt for (prompt, _), error in zip(pairs, errors.amax(1).tolist(), strict=True) if error > NEAR
    ]
    print(f"{title}: {len(pairs) - len(wrong)} of {len(pairs)}", wrong[:8])


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
