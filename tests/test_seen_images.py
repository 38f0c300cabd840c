"""Which test images an older version has trained on follows from their content."""

from pathlib import Path

import numpy as np
import pytest

from convoy import seen_images
from convoy.errors import NotReproducible
from tests.ingestion.conftest import place as place
from tests.ingestion.places import Place, drawn, named


def test_within_one_version_no_test_image_was_seen(tiny: dict[str, str], tmp_path: Path) -> None:
    seen_images.write(tmp_path / "seen.npy", tiny)
    found = seen_images.seen(tmp_path / "seen.npy", tiny)
    assert found is not None and len(found) and not found.any()


def test_images_that_moved_into_test_are_found(place: Place, tmp_path: Path) -> None:
    place.write(named(drawn(200)))
    place.ingest(test=0.2, val=0.2)
    before = {c for c, one in place.known().items() if one.split != "test"}
    seen_images.write(tmp_path / "seen.npy", place.files)
    place.ingest(test=0.5, val=0.2)
    found = seen_images.seen(tmp_path / "seen.npy", place.files)
    after = [c in before for c, one in place.known().items() if one.split == "test"]
    assert found is not None
    assert found.tolist() == after
    assert 0 < sum(after) < len(after)


def test_a_version_from_before_there_was_such_a_file_tells_nothing(
    tiny: dict[str, str], tmp_path: Path
) -> None:
    assert seen_images.seen(tmp_path / "seen.npy", tiny) is None


def test_another_array_in_its_place_is_refused(tiny: dict[str, str], tmp_path: Path) -> None:
    np.save(tmp_path / "seen.npy", np.zeros(3))
    with pytest.raises(NotReproducible, match="no content hashes"):
        seen_images.seen(tmp_path / "seen.npy", tiny)
