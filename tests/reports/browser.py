"""A page in a headless browser: what it complains of, fetches and overflows by."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_SCRIPT = """<script>
    addEventListener("error", e => document.body.dataset.failed = "error " + e.message, true);
    addEventListener("load", () => {
      const images = [...document.images];
      document.body.dataset.images = images.length;
      document.body.dataset.decoded = images.filter(i => i.complete && i.naturalWidth > 0).length;
      const fetched = performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:"));
      document.body.dataset.requests = fetched.length;
      document.body.dataset.wide = document.documentElement.scrollWidth - innerWidth;
    });</script></head>"""


def open_page(text: str, folder: Path, width: int = 1280) -> dict[str, str]:
    """Open a page; asserts that the browser's console stays silent.

    Returns:
        `images`, `decoded`, `requests`, `wide` (pixels that it scrolls sideways), and `failed` after an error.
    """
    assert CHROMIUM is not None
    page = folder / "opened.html"
    page.write_text(text.replace("</head>", _SCRIPT, 1))
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
            "--enable-logging=stderr", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    body = re.search(r"<body[^>]*>", done.stdout)
    assert body is not None
    return dict(re.findall(r'data-(\w+)="([^"]*)"', body.group()))
