"""The page in a real browser, served as it is: one start of it for all that there is to see."""

import itertools
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from cnisdk.picture.model import Picture
from cnisdk.picture.serve import Server
from tests.unit.picture.pictures import picture

# Debian's; a browser of another name is as good.
NAMES = ("chromium", "chromium-browser", "google-chrome")


def browser() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no chromium is installed")
    return found


def dom(url: str, home: Path) -> str:
    """Return the document as scripts have left it, after some seconds of the browser's own time."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"]
    options += ["--no-first-run", "--disable-dev-shm-usage", f"--user-data-dir={home}/profile"]
    options += ["--virtual-time-budget=9000", "--dump-dom"]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [browser(), *options, url],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_searches_zooms_and_is_live_in_a_browser(tmp_path: Path) -> None:
    """The first picture has no backend; what is asked for next has one, and a leak."""
    pictures = itertools.chain(
        [picture("frontend", "<script>document.title = 'evil'</script>")],
        itertools.repeat(picture("frontend", "backend", leaked="vethleak")),
    )

    def look() -> Picture:
        return next(pictures)

    with Server(look, fresh=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            text = dom(f"{server.url}?q=10.88.0.3&zoom=-3", tmp_path)
        finally:
            server.shutdown()
            thread.join()

    cards = {
        re.search(r"<h3>(.*?)\s+<small>", card)[1]: card.partition(">")[0]  # type: ignore[index]
        for card in text.split("<article ")[1:]
    }
    assert set(cards) == {"frontend", "backend", "gone"}, "the picture that came later"
    assert "hidden" in cards["frontend"]
    assert "hidden" in cards["gone"]
    assert "hidden" not in cards["backend"]
    assert "fresh" in cards["backend"], "what has changed is to be seen"
    assert "1 found" in text
    assert "<title>node: CNI networks</title>" in text
    main = re.search("<main [^>]*>", text)
    assert main is not None
    assert "far" in main.group()
    assert re.search(r'class="live"[^>]*>live<', text)
    assert "--end:" in text
