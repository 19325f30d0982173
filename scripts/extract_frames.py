"""``python -m scripts.extract_frames``: the name under which users know scripts/dataset/extract_frames.py."""

from clip2om.scripts.dataset.extract_frames import main

if __name__ == "__main__":
    raise SystemExit(main())
