"""Functions that draw results and return an `Exhibit`. The caller saves it."""
