# The lines above, which gld2 submit wrote, say what is run. This runs as root on each worker of the
# slice whenever it boots: after maintenance, too, and then the trainer continues from its checkpoint.
set -uo pipefail
export HOME="${HOME:-/root}" PYTHONUNBUFFERED=1 PIP_ROOT_USER_ACTION=ignore
export PATH="$PATH:/snap/bin"
mkdir -p "$home"

attribute() {
    curl -sf -m 10 -H 'Metadata-Flavor: Google' \
        "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}
worker="$(attribute agent-worker-number || hostname)"

# With several hosts, tells Keras where they meet; nothing in the environment of a boot does. Each
# endpoint is an address, or name:number:address; the first is worker 0's.
IFS=, read -ra hosts <<<"$(attribute worker-network-endpoints)"
if ((${#hosts[@]} > 1)); then
    export KERAS_DISTRIBUTION_JOB_ADDRESSES="${hosts[0]##*:}:8482"
    export KERAS_DISTRIBUTION_NUM_PROCESSES=${#hosts[@]} KERAS_DISTRIBUTION_PROCESS_ID=$worker
fi

log="$name-worker-$worker-$(date -u +%Y%m%dT%H%M%SZ).log"

keep_log() {
    gcloud storage cp --quiet "$home/$log" "$job_dir/submit/$log"
}

# uv brings the Python that the pins are for; images have 3.10. With --target, pip leaves the
# system's own packages alone, which newer images insist on.
install() {
    gcloud storage cp --quiet "$package" ${constraints:+"$constraints"} "$home/" &&
        python3 -m pip install --quiet --upgrade --target "$home/tools" "uv==$uv" &&
        "$home/tools/bin/uv" venv --quiet --allow-existing --python 3.11 "$home/venv" &&
        "$home/tools/bin/uv" pip install --quiet --python "$home/venv" \
            ${constraints:+-c "$home/${constraints##*/}"} "gld2[tpu] @ file://$home/${package##*/}"
}

# Ends with the trainer's exit code. 2 is a mistake that another try would repeat; all else may have
# passed: another worker that went away, the network.
train() {
    local try=1 pause=20 began code
    while true; do
        began=$(date +%s)
        echo "gld2: worker $worker, try $try of $tries: ${command[*]@Q}"
        if install; then
            env PATH="$home/venv/bin:$PATH" "${command[@]}"
            code=$?
        else
            code=1
            echo "gld2: installing failed"
        fi
        if ((code == 0 || code == 2)); then return "$code"; fi
        if (($(date +%s) - began > 1800)); then try=0 pause=20; fi # it ran: begin to count again
        if ((try >= tries)); then return "$code"; fi
        echo "gld2: ended with $code; again in $pause seconds"
        sleep "$pause"
        try=$((try + 1)) pause=$((pause * 2))
    done
}

while sleep 60; do keep_log; done >/dev/null 2>&1 &
keeper=$!
train 2>&1 | tee "$home/$log" # and so to the serial console
code=${PIPESTATUS[0]}
kill "$keeper"
echo "gld2: worker $worker ended with $code" | tee -a "$home/$log"
keep_log

# Worker 0 speaks for the slice. The others end with it, and may do so before it has exported.
if [[ $worker == 0 ]]; then
    if ((code != 0)); then
        tail -n 20 "$home/$log" | gcloud storage cp --quiet - "$job_dir/submit/$name.failed"
    fi
    if [[ $delete_when_done == yes ]]; then
        gcloud compute tpus queued-resources delete "$name" --project="$project" --zone="$zone" \
            --force --quiet --async
    fi
fi
exit "$code"
