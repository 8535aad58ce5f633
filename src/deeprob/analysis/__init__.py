"""Analyses of losses and models: gradient checks, loss landscapes, optimizers on surfaces, class boundaries."""
