"""C++ kernels behind a thin binding; absent where the package was built without a compiler."""
