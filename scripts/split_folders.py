"""``python -m scripts.split_folders``: the name under which users know scripts/dataset/split_folders.py."""

from clip2om.scripts.dataset.split_folders import main

if __name__ == "__main__":
    raise SystemExit(main())
