"""A model and an optimizer for deeprob."""
