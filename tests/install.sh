#!/usr/bin/env bash
# install.sh slurm|browser: install with apt-get what some tests need. Where that cannot be done, say why and succeed:
# the tests are then skipped (or fail, under pytest --require=slurm,browser).
set -u
PATH=$PATH:/usr/sbin:/sbin
case "${1:-}" in
    slurm)
        programs="munged slurmctld slurmd slurmdbd mariadbd sbatch srun sacct"
        packages="munge slurmctld slurmd slurmdbd slurm-client mariadb-server-core"
        ;;
    browser)
        programs="chromium"
        packages="chromium"
        ;;
    *)
        echo "usage: $0 slurm|browser" >&2
        exit 2
        ;;
esac

missing=""
for program in $programs; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
[ -z "$missing" ] && exit 0

skip() {
    echo "$what tests will be skipped: $1" >&2
    exit 0
}
what=$1
[ "$(uname)" = Linux ] || skip "they need Linux"
[ "$(id -u)" = 0 ] || skip "their packages are installed as root; missing:$missing"
command -v apt-get >/dev/null || skip "their packages are installed with apt-get only; missing:$missing"
export DEBIAN_FRONTEND=noninteractive
echo "installing $packages for the $what tests" >&2
log=$(mktemp)
# Some packages try to start services, which a container has none of; tests start their own daemons.
if { apt-get update && apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
    rm -f "$log"
else
    tail -n 5 "$log" >&2
    skip "apt-get could not install the packages; all it printed is in $log"
fi
