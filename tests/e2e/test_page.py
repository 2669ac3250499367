"""The page at `/`, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rfsn_core.settings.folders import example_world
from rfsn_core.testing import make_world
from rfsn_core.testing.engine import StandIn
from rfsn_core.testing.process import Server
from rfsn_core.testing.xvasynth import XvaSynthStandIn

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.browser
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage --autoplay-policy=no-user-gesture-required"
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    driver = shutil.which("chromedriver")
    assert driver, "chromedriver is missing: apt-get install chromium chromium-driver"
    options = ChromeOptions()
    for argument in (*ARGUMENTS.split(), f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options, ChromeService(driver)) as browser:
        yield browser


def wait(browser: Chrome, condition: Callable[[], Any]) -> Any:
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 15, 0.05, [StaleElementReferenceException]).until(lambda _: condition())


KOKORO = 'kokoro.model = "k.onnx"\nkokoro.voices = "v.bin"\nkokoro.threads = 1\n'


class Page:
    """What a person does with it."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser = browser
        browser.get(address)
        wait(browser, lambda: self.all("#npcs button"))

    def all(self, selector: str) -> list[Any]:
        return list(self.browser.find_elements("css selector", selector))

    def text(self, selector: str) -> str:
        return " ".join(element.text for element in self.all(selector)).strip()

    def say(self, text: str) -> None:
        self.browser.find_element("id", "text").send_keys(text + "\n")

    def answered(self, text: str) -> None:
        """Say it, and wait until the NPC has said all that it says."""
        replies = len(self.all("article.npc"))
        self.say(text)
        wait(self.browser, lambda: len(self.all("article.npc .renderer:not(:empty)")) > replies)

    def until(self, selector: str) -> str:
        return str(wait(self.browser, lambda: self.text(selector)))

    def complaints(self) -> list[str]:
        log: list[dict[str, str]] = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]


def test_a_person_talks_to_an_npc_and_sees_its_mind(serve: Callable[..., Server], browser: Chrome) -> None:
    page = Page(browser, serve().http)
    assert len(page.all("#npcs button")) == 5
    page.all("[data-npc=innkeeper]")[0].click()
    page.say("When does the ferry run?")
    page.until(".words .speaking")  # it is heard, too
    seen = set()

    def moves() -> bool:
        seen.add(page.all("#mouth")[0].get_attribute("data-shape"))
        return len(seen) >= 5

    wait(browser, moves)
    wait(browser, lambda: len(page.all(".timings tr")) >= 4)
    page.all("details summary")[0].click()
    assert "explain" in page.text("main summary")
    assert len(page.all(".candidates tr")) >= 6
    assert len(page.all("tr.chosen")) == 1
    assert "acquaintance" in page.text("#mood")
    page.all("[data-npc=sergeant]")[0].click()
    page.say("Hello!")
    wait(browser, lambda: len(page.all("article.npc .said")) >= 3)
    assert page.complaints() == []


def test_the_mystery_is_solved_on_the_page(serve: Callable[..., Server], browser: Chrome) -> None:
    page = Page(browser, serve(RFSN_SPEECH__PROVIDER="silent").http)
    page.all("#game summary")[0].click()
    walk = (example_world() / "README.md").read_text("utf-8").partition("### A walk-through")[2]
    for npc, said in re.findall(r"^\| (?!to )(\w+) \| (.+?) \|", walk, re.MULTILINE):
        page.all(f"[data-npc={npc}]")[0].click()
        if said.startswith("*"):
            page.all(f"#deeds [data-kind={said.strip('*')}]")[0].click()
        else:
            page.answered(said)
    heard = browser.execute_script("return JSON.parse(localStorage.getItem('rfsn.heard'))")
    assert heard[-1] == "maud_move"
    page.all("#flags")[0].send_keys("corin_found\t")
    page.say("What about Corin?")
    wait(browser, lambda: "maud_found" in browser.execute_script("return localStorage.getItem('rfsn.heard')"))
    assert page.complaints() == []


def test_what_is_said_is_text_and_never_markup(serve: Callable[..., Server], browser: Chrome) -> None:
    page = Page(browser, serve().http)
    page.say("<img src=x onerror=document.title='owned'> hello")
    page.until(".words .said")
    assert page.all("main img") == []
    assert browser.title == "RFSN"


