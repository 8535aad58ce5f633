"""The loss landscape of a run: losses on lines and planes, convexity, and a search for kinds of slices."""
