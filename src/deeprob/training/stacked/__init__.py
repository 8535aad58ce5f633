"""Many runs trained as one tensor program."""
