"""Chromium without a window, as Debian packages it, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright


class Browser:
    """One tab. `complaints` are what its console was told, `requests` what it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def open(self, address: Path | str, width: int = 1400, height: int = 900) -> None:
        """Show a file or an address in a window of that size, and wait until it is there."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto(address.as_uri() if isinstance(address, Path) else address)

    def forget(self) -> None:
        """Forget what was heard and asked for so far."""
        self.complaints.clear()
        self.requests.clear()


def program() -> str:
    """Return where Chromium is; the test is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not on the PATH: `apt-get install chromium`")
    return found


@contextmanager
def browser(dark: bool = False) -> Iterator[Browser]:
    """Start Chromium with a fresh profile; the test is skipped where there is none."""
    options = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root may not have
    executable = program()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=options)
        try:
            context = chromium.new_context(color_scheme="dark" if dark else "light")
            context.set_default_timeout(60_000)
            yield Browser(context.new_page())
        finally:
            chromium.close()
