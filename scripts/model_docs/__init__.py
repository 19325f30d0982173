"""docs/models.md from the cards."""
