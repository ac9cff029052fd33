"""What other programs that show trainings get of a study."""
