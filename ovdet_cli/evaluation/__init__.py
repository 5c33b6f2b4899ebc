"""Evaluation: ground truth and results in, numbers out."""
