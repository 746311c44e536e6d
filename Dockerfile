# syntax=docker/dockerfile:1
# docker build -t i2v .                                  for the CPU
# docker build -t i2v:cuda --build-arg TORCH=cuda .      for an NVIDIA card; the host has its driver and container toolkit
# compose.yaml builds and runs both.
FROM python:3.11-slim-bookworm

ARG UID=1000
RUN useradd --create-home --uid "$UID" i2v
WORKDIR /app

# The packages have a layer of their own, which a change of the code does not build again: set-up only has to find
# something called i2v here. PIP_INDEX_URL and I2V_TORCH_INDEX: other package indexes, for mirrors.
ARG TORCH=cpu
ARG PIP_INDEX_URL
ARG I2V_TORCH_INDEX
# EXTRAS=ray: for docs/scaling.md
ARG EXTRAS
COPY pyproject.toml constraints.txt ./
COPY scripts/setup.sh scripts/
RUN --mount=type=cache,target=/root/.cache/pip \
    mkdir i2v && touch i2v/__init__.py README.md LICENSE && I2V_TORCH="$TORCH" bash scripts/setup.sh $EXTRAS

COPY . .
RUN .venv/bin/python -m compileall -q i2v \
    && mkdir -p data logs models outputs \
    && chown -R i2v:i2v data logs models outputs

USER $UID
ENV I2V_PYTHON=/app/.venv/bin/python \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1
VOLUME ["/app/data", "/app/logs", "/app/models", "/app/outputs"]
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["bash", "scripts/start_app.sh", "--foreground", "--host", "0.0.0.0"]
