"""Training as a program of its own: `python -m convoy.training spec.json`.

A flow never imports the Trainer. Signals, memory and crashes stay inside one process that anybody
may kill; what it leaves in its folder is enough to go on.
"""
