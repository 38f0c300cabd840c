"""The faults that people are known to bring, each with the words that are said of it.

`LEFT_OUT` and `TOLD` come in all the same, `REFUSED` and `IDX` do not. The words are a pattern.
"""

import os
import stat
import tarfile

import numpy as np

from tests.idx_files import idx
from tests.ingestion.harm import (
    JPEG,
    NEW,
    PNG,
    SEEN,
    Spoil,
    bomb,
    crowded,
    cut_archive,
    cut_parquet,
    ended_name,
    framed,
    holds,
    leaks,
    links,
    lopsided,
    official,
    pair,
    pickled,
    pickled_among_images,
    removed,
    several,
    special,
    table,
    tarred,
    zipped,
)
from tests.ingestion.places import drawn, encoded

WIDE, SMALL = encoded(drawn(1, side=64)[0][:9]), encoded(drawn(1, side=7)[0])
FLIPPED = PNG[:60] + bytes((PNG[60] ^ 1,)) + PNG[61:]
HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
CONVERT = "not-an-image: .* convert it to JPEG or PNG first"
IMAGES = idx(np.stack([image[..., 0] for image in drawn(20)]))
LABELS = idx(np.arange(20, dtype=np.uint8) % 2)

# One or two files are bad, and the version is the one without them: `severity rule: words`.
LEFT_OUT: dict[str, tuple[Spoil, str]] = {
    "a truncated JPEG": (holds("0/x.jpg", JPEG[:-40]), "quarantined truncated: .* copy it again"),
    "a PNG with a wrong sum": (holds("0/x.png", FLIPPED), "quarantined damaged: .* whole copy"),
    "a cut PNG": (holds("0/x.png", PNG[:-30]), "quarantined truncated: "),
    "an empty file": (holds("0/x.png", b""), "quarantined empty: "),
    "a page for an image": (holds("0/x.jpg", HTML), "not-an-image: .* HTML page: download it"),
    "an animated GIF": (holds("0/x.gif", framed("GIF")), "quarantined animated: "),
    "an animated WebP": (holds("0/x.webp", framed("WEBP")), "quarantined animated: .* 2 frames"),
    "an animated PNG": (holds("0/x.png", framed("PNG")), "quarantined animated: .* 2 frames"),
    "HEIC": (holds("0/x.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), CONVERT),
    "AVIF": (holds("0/x.avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1"), CONVERT),
    "SVG": (holds("0/x.svg", b"<svg/>"), CONVERT),
    "EPS": (holds("0/x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n"), CONVERT),
    "PDF": (holds("0/x.jpg", b"%PDF-1.4\n"), CONVERT),
    "FITS": (holds("0/x.fits", b"SIMPLE  =                    T"), CONVERT),
    "PSD": (holds("0/x.psd", b"8BPS\0\1"), CONVERT),
    "a bomb that Pillow warns of": (holds("0/x.png", bomb(13_000)), "too-large: .* 50,000,000"),
    "a bomb that Pillow refuses": (holds("0/x.png", bomb(20_000)), "too-large: .* make it smaller"),
    "a tiny image": (holds("0/x.png", SMALL), "quarantined too-small: .* checks.smallest"),
    "a link out": (links("0/x.png", "../../secret/key.png"), "quarantined link-out: "),
    "a linked folder outside": (links("2", "../secret"), "quarantined link-out: "),
    "a loop of links": (links("0/x", ".."), "quarantined link-loop: "),
    "a link to nothing": (links("0/x.png", "gone.png"), "quarantined link-broken: "),
    "a pipe": (special(stat.S_IFIFO), "quarantined not-a-file: "),
    "a socket": (special(stat.S_IFSOCK), "quarantined not-a-file: "),
    "a line break in a name": (holds("0/a\nb.png"), r"bad-name: 0/a\\x0ab.png: .* rename the file"),
    "a name that is not UTF-8": (holds(os.fsdecode(b"0/\xe9.png")), r"bad-name: 0/\\xe9.png: "),
    "a name that ends early": (ended_name, r"quarantined bad-name: 0/1.png\\x00.exe: "),
    "a name of 260 bytes": (zipped(f"0/{'x' * 256}.png"), "bad-name: .* longer than 255 bytes"),
    "an archive in an archive": (zipped("0/x.zip", b"PK\x03\x04" + bytes(60)), "not-an-image: "),
    "a member that came already": (tarred("./0//00000.png", PNG), "quarantined same-name: "),
    "a link of a tar to nothing": (
        tarred("0/x.png", type=tarfile.SYMTYPE, linkname="gone.png"),
        "quarantined link-broken: ",
    ),
    "what systems leave": (
        several(
            holds("0/._x.jpg", JPEG, ".DS_Store", "1/Thumbs.db", "desktop.ini"),
            holds("__MACOSX/0/._x.jpg", JPEG, ".ipynb_checkpoints/x.png", ".cache/a.png"),
        ),
        "ignored hidden: ",
    ),
    "a file beside the classes": (holds("x.png"), "quarantined no-class: .* move it into one"),
    "a document": (holds("README.txt", b"about"), "ignored not-an-image: "),
    "pickles among images": (pickled_among_images, CONVERT),
    "one image under two labels": (holds("0/x.png", PNG, "1/x.png"), "quarantined two-labels: "),
    "a row without a file": (table("gone.png,0,"), "missing-file: gone.png: row 202 names it"),
    "a row that came already": (table("photos/0/00000.png,0,"), "ignored same-row: .* rows 2, 202"),
    "a row without a label": (table("x.png,NaN,"), "no-label: .* row 202 has no label"),
    "a row without a path": (table(",0,"), "quarantined no-path: row 202"),
    "a path with two labels": (table("x.png,0,", "x.png,1,"), "two-labels: .* rows 202, 203"),
    "an unknown split": (table("x.png,0,holdout"), "unknown-split: .* 'holdout'"),
    "a row of too many cells": (table("x.png,0,,,,"), "bad-row: .* 6 cells for 3 columns"),
    "a row that names a folder": (table("photos,0,"), "quarantined not-a-file: photos: "),
    "a copy": (holds("1/copy.png", SEEN["1/00001.png"]), "duplicate same-image: "),
}  # fmt: skip

# Nothing is left out, or it is another version by what was done: a warning.
TOLD: dict[str, tuple[Spoil, str]] = {
    "a wrong extension": (holds("0/x.png", encoded(NEW, "BMP")), "warning extension: .* is a BMP"),
    "a long thin image": (holds("0/x.png", WIDE), "warning odd-size: .* .64 x 9."),
    "names but for case": (several(holds("0/a.png"), holds("0/A.png", WIDE)), "same-name: "),
    "an empty class": (lambda photos: (photos / "2").mkdir(), "warning empty-class: 2: "),
    "a hundred to one": (lopsided, "warning imbalance: .* 101 to one"),
    "a test image in train": (official(leaks(1, by=0)), "duplicate leak: .* left out of train"),
    "nearly a test image": (official(leaks(1, by=1)), "warning near-leak: "),
}  # fmt: skip

OUT = "leads out of the archive"
REFUSED: dict[str, tuple[Spoil, str]] = {
    "a zip that leads out": (zipped("../x.png"), OUT),
    "a zip from the root": (zipped("{outside}/x.png"), OUT),
    "a tar that leads out": (tarred("0/../../x.png", PNG), OUT),
    "a tar from the root": (tarred("{outside}/x.png", PNG), OUT),
    "a drive of Windows": (zipped("C:\\x.png"), OUT),
    "a link of a tar that leads out": (
        tarred("0/x", type=tarfile.SYMTYPE, linkname="../../x"), OUT,
    ),
    "a hard link that leads out": (
        tarred("0/x", type=tarfile.LNKTYPE, linkname="/etc/passwd"), OUT,
    ),
    "a device in a tar": (tarred("0/x", type=tarfile.CHRTYPE), "is a device or a pipe"),
    "a bomb of an archive": (zipped("0/x.png", bytes(30_000_000)), "expands to more than .* times"),
    "a cut archive": (cut_archive, "photos.tar.gz is damaged .* make the archive anew"),
    "too many members": (crowded, "has more than 210 members: split it"),
    "a cut table": (cut_parquet, "labels.parquet is damaged .* write the table anew"),
    "a table in Latin 1": (table("é.png,0,", code="latin-1"), "not UTF-8 .* save it as CSV"),
    "a table in UTF-16": (table(code="utf-16"), "is UTF-16 .* save it as CSV in UTF-8"),
    "another delimiter": (table(header="path:label:split"), "has no column 'path'"),
    "a quote without end": (table('"x.png,0,'), "row 202: .* mend the row"),
    "pickles": (pickled, "1 of 1 files .*'images.npy' lies in no folder"),
    "classes but for case": (holds("Cat/x.png", PNG, "cat/y.png"), "rename all of them to 'cat'"),
    "classes but for an accent": (holds("caf\u00e9/x.png", PNG, "cafe\u0301/y.png"), "accent"),
    "folders below a class": (holds("0/kittens/x.png"), "set `nested`"),
    "one class": (removed("1"), "has one class"),
    "a class of one image": (holds("2/x.png"), "class '2' has no image in train|fewer than the 2"),
    "a class without images for tests": (official(removed("test/1")), "class '1' has 0 .* test"),
    "a class in test only": (official(holds("test/2/x.png")), "class '2' has no image in train"),
    "tests that were trained on": (official(leaks(9, by=1)), "near-duplicate in train, more than"),
    "too many bad files": (holds("0/x.png", b"", "1/x.png", "1/y.png"), "3 of 203 files .*1.5%"),
    "an empty folder": (removed("0", "1"), "photos holds no file that can be used"),
    "a folder that is gone": (removed("."), "there is no .*photos: mend `from`"),
}  # fmt: skip
IDX: dict[str, tuple[Spoil, str]] = {
    "another magic number": (pair(b"\1" + IMAGES[1:], LABELS), "begins with 01000803 instead"),
    "too short": (pair(IMAGES[:-1], LABELS), "ends after 2,879 of 2,880 values"),
    "too long": (pair(IMAGES + b"\0", LABELS), "goes on after the 2,880 values"),
    "too few labels": (pair(IMAGES, idx(np.zeros(19, np.uint8))), "20 images, but .* 19 labels"),
}
