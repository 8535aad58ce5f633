"""Pictures of what runs recorded while they trained."""
