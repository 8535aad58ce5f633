"""Make runs from configs: check them, train them alone or as a stack, watch them, and resume them."""
