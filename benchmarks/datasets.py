"""The data sets that benchmarks take, and their way to what training reads."""

from pathlib import Path
from typing import Any

from convoy import architectures
from convoy.ingestion.fetch import fetch
from convoy.settings import Dataset, load

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
MNIST = DATA / "mnist"
CIFAR10 = DATA / "cifar10" / "cifar10-jpeg.tar.gz"
SIGNS = DATA / "sign-digits" / "sign-digits.tar.gz"


def dataset_of(
    source: str, origin: Path, channels: str, image_size: int, val: float = 0.15
) -> dict[str, Any]:
    """Return a dataset as `params.yaml` says it."""
    return {
        "source": source,
        "from": [str(origin)],
        "model": "measured",
        "channels": channels,
        "image_size": image_size,
        "val": val,
        "test": 0.2,
    }


def prepared(dataset: dict[str, Any], work: Path) -> dict[str, str]:
    """Fetch and prepare a dataset in `work`; return the files of the version by their names."""
    # Here, so that those who only want the names above do not wait for PyTorch.
    from convoy.ingestion.prepare import files_of, prepare

    settings = Dataset(**dataset)
    checks = load(ROOT / "params.yaml", architectures.names()).checks
    raw, made = work / "raw", work / "prepared"
    fetch(settings, settings.origins, raw, work / "memory")
    prepare("measured", settings, checks, raw, made, work / "reports")
    return files_of(made)
