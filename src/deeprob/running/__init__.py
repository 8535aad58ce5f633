"""Runs from configs to files: alone, as a stack, resumed, checked beforehand, watched."""
