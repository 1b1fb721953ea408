"""Turn a question into its stored and shown reply, without knowing Discord."""
