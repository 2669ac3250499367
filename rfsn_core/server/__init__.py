"""The server: websocket, HTTP, server-sent events, access checks, workers, and the page."""
