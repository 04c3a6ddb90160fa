# The image of driftd: one virtual environment on a stock Python, no shell needed, nothing written but to volumes.
#
# Both bases are arguments: pin them by digest (`--build-arg BASE=python@sha256:...`). They must have the same Python at
# the same place. The first needs Debian's openssh-client, whose program is taken along for models read over ssh; the
# second may be one without a shell or a package manager.
ARG BUILD_BASE=python:3.11-bookworm
ARG BASE=python:3.11-slim-bookworm

FROM ${BUILD_BASE} AS build
# Only to install with: the certificates of a proxy that stands between.
ARG PIP_CERT=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all: SOURCE_DATE_EPOCH=1700000000
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
COPY deploy/image/ssh.py ./
RUN ["python3", "ssh.py", "/ssh", "/debian.json"]
RUN ["python3", "-m", "venv", "/build"]
RUN ["/build/bin/pip", "install", "--quiet", "--require-hashes", "-r", "requirements-build.txt"]
RUN ["python3", "-m", "venv", "/opt/driftd"]
RUN ["/opt/driftd/bin/pip", "install", "--quiet", "--no-compile", "--require-hashes", "-r", "requirements.txt"]
# By hash, unchecked, as finish.py does for driftd itself: a layer's file times mean nothing, and nothing changes any more.
RUN ["/opt/driftd/bin/python", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "/opt/driftd/lib"]
COPY pyproject.toml README.md LICENSE ./
COPY deploy/manifests deploy/manifests
COPY models models
COPY driftd driftd
RUN ["/build/bin/pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "/wheels", "."]
RUN ["/opt/driftd/bin/pip", "install", "--quiet", "--no-compile", "--no-deps", "--no-index", "--find-links", "/wheels", "driftd"]
COPY deploy/image/finish.py ./
RUN ["/opt/driftd/bin/python", "finish.py", "/opt/driftd", "/debian.json"]

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="driftd" \
      org.opencontainers.image.description="Keeps many tenants apart on one Kubernetes cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /ssh/ /
COPY --from=build /opt/driftd /opt/driftd
# The root is read-only where it runs: no .pyc is ever written, all were compiled above.
ENV PATH=/opt/driftd/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/opt/driftd/bin/python", "-m", "driftd"]
CMD ["run"]
