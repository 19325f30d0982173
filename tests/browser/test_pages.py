"""The pages in a real browser: drawn without errors or requests, usable by mouse and keyboard, in both languages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, List

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import Browser
from tests.browser.conftest import HOSTILE, SCRIPT

_CHARTS = {
    "report": {"accuracy", "confusion", "clips", "latency", "timeline", "reliability"},
    "large": {"accuracy", "confusion", "clips", "latency", "timeline", "reliability"},
    "compare": {"drift", "latency"},
    "drift": {"layers"},
}


def _column(browser: Browser, number: int) -> List[str]:
    rows = "[...document.querySelectorAll('#class-table tbody tr')]"
    return browser.run(f"return {rows}.map((row) => row.cells[arguments[0]].textContent)", number)


def _rows(browser: Browser) -> List[str]:
    return _column(browser, 0)


def _tooltip(browser: Browser) -> str:
    def shown(_: object) -> object:
        return browser.run(
            "const tip = document.getElementById('vg-tooltip-element');"
            "return tip && tip.classList.contains('visible') ? tip.textContent : null"
        )

    return WebDriverWait(browser.driver, 10).until(shown)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", sorted(_CHARTS))
def test_a_page_is_drawn_without_errors_and_asks_for_nothing(
    browser: Browser, pages: Dict[str, Path], name: str, width: int, theme: str
) -> None:
    browser.size(width, 900)
    browser.theme(theme)
    browser.open(pages[name])
    drawn = browser.run(
        "return [...document.querySelectorAll('.chart')].filter((c) => c.querySelector('svg, canvas')).map((c) => c.id)"
    )
    assert {f"chart-{chart}" for chart in _CHARTS[name]} == set(drawn)
    assert browser.messages() == []
    assert browser.requests() == [pages[name].resolve().as_uri()]
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(18, 22, 28)" if theme == "dark" else "rgb(255, 255, 255)")


def test_20000_videos_of_400_classes_open_at_once(browser: Browser, pages: Dict[str, Path]) -> None:
    start = time.perf_counter()
    browser.open(pages["large"])
    assert time.perf_counter() - start < 10


def test_hostile_names_stay_text(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.size(1280, 900)
    for name in ("report", "compare"):
        browser.open(pages[name])
        assert browser.driver.title.startswith("made_up")
        assert browser.run("return document.querySelectorAll('img:not([src^=\"data:image/jpeg\"])').length") == 0
        assert browser.run("return document.scripts.length") == 3
        ids = browser.run("return [...document.querySelectorAll('.strip .id')].map((node) => node.textContent)")
        assert ids and all(found.endswith(f"{HOSTILE}{SCRIPT}") for found in ids)
    browser.open(pages["drift"])
    assert browser.driver.title.startswith("made_up")
    assert browser.run("return document.images.length") == 0 and browser.run("return document.scripts.length") == 3
    assert browser.find("#layers b.wrong").text == f"{HOSTILE}{SCRIPT}"
    browser.open(pages["report"])
    assert HOSTILE in _rows(browser)
    # The axis shortens what is too long, and shows the sign that would begin an element.
    assert "<img src=x" in browser.run("return document.querySelector('#chart-confusion').textContent")


def test_the_switch_speaks_chinese_everywhere(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.open(pages["report"])
    assert "Confusion matrix" in browser.find("main").text
    browser.find('button[data-lang="zh-CN"]').click()
    browser.drawn()
    text = browser.find("main").text
    assert "混淆矩阵" in text and "Confusion matrix" not in text
    assert browser.driver.title == "made_up：报告"
    assert browser.run("return document.documentElement.lang") == "zh-CN"
    assert "每批次毫秒" in browser.find("#chart-latency").text
    assert "top-1，视频" in browser.find("#chart-accuracy").text
    assert browser.find('button[data-lang="zh-CN"]').get_attribute("aria-pressed") == "true"
    assert browser.find("nav").get_attribute("aria-label") == "目录"
    assert browser.find("#accuracy .wide").get_attribute("aria-label") == "准确率"
    assert browser.find("#chart-latency").get_attribute("aria-label") == "时延"
    browser.find('button[data-lang="en"]').click()
    browser.drawn()
    assert "milliseconds per batch" in browser.find("#chart-latency").text
    assert browser.messages() == []


def test_a_chinese_reader_is_met_in_chinese(pages: Dict[str, Path]) -> None:
    opened = Browser(language="zh-CN")
    try:
        opened.open(pages["compare"])
        assert "两次运行的差异始于何处" in opened.find("main").text
    finally:
        opened.close()


def test_headings_sort_the_table_by_mouse_and_keyboard(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.size(1280, 900)
    browser.open(pages["large"])
    head = browser.driver.find_elements("css selector", "#class-table thead th")
    values = [float(text.split()[0]) for text in _column(browser, 1)]
    assert head[1].get_attribute("aria-sort") == "ascending" and values == sorted(values)
    head[1].find_element("tag name", "button").click()
    values = [float(text.split()[0]) for text in _column(browser, 1)]
    assert head[1].get_attribute("aria-sort") == "descending" and values == sorted(values, reverse=True)
    assert values[0] > values[-1]
    first = head[0].find_element("tag name", "button")
    browser.run("arguments[0].focus()", first)
    first.send_keys(Keys.ENTER)
    assert head[1].get_attribute("aria-sort") is None
    assert _rows(browser) == sorted(_rows(browser), reverse=True)
    first.send_keys(Keys.SPACE)
    assert head[0].get_attribute("aria-sort") == "ascending"
    assert _rows(browser)[0] == "class_000" and len(_rows(browser)) == 400


def test_the_drift_by_layer_is_sorted_hovered_and_told_in_chinese(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.size(1280, 900)
    browser.open(pages["drift"])
    assert "First layer beyond a limit" in browser.find("main").text
    heads = browser.driver.find_elements("css selector", "#layers thead th")
    assert heads[0].get_attribute("aria-sort") == "ascending"
    heads[4].find_element("tag name", "button").click()
    cells = "return [...document.querySelectorAll('#layers tbody tr')].map((row) => row.cells[4].textContent)"
    values = browser.run(cells)
    # NaN has no place in an order: it goes last.
    assert values[0] == "0.5" and values[-2:] == ["0", "nan"]
    assert [float(value) for value in values[:-1]] == sorted((float(value) for value in values[:-1]), reverse=True)
    point = browser.run(
        "return [...document.querySelectorAll('#chart-layers .mark-symbol path')]"
        ".find((path) => getComputedStyle(path).fill === arguments[0])",
        browser.run("return getComputedStyle(document.querySelector('.notes')).borderLeftColor"),
    )
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", point)
    ActionChains(browser.driver).move_to_element(point).perform()
    assert "relative error" in _tooltip(browser) and HOSTILE in _tooltip(browser)
    browser.find('button[data-lang="zh-CN"]').click()
    browser.drawn()
    text = browser.find("main").text
    assert "首个超出限值的层" in text and "1 层在另一侧没有对应" in text and "Layers" not in text
    assert browser.messages() == []


def test_everything_can_be_reached_by_keyboard(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.open(pages["report"])
    seen = []
    for _ in range(60):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        seen.append(
            browser.run(
                "const e = document.activeElement; return e.className || e.dataset.lang || e.dataset.zoom || e.tagName"
            )
        )
    assert seen[0] == "skip"
    assert {"en", "zh-CN", "in", "out", "all"} <= set(seen)
    assert browser.run("return document.querySelectorAll('#class-table th button').length") == 7


def test_hovering_a_cell_tells_its_classes(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.size(1280, 900)
    browser.open(pages["report"])
    cell = browser.find("#chart-confusion .mark-rect path")
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", cell)
    ActionChains(browser.driver).move_to_element(cell).perform()
    text = _tooltip(browser)
    assert "true class" in text and "predicted class" in text and "share of the true class" in text
    assert HOSTILE in text
    assert browser.run("return document.querySelectorAll('#vg-tooltip-element img').length") == 0
    assert browser.driver.title.startswith("made_up")


def test_hovering_a_bar_of_a_chart(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.open(pages["report"])
    bar = browser.find("#chart-timeline .mark-rect path")
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", bar)
    ActionChains(browser.driver).move_to_element(bar).perform()
    assert "milliseconds per batch" in _tooltip(browser)


@pytest.mark.parametrize("name", ["report", "large"])
def test_the_matrix_zooms_by_buttons_and_wheel(browser: Browser, pages: Dict[str, Path], name: str) -> None:
    browser.size(1280, 900)
    browser.open(pages[name])
    place = browser.find("#chart-confusion")
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", place)

    def picture() -> str:
        time.sleep(0.4)
        return place.screenshot_as_base64

    whole = picture()
    for name_ in ("in", "out"):
        browser.find(f'button[data-zoom="{name_}"]').click()
        assert (picture() == whole) == (name_ == "out")
    chain = ActionChains(browser.driver).key_down(Keys.CONTROL).scroll_from_origin(_middle(place), 0, -300)
    chain.key_up(Keys.CONTROL).perform()
    assert picture() != whole
    browser.find('button[data-zoom="all"]').click()
    assert picture() == whole
    assert browser.messages() == []


def _middle(place: object) -> object:
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    return ScrollOrigin.from_element(place)  # type: ignore[arg-type]


def test_a_dark_page_prints_dark_on_white(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.theme("dark")
    browser.open(pages["report"])
    browser.media("print", "dark")
    try:
        assert browser.run("return getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
        assert browser.run("return getComputedStyle(document.querySelector('.bar')).display") == "none"
        label = "return getComputedStyle(document.querySelector('#chart-latency .role-axis-title text')).fill"
        assert browser.run(label) == "rgb(27, 31, 36)"
    finally:
        browser.media("", "dark")
    assert browser.pdf().startswith(b"%PDF")
    browser.theme("light")


def test_without_scripts_the_tables_are_there(browser: Browser, pages: Dict[str, Path]) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.driver.get(pages["report"].as_uri())
        text = browser.find("main").text
        assert "Scripts are off" in text and "walk" in text and "没有" not in text
        assert not browser.find(".switch").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
