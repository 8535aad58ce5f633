"""A SLURM of one machine, for tests: sbatch, srun, squeue, scontrol and scancel, each a link to this file.

The folder $FAKE_SLURM holds a folder for each job, with its `state`. A minute has $FAKE_MINUTE seconds. If the file
`full` is there, jobs wait; if the file `refuse` is there, sbatch prints it and fails.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(os.environ.get("FAKE_SLURM", "."))


def read(number: str, name: str) -> str:
    path = ROOT / number / name
    return path.read_text() if path.exists() else ""


def write(number: str, name: str, text: str) -> None:
    path = ROOT / number / f"{name}.new"
    path.write_text(text)
    path.rename(ROOT / number / name)


def lose(number: str, state: str, sent: int = signal.SIGKILL) -> None:
    """End a running job, and give it this state."""
    write(number, "state", state)
    os.killpg(int(read(number, "group")), sent)


def sbatch(script: str) -> int:
    if (ROOT / "refuse").exists():
        sys.stderr.write((ROOT / "refuse").read_text())
        return 1
    number = str(100 + len(list(ROOT.glob("*/script"))))
    (ROOT / number).mkdir()
    write(number, "script", Path(script).read_text())
    write(number, "state", "PENDING")
    write(number, "environment", "\n".join(f"{name}={value}" for name, value in os.environ.items()))
    subprocess.Popen(
        [sys.executable, __file__, "run", number],
        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    print(f"Submitted batch job {number}")
    return 0


def run(number: str) -> int:
    """The work of SLURM's daemons: start a job when there is room, send its signals, and note its end."""
    while (ROOT / "full").exists() and read(number, "state") == "PENDING":
        time.sleep(0.05)
    if read(number, "state") != "PENDING":
        return 0
    write(number, "state", "RUNNING")
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", read(number, "script"), re.MULTILINE))
    minutes, ahead = int(options["time"]), int(options["signal"].partition("@")[2])
    end = time.monotonic() + minutes * float(os.environ["FAKE_MINUTE"])
    environment = {**os.environ, "SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
    with Path(options["error"].strip("'").replace("%j", number)).open("a") as log:
        job = subprocess.Popen(
            ["bash", ROOT / number / "script"], env=environment, start_new_session=True, stdout=log, stderr=log
        )
        write(number, "group", str(job.pid))
        signalled = False
        while job.poll() is None:
            if not signalled and time.monotonic() > end - ahead and (step := read(number, "step")):
                os.kill(int(step), signal.SIGUSR2)
                signalled = True
            if time.monotonic() > end:
                log.write(f"slurmstepd: error: *** JOB {number} ON node1 CANCELLED DUE TO TIME LIMIT ***\n")
                log.flush()
                lose(number, "TIMEOUT")
            time.sleep(0.05)
    write(number, "exit", f"{max(0, job.returncode)}:{max(0, -job.returncode)}")
    if read(number, "state") == "RUNNING":
        write(number, "state", "FAILED" if job.returncode else "COMPLETED")
    return 0


def srun(*words: str) -> int:
    number, rest = os.environ["SLURM_JOB_ID"], list(words)
    logs = {}
    while rest[0].startswith("--"):
        name = rest.pop(0)
        if name in ("--output", "--error"):
            logs[name] = Path(rest.pop(0).replace("%j", number).replace("%t", "0"))
    with logs["--output"].open("a") as out, logs["--error"].open("a") as error:
        step = subprocess.Popen(rest, stdout=out, stderr=error)
        write(number, "step", str(step.pid))
        code = step.wait()
        if code:
            ending = f"Exited with exit code {code}" if code > 0 else "Killed"
            error.write(f"srun: error: node1: task 0: {ending}\n")
    return code if code >= 0 else 128 - code


def squeue(*words: str) -> int:
    asked = next(word for word in words if word.startswith("--jobs=")).partition("=")[2].split(",")
    known = [number for number in asked if (ROOT / number).exists()]
    if not known:
        sys.stderr.write("slurm_load_jobs error: Invalid job id specified\n")
        return 1
    print("".join(f"{number} {read(number, 'state')}\n" for number in known), end="")
    return 0


def scontrol(*words: str) -> int:
    number = words[-1]
    ending = read(number, "exit") or "0:0"
    print(f"JobId={number} JobName=deeprob JobState={read(number, 'state')} ExitCode={ending} DerivedExitCode=0:0")
    return 0


def scancel(*words: str) -> int:
    for number in words:
        if number.startswith("--"):
            continue
        if read(number, "state") == "PENDING":
            write(number, "state", "CANCELLED")
        elif "--state=PENDING" not in words and read(number, "state") == "RUNNING":
            lose(number, "CANCELLED", signal.SIGTERM)
    return 0


if __name__ == "__main__":
    words = sys.argv[1:] if Path(sys.argv[0]).name.startswith("fake") else [Path(sys.argv[0]).name, *sys.argv[1:]]
    sys.exit(globals()[words[0]](*words[1:]))
