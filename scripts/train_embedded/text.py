"""The embedded text encoder: a CLIP text model and byte-level BPE, pretrained to tell what motion a prompt
asks for: along which axes, which way, how far, and with what easing.

It is trained on what the pipeline reads (the last layer but one, then the final layer norm: `clip_skip=1`),
at every position from the end-of-text token on, and then frozen: the UNet gets a clear motion code from the
first step. Words that mean no motion are drawn into the prompts, and words are cut into tokens at random (BPE
dropout, Provilkov et al. 2020, arXiv 1910.13267), so that a word never seen does no harm.

With `--like` the plain motions keep the states that an earlier encoder gave them, whatever its tokenizer: a
UNet that was trained with that one goes on, and has only the rest to learn.
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

from scripts.train_embedded.motions import (
    AXES,
    HELD_OUT_PHRASES,
    MOTIONS,
    Take,
    plain_prompt,
    sample_clip,
    sample_prompt,
)
from scripts.train_embedded.photos import ROOT

WIDTH = 64
MAX_LENGTH = 77
MOTION_TARGETS = len(AXES)
TARGETS = MOTION_TARGETS + 2  # and the easing, and whether a motion is named at all
NO_MOTION = 0.15  # share of prompts that name none
NEAR = 0.25  # of a full motion along every axis: as near as an answer must be to count as right
FOREIGN = 0.3  # share of prompts with words that mean nothing
SPLIT = 0.1  # of BPE's merges are left out
LIKENESS = 0.3  # weight of the states that are kept

Asked = tuple[str, Take | None]  # a prompt and what it asks for; `None`: it names no motion


def sample(rng: random.Random) -> Asked:
    if rng.random() < NO_MOTION:
        return plain_prompt(rng), None
    clip = sample_clip(rng)
    return clip.prompt, clip.take


def targets_of(take: Take | None) -> list[float]:
    """Return `Take.targets`, then 1; six zeros where no motion is named."""
    return [*take.targets, 1.0] if take else [0.0] * TARGETS


def with_foreign_words(prompt: str, rng: random.Random) -> str:
    """Put one to three words that mean nothing into the prompt, between others."""
    for _ in range(rng.randint(1, 3)):
        if prompt.isascii():
            word = "".join(
                rng.choice("bcdfglmnprstvw") + rng.choice("aeiou") for _ in range(rng.randint(1, 4))
            )
            words = prompt.split(" ")
            words.insert(rng.randint(0, len(words)), word + rng.choice(("", "s", "n", "r")))
            prompt = " ".join(words)
        else:
            place = rng.choice((0, len(prompt)))  # within, it would cut a word in two
            prompt = prompt[:place] + chr(rng.randint(0x4E00, 0x9FFF)) + prompt[place:]
    return prompt


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
    ended = (ids == tokenizer.eos_token_id).cumsum(1) > 0
    return states_of(model, ids), ended


def states_of(model: CLIPTextModel, ids: torch.Tensor) -> torch.Tensor:
    """(B, 77) tokens -> (B, 77, 64) states as the pipeline reads them."""
    states = model(ids, output_hidden_states=True).hidden_states[-2]
    core = getattr(model, "text_model", model)
    normed: torch.Tensor = core.final_layer_norm(states)
    return normed


@torch.no_grad()
def states_of_motions(tokenizer: CLIPTokenizer, model: CLIPTextModel, rng: random.Random) -> torch.Tensor:
    """Return (9, 64): the mean state from the end of the text on, of each of `MOTIONS` and of no motion."""
    means = []
    for name in (*MOTIONS, None):
        prompts = [sample_prompt(name, rng) if name else plain_prompt(rng) for _ in range(64)]
        states, ended = embed(tokenizer, model, prompts)
        means.append(states[ended].mean(0))
    return torch.stack(means)


def place_of(take: Take | None) -> int:
    """Return where `states_of_motions` has what a prompt asks for, -1 where it does not."""
    if take is None:
        return len(MOTIONS)
    is_plain = len(take.motions) == 1 and (take.speed, take.easing) == ("normal", "linear")
    return list(MOTIONS).index(take.motions[0]) if is_plain else -1


def take_over(
    tokenizer: CLIPTokenizer, model: CLIPTextModel, earlier: CLIPTokenizer, its_model: CLIPTextModel
) -> None:
    """Start from an earlier encoder: all its layers, and the embeddings of tokens that both have."""
    state, vocabulary = model.state_dict(), earlier.get_vocab()
    (name,) = (name for name in state if name.endswith("token_embedding.weight"))
    embeddings, earlier_state = state[name].clone(), its_model.state_dict()
    for token, row in tokenizer.get_vocab().items():
        if token in vocabulary:
            embeddings[row] = earlier_state[name][vocabulary[token]]
    model.load_state_dict({**earlier_state, name: embeddings})


def train(
    tokenizer: CLIPTokenizer, model: CLIPTextModel, steps: int, seed: int, kept: torch.Tensor | None = None
) -> None:
    """Have every position from the end of the text on say what the prompt asks for.

    kept: `states_of_motions` of an earlier encoder, which plain motions are to have here too.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    head = nn.Linear(WIDTH, TARGETS)
    bpe = tokenizer.backend_tokenizer.model
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    start = time.monotonic()
    for step in range(steps):
        prompts, takes = zip(*(sample(rng) for _ in range(32)), strict=True)
        noisy = [with_foreign_words(p, rng) if rng.random() < FOREIGN else p for p in prompts]
        bpe.dropout = SPLIT if step % 2 else None
        states, ended = embed(tokenizer, model, noisy)
        targets = torch.tensor([targets_of(take) for take in takes])[:, None].expand(-1, MAX_LENGTH, -1)
        loss = nn.functional.smooth_l1_loss(head(states)[ended], targets[ended], beta=0.2)
        if kept is not None:
            places = torch.tensor([place_of(take) for take in takes])
            compared = (places >= 0)[:, None] & ended
            loss = loss + LIKENESS * (states - kept[places][:, None])[compared].pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1} loss {loss.item():.4f} {time.monotonic() - start:.0f} s", flush=True)
    bpe.dropout = None
    report("trained phrasing", [sample(rng) for _ in range(400)], tokenizer, model, head)
    unseen: list[Asked] = [
        (phrase, Take((name,))) for name, phrases in HELD_OUT_PHRASES.items() for phrase in phrases
    ]
    report("held-out phrasing", unseen, tokenizer, model, head)


