"""Several processes of one bot, which agree through PostgreSQL on who holds which shard."""
