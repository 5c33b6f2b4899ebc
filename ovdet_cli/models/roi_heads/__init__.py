"""Proposals -> refined boxes, region features, masks."""
