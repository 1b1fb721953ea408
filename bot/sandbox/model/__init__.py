"""A stand-in for an OpenAI-compatible chat API, with a control interface to script it."""
