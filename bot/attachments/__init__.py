"""Read the files of a question."""
