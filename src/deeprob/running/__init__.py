"""Train runs from their configs, one by one or several together as a stack. Write their files, and resume them."""
