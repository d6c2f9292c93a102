"""The page in a real browser."""

import shutil
import subprocess

from browser import PageServer, browser_page, shows
from processes import PYTHON
from support import until

from curio_plans.documents.history import History
from curio_plans.documents.streams import Answered, Steered
from curio_plans.store.storage import Storage

HOSTILE = "<b>ann</b> <img src=x onerror=alert(1)>"


def test_a_run_is_found_and_shown_and_hostile_names_stay_text(served):
    server, uid = served
    with browser_page(f"{server.page}#key={server.key}") as page:
        assert "key=" not in page.url
        page.locator(".runs li a").click()
        page.wait_for_selector("body[data-ready]")
        assert uid in page.url
        assert page.text_content("#title").startswith("<script>document.title='owned'</script>")
        assert page.title().startswith("curio: <script>")
        assert page.locator("main script, main img, header img").count() == 0
        assert page.text_content("#shown") == "decision 12 of 12"
        assert "12 of 12" in page.text_content("#facts")
        page.locator("#slider").focus()
        page.keyboard.press("ArrowLeft")
        shows(page, "#shown", "decision 11 of 12")
        page.select_option("#layer", "true_error")
        shows(page, "#legend", "map after 8 points")
        page.locator("#scene").focus()
        page.keyboard.press("ArrowRight")
        shows(page, "#why", "at")
        page.wait_for_selector("#spectrum svg.main-svg")  # plotly comes after the page


def test_without_a_key_the_page_asks_for_it(served):
    server, _ = served
    with browser_page(server.page, refused=1, viewport={"width": 390, "height": 844}) as page:
        page.wait_for_selector("#notice input")
        page.fill("#notice input", server.watching)
        page.keyboard.press("Enter")
        page.wait_for_selector(".runs li")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390


STEERED = """
import sys
from curio_plans.store import Storage
from curio_plans.plans import curiosity
from agents.protocols import Question
from agents.registry import build, configure
from bluesky import RunEngine
from ophyd_devices import AFM
from ophyd_devices.twin import twin

afm = AFM(twin(seed=3), name="afm")
afm.imager.pixels.put((32, 32))
afm.spectrometer.steps_per_cycle.put(16)
afm.spectrometer.cycles.put(2)


class Asking:
    "It asks a question after 14 points; for the rest it chooses at random."

    def __init__(self, config):
        self.inner = build(config)
        self.config, self.parts, self.losses = self.inner.config, (), ()
        self.points, self.asked = 0, False

    def ingest(self, *records):
        self.points += sum(type(record).__name__ == "Observation" for record in records)
        self.asked |= any(type(record).__name__ == "Answer" for record in records)
        self.inner.ingest(*records)

    def suggest(self, n=1, context=None):
        if self.points >= 14 and not self.asked:
            return Question("Is <b>the tip</b> still good?", ("yes", "no"))
        return self.inner.suggest(n, context)

    def report(self, context=None):
        return self.inner.report(context)


with Storage.local(sys.argv[1]) as storage:
    engine = RunEngine({})
    storage.attach(engine)
    plan = curiosity(afm, configure("random", seed=1), 16, build=Asking, steer=storage.mailbox)
    # Before the first decision the run pauses: the browser comes when it comes.
    pause = {"act": "pause", "values": {}, "by": "test"}
    engine.subscribe(lambda name, doc: storage.mailbox(doc["uid"]).ask(pause), "start")
    engine(plan)
afm.close()
"""


def test_a_run_of_another_process_is_watched_and_steered(empty, tmp_path):
    data = shutil.copytree(empty, tmp_path / "data")
    server = PageServer(data)
    with subprocess.Popen([*PYTHON, "-W", "ignore", "-c", STEERED, str(data)]) as process:
        try:
            steer_in_a_browser(server)
            assert process.wait(60) == 0
        finally:
            process.kill()
            server.end()
    with Storage.local(data, writable=False) as storage:
        documents = storage.documents("latest")
    history = History(documents)
    acts = [(act.act, act.by) for act in history.of(Steered)]
    told = ["pick", "exclude", "points", "note", "approve", "go", "skip", "approve", "answer"]
    assert acts == [("pause", "test"), *((act, HOSTILE) for act in told)]
    assert len(history.observations) == 15
    assert history.decisions[0].phase == "human"
    assert history.of(Answered)[0].text == "yes"


def middle(page):
    """Scroll to the image; return a place near its middle in the window."""
    page.locator("#scene").scroll_into_view_if_needed()
    box = page.locator("#scene").bounding_box()
    return box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"]


def steer_in_a_browser(server):
    until(lambda: server.json("api/runs")["runs"], 60)
    uid = server.json("api/runs")["runs"][0]["uid"]
    with browser_page(f"{server.page}run/{uid}#key={server.key}") as page:
        page.wait_for_selector("body[data-ready]")
        shows(page, "#state", "paused")
        page.fill("#by", HOSTILE)
        page.mouse.click(*middle(page))
        page.click("#pick")
        shows(page, "#told", "is measured next")
        page.click("#exclude")
        x, y = middle(page)
        page.mouse.move(x + 40, y + 40)
        page.mouse.down()
        page.mouse.move(x + 90, y + 90)
        page.mouse.up()
        shows(page, "#told", "candidates")
        page.fill("#points", "15")
        page.click("#set-points")
        shows(page, "#told", "measure 15 points")
        page.fill("#until", "0.3")
        page.click("#set-until")
        shows(page, "#told", "this agent does not estimate its error")
        page.fill("#note", HOSTILE)
        page.keyboard.press("Enter")
        shows(page, "#log", "<img src=x onerror=alert(1)>")
        page.select_option("#approve", "accept")
        shows(page, "#told", "after a yes")
        page.click("#go")
        shows(page, "#wanted", "Measure at")
        shows(page, "#legend", "next 1")
        page.click("#wanted button:has-text('skip')")
        shows(page, "#told", "skip the suggestion")
        page.select_option("#approve", "off")
        shows(page, "#wanted", "Is <b>the tip</b> still good?")
        page.click("#wanted button:has-text('yes')")
        shows(page, "#state", "ended")
        shows(page, "#facts", "15 of 15")
        assert page.locator("main img, main b").count() == 0
