# Everything on one machine by default; `run redirect`, `run api` and `run worker` are the roles of a cluster.
# docs/operating.md says how it is built and run.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/runtime.txt requirements/
RUN python -m venv --without-pip /opt/redirector \
 && pip --python /opt/redirector/bin/python install --no-cache-dir --only-binary :all: --require-hashes \
    --requirement requirements/runtime.txt
COPY LICENSE README.md pyproject.toml ./
COPY redirector redirector
# What only the build needed is taken out again.
RUN pip --python /opt/redirector/bin/python install --no-cache-dir --no-deps --no-build-isolation . \
 && pip --python /opt/redirector/bin/python uninstall --yes \
    editables hatchling packaging pathspec pluggy tomlkit trove-classifiers


FROM python:3.11-slim-bookworm
# Process 1 is tini: it hands signals on, and collects orphans, which `redirector serve` does not.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends 'tini=0.19.*' \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /var/lib/redirector \
    --shell /usr/sbin/nologin redirector \
 && install --directory --owner=redirector --group=redirector --mode=0700 /var/lib/redirector
COPY --from=build /opt/redirector /opt/redirector

ENV PATH=/opt/redirector/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    REDIRECTOR_DATA_DIR=/var/lib/redirector \
    REDIRECTOR_PUBLIC_HOST=0.0.0.0 \
    REDIRECTOR_INTERNAL_HOST=0.0.0.0
# By number, so that Kubernetes sees that it is not root.
USER 10001:10001
VOLUME /var/lib/redirector
EXPOSE 8080 9090
# Of `serve`: readers are answered, and the store takes clicks. A cluster asks each role by itself.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
  CMD ["python", "-I", "-c", "from urllib.request import urlopen; [urlopen('http://127.0.0.1:' + place, timeout=4) for place in ('8080/robots.txt', '9090/readyz')]"]
ENTRYPOINT ["tini", "--", "redirector"]
CMD ["serve"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="redirector" \
      org.opencontainers.image.description="Tracked links for mails: mints them, sends readers on, counts interest." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
