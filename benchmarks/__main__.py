"""`make bench`: every benchmark, one after another."""

import sys

from benchmarks import pipeline

sys.exit(pipeline.main(None))
