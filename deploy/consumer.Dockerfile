# syntax=docker/dockerfile:1

FROM python:3.14.6-slim-trixie AS build
RUN python -m venv /venv
RUN --mount=type=bind,source=consumers/python,target=/src,rw \
    --mount=type=cache,target=/root/.cache/pip,sharing=locked \
    /venv/bin/pip install -c /src/constraints.txt '/src[postgresql,otlp]'

FROM python:3.14.6-slim-trixie
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# No HEALTHCHECK: it exits when it cannot go on, and is restarted. With ATOMWIRE_ADMIN it answers whoever probes.
ENTRYPOINT ["atomwire-consumer"]
