"""Measurements of losses and models beyond training: gradients, landscapes, surfaces, planes, separability."""
