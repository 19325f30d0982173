"""``python -m scripts.annotate``: the name under which users know scripts/dataset/annotate.py."""

from clip2om.scripts.dataset.annotate import main

if __name__ == "__main__":
    raise SystemExit(main())
