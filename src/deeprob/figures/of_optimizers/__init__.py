"""Pictures of optimizers that race each other: runs, and paths on surfaces."""
