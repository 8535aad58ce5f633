"""Features computed once: the same bits from the cache as without it, and anew whenever anything is another."""

import dataclasses
from pathlib import Path

import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import (
    ChainConfig,
    ColorQuantizationConfig,
    ConcatConfig,
    Features,
    FeaturesConfig,
    HogConfig,
    RawConfig,
    extraction,
)
from deeprob.features.picture_features import PictureFeatures

RNG = torch.Generator().manual_seed(0)
PICTURES = torch.randint(0, 256, (40, 3, 12, 12), dtype=torch.uint8, generator=RNG)
OTHERS = torch.randint(0, 256, (9, 3, 12, 12), dtype=torch.uint8, generator=RNG)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The cache's folder, which keeps all that is computed, however fast."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(extraction, "WORTH", 0.0)
    return tmp_path / "deeprob" / "features"


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """How many pictures were described, call by call."""
    counts = []
    original = PictureFeatures.extract
    monkeypatch.setattr(
        PictureFeatures, "extract", lambda self, inputs: counts.append(len(inputs)) or original(self, inputs)
    )
    return counts


def both(config: FeaturesConfig, inputs: torch.Tensor = PICTURES, dtype: torch.dtype = torch.float32):
    """Fit to some pictures and extract others; return both extracted, and the state."""
    features = config.make(tuple(inputs.shape[1:])).to(dtype=dtype)
    train = extraction.fit(features, inputs)
    return train, extraction.extract(features, OTHERS), features.state_dict()


@pytest.mark.parametrize(
    "config", [HogConfig(), ColorQuantizationConfig(colors=4), ConcatConfig(parts=["hog", "color_quantization"])]
)
def test_what_is_read_is_bit_by_bit_what_was_computed(config, computed, folder, monkeypatch):
    monkeypatch.setattr(extraction, "WORTH", float("inf"))
    without = both(config)
    assert not folder.exists()
    monkeypatch.setattr(extraction, "WORTH", 0.0)
    first = both(config)
    times = len(computed)
    second = both(config)
    assert len(computed) == times
    for results in (first, second):
        assert torch.equal(results[0], without[0])
        assert torch.equal(results[1], without[1])
        assert results[2].keys() == without[2].keys()
        assert all(torch.equal(results[2][name], value) for name, value in without[2].items())


def test_anything_else_is_another_entry(computed, folder, monkeypatch):
    both(HogConfig())
    assert computed == [40, 9]

    def anew(*words: object) -> list[int]:
        computed.clear()
        both(*words)
        return computed[:]

    assert anew(HogConfig()) == []
    assert anew(HogConfig(directions=8)) == [40, 9]
    assert anew(dataclasses.replace(HogConfig(), standardize="none")) == [40, 9]
    assert anew(HogConfig(), PICTURES.flip(0)) == [40]  # others are extracted the same whatever the means are
    assert anew(HogConfig(), PICTURES[:39]) == [39]
    assert anew(ColorQuantizationConfig(), PICTURES) == anew(ColorQuantizationConfig(seed=1), PICTURES) == [40, 9]
    assert anew(HogConfig(), PICTURES, torch.float64) == [40, 9]
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    assert anew(HogConfig()) == [40, 9]
    monkeypatch.setattr(extraction, "_hash_of", lambda files: "code that changed")
    assert anew(HogConfig()) == [40, 9]
    assert anew(HogConfig()) == []


