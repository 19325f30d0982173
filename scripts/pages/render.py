"""From a template and what it shows to one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import altair
import jinja2
import vl_convert
from markupsafe import Markup

from clip2om.pipeline.console import visible
from clip2om.scripts.pages.charts import Spec
from clip2om.scripts.pages.texts import TEXTS, Text, say

_HERE = Path(__file__).resolve().parent
_KEY = re.compile(r"@([a-z_0-9]+)")


@dataclass(frozen=True)
class Page:
    """What a page is made of.

    Attributes:
        template: File name in ``templates``.
        title: Of the window.
        charts: Specifications by the id of their place in the template.
        content: Everything else that the template names.
    """

    template: str
    title: Text
    charts: Dict[str, Spec]
    content: Mapping[str, Any]


def render(page: Page) -> str:
    """Return the page; everything that is not ours is escaped, in the text and in the data of the charts.

    What turns the direction of writing, or commands a terminal that the text is copied to, is spelled out.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
    environment.globals["say"] = say
    environment.filters.update(percent=_percent, number=_number)
    scripts = [_library(), (_HERE / "static" / "page.js").read_text(encoding="utf-8")]
    return environment.get_template(page.template).render(
        page.content,
        title=page.title,
        style=Markup((_HERE / "static" / "page.css").read_text(encoding="utf-8")),
        scripts=[Markup(text) for text in scripts],
        policy=_policy(scripts),
        data={
            "charts": _shown_within(page.charts),
            "texts": _texts(page),
            "title": _shown_within([page.title.en, page.title.zh]),
        },
        has=set(page.charts),
    )


def _shown(value: Any) -> Any:
    """Return a text with its control characters spelled out; what is markup already is left as it is."""
    if isinstance(value, Text):
        return Text(visible(value.en), visible(value.zh))
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _shown_within(value: Any) -> Any:
    """Return a value of JSON whose texts are shown so."""
    if isinstance(value, dict):
        return {_shown(key): _shown_within(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown_within(item) for item in value]
    return _shown(value)


def _policy(scripts: List[str]) -> str:
    """Return a content security policy under which the browser loads nothing and runs these scripts alone."""
    digests = (hashlib.sha256(text.encode("utf-8")).digest() for text in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)
    inside = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {inside}"


@functools.lru_cache(maxsize=1)
def _library() -> str:
    """Return the scripts that draw charts, of the version that the specifications are written for."""
    version = altair.SCHEMA_VERSION.lstrip("v").rsplit(".", 1)[0]
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)


def _texts(page: Page) -> Dict[str, List[str]]:
    """Return the texts that the charts name, and those that the page's own script needs."""
    used = {key for spec in page.charts.values() for key in _KEY.findall(str({**spec, "datasets": None}))}
    return {key: list(TEXTS[key]) for key in sorted(used & set(TEXTS))}


def _percent(value: Optional[float]) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"


def _number(value: Optional[float], digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
