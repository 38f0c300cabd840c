"""Every bad input that people are known to bring: said clearly, and nothing else is changed by it.

Each fault is put into a dataset that has a version already, and the dataset comes in again. What
people gave is then the same to the byte, nothing lies anywhere else, and the version is another
whole one, or the one that it was.
"""

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convoy.errors import ConvoyError, DataRefused
from convoy.ingestion.fetch import fetch
from convoy.origins import expansion, local
from tests import loopback
from tests.ingestion.animals import LENIENT
from tests.ingestion.faults import FLIPPED, HTML, IDX, LEFT_OUT, REFUSED, SMALL, TOLD
from tests.ingestion.harm import JPEG, NEW, PNG, SEEN, framed, holds
from tests.ingestion.places import Place, whole
from tests.origins.archives import pack
from tests.origins.held import tree


@pytest.fixture(autouse=True)
def version(place: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    """The digest of the version that is there; the bounds on archives are as small as it is."""
    monkeypatch.chdir(place.root.parent)  # where relative names would lead to
    monkeypatch.setattr(expansion, "HARMLESS", 1_000_000)
    monkeypatch.setattr(expansion, "MEMBERS", 210)
    for path, content in SEEN.items():
        holds(path, content)(place.photos)
    digest: str = place.ingest().manifest["digest"]
    return digest


def around(place: Place) -> dict[Path, tuple[object, ...]]:
    """All that lies there but for what ingestion writes: kind, time and content of each."""
    own = {place.root / name for name in ("memory", "prepared", "raw", "reports")}
    found: dict[Path, tuple[object, ...]] = {}
    for path in place.root.parent.rglob("*"):
        status = path.lstat()
        if path == place.root or own & {path, *path.parents}:
            continue
        read = stat.S_ISREG(status.st_mode)
        content = hashlib.sha256(path.read_bytes()).digest() if read else b""
        target = path.readlink() if path.is_symlink() else None
        found[path] = (status.st_mode, status.st_mtime_ns, content, target)
    return found


def told(place: Place) -> list[str]:
    """A line for each finding."""
    return [
        f"{severity} {one['rule']}: {one['path']}: {one['reason']}: {one['mend']}."
        for severity, findings in place.report["findings"].items()
        for one in findings["listed"]
    ]


@pytest.mark.parametrize("fault", [*LEFT_OUT, *TOLD])
def test_what_is_wrong_is_told_and_the_rest_comes_in(
    place: Place, version: str, fault: str
) -> None:
    spoil, words = (LEFT_OUT | TOLD)[fault]
    origin = spoil(place.photos) or place.photos
    before = around(place)
    place.ingest(origin)
    assert around(place) == before
    assert any(re.search(words, line) for line in told(place)), told(place)
    assert not (place.root / "reports").exists()
    whole(place)
    if fault in LEFT_OUT:
        assert place.manifest["digest"] == version


@pytest.mark.parametrize("fault", [*REFUSED, *IDX])
def test_what_cannot_be_used_is_refused_and_the_version_stays(place: Place, fault: str) -> None:
    spoil, words = (REFUSED | IDX)[fault]
    settings: dict[str, Any] = {"source": "idx"} if fault in IDX else {}
    origin = spoil(place.photos) or place.photos
    before, former, raw = around(place), tree(place.prepared), tree(place.root / "raw")
    fetched = (place.root / "memory/fetched.json").read_bytes()
    with pytest.raises(DataRefused, match=words) as refused:
        place.ingest(origin, **settings)
    assert refused.value.exit_code == 3 and "\n" not in str(refused.value)
    assert around(place) == before
    assert tree(place.prepared) == former
    if (place.root / "memory/fetched.json").read_bytes() == fetched:
        assert tree(place.root / "raw") == raw
    # Once the fault is mended, it goes on as if nothing had been.
    for path, content in SEEN.items():
        holds(path, content)(place.root / "mended")
    place.ingest(place.root / "mended")
    assert tree(place.prepared) == former


@pytest.mark.parametrize("rule", ["vanished", "changes-while-reading"])
def test_a_file_that_does_not_hold_still_is_left_out(
    place: Place, version: str, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    before = around(place)
    holds("0/x.png")(place.photos)
    restless = place.photos / "0/x.png"
    read, read_on = local.read, local._whole

    def gone(path: str) -> tuple[bytes, str]:
        restless.unlink(missing_ok=True)
        return read(path)

    def grown(descriptor: int, most: int) -> bytes:
        content = read_on(descriptor, most)
        if content.startswith(PNG):
            with restless.open("ab") as stream:
                stream.write(b"more")
        return content

    if rule == "vanished":
        monkeypatch.setattr(local, "read", gone)
    else:
        monkeypatch.setattr(local, "_whole", grown)
    place.ingest()
    monkeypatch.undo()
    assert any(line.startswith(f"quarantined {rule}: 0/x.png: ") for line in told(place))
    assert place.manifest["digest"] == version
    # Its folder has another time, by nobody's doing but the test's.
    changed = {path for path, it in around(place).items() if before.get(path) != it}
    assert changed <= {restless, restless.parent}


def corrupted(handler: Any, content: bytes) -> None:
    loopback.corrupts(500)(handler, content)
    handler.close_connection = True


@pytest.mark.parametrize(
    ("behaviour", "words", "code"),
    [
        (loopback.breaks_off(500), "cannot reach .*photos.tar.gz .* run again", 1),
        (corrupted, "photos.tar.gz is damaged .* make the archive anew", 3),
    ],
    ids=["broken off", "corrupted"],
)
def test_an_archive_that_does_not_come_whole_leaves_the_version(
    place: Place, tmp_path: Path, behaviour: loopback.Behaviour, words: str, code: int
) -> None:
    content = pack(tmp_path / "photos.tar.gz", SEEN, "tar.gz").read_bytes()
    before, former, raw = around(place), tree(place.prepared), tree(place.root / "raw")
    with loopback.serving() as server, pytest.raises(ConvoyError, match=words) as refused:
        address = server.serve("/photos.tar.gz", content, behaviour)
        fetch(place.dataset(), (address,), place.root / "raw", place.root / "memory")
    assert refused.value.exit_code == code
    assert not list((place.root / "memory").glob("*.part"))
    assert (tree(place.root / "raw"), around(place)) == (raw, before)
    assert tree(place.prepare().prepared) == former


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may become somebody else")
@pytest.mark.parametrize("step", ["fetch", "prepare"])
def test_a_folder_that_may_not_be_written_is_said_and_left(place: Place, step: str) -> None:
    holds("0/x.png")(place.photos)
    before, former, raw = around(place), tree(place.prepared), tree(place.root / "raw")
    # pytest makes its folders for root alone.
    modes = {path: path.stat().st_mode for path in place.root.parents}
    for path, mode in modes.items():
        path.chmod(mode | 0o11)
    os.seteuid(65534)
    try:
        with pytest.raises(ConvoyError, match=r"cannot write .*Permission denied.*(allow|right)"):
            place.ingest() if step == "fetch" else place.prepare()
    finally:
        os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)
    assert around(place) == before
    assert (tree(place.prepared), tree(place.root / "raw")) == (former, raw)


def test_an_image_in_any_form_is_the_same_image(place: Place) -> None:
    gray = NEW[..., 0].copy()
    gray[0] = 255
    plain, exif = Image.fromarray(gray), Image.Exif()
    exif[0x0112] = 6
    hidden = np.dstack([np.where(gray == 255, 0, gray)] * 3 + [np.where(gray == 255, 0, 255)])
    inks = np.dstack([255 - gray] * 3 + [np.zeros_like(gray)])
    forms: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "plain.png": (plain, {}),
        "colour.bmp": (plain.convert("RGB"), {}),
        "palette.png": (plain.convert("P"), {}),
        "sixteen bits.png": (Image.fromarray(gray.astype(np.uint16) * 257), {}),
        "sixteen bits.tiff": (Image.fromarray(gray.astype(np.uint16) * 257), {}),
        "transparent.png": (Image.fromarray(hidden.astype(np.uint8)), {}),
        "inks.tiff": (Image.fromarray(inks, "CMYK"), {}),
        "sideways.png": (Image.fromarray(np.rot90(gray)), {"exif": exif}),
        "named otherwise.jpg": (plain, {"format": "PNG"}),
    }
    for name, (image, options) in forms.items():
        image.save(place.photos / "0" / name, **options)
    before = around(place)
    place.ingest()
    assert around(place) == before
    assert place.manifest["totals"] == {
        "found": 209, "kept": 201, "duplicates": 8, "quarantined": 0, "ignored": 0,
    }  # fmt: skip
    whole(place)


def test_good_files_among_bad_ones_are_all_accounted_for(place: Place, version: str) -> None:
    bad = [JPEG[:-40], FLIPPED, PNG[:-30], b"", HTML, framed("WEBP"), framed("GIF"), SMALL]
    for number in range(80):
        holds(f"{number % 2}/bad {number}.png", bad[number % 8])(place.photos)
    before = around(place)
    place.ingest(checks=LENIENT)
    assert around(place) == before
    assert place.manifest["digest"] == version
    assert place.manifest["totals"] == {
        "found": 280, "kept": 200, "duplicates": 0, "quarantined": 80, "ignored": 0,
    }  # fmt: skip
    listed = {one["path"] for one in place.report["findings"]["quarantined"]["listed"]}
    assert listed == {f"{number % 2}/bad {number}.png" for number in range(80)}
