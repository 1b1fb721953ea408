"""The sandbox in a browser: a page that looks like a chat app, before the real bot."""
