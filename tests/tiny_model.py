"""A text model of a few thousand random weights, made here and saved as people save theirs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

WORDS = ("what", "a", "lovely", "day", "sad", "cup")
TOKENS_MAX = 16

needs_transformers = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")),
    reason="torch and transformers are not installed: pip install 'ohmesh[transformers]'",
)


def save_tiny_model(folder: Path, *, has_head: bool = True) -> Path:
    """A BERT that labels texts GLAD or SORRY, or one without a head."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=TOKENS_MAX,
        id2label={0: "GLAD", 1: "SORRY"},
        label2id={"GLAD": 0, "SORRY": 1},
    )
    model = BertForSequenceClassification(config) if has_head else BertModel(config)
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.save_pretrained(folder)
    return folder
