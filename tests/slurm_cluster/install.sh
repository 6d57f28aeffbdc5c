#!/usr/bin/env bash
# Install what the test Slurm cluster needs. Where that cannot be done, say why and succeed: the tests are then skipped.
set -u
PATH=$PATH:/usr/sbin:/sbin
programs="munged slurmctld slurmd slurmdbd mariadbd sbatch srun sacct"
packages="munge slurmctld slurmd slurmdbd slurm-client mariadb-server-core"

missing=""
for program in $programs; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
[ -z "$missing" ] && exit 0

skip() {
    echo "Slurm tests will be skipped: $1" >&2
    exit 0
}
[ "$(uname)" = Linux ] || skip "they need Linux"
[ "$(id -u)" = 0 ] || skip "they need root, for the cluster's daemons; missing:$missing"
command -v apt-get >/dev/null || skip "packages are installed with apt-get only; missing:$missing"
export DEBIAN_FRONTEND=noninteractive
echo "installing $packages for the Slurm tests" >&2
log=$(mktemp)
# The packages try to start services, which a container has none of; tests start their own daemons.
if { apt-get update && apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
    rm -f "$log"
else
    tail -n 5 "$log" >&2
    skip "apt-get could not install the packages; all it said is in $log"
fi
