# The model server's image, with one version of the model. `make images` builds it, from the project's folder.
ARG BASE=python:3.13-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS dependencies
ENV UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1
WORKDIR /app
COPY requirements-uv.txt ./
RUN python3 -m venv /uv \
 && /uv/bin/pip install --no-cache-dir --require-hashes --requirement requirements-uv.txt
# All of model/requirements.txt is needed by a version that is not compiled, and to train.
ARG REQUIREMENTS=requirements-serving.txt
COPY model/${REQUIREMENTS} requirements.txt
RUN --mount=type=cache,target=/root/.cache/uv \
    /uv/bin/uv venv --python python3 .venv \
 && /uv/bin/uv pip sync --python .venv --require-hashes requirements.txt \
 && rm .venv/.lock

FROM dependencies AS code
COPY contract contract
COPY model model
# What uv keeps of the time of the build would differ from one to the next.
RUN /uv/bin/uv pip install --python .venv --no-deps --target code ./contract ./model \
 && rm code/.lock code/*.dist-info/RECORD code/*.dist-info/uv_cache.json
ARG VERSION
COPY artifacts/log.jsonl artifacts/log.jsonl
COPY artifacts/${VERSION} artifacts/${VERSION}
RUN chmod -R u=rwX,go=rX artifacts

FROM ${BASE}
# Nothing is installed from here on.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* \
           /usr/local/lib/python3.*/ensurepip
WORKDIR /app
COPY --from=dependencies /app/.venv .venv
COPY --from=code /app/code code
COPY --from=code /app/artifacts artifacts
ENV PATH=/app/code/bin:/app/.venv/bin:${PATH} PYTHONPATH=/app/code PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
CMD ["model", "serve"]

ARG VERSION
ARG REVISION=unknown
ENV REVISION=${REVISION}
LABEL org.opencontainers.image.title="{{ cookiecutter.project_slug }}-model" \
      org.opencontainers.image.vendor="{{ cookiecutter.team }}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
