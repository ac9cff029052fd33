"""The report of a study: one HTML file that needs nothing else, and the same in Markdown."""

from jobs.report.study.report_page import write_report

__all__ = ["write_report"]