def test_a_person_interrupts(serve: Callable[..., Server], browser: Chrome) -> None:
    page = Page(browser, serve(RFSN_RENDERING__SCRIPTED__WORDS_PER_SECOND="2").http)
    page.say("When does the ferry run?")
    page.until("main summary")
    page.all("#stop")[0].click()
    assert "Interrupted" in page.until(".note")
    wait(browser, lambda: not page.all("#stop")[0].is_displayed())


def test_it_fits_a_phone(serve: Callable[..., Server], browser: Chrome) -> None:
    browser.set_window_size(390, 844)
    page = Page(browser, serve().http)
    page.say("x" * 300)
    page.until(".words .said")
    page.all("details summary")[0].click()
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert page.all("#send")[0].is_displayed()


def test_it_comes_back_when_the_server_does(serve: Callable[..., Server], browser: Chrome) -> None:
    server = serve()
    page = Page(browser, server.http)
    server.kill()
    wait(browser, lambda: "trying again" in page.text("#status"))
    serve("--port", str(server.port))
    wait(browser, lambda: page.text("#status") == "connected")
    page.say("Are you still there?")
    page.until(".words .said")


def test_it_shows_an_engine_that_fails_and_comes_back(
    serve: Callable[..., Server], browser: Chrome, tmp_path: Path
) -> None:
    with StandIn(["Good ", "evening.\n", 'FINAL_JSON {"action": "attack"}']) as engine:
        settings = (
            '[rendering]\nprovider = "vllm"\nattempts = 1\nbreaker_failures = 1\nbreaker_seconds = 1\n'
            f'[rendering.vllm]\nurl = "{engine.url}/v1"\n[speech]\nprovider = "silent"\n'
        )
        page = Page(browser, serve(world=make_world(tmp_path / "world", settings)).http)
        page.say("Hello!")
        wait(browser, lambda: "attack" in page.text(".note"))
        engine.stop()
        page.say("Hello again!")
        wait(browser, lambda: "scripted speaks, because vllm failed" in page.text(".note"))
        wait(browser, lambda: "left alone" in page.text("#status"))
        browser.refresh()
        wait(browser, lambda: "left alone" in page.text("#status"))
        engine.restart()

        def works() -> bool:
            page.say("And now?")
            return "works again" in page.text("#status")

        wait(browser, works)
    assert page.complaints() == []


@pytest.mark.engines
@pytest.mark.parametrize("provider", ["kokoro", "piper", "xvasynth"])
def test_each_voice_is_heard_and_moves_the_mouth(
    serve: Callable[..., Server], browser: Chrome, tmp_path: Path, provider: str
) -> None:
    from rfsn_core.testing.tiny import write_kokoro, write_piper

    with XvaSynthStandIn() as program:
        tables = f'piper.model = "p.onnx"\n{KOKORO}xvasynth.url = "{program.url}"\nxvasynth.voice = "/m/narrator"\n'
        world = make_world(tmp_path / "world", f'[speech]\nprovider = "espeak"\n{tables}')
        page = Page(browser, serve(world=world).http)
        if provider == "piper":
            from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

            write_piper(world / "p.onnx", DEFAULT_PHONEME_ID_MAP)
        elif provider == "kokoro":
            write_kokoro(world / "k.onnx", world / "v.bin")
        settings = world / "rfsn.toml"
        settings.write_text(settings.read_text("utf-8").replace('"espeak"', f'"{provider}"'), "utf-8")
        wait(browser, lambda: "settings changed" in page.text("#status"))
        page.say("What happened here?")
        page.until(".words .speaking")
        seen = set()

        def moves() -> bool:
            seen.add(page.all("#mouth")[0].get_attribute("data-shape"))
            return len(seen) >= 4

        wait(browser, moves)
        assert page.complaints() == []


def test_it_asks_for_the_key(serve: Callable[..., Server], browser: Chrome) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    server = serve(RFSN_SERVER__KEY="open sesame")
    browser.get(server.http)

    def prompt() -> Any:
        try:
            return browser.switch_to.alert
        except NoAlertPresentException:
            return None

    question = wait(browser, prompt)
    question.send_keys("open sesame")
    question.accept()
    page = Page.__new__(Page)
    page.browser = browser
    wait(browser, lambda: len(page.all("#npcs button")) == 5)