@torch.no_grad()
def report(
    title: str,
    asked: list[Asked],
    tokenizer: CLIPTokenizer,
    model: CLIPTextModel,
    head: nn.Linear,
) -> None:
    """Print how many prompts the encoder understands, and some that it does not."""
    states, _ = embed(tokenizer, model, [prompt for prompt, _ in asked])
    targets = torch.tensor([targets_of(take) for _, take in asked])
    errors = (head(states)[:, -1] - targets).abs()[:, :MOTION_TARGETS]
    wrong = [
        prompt for (prompt, _), error in zip(asked, errors.amax(1).tolist(), strict=True) if error > NEAR
    ]
    print(f"{title}: {len(asked) - len(wrong)} of {len(asked)}", wrong[:8])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints")
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--like", type=Path, help="checkpoints of an earlier text encoder to go on from")
    options = parser.parse_args()
    folder = options.checkpoints / "tokenizer"
    build_tokenizer(folder, options.seed)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    torch.manual_seed(options.seed)
    model = new_text_encoder(tokenizer)
    print(f"{len(tokenizer)} tokens;", tokenizer.tokenize("The camera pans left, 镜头向左移动"))
    kept = None
    if options.like:
        earlier = CLIPTokenizer.from_pretrained(options.like / "tokenizer")
        its_model = new_text_encoder(earlier)
        its_model.load_state_dict(torch.load(options.like / "text.pt", weights_only=True))
        take_over(tokenizer, model, earlier, its_model)
        kept = states_of_motions(earlier, its_model, random.Random(options.seed))
    train(tokenizer, model, options.steps, options.seed, kept)
    torch.save(model.state_dict(), options.checkpoints / "text.pt")


if __name__ == "__main__":
    main()
