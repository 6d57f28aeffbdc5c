"""Encoders pre-trained on camera frames without labels."""
