"""From tables to encoded rows and back; knows nothing of models."""
