"""The experiment, which is all that decides the result: its fields, its files, and its part of the chart."""
