"""A real Chromium without a window, from the system's packages, that reports what a page said and asked for."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
)
_WAIT_S = 60


def programs() -> Optional[List[str]]:
    """Return the browser and its driver, or None where the system has none."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return [browser, driver] if browser and driver else None


class Browser:
    """One window; ``open`` shows a file in it."""

    def __init__(self, width: int = 1280, height: int = 900, language: str = "en-US") -> None:
        found = programs()
        if found is None:
            pytest.skip("no chromium and chromedriver on this system: apt-get install chromium chromium-driver")
        self._profile = tempfile.mkdtemp(prefix="clip2om-browser-")
        options = Options()
        options.binary_location = found[0]
        for flag in (
            *_FLAGS,
            f"--user-data-dir={self._profile}",
            f"--window-size={width},{height}",
            f"--lang={language}",
        ):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(found[1]))
        self.size(width, height)
        self.theme("light")

    def close(self) -> None:
        """End the browser and remove its profile."""
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def size(self, width: int, height: int) -> None:
        """Lay the page out for a screen of so many pixels."""
        facts = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", facts)

    def theme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``, as a reader's system does."""
        self.media("", name)

    def media(self, kind: str, theme: str) -> None:
        """Be ``print``, or nothing in particular, for a reader of that theme who wants no moving pictures."""
        preferred = {"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in preferred.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})

    def open(self, path: Path) -> None:
        """Show a page and wait for its charts."""
        self.messages(), self.requests()
        self.driver.get(path.resolve().as_uri())
        self.drawn()

    def drawn(self) -> None:
        """Wait until the charts are drawn in the chosen language."""
        script = "return document.documentElement.dataset.drawn === document.documentElement.lang"
        WebDriverWait(self.driver, _WAIT_S).until(lambda driver: driver.execute_script(script))

    def run(self, script: str, *args: object) -> Any:
        """Return what JavaScript returns."""
        return self.driver.execute_script(script, *args)

    def find(self, selector: str) -> Any:
        """Return the first element of a selector."""
        return self.driver.find_element("css selector", selector)

    def messages(self) -> List[str]:
        """Return what the console holds since the last call: errors, warnings, violations of the policy."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def requests(self) -> List[str]:
        """Return the addresses asked for since the last call, apart from those of data inside the page."""
        found: List[Dict[str, Any]] = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        sent = [item["params"]["request"]["url"] for item in found if item["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    def picture(self, path: Path, whole: bool = False) -> None:
        """Save a PNG of the window, or of the whole page."""
        options = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            box = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            options["clip"] = {**box, "x": 0, "y": 0, "scale": 1}
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self) -> bytes:
        """Return the page as printed."""
        facts = self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
        return base64.b64decode(facts["data"])