def test_the_code_is_that_of_the_features_and_of_this_file():
    files: list[tuple[Path, ...]] = []

    class Own(PictureFeatures):
        def describe(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures

    before = extraction._hash_of
    try:
        extraction._hash_of = lambda found: files.append(found) or ""
        extraction._code(Own((3, 12, 12), "feature", [], 1))
    finally:
        extraction._hash_of = before
    names = {path.name for path in files[0]}
    assert {"hog.py", "base.py", "steps.py", "randomness.py", Path(__file__).name} <= names


def test_code_that_changed_has_another_hash(tmp_path, monkeypatch):
    def hash_of(*texts: str) -> str:
        extraction._hash_of.cache_clear()
        files = [tmp_path / f"{number}.py" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        return extraction._hash_of(tuple(files))

    before = hash_of("a = 1", "b = 2")
    assert hash_of("a = 1", "b = 2") == before
    assert len({before, hash_of("a = 1", "b = 3"), hash_of("a = 2", "b = 2"), hash_of("a = 1")}) == 4
    monkeypatch.setattr(torch, "__version__", "another")
    assert hash_of("a = 1", "b = 2") != before
    extraction._hash_of.cache_clear()


def test_seeds_that_draw_other_palettes_are_other_entries(computed):
    first = both(ColorQuantizationConfig(colors=4))
    second = both(ColorQuantizationConfig(colors=4, seed=1))
    assert not torch.equal(first[2]["palette"], second[2]["palette"])
    assert computed == [40, 9, 40, 9]


@pytest.mark.parametrize("spoil", ["cut short", "a bit", "another's"])
def test_damaged_and_foreign_files_are_noticed_and_made_anew(computed, folder, capsys, spoil):
    expected = both(HogConfig())
    files = sorted(folder.iterdir())
    contents = [path.read_bytes() for path in files]
    for path, content, other in zip(files, contents, contents[::-1], strict=True):
        bits = bytearray(content)
        bits[-1000] ^= 4
        path.write_bytes({"cut short": content[:-1000], "a bit": bytes(bits), "another's": other}[spoil])
    again = both(HogConfig())
    assert torch.equal(again[0], expected[0])
    assert torch.equal(again[1], expected[1])
    assert computed == [40, 9, 40, 9]
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 2
    assert all(line.startswith(f"note: {folder}/") for line in err)
    assert all(line.endswith("damaged, or not a file of deeprob; these features are computed again") for line in err)
    both(HogConfig())
    assert computed == [40, 9, 40, 9]
    assert [path.read_bytes() for path in files] == contents
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_written_costs_a_line(folder, capsys):
    folder.parent.write_text("a file in its place")
    features = HogConfig().make((3, 12, 12))
    extracted = extraction.fit(features, PICTURES)
    assert torch.equal(extracted, HogConfig().make((3, 12, 12)).extract(PICTURES))
    err = capsys.readouterr().err
    assert err == (
        f"note: {folder}: Not a directory; these features cannot be kept, and are computed again each time\n"
    )


def test_what_is_fast_or_unchanged_is_not_kept(folder, monkeypatch):
    features = RawConfig().make((3, 12, 12))
    assert extraction.fit(features, PICTURES) is PICTURES
    assert extraction.extract(features, OTHERS) is OTHERS
    monkeypatch.setattr(extraction, "WORTH", 60.0)
    both(HogConfig())
    assert not folder.exists()


def test_runs_of_other_strengths_compute_once(deeprob, pictures, computed, monkeypatch):
    fitted = []
    original = Features.fit
    monkeypatch.setattr(Features, "fit", lambda self, inputs: fitted.append(len(inputs)) or original(self, inputs))
    words = ("dataset=image_folder", f"dataset.root={pictures}", "features=hog", "model=linear", "trainer.epochs=1")
    for strength in ("1e-3", "1e-2"):
        more = ("regularizer=l2", f"regularizer.strength={strength}", f"hydra.run.dir=run{strength}")
        assert deeprob(*words, *more).status == 0
    assert deeprob("run=run1e-2", command="evaluate").status == 0  # the checkpoint's state is what was fitted
    assert (fitted, computed.count(8)) == ([24], 1)


def test_a_change_in_a_chains_last_part_leaves_those_before_in_the_cache(computed, folder):
    def chain(epsilon: float) -> FeaturesConfig:
        return ChainConfig(parts=["hog", {"name": "whiten", "epsilon": epsilon}])

    whole = chain(0.5).build((3, 12, 12))
    expected = whole.fit(PICTURES), whole.extract(OTHERS), whole.state_dict()
    computed.clear()
    both(chain(0.1))
    assert computed == [40, 9]
    files = len(list(folder.iterdir()))
    results = both(chain(0.5))
    assert computed == [40, 9]
    assert len(list(folder.iterdir())) == files + 2
    torch.testing.assert_close(results, expected)


@pytest.mark.parametrize("part", [extraction.fit, extraction.extract])
def test_features_too_large_for_memory_are_named(part, monkeypatch):
    def fail(self, inputs):
        raise MemoryError

    monkeypatch.setattr(PictureFeatures, "extract", fail)
    config = HogConfig(cell=4)
    with pytest.raises(UserError, match=r"memory: features=hog has 144 numbers for each of 40 inputs; lower them"):
        part(config.make((3, 12, 12)), PICTURES)
