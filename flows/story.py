"""What a flow run's page in Prefect tells: the table, the verdict, and where the rest is."""

import re

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

KEY = re.compile(r"[^a-z0-9]+")


def tell(about: str, markdown: str) -> None:
    """Show Markdown on the run's page, and as the newest of its kind among Prefect's artifacts.

    `about` is what the story is of, as a model's name. It costs no run that has come so far.
    """
    key = KEY.sub("-", about.lower()).strip("-") or "run"
    try:
        create_markdown_artifact(markdown=markdown, key=key)
    except Exception as error:
        get_run_logger().warning("the run's page could not be told its story: %s", error)
