"""Fashion-MNIST: 70,000 articles of clothing, 28x28 pixels in 256 grays, in the form of MNIST.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms" (arXiv 1708.07747). The checksums are those of TensorFlow Datasets.
"""

from collections.abc import Iterator
from pathlib import Path

from convoy.mirrors import fetch as fetch_files
from convoy.published import Bytes, File
from convoy.settings import Dataset
from convoy.sources.mnist import four_files
from convoy.sources.source import LabelledImage, Source

FILES = (
    File(
        "train-images-idx3-ubyte.gz",
        Bytes(26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ),
    File(
        "train-labels-idx1-ubyte.gz",
        Bytes(29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ),
    File(
        "t10k-images-idx3-ubyte.gz",
        Bytes(4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    ),
    File(
        "t10k-labels-idx1-ubyte.gz",
        Bytes(5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
)
MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
)
ARTICLES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fetch(dataset: Dataset, origins: tuple[str, ...], raw: Path, memory: Path) -> None:
    """Have the four files in `raw`."""
    fetch_files(FILES, MIRRORS, dataset.source, origins, raw, memory)


def read(dataset: Dataset, raw: Path) -> Iterator[LabelledImage]:
    """Yield the images as they are, 0 for the ground, with the official split."""
    return four_files(raw, ARTICLES)


SOURCE = Source(fetch=fetch, read=read)
