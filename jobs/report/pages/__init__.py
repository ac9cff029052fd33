"""What the report of a study and the comparison of several have in common: a page in one file, and its figures."""
