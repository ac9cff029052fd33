"""Figures as functions from results to an Exhibit; saving them is the caller's business."""
