"""What the stages of dvc.yaml run: `python -m convoy.ingestion fetch|prepare DATASET`."""

import sys

from convoy import architectures, progress
from convoy.errors import ConvoyError
from convoy.project import Project
from convoy.settings import load


def main(stage: str, name: str) -> None:
    """Run one stage for one dataset of params.yaml."""
    project = Project.find()
    settings = load(project.params, architectures.names())
    dataset = settings.dataset(name)
    raw = project.raw(name)
    if stage == "fetch":
        from convoy.ingestion.fetch import fetch

        fetch(dataset, project.origins(dataset.origins), raw, project.memory(name))
    else:
        from convoy.ingestion.prepare import prepare  # takes PyTorch, which fetching spares

        prepared, reports = project.prepared(name), project.reports(name)
        prepare(name, dataset, settings.checks, raw, prepared, reports)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("fetch", "prepare"):
        sys.exit("usage: python -m convoy.ingestion fetch|prepare DATASET")
    progress.write_lines_if_asked()
    try:
        main(sys.argv[1], sys.argv[2])
    except ConvoyError as error:
        sys.stderr.write(f"convoy: {error}\n")
        sys.exit(error.exit_code)
