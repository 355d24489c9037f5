# Dataflow's workers run this image, and its flex templates are launched in it:
#   docker build -f docker/pipelines.Dockerfile --build-arg COMMAND=shard -t IMAGE .
# Beam's base runs as root and this stays so: its boot program installs what a job brings along, and
# writes to folders that Dataflow mounts for root.
ARG BEAM=2.77.0
ARG LAUNCHER=20230622_RC00
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base:${LAUNCHER} AS launcher

FROM apache/beam_python3.11_sdk:${BEAM}
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/
WORKDIR /opt/gld2
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# Libraries are a layer of their own: a change of our code leaves these gigabytes where they are.
COPY constraints.txt ./
COPY docker/pipelines.txt docker/
RUN pip install -c constraints.txt -r docker/pipelines.txt

COPY setup.py pyproject.toml README.md ./
COPY docker/launch.py docker/
COPY pipelines pipelines
COPY trainer trainer
RUN pip install --no-deps . && pip check

# Workers start Beam's boot program, the entrypoint of the base; a template's launcher starts this.
ARG COMMAND=download
ENV GLD2_COMMAND=${COMMAND} FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/gld2/docker/launch.py
