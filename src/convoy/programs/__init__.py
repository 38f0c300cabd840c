"""Work that runs in a process of its own, so that anybody may kill it.

A program is a module with `main(spec, emit) -> result`: JSON values in, JSON events on the way, a
JSON result at the end. The same spec runs under a flow, on a cluster's node, or by hand with
`python -m MODULE spec.json`.
"""
