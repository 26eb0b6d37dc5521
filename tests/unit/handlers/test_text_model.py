"""The kind `text` by a model from a directory: what it answers, and what is refused before a task is taken."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ohmesh.errors import AgentDefinitionError, ArgumentsRefused
from ohmesh.handlers.function_handler import FunctionHandler
from ohmesh.handlers.loading import load_handlers
from tests.tiny_model import TOKENS_MAX, needs_transformers, save_tiny_model


def handler(model: Path | str) -> FunctionHandler:
    (found,) = load_handlers(["text"], {"text-model": (str(model),)})
    return found


def call(reader: FunctionHandler, *arguments: object) -> Any:
    return msgspec.msgpack.decode(reader.invoke(msgspec.msgpack.encode([list(arguments), {}])))


def refusal(model: Path | str) -> str:
    with pytest.raises(AgentDefinitionError) as caught:
        handler(model)
    return str(caught.value)


def test_a_name_on_a_hub_is_refused_and_never_fetched() -> None:
    for name in ("bert-base-uncased", "some-team/some-model.v2"):
        said = refusal(name)
        assert "looks like the name of a model on a hub" in said
        assert "models are not downloaded" in said
        assert "Give a directory" in said


def test_what_is_no_directory_of_a_model_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    assert "There is no directory" in refusal(tmp_path / "no" / "such" / "place")
    (tmp_path / "model.bin").write_bytes(b"")
    assert "is no directory" in refusal(tmp_path / "model.bin")
    assert "config.json is missing" in refusal(tmp_path)


@pytest.mark.parametrize("library", ["transformers", "torch"])
def test_a_model_without_the_extra_says_what_to_install(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, library, None)  # what Python sees where it is not installed
    assert "pip install 'ohmesh[transformers]'" in refusal(tmp_path)


def test_without_a_model_an_embedding_is_refused_with_what_to_do() -> None:
    (reader,) = load_handlers(["text"], {})
    assert reader.spec.capabilities == ("text", "sentiment")
    with pytest.raises(ArgumentsRefused, match=r"--text-model DIRECTORY"):
        call(reader, "What a lovely day!", "embedding")


@needs_transformers
def test_a_classifier_tells_its_own_label_with_a_probability_and_embeds(tmp_path: Path) -> None:
    reader = handler(save_tiny_model(tmp_path))
    assert reader.spec.capabilities == ("text", "sentiment", "embedding")
    found = call(reader, b"what a lovely day")
    assert set(found) == {"label", "score"}
    assert found["label"] in ("GLAD", "SORRY")
    assert 0.5 <= found["score"] <= 1
    assert call(reader, "what a lovely day", "sentiment") == found
    embedded = call(reader, "a cup", "embedding")
    assert embedded["dimensions"] == len(embedded["embedding"]) == 8
    assert sum(number * number for number in embedded["embedding"]) == pytest.approx(1)
    assert call(reader, "sad", "embedding") != embedded


@needs_transformers
def test_a_model_without_a_head_embeds_and_refuses_sentiment(tmp_path: Path) -> None:
    reader = handler(save_tiny_model(tmp_path, has_head=False))
    assert reader.spec.capabilities == ("text", "embedding")
    assert call(reader, "a cup", "embedding")["dimensions"] == 8
    with pytest.raises(ArgumentsRefused, match="no head for sentiment; it is a BertModel"):
        call(reader, "a cup")


@needs_transformers
def test_a_text_of_more_tokens_than_the_model_reads_is_refused(tmp_path: Path) -> None:
    reader = handler(save_tiny_model(tmp_path))
    assert call(reader, "cup " * TOKENS_MAX)["label"]
    for operation in ("sentiment", "embedding"):
        with pytest.raises(ArgumentsRefused, match=f"{TOKENS_MAX + 1} tokens; .* at most {TOKENS_MAX}"):
            call(reader, "cup " * (TOKENS_MAX + 1), operation)


@needs_transformers
def test_a_damaged_model_is_refused_with_the_reason(tmp_path: Path) -> None:
    weights = save_tiny_model(tmp_path / "cut") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "cannot be loaded" in refusal(tmp_path / "cut")
    (save_tiny_model(tmp_path / "unweighted") / "model.safetensors").unlink()
    assert "cannot be loaded" in refusal(tmp_path / "unweighted")
    config = save_tiny_model(tmp_path / "headless", has_head=False) / "config.json"
    claimed = {**json.loads(config.read_text()), "architectures": ["BertForSequenceClassification"]}
    config.write_text(json.dumps(claimed))
    assert "lacks 2 of its weights, such as classifier" in refusal(tmp_path / "headless")
    (tmp_path / "headless" / "config.json").write_text("no JSON")
    assert "cannot be loaded" in refusal(tmp_path / "headless")
