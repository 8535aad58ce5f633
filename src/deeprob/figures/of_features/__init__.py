"""Pictures of what features make of pictures."""
