"""How a run of batches is computed. Every engine passes the same tests as the reference."""
