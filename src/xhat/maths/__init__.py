"""The mathematics of the autoencoder: pure functions of NumPy arrays.

This room knows the equations of docs/maths.md and nothing else: no files, no global state,
no estimator, no engine. Randomness is passed in as a key.
"""
