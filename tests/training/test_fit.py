"""Real short trainings: they learn, resume to the same bits, and believe only what is whole."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from convoy import digests
from convoy.datamodule import read_split
from convoy.errors import ConvoyError
from convoy.programs.launcher import Launcher
from convoy.training.checkpoints import found
from convoy.training.fit import fit, main
from convoy.training.spec import TrainingSpec, finished, history, training_key
from tests.recipes import recipe
from tests.training.trainings import Event, a_spec, damage, newest, silent, weights

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_short_training_learns_the_digits(tiny: dict[str, str], tmp_path: Path) -> None:
    events: list[Event] = []
    result = fit(a_spec(tiny, tmp_path), events.append)
    assert result.val_accuracy > 0.8
    assert [event["epoch"] for event in events] == [1, 2, 3, 4, 5]
    assert events == history(tmp_path)
    assert events[-1]["metrics"]["val/loss"] < events[0]["metrics"]["val/loss"]
    assert result.epochs == 5
    assert result.device == "cpu"


def test_the_same_spec_gives_the_same_weights_bit_for_bit(
    tiny: dict[str, str], tmp_path: Path, unbroken: Path
) -> None:
    fit(a_spec(tiny, tmp_path), silent)
    assert weights(tmp_path) == weights(unbroken)


def test_what_is_kept_is_the_best_epoch_by_validation_loss(
    tiny: dict[str, str], tmp_path: Path
) -> None:
    """A constant large rate makes the loss go up and down."""
    spec = a_spec(tiny, tmp_path, schedule="constant", learning_rate=0.15, epochs=8)
    result = fit(spec, silent)
    losses = [row["metrics"]["val/loss"] for row in history(tmp_path)]
    assert losses.index(min(losses)) + 1 == result.best_epoch < 8
    assert result.val_loss == min(losses)
    best, last = (newest(tmp_path, kind).load()["state_dict"] for kind in ("best", "last"))
    kept = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(kept[name], best[f"network.{name}"]) for name in kept)
    assert not all(torch.equal(kept[name], last[f"network.{name}"]) for name in kept)


def test_a_finished_training_is_believed_and_not_repeated(
    tiny: dict[str, str], tmp_path: Path
) -> None:
    spec = a_spec(tiny, tmp_path)
    result = fit(spec, silent)
    events: list[Event] = []
    assert main(spec.model_dump(), events.append) == result.model_dump()
    assert events == []
    assert finished(tmp_path) == result
    assert result.weights_sha256 == digests.file(tmp_path / "model.safetensors")
    assert result.key == training_key("mlp", spec.recipe, 1, "0123.dir")


@pytest.mark.parametrize("damage", ["weights", "no weights", "torn result", "empty", "no result"])
def test_a_result_that_is_not_whole_is_made_again_to_the_same_bits(
    tiny: dict[str, str], tmp_path: Path, unbroken: Path, damage: str
) -> None:
    spec = a_spec(tiny, tmp_path)
    result = fit(spec, silent)
    match damage:
        case "weights":
            content = bytearray(weights(tmp_path))
            content[-1] ^= 1
            (tmp_path / "model.safetensors").write_bytes(content)
        case "no weights":
            (tmp_path / "model.safetensors").unlink()
        case "torn result":
            (tmp_path / "result.json").write_bytes(b'{"key": "')
        case "empty":
            (tmp_path / "result.json").write_bytes(b"{}")
        case "no result":
            (tmp_path / "result.json").unlink()
    assert finished(tmp_path) is None
    assert fit(spec, silent) == result
    assert weights(tmp_path) == weights(unbroken)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99, "a bit"])
def test_a_damaged_checkpoint_is_gone_behind_to_the_one_before(
    tiny: dict[str, str], tmp_path: Path, unbroken: Path, kept: float | str
) -> None:
    spec = a_spec(tiny, tmp_path)
    result = fit(spec, silent)
    (tmp_path / "result.json").unlink()
    damage(newest(tmp_path, "last").path, kept)
    seen: list[int] = []
    again = fit(spec, lambda event: seen.append(event["epoch"]))
    assert seen == [1, 2, 3, 4, 5]
    assert again.model_copy(update={"seconds": 0}) == result.model_copy(update={"seconds": 0})
    assert weights(tmp_path) == weights(unbroken)


def test_where_no_checkpoint_is_whole_the_training_starts_over(
    tiny: dict[str, str], tmp_path: Path, unbroken: Path
) -> None:
    spec = a_spec(tiny, tmp_path)
    fit(spec, silent)
    (tmp_path / "result.json").unlink()
    for saved in found(tmp_path / "checkpoints", "best", "last"):
        damage(saved.path, 0.5)
    assert fit(spec, silent).epochs == 5
    assert weights(tmp_path) == weights(unbroken)


def test_a_damaged_best_checkpoint_starts_over(
    tiny: dict[str, str], tmp_path: Path, unbroken: Path
) -> None:
    spec = a_spec(tiny, tmp_path)
    fit(spec, silent)
    (tmp_path / "result.json").unlink()
    damage(newest(tmp_path, "best").path, 1000)
    with pytest.raises(ConvoyError, match=r"the best checkpoint .* missing or damaged: run again"):
        fit(spec, silent)
    assert fit(spec, silent).epochs == 5
    assert weights(tmp_path) == weights(unbroken)


def test_a_hopeless_loss_ends_with_its_step_its_images_and_what_to_try(
    tiny: dict[str, str], tmp_path: Path
) -> None:
    spec = a_spec(tiny, tmp_path, learning_rate=1e12, schedule="constant", augment={"shift": 2})
    said = r"the loss of mlp is \S+ in batch 2 of epoch 1, .*diverged.*learning_rate.*1e\+12.*clip"
    for _ in range(2):  # running again changes nothing: it is the recipe
        with pytest.raises(ConvoyError, match=said):
            fit(spec, silent)
    assert finished(tmp_path) is None and not found(tmp_path / "checkpoints", "best", "last")
    told = json.loads((tmp_path / "diverged" / "batch.json").read_text())
    assert (told["epoch"], told["batch"], len(told["images"])) == (1, 2, 32)
    known = read_split(tiny, "train")[0]
    with Image.open(tmp_path / "diverged" / "images.png") as sheet:
        assert sheet.size == (6 * known.shape[1], 6 * known.shape[2])  # 32 images, six a row


def test_a_key_changes_with_all_that_decides_a_training() -> None:
    keys = {
        training_key("mlp", recipe(), 1, "a.dir"),
        training_key("mlp", recipe(), 2, "a.dir"),
        training_key("mlp", recipe(), 1, "b.dir"),
        training_key("lenet5", recipe(), 1, "a.dir"),
        training_key("mlp", recipe(epochs=6), 1, "a.dir"),
    }
    assert len(keys) == 5
    assert training_key("mlp", recipe(), 1, "a.dir") in keys


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Launcher]:
    """A parent that has imported the trainer; a training in it is a process that can be killed."""
    folder = tmp_path_factory.mktemp("launcher")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(repository))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("TMPDIR", str(folder))
        with Launcher("convoy.training.fit", log=folder / "parent.log") as launcher:
            yield launcher


def run(launcher: Launcher, spec: TrainingSpec, kill_epoch: int, after_ms: float) -> list[Event]:
    """Run a training that kills itself; return its events. Raises as the launcher does."""
    events: list[Event] = []
    told = {
        "do": "train",
        "spec": spec.model_dump(),
        "kill_epoch": kill_epoch,
        "kill_after_ms": after_ms,
    }
    launcher.run("tests.programs.examples", told, Path(spec.folder) / "log", events.append)
    return events


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mlp", pytest.param("alexnet", marks=pytest.mark.soak)])
def test_a_training_that_was_killed_goes_on_to_the_same_bits(
    launcher: Launcher, digits_32: dict[str, str], tmp_path: Path, architecture: str
) -> None:
    """With shifts, and with alexnet's dropout too: what is drawn follows from seed and epoch."""
    specs = {}
    for name in ("unbroken", "killed"):
        (tmp_path / name).mkdir()
        specs[name] = a_spec(
            digits_32,
            tmp_path / name,
            architecture,
            augment={"shift": 2},
            epochs=4,
            learning_rate=0.01,
        )
    run(launcher, specs["unbroken"], kill_epoch=0, after_ms=0)
    for epoch, delay in ((1, 0), (2, 5), (2, 0), (3, 20), (4, 0), (4, 30)):
        try:
            run(launcher, specs["killed"], epoch, delay)
        except ConvoyError as error:  # a late kill may come after the end
            assert "killed" in str(error)
    events = run(launcher, specs["killed"], kill_epoch=0, after_ms=0)
    assert finished(tmp_path / "killed") is not None
    assert weights(tmp_path / "killed") == weights(tmp_path / "unbroken")
    one, other = (json.loads((tmp_path / n / "result.json").read_text()) for n in specs)
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    metrics = [[row["metrics"] for row in history(tmp_path / name)] for name in specs]
    assert metrics[0] == metrics[1]
    assert [event["epoch"] for event in events if "epoch" in event] in ([], [1, 2, 3, 4])


@pytest.fixture(scope="module")
def digits_32(tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tiny digits at 32 x 32 pixels, as alexnet needs them."""
    from convoy.ingestion.prepare import files_of, prepare
    from convoy.settings import Dataset
    from tests.ingestion.animals import CHECKS

    folder = tmp_path_factory.mktemp("digits-32")
    settings = Dataset(
        source="digits", model="tiny", channels="gray", image_size=32, val=0.2, test=0.2
    )
    raw = Path(tiny["manifest.json"]).parents[1] / "raw"
    prepare("tiny", settings, CHECKS, raw, folder / "prepared", folder / "reports")
    return files_of(folder / "prepared")
