"""The stage `sweep`: workers that claim slots and train their trials."""
