"""MNIST: 70,000 handwritten digits, 28x28 pixels in 256 grays, 10,000 of them for testing.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
recognition" (Proceedings of the IEEE, 1998). The checksums are those of TensorFlow Datasets.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from convoy.mirrors import fetch as fetch_files
from convoy.published import Bytes, File
from convoy.settings import Dataset
from convoy.sources.idx import labelled
from convoy.sources.source import LabelledImage, Source

FILES = (
    File(
        "train-images-idx3-ubyte.gz",
        Bytes(9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        Bytes(47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ),
    File(
        "train-labels-idx1-ubyte.gz",
        Bytes(28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        Bytes(60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ),
    File(
        "t10k-images-idx3-ubyte.gz",
        Bytes(1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        Bytes(7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ),
    File(
        "t10k-labels-idx1-ubyte.gz",
        Bytes(4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        Bytes(10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
)
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)
DIGITS = tuple("0123456789")


def fetch(dataset: Dataset, origins: tuple[str, ...], raw: Path, memory: Path) -> None:
    """Have the four files in `raw`."""
    fetch_files(FILES, MIRRORS, dataset.source, origins, raw, memory)


def read(dataset: Dataset, raw: Path) -> Iterator[LabelledImage]:
    """Yield the images as they are, 255 for ink, with the official split."""
    return four_files(raw, DIGITS)


def four_files(raw: Path, names: Sequence[str]) -> Iterator[LabelledImage]:
    """Yield the images of MNIST's four files, or of any that took its form; train comes first."""
    train_images, train_labels, test_images, test_labels = (raw / file.name for file in FILES)
    yield from labelled(train_images, train_labels, names, "train")
    yield from labelled(test_images, test_labels, names, "test")


SOURCE = Source(fetch=fetch, read=read)
