# The page and the HTTP interface in a container. Built from a checkout:
#   docker build -t whoplays .
#   docker run --rm -p 127.0.0.1:8000:8000 -e WHOPLAYS_TOKEN=$(openssl rand -hex 16) --read-only --tmpfs /tmp whoplays
ARG BASE=docker.io/library/python:3.12-slim
FROM ${BASE} AS build
COPY pyproject.toml hatch_build.py README.md LICENSE /src/
COPY src /src/src
RUN python -m venv /opt/whoplays && /opt/whoplays/bin/pip install --no-cache-dir '/src[serve]' \
  && /opt/whoplays/bin/whoplays --version

FROM ${BASE}
COPY --from=build /opt/whoplays /opt/whoplays
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin whoplays
USER 10001
# Inside a container every address is foreign, so a token is asked for; WHOPLAYS_FORCE=1 goes without one.
ENV PATH=/opt/whoplays/bin:$PATH PYTHONDONTWRITEBYTECODE=1 WHOPLAYS_HOST=0.0.0.0 WHOPLAYS_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"WHOPLAYS_PORT\"]}/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["whoplays", "serve"]
