"""A stand-in for Discord: REST v10, the gateway, and a control interface to play people."""
