"""Pictures of what a model does: its units, its weights, its answers."""
