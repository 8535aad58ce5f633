"""Pictures of the plane after each layer: where points, a grid and the boundary go."""
