"""Pages that show results: one self-contained HTML file each, with its data, its charts and their scripts inside."""
