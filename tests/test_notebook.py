"""The notebook in examples/ runs from top to bottom, and shows what it speaks of."""

import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples/notebook.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:::zmq", "ignore:::jupyter_client", "ignore:::nbclient", "ignore:::tornado")
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable
    client.execute()
    nbformat.write(notebook, tmp_path / "executed.ipynb")
    outputs = {cell.source.splitlines()[-1]: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    streams = [out.text for found in outputs.values() for out in found if out.output_type == "stream"]
    assert [text for text in streams if not text.startswith("note: trainer.epochs: in jobs")] == []
    for line, text in {
        "run": "Run given-mlp-adamw: completed, epoch 40, test/accuracy",
        "sweep": "Sweep: 12 jobs; best by val/accuracy: job",
        "own": "Run given-mlp-sign_descent: completed, epoch 40",
    }.items():
        (shown,) = [out.data for out in outputs[line] if out.output_type == "execute_result"]
        assert shown["text/html"].startswith(f"<p>{text}")
        assert "</table>" in shown["text/html"]
    for line in ('run.figure("decision_boundary")', 'run.figure("learning_curves")'):
        (shown,) = [out.data for out in outputs[line] if out.output_type == "execute_result"]
        assert len(shown["image/png"]) > 10_000
    assert list(tmp_path.glob("outputs")) == []
