"""``python -m scripts.demo_dataset``: the name under which users know scripts/demo/dataset.py."""

from clip2om.scripts.demo.dataset import main

if __name__ == "__main__":
    raise SystemExit(main())
