"""The page beside a session is served as long as the session lives, however that ends."""

import subprocess
import urllib.error
import urllib.request

import pytest
from processes import CURIO


def test_the_page_ends_when_the_process_that_wanted_it_is_gone(data):
    command = [*CURIO, "serve", "--while-open", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        line = next(line for line in server.stdout if line.startswith("page:"))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{line.split()[-1]}api/runs", timeout=20)
        server.stdin.close()  # as the kernel does, whatever ends the other
        server.wait(30)
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(f"{line.split()[-1]}api/runs", timeout=20)
