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
        wait(browser, lambda: self.text("#status") != "connecting…")

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
    page.all("main details summary")[0].click()
    assert "explain" in page.text("main summary")
    assert len(page.all(".candidates tr")) >= 6
    assert len(page.all("tr.chosen")) == 1
    wait(browser, lambda: "acquaintance" in page.text("#mood"))
    page.all("[data-npc=sergeant]")[0].click()
    page.say("Hello!")
    wait(browser, lambda: len(page.all("article.npc .said")) >= 1)
    assert "Maud" in page.text("article.npc h2")
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
    assert browser.title == "Lantern Ford · RFSN"


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
    page.all("main details summary")[0].click()
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


def test_it_asks_for_the_key_once(serve: Callable[..., Server], browser: Chrome) -> None:
    server = serve(RFSN_SERVER__KEY="open sesame")
    browser.get(server.http)
    (field,) = wait(browser, lambda: browser.find_elements("css selector", "#login input"))
    field.send_keys("wrong\n")
    wait(browser, lambda: "not valid" in browser.find_element("css selector", "#login .note").text)
    field.clear()
    field.send_keys("open sesame\n")
    wait(browser, lambda: len(browser.find_elements("css selector", "#npcs button")) == 5)
    assert "sesame" not in browser.execute_script("return document.cookie + JSON.stringify(localStorage)")
    page = Page(browser, server.http)  # a new page of the same browser is signed in
    page.answered("Hello!")
    browser.get(f"{server.http}/operate")
    wait(browser, lambda: "stage" in page.text("#parts"))


def test_what_was_said_is_there_after_a_reload(serve: Callable[..., Server], browser: Chrome) -> None:
    page = Page(browser, serve(RFSN_SPEECH__PROVIDER="silent").http)
    openings = [node.text for node in page.all("#openings button")]
    assert "When does the ferry run?" in openings
    page.all("#openings button")[openings.index("When does the ferry run?")].click()
    wait(browser, lambda: page.all("article.npc .renderer:not(:empty)"))
    said = page.text("article.npc .words")
    assert said
    wait(browser, lambda: page.text("[data-npc=innkeeper] .mood").endswith("acquaintance"))
    browser.refresh()
    wait(browser, lambda: page.text("article.npc .words") == said)
    assert page.text("article.player") == "When does the ferry run?"
    assert page.all("#openings button") == []
    page.all(".judge [data-verdict=good]")[0].click()
    wait(browser, lambda: page.text(".thanks") == "Noted: good.")
    link = page.all(".judge a")[0].get_attribute("href")
    browser.get(link)
    assert "explain, because" in page.until("#timeline .because")
    assert "The ferry has not run" in page.text("#timeline .steps")
    assert page.complaints() == []


def test_an_operator_finds_what_an_npc_remembers_and_makes_it_forget(
    serve: Callable[..., Server], browser: Chrome
) -> None:
    page = Page(browser, serve(RFSN_SPEECH__PROVIDER="silent").http)
    page.answered("My name is Aldric.")
    page.all("#game summary")[0].click()
    page.all("#deeds [data-kind=gift]")[0].click()
    browser.get(browser.current_url + "inspect")
    page.until("#list .said")
    page.all("#list button")[0].click()
    page.until("#timeline .because")
    page.all("#whose button")[0].click()
    assert "sees" in page.until("#known p")
    wait(browser, lambda: page.all("#known .buttons button"))
    [forget] = [node for node in page.all("#known .buttons button") if node.text == "forget"][:1]
    forget.click()
    wait(browser, lambda: "forgotten" in page.text("#known"))
    page.all("#recall-words")[0].send_keys("Aldric\n")
    wait(browser, lambda: page.text("#recalled"))
    assert page.complaints() == []


def test_an_operator_sees_the_server_and_makes_a_key(serve: Callable[..., Server], browser: Chrome) -> None:
    page = Page(browser, serve(RFSN_SPEECH__PROVIDER="silent").http)
    page.answered("Hello!")
    browser.get(browser.current_url + "operate")
    wait(browser, lambda: "1 turns since the start" in page.text("#status"))
    wait(browser, lambda: page.text(".plot dd"))
    assert "All is well" in page.until("#alerts")
    page.all("#find-setting")[0].send_keys("fear")
    page.all("#keys input")[0].send_keys("me")
    page.all("#keys form button")[0].click()
    key = page.until("#keys .made code")
    assert key.startswith("rfsn_")
    browser.set_window_size(390, 844)
    browser.refresh()  # from now on a key is needed, and this browser has shown one
    wait(browser, lambda: "me" in page.text("#keys td"))
    wait(browser, lambda: page.text(".plot dd"))
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
