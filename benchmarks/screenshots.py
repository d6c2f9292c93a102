"""The pictures of the page in the documentation, from a run that goes on while they are made.

    python -m benchmarks.screenshots docs/images

writes ``page.png`` and ``steer.png`` in about a minute; with ``--all`` also how the list and a run look on a phone and
on a large screen, light and dark. It needs Chromium and the package playwright.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curio_plans.page.runs import Runs
from curio_plans.store.steer import Steer

SCREENS = {"phone": (390, 844, 2), "laptop": (1360, 900, 1), "large": (2560, 1440, 1)}
"""Width and height in pixels of the page, and pixels of the screen for each."""

SERVE = """
import sys
from curio_plans.page import add_page
from curio_plans.store import serve
serve(sys.argv[1], port=0, add=lambda tiled: add_page(tiled, sys.argv[1]))
"""


def wait_for(happened: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError("the run did not come so far")
        time.sleep(0.1)


def picture(browser: Any, address: str, path: Path, screen: str, *, dark: bool = False, layer: str = "") -> None:
    """Open the page of a run, or the list, and keep a picture of what one sees."""
    width, height, ratio = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=ratio,
        color_scheme="dark" if dark else "light",
    )  # fmt: skip
    page = context.new_page()
    page.goto(address)
    if "/run/" in address:
        page.wait_for_selector("body[data-ready]")
        if layer:
            page.select_option("#layer", layer)
    else:
        page.wait_for_selector(".runs li canvas")
    page.wait_for_timeout(1500)
    page.screenshot(path=path, full_page=screen == "phone")
    context.close()


def main() -> None:
    """Make the pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    chromium = next(path for name in ("chromium", "google-chrome") if (path := shutil.which(name)))
    with tempfile.TemporaryDirectory() as data, sync_playwright() as driver:
        serving = [sys.executable, "-W", "ignore", "-c", SERVE, data]
        command = [
            sys.executable, "-m", "curio_plans.cli", "run", "--points", "60", "--seed", "1", "--no-figure",
            "--data", data,
        ]  # fmt: skip
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        with (
            subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server,
            subprocess.Popen(command, stdout=subprocess.DEVNULL) as run,
        ):
            try:
                assert server.stdout is not None
                page, key = server.stdout.readline().split()[-1].split("#key=")
                runs = Runs(Path(data))
                wait_for(lambda: bool(found := runs.list("", 1, 0)["runs"]) and found[0]["points"] >= 20)
                steer = Steer(data, by="Ada")
                steer.approve("accept")
                steer.exclude((0, 500), (1500, 2000))
                steer.note("a scratch at the upper left")
                steer.pick(1000, 1020)
                wait_for(lambda: "suggestion" in runs.view(steer.uid).mailbox.wanted())
                address = f"{page}run/{steer.uid}#key={key}"
                picture(browser, address, given.folder / "steer.png", "laptop")
                if given.all:
                    for screen in SCREENS:
                        for dark in (False, True):
                            name = f"live-{screen}-{'dark' if dark else 'light'}.png"
                            picture(browser, address, given.folder / name, screen, dark=dark, layer="score")
                steer.approve("off")
                run.wait(300)
                picture(browser, address, given.folder / "page.png", "laptop", layer="reducible_error")
                if given.all:
                    picture(browser, f"{page}#key={key}", given.folder / "list-phone.png", "phone", dark=True)
                    picture(browser, f"{page}#key={key}", given.folder / "list-large.png", "large")
            finally:
                run.kill()
                server.kill()
                browser.close()


if __name__ == "__main__":
    main()
