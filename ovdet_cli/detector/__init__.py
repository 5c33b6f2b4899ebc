"""The one inference interface: pictures and a vocabulary in, detections out."""
