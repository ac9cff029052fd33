"""The experiment: all that decides the result, read from presets and files, checked, and handed to the chart."""
