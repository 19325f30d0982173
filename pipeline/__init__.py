"""What the five stages share: cards, artifacts, manifests, errors and the console."""
