"""clip2om: trained video models, compiled for Ascend NPUs or this machine's CPU, and proven to answer right.

Every room of the project is a package below this name. In a checkout the rooms are folders beside this one, so that
``python -m export`` works there; an installation has them inside. One import name for both, and no second copy of
any module, because no file imports a room by a shorter name.

For other programs there is :mod:`clip2om.api`, and nothing else.
"""

# Old Pythons read this file to be told that they are too old: it keeps to what they can parse.
import os
import sys

__version__ = "0.2.0"

if sys.version_info < (3, 9):
    sys.stderr.write(
        "clip2om: error: this is Python {}.{}; clip2om needs Python 3.9 or newer; "
        "name one with PYTHON=python3.11 or --python\n".format(*sys.version_info[:2])
    )
    raise SystemExit(2)

_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if os.path.isfile(os.path.join(_CHECKOUT, "pipeline", "card.py")):
    __path__.append(_CHECKOUT)


def __getattr__(name):  # type: (str) -> object
    """Load ``clip2om.api`` when it is first asked for: ``import clip2om`` itself loads nothing."""
    if name == "api":
        import importlib

        return importlib.import_module("clip2om.api")
    raise AttributeError("module 'clip2om' has no attribute {!r}".format(name))
