# gld2 train, for Vertex AI or any machine with a container runtime:
#   docker build -f docker/trainer.Dockerfile --build-arg DEVICE=gpu -t IMAGE .    # or DEVICE=tpu
# CUDA comes with TensorFlow's wheels and libtpu with JAX's: of the machine, drivers alone are used.
ARG DEVICE=gpu
FROM python:3.11.14-slim-bookworm AS base
ARG DEVICE
WORKDIR /opt/gld2
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1

# Libraries are a layer of their own: setup.py names them, and is content with empty packages.
COPY setup.py pyproject.toml README.md constraints.txt ./
COPY docker/pipelines.txt docker/
RUN mkdir pipelines trainer && pip install -c constraints.txt ".[${DEVICE}]"

COPY pipelines pipelines
COPY trainer trainer
RUN pip install --no-deps . && pip check
ENTRYPOINT ["gld2"]
CMD ["train", "--help"]

# A TPU's device files belong to root.
FROM base AS tpu

FROM base AS gpu
RUN useradd --uid 1000 --create-home gld2
USER 1000
WORKDIR /home/gld2

FROM ${DEVICE}
