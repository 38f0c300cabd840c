"""`make bench`: every benchmark, one after another."""

import sys

from benchmarks import ingestion, pipeline, reading

sys.exit(max([pipeline.main(None), ingestion.main(None), reading.main(None)]))
