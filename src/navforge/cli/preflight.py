"""`navforge preflight`: everything `navforge train` checks before it starts, for the same keys or a batch script."""

from __future__ import annotations

from navforge.cli import train
from navforge.cli.keys.preflight import Config, PretrainConfig, ScriptConfig
from navforge.core.files import write_json
from navforge.core.screen import screen
from navforge.preflight import submission
from navforge.preflight.script import read_script
from navforge.preflight.script_checks import check_script
from navforge.preflight.table import show
from navforge.runs import exits


def run(config: Config | PretrainConfig | ScriptConfig) -> int:
    """Print the table; exit status 2 where the job is refused."""
    script = None if config.script is None else read_script(config.script)
    if isinstance(config, ScriptConfig):
        assert script is not None and script.trainer is not None
        report = check_script(script.allocation, script.trainer, config.force)
    else:
        profile = config.profile() if script is None else None
        job = None if script is None else script.allocation
        report = submission.run(train.run_config(config), profile=profile, job=job, force=config.force)
    if config.json is not None:
        write_json(config.json, report.to_dict())
    show(report, screen())
    return exits.USER_ERROR if report.refused else exits.FINISHED
