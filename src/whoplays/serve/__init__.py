"""Uploads and sound over HTTP come in, predictions and the page go out: a thin skin over `whoplays.inference`.

Needs the extra `serve`; `static_page` and `assets` do not.

settings  what can be set, and what is refused        pool      worker processes, the queue, limits on time
app       the routes                                   worker    one process that decodes and predicts, under limits
guard     what every request passes before a route     live      PCM in, scores out, over a WebSocket
problems  errors as application/problem+json           assets    the page, held in memory
metrics   counters for Prometheus                      static_page  the page as static files, with the model in them
"""
