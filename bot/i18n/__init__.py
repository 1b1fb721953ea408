"""What people read, in each language."""
