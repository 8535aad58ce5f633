"""The gradient of L(W) held against finite differences."""
