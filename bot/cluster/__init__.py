"""What several processes of one bot agree on through PostgreSQL: who holds which shard."""
