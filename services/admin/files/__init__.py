"""What is held against what should be: checks, orphans, the end of deletions."""
