# The worker. What it does is its command: `--roles agent`, `--roles think`, `--roles act`.
# BASE: an image with Python 3.11 or newer, and with pip or uv.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
RUN command -v uv || pip install --no-cache-dir uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
ENV UV_PROJECT_ENVIRONMENT=/opt/perdure
WORKDIR /build
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project
COPY perdure perdure
RUN uv sync --frozen --no-dev --no-editable

FROM ${BASE}
RUN install -d -o 10001 -g 10001 /data
COPY --from=build /opt/perdure /opt/perdure
WORKDIR /app
COPY worker.py ./
COPY agents agents
COPY teams teams
COPY activities activities
COPY workflows workflows
ENV PATH=/opt/perdure/bin:$PATH HOME=/data PERDURE_HOME=/data PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["python", "worker.py"]
