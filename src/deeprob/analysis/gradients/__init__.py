"""Check the gradient of L(W) against finite differences."""
