"""The command line: what a person types, and the exit code it ends with."""
