"""How a program starts, by hand or forked from a preloaded parent."""

import json
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from convoy.errors import ConvoyError
from convoy.files import read_json
from convoy.programs import cores

Emit = Callable[[dict[str, Any]], None]
Main = Callable[[dict[str, Any], Emit], dict[str, Any]]


def run(module: str, spec: dict[str, Any], emit: Emit) -> int:
    """Run a program; its last event is its result or its error. Return its exit code."""
    try:
        main: Main = import_module(module).main
        emit({"event": "result", "result": main(spec, emit)})
    except ConvoyError as error:
        emit({"event": "refused", "kind": type(error).__name__, "message": str(error)})
        return error.exit_code
    except BaseException as error:
        traceback.print_exc()
        emit({"event": "failed", "message": f"{type(error).__name__}: {error}"[:2000]})
        return 1
    return 0


def by_hand(module: str) -> None:
    """Run a program from the command line; its events are lines of JSON on standard output."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {module} SPEC.json")
    spec = read_json(Path(sys.argv[1]))
    if not isinstance(spec, dict):
        sys.exit(f"convoy: {sys.argv[1]} is not a JSON object.")
    cores.prepare()
    sys.exit(run(module, spec, lambda event: print_event(event, sys.stdout)))


def print_event(event: dict[str, Any], stream: Any) -> None:
    """Write one event as one line, at once."""
    stream.write(json.dumps(event) + "\n")
    stream.flush()
