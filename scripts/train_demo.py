"""``python -m scripts.train_demo``: the name under which users know scripts/demo/train.py."""

from clip2om.scripts.demo.train import main

if __name__ == "__main__":
    raise SystemExit(main())
