"""Tracking on scenes that are drawn here, beside a greedy IoU baseline."""
