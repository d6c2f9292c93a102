"""A server with curio's page in a process of its own, and a browser that opens it without a display."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from processes import PYTHON

SERVE = """
import sys
from curio_plans.page import add_page
from curio_plans.store import serve
serve(sys.argv[1], port=0, add=lambda tiled: add_page(tiled, sys.argv[1]))
"""

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


class PageServer:
    """The page of a data directory, served by another process."""

    def __init__(self, directory):
        command = [*PYTHON, "-W", "ignore", "-c", SERVE, str(directory)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.page, self.key = self.process.stdout.readline().split()[-1].split("#key=")
        self.watching = re.search(r"#key=(\w+)", self.process.stdout.readline())[1]

    def ask(self, path, key=None, body=None, **headers):
        """Return status, headers and body of a request below the page's address."""
        if key is not None:
            headers["Authorization"] = f"Apikey {key}"
        data = None if body is None else json.dumps(body).encode()
        root = self.page.removesuffix("/curio/") if path.startswith("/") else self.page
        request = urllib.request.Request(root + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def json(self, path, key=None, body=None):
        """Return what the server answers, which must be good."""
        status, _, content = self.ask(path, self.key if key is None else key, body)
        assert status == 200, content
        return json.loads(content)

    def end(self):
        self.process.kill()
        self.process.communicate(timeout=30)


@contextmanager
def browser_page(url, refused=0, **context):
    """Open a page in Chromium; afterwards it must have complained about nothing but so many refused requests."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; on Debian, apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (curio-plans[dev])")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_context(**context).new_page()
            page.set_default_timeout(20_000)
            complaints = []
            page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(url)
            yield page
            assert len(complaints) == refused, complaints
        finally:
            browser.close()


def shows(page, selector, text):
    """Wait until an element has a text."""
    page.locator(selector).filter(has_text=text).wait_for()
