"""A model of the Transformers library, read from a directory and kept warm; loaded by runner processes only.

A model with a head for classification does sentiment and embedding, from one copy of its weights; one without does
embedding. The embedding is the mean of the last layer's vectors, at length 1, so that a product of two is their cosine
(N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019, section 3).

Nothing is fetched: the library is told to stay offline before it is imported, and code in the directory is not run.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ohmesh.errors import AgentDefinitionError, ArgumentsRefused

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
import transformers

_HEAD = "ForSequenceClassification"
_UNLIMITED = 1_000_000  # the library writes 1e30 where a tokenizer does not say

# A worker has a process for each core already.
torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


class ModelSentiment(msgspec.Struct, frozen=True):
    """`label` is the model's own, `score` its probability from 0 to 1."""

    label: str
    score: float


class TransformersModel:
    """Implements handlers.text.Reader. AgentDefinitionError when the directory cannot be loaded."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            self._load()
        except AgentDefinitionError:
            raise
        except Exception as error:  # whatever a damaged file makes the library raise
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise AgentDefinitionError(
                f"The text model in {str(directory)!r} cannot be loaded: {type(error).__name__}: {reason}.",
                hint="Save it again, model and tokenizer, with save_pretrained of the version installed here "
                f"({transformers.__version__}).",
            ) from error

    @property
    def operations(self) -> tuple[str, ...]:
        return ("sentiment", "embedding") if self._classify is not None else ("embedding",)

    def sentiment(self, text: str) -> ModelSentiment:
        if self._classify is None:
            raise ArgumentsRefused(
                f"The model of this worker has no head for sentiment; it is a {self._architecture}.",
                hint='Ask for operation="embedding", or start the worker with a classifier.',
            )
        self._check_length(text)
        (found,) = self._classify(text)
        return ModelSentiment(str(found["label"]), float(found["score"]))

    def embedding(self, text: str) -> list[float]:
        self._check_length(text)
        vectors = self._embed(text, return_tensors=True)[0]
        mean = torch.nn.functional.normalize(vectors.float().mean(dim=0), dim=0)
        return [float(number) for number in mean.tolist()]

    def _load(self) -> None:
        where, only = str(self._directory), {"local_files_only": True, "trust_remote_code": False}
        config = transformers.AutoConfig.from_pretrained(where, **only)
        self._architecture = ", ".join(config.architectures or ()) or config.model_type
        has_head = self._architecture.endswith(_HEAD)
        kind = transformers.AutoModelForSequenceClassification if has_head else transformers.AutoModel
        model, found = kind.from_pretrained(where, output_loading_info=True, **only)
        # The library would make up what is missing. A pooler is not used here, and often left out.
        missing = sorted(name for name in found["missing_keys"] if has_head or "pooler" not in name)
        if missing:
            raise AgentDefinitionError(
                f"The text model in {where!r} lacks {len(missing)} of its weights, such as {missing[0]}.",
                hint="Save it again with save_pretrained.",
            )
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(where, **only)
        limits = (
            self._tokenizer.model_max_length,
            getattr(config, "max_position_embeddings", None) or _UNLIMITED,
        )
        self._tokens_max = min(*limits, _UNLIMITED)
        body = model.base_model if has_head else model
        self._classify = self._pipeline("text-classification", model) if has_head else None
        self._embed = self._pipeline("feature-extraction", body)

    def _pipeline(self, task: str, model: object) -> transformers.Pipeline:
        return transformers.pipeline(task, model=model, tokenizer=self._tokenizer)

    def _check_length(self, text: str) -> None:
        tokens = len(self._tokenizer(text)["input_ids"])
        if not tokens:
            raise ArgumentsRefused("The text holds nothing that the model's tokenizer knows.")
        if tokens > self._tokens_max:
            raise ArgumentsRefused(
                f"The text is {tokens} tokens; the model of this worker reads at most {self._tokens_max}.",
                hint="Send it in parts.",
            )
