"""Objects that keep their name through a video: detections in, the same with track ids out."""
