import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convoy import packs
from convoy.errors import ConvoyError, DataRefused
from convoy.packs import Packs, Place, read

CONTENTS = [bytes([number]) * (100 + 7 * number) for number in range(40)]


def kept(folder: Path, contents: Sequence[bytes]) -> dict[bytes, Place]:
    with Packs(folder, {}) as opened:
        for content in contents:
            opened.keep(content)
        opened.seal()
        return opened.places


def tars(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_kept_can_be_read_from_several_threads(tmp_path: Path) -> None:
    places = kept(tmp_path, CONTENTS)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: read(tmp_path, *one), [*places.items()] * 20))

    assert found == CONTENTS * 20


def test_a_pack_is_a_tar_of_files_named_by_their_sha256(tmp_path: Path) -> None:
    kept(tmp_path, CONTENTS)

    (path,) = tmp_path.iterdir()
    with tarfile.open(path, "r:") as pack:
        members = {member.name: pack.extractfile(member) for member in pack}
        found = {name: member.read() for name, member in members.items() if member}
    assert found == {hashlib.sha256(content).hexdigest(): content for content in CONTENTS}
    listing = subprocess.run(["tar", "tf", str(path)], capture_output=True, text=True, check=True)
    assert listing.stdout.split() == list(found)


def test_a_content_is_written_once(tmp_path: Path) -> None:
    places = kept(tmp_path, CONTENTS)
    before = tars(tmp_path)

    with Packs(tmp_path, places) as opened:
        for content in CONTENTS:
            opened.keep(content)
        opened.seal()

    assert tars(tmp_path) == before


def test_a_pack_is_full_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "FULL", 8192)

    places = kept(tmp_path, CONTENTS)

    assert len({place.pack for place in places.values()}) > 4
    assert max(map(len, tars(tmp_path).values())) <= 8192
    assert [read(tmp_path, *one) for one in places.items()] == CONTENTS


def test_a_file_larger_than_a_pack_has_one_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "FULL", 8192)

    places = kept(tmp_path, [CONTENTS[0], b"x" * 20_000, CONTENTS[1]])

    assert len({place.pack for place in places.values()}) == 3


def test_a_pack_that_is_cut_off_does_not_count(tmp_path: Path) -> None:
    places = kept(tmp_path, CONTENTS)
    (path,) = tmp_path.iterdir()
    os.truncate(path, 4096)

    with Packs(tmp_path, places) as opened:
        assert not opened.places


def test_whole_packs_of_a_killed_process_are_used_and_its_draft_goes(tmp_path: Path) -> None:
    places = kept(tmp_path, CONTENTS)
    (tmp_path / "4711.draft").write_bytes(b"half a pack")
    (tmp_path / "0123456789abcdef.tar").write_bytes(b"no pack at all")

    with Packs(tmp_path, {}) as opened:
        assert opened.places == places
        opened.remove_others()

    assert [path.stem for path in tmp_path.iterdir()] == [places.popitem()[1].pack]


def test_damaged_bytes_are_refused_with_the_mend(tmp_path: Path) -> None:
    digest, place = next(iter(kept(tmp_path, CONTENTS).items()))
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[place.offset] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataRefused, match=rf"{path.name} is damaged at byte 512: delete it"):
        read(tmp_path, digest, place)


def test_a_missing_pack_is_refused_with_the_mend(tmp_path: Path) -> None:
    digest, place = next(iter(kept(tmp_path, CONTENTS).items()))
    shutil.rmtree(tmp_path)

    with pytest.raises(DataRefused, match=r"cannot read .* \(No such file .*\): delete it"):
        read(tmp_path, digest, place)


def test_a_pack_that_is_mostly_garbage_is_written_anew(tmp_path: Path) -> None:
    places = kept(tmp_path, CONTENTS)
    alive = list(places)[:10]

    with Packs(tmp_path, places) as opened:
        opened.tidy(alive)
        opened.remove_others()
        assert set(opened.places) == set(alive)
        assert [read(tmp_path, one, opened.places[one]) for one in alive] == CONTENTS[:10]

    (path,) = tmp_path.iterdir()
    assert path.stem != places[alive[0]].pack


def test_a_pack_with_little_garbage_stays_as_it_is(tmp_path: Path) -> None:
    places = kept(tmp_path, CONTENTS)
    before = tars(tmp_path)

    with Packs(tmp_path, places) as opened:
        opened.tidy(list(places)[:30])
        opened.remove_others()

    assert tars(tmp_path) == before


def test_the_ninth_small_pack_is_merged_with_the_others(tmp_path: Path) -> None:
    places: dict[bytes, Place] = {}
    counts = []
    for number in range(9):
        with Packs(tmp_path, places) as opened:
            opened.keep(CONTENTS[number])
            opened.tidy({*places, hashlib.sha256(CONTENTS[number]).digest()})
            opened.remove_others()
            places = opened.places
        counts.append(len(tars(tmp_path)))

    assert counts == [1, 2, 3, 4, 5, 6, 7, 8, 1]
    assert sorted(read(tmp_path, *one) for one in places.items()) == sorted(CONTENTS[:9])


def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from convoy.errors import ConvoyError
from convoy.packs import Packs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, 2**21))
try:
    with Packs(Path(sys.argv[1]), {}) as opened:
        for number in range(40):
            opened.keep(bytes([number]) * 2**17)
        opened.seal()
except ConvoyError as error:
    print(error)
"""
    kept(tmp_path, CONTENTS)
    before = tars(tmp_path)

    command = [sys.executable, "-c", script, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)

    assert run.stdout.startswith(f"the disk of {tmp_path} is full: make room")
    assert tars(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_small_disk_that_fills_up_is_named(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from convoy.errors import ConvoyError
from convoy.packs import Packs
with Packs(Path(sys.argv[1]), {}) as opened:
    opened.keep(b"first")
    opened.seal()
before = os.listdir(sys.argv[1])
try:
    with Packs(Path(sys.argv[1]), opened.places) as more:
        for number in range(80):
            more.keep(bytes([number]) * 2**17)
        more.seal()
except ConvoyError as error:
    print(error)
assert os.listdir(sys.argv[1]) == before
"""
    mounted = f'mount -t tmpfs -o size=5m none "{tmp_path}" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", sys.executable, "-c", script]
    run = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)

    if "unshare" in run.stderr or "mount" in run.stderr:
        pytest.skip(f"no private mounts here: {run.stderr.strip()}")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"the disk of {tmp_path} is full: make room")


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "packs").write_bytes(b"a file")

    with pytest.raises(ConvoyError, match=r"cannot write to .*packs \(File exists\)"):
        Packs(tmp_path / "packs", {})
