"""What an installation holds: the rooms of the checkout, each a package below the one import name clip2om.

The rooms stand at the top of the checkout, so that ``python -m export`` works there, and are mapped below ``clip2om``
here: one source of every module, and nothing of an installation is called ``export`` or ``convert`` at the top, where
another project's packages could be called so too. What an extra needs is read from requirements/, which ``make`` reads
as well.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.editable_wheel import editable_wheel

HERE = Path(__file__).resolve().parent
ROOMS = ("convert", "export", "infer", "pipeline", "postprocess", "preprocess", "scripts")
# Folders without code that are read where they stand.
DATA = ("models", "models/labels", "requirements")
EXTRAS = {
    "cpu": ("core", "openvino"),
    "torch": ("torch",),
    "tensorflow": ("tensorflow",),
    "paddle": ("paddle",),
    "mindspore": ("mindspore",),
    "report": ("report",),
    "int8": ("quantize",),
    "drift": ("drift",),
    "plot": ("plot",),
    "ray": ("ray",),
}
FILES = ("*.c", "*.json", "*.pth", "*.toml", "*.txt", "py.typed", "static/*", "templates/*")


def package_folders():
    """Return the folder of each package."""
    folders = {"clip2om": "clip2om"}
    folders.update({f"clip2om.{name}": f"clip2om/{name.replace('.', '/')}" for name in find_packages("clip2om")})
    for room in ROOMS:
        folders[f"clip2om.{room}"] = room
        folders.update({f"clip2om.{room}.{name}": f"{room}/{name.replace('.', '/')}" for name in find_packages(room)})
    folders.update({f"clip2om.{folder.replace('/', '.')}": folder for folder in DATA})
    return folders


def requirements(name):
    """Return the lines of a file of requirements/ that name a package, those of files it includes in their place."""
    found = []
    for line in (HERE / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found += requirements(line[len("-r ") : -len(".txt")])
        elif line and not line.startswith("#"):
            found.append(line)
    return found


class EditableWheel(editable_wheel):
    """An editable installation is the checkout itself on the path, where clip2om finds its rooms beside it."""

    def finalize_options(self):
        """Leave the mapping out, for which setuptools would take an import hook."""
        self.distribution.packages, self.distribution.package_dir = ["clip2om"], {"": "."}
        super().finalize_options()


FOLDERS = package_folders()
# Apart from what the stages build, and empty: a module that was renamed must not come back from an earlier wheel.
WORK = "build/wheel"
shutil.rmtree(HERE / WORK, ignore_errors=True)
(HERE / WORK).mkdir(parents=True)
setup(
    packages=list(FOLDERS),
    package_dir=FOLDERS,
    package_data={"": list(FILES)},
    install_requires=requirements("host"),
    extras_require={extra: [line for name in names for line in requirements(name)] for extra, names in EXTRAS.items()},
    options={"build": {"build_base": WORK}, "egg_info": {"egg_base": WORK}},
    cmdclass={"editable_wheel": EditableWheel},
)
