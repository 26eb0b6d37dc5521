"""A worker that reads texts by a model, as people start it."""

from __future__ import annotations

from pathlib import Path

from tests.integration.running_mesh import running_mesh
from tests.tiny_model import needs_transformers, save_tiny_model


def test_a_worker_whose_model_cannot_be_used_ends_with_the_reason(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        refused = mesh.run("worker", "text", "--text-model", "some-team/some-model")
        assert refused.returncode == 2, refused.stderr
        assert "models are not downloaded" in refused.stderr
        assert "Traceback" not in refused.stderr


@needs_transformers
def test_a_worker_reads_by_its_model_in_every_runner_process(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        mesh.begin("worker", "text", "--text-model", str(model), "--data", str(mesh.data)).wait_ready()
        found = mesh.ask("submit", "text", "what a lovely day", "--wait", "60")["value"]
        assert found["label"] in ("GLAD", "SORRY")
        assert mesh.ask("submit", "text", "a cup", "embedding", "--wait", "60")["value"]["dimensions"] == 8
