"""Make runs from configs: train them alone or as a stack, resume them, check them beforehand, and watch them."""
