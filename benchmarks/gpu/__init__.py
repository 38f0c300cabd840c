"""What Convoy does with a GPU; takes no package but the core's.

    python -m benchmarks.gpu [RESULT.json] [CASE ...] [--device cuda|cpu] [--quick]

Everything here has a form for a processor too, `--device cpu`, which is there to be tested: its
figures have bounds only where they do not depend on the device.
"""
