"""Everything a page says, in English and Chinese; a text from a dataset never passes through here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from markupsafe import Markup, escape

from clip2om.scripts.pages.words import WORDS

TEXTS: Dict[str, Tuple[str, str]] = dict(WORDS)


@dataclass(frozen=True)
class Text:
    """One text in both languages; in a template it gives both, and the page shows one."""

    en: str
    zh: str

    def __html__(self) -> Markup:
        """Return both languages, escaped, each in an element of its own."""
        if self.en == self.zh:
            return escape(self.en)
        return Markup('<span lang="en">{}</span><span lang="zh-CN">{}</span>').format(self.en, self.zh)

    def __str__(self) -> str:
        return self.en


def add(texts: Dict[str, Tuple[str, str]]) -> None:
    """Take the texts of one command's page; that command takes :func:`say` from the module that adds them."""
    twice = TEXTS.keys() & texts.keys()
    assert not twice, f"two texts for {min(twice)!r}"
    TEXTS.update(texts)


def say(key: str, **values: object) -> Text:
    """Return the text ``key`` with its values filled in; a value that is a :class:`Text` itself keeps its language."""
    english, chinese = TEXTS[key]
    return Text(
        english.format(**{name: getattr(value, "en", value) for name, value in values.items()}),
        chinese.format(**{name: getattr(value, "zh", value) for name, value in values.items()}),
    )
