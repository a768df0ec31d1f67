"""Uploads and sound over HTTP come in, predictions and the page go out: a thin skin over `whoplays.inference`.

Needs the extra `serve`; `static_page` and `assets` do not.

settings  what can be set, and what is refused        pool      worker processes, the queue, limits on time
app       the routes                                   worker    one process that decodes and predicts, under limits
guard     what every request passes before a route     details   what a page needs to draw a recording
problems  errors as application/problem+json           live      PCM in, scores out, over a WebSocket
metrics   counters for Prometheus                      assets    the page, held in memory
static_page  the page as a folder of static files, with the model in the browser
"""
