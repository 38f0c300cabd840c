"""What the stages of dvc.yaml run: `python -m convoy.ingestion fetch|prepare DATASET`."""

import sys

from convoy import architectures
from convoy.errors import ConvoyError
from convoy.ingestion.pack import fetch, prepare
from convoy.project import Project
from convoy.settings import load


def main(stage: str, dataset: str) -> None:
    """Run one stage for one dataset of params.yaml."""
    project = Project.find()
    settings = load(project.params, architectures.names()).dataset(dataset)
    raw = project.raw(dataset)
    if stage == "fetch":
        fetch(settings, raw)
    else:
        prepare(dataset, settings, raw, project.prepared(dataset))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("fetch", "prepare"):
        sys.exit("usage: python -m convoy.ingestion fetch|prepare DATASET")
    try:
        main(sys.argv[1], sys.argv[2])
    except ConvoyError as error:
        sys.stderr.write(f"convoy: {error}\n")
        sys.exit(error.exit_code)
