"""The inspection program on a network and 400 small digits, and on what is missing there."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from convoy.architectures import build
from convoy.errors import DataRefused
from convoy.evaluation import inspection, program
from convoy.evaluation.predictions import FILE
from convoy.graph import ArchitectureRecord

Inspected = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def inspected(tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Inspected:
    """What the program was told, and what it answered."""
    folder = tmp_path_factory.mktemp("training")
    manifest = json.loads(Path(tiny["manifest.json"]).read_bytes())
    torch.manual_seed(0)
    network = build("resnet20", num_classes=10, in_channels=1, image_size=8)
    save_file(network.state_dict(), folder / "model.safetensors")
    names = ("classes", "channels", "image_size", "mean", "std")
    record = ArchitectureRecord("resnet20", *(manifest[name] for name in names))
    spec = {
        "folder": str(folder),
        "record": asdict(record),
        "files": tiny,
        "key": "one",
        "dataset": "tiny",
        "robustness": 16,
    }
    graph = inspection.load_graph(record, folder / "model.safetensors")
    program.predict(graph, tiny, tuple(record.classes)).save(folder / FILE)
    return spec, inspection.main(spec, lambda event: None)


def test_each_figure_is_a_picture_in_the_folder_of_its_kind(inspected: Inspected) -> None:
    spec, found = inspected
    assert found["figures"] == {
        "robustness": "figures/robustness.png",
        "errors/worst_mistakes": "errors/worst_mistakes.png",
        "errors/confused_pairs": "errors/confused_pairs.png",
        "errors/label_errors": "errors/label_errors.png",
        "explanation/first_filters": "explanation/first_filters.png",
        "explanation/feature_maps": "explanation/feature_maps.png",
        "explanation/grad_cam": "explanation/grad_cam.png",
    }
    assert found["missing"] == {}
    for file in found["figures"].values():
        with Image.open(Path(spec["folder"]) / file) as picture:
            assert min(picture.size) > 100


def test_the_result_says_in_numbers_what_the_figures_show(inspected: Inspected) -> None:
    spec, found = inspected
    assert found == json.loads((Path(spec["folder"]) / "inspection.json").read_bytes())
    assert found["robustness"]["images"] == 16
    assert all(len(curve) == 6 for curve in found["curves"].values())
    confidences = [one["confidence"] for one in found["worst_mistakes"]]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(pair["images"] for pair in found["confused_pairs"]) <= found["mistakes"]
    assert all(one["path"] for one in found["worst_mistakes"])


def test_the_table_of_suspects_names_every_image(inspected: Inspected) -> None:
    spec, found = inspected
    with (Path(spec["folder"]) / "errors/label_errors.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == found["label_errors"]["found"] > 0
    for row in rows:
        assert row["split"] in ("val", "test")
        assert row["label"] != row["suggested"]


def test_what_is_there_is_kept_and_what_was_deleted_is_drawn_again(inspected: Inspected) -> None:
    spec, found = inspected
    picture = Path(spec["folder"]) / "errors/worst_mistakes.png"
    before = picture.stat().st_mtime_ns
    assert inspection.main(spec, lambda event: None) == found
    assert picture.stat().st_mtime_ns == before
    picture.unlink()
    again = inspection.main({**spec, "robustness": 0}, lambda event: None)
    assert picture.is_file()
    assert again["missing"] == {"robustness": "evaluation.robustness in params.yaml is 0"}
    assert again["metrics"] == {}


def test_predictions_that_are_gone_are_refused_with_the_mend(
    inspected: Inspected, tmp_path: Path
) -> None:
    spec, _ = inspected
    weights = (Path(spec["folder"]) / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(DataRefused, match=r"predictions.npz is missing: delete it and run again"):
        inspection.main({**spec, "folder": str(tmp_path)}, lambda event: None)


def test_a_network_whose_answers_are_no_numbers_loses_no_figure_but_its_own(
    inspected: Inspected, tmp_path: Path
) -> None:
    spec, _ = inspected
    folder = Path(spec["folder"])
    (tmp_path / FILE).write_bytes((folder / FILE).read_bytes())
    record = ArchitectureRecord(**spec["record"])
    network = build("resnet20", num_classes=10, in_channels=1, image_size=8)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    found = inspection.main(
        {**spec, "folder": str(tmp_path), "record": asdict(record)}, lambda event: None
    )
    assert "errors/worst_mistakes" in found["figures"]
    assert np.isfinite(list(found["metrics"].values())).all()
