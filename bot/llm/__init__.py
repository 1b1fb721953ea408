"""Talk to an OpenAI-compatible chat API: requests, streams, errors and the list of models."""
