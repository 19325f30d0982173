"""The house itself: its rooms, what each imports of which, and the rules that this follows."""
