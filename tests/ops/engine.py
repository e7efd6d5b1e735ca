"""Builds and runs the Dockerfile with what Linux itself has: namespaces, an overlay and chroot.

It stands in for a container engine where there is none. Every RUN line is run as it is written, as root, over a copy
on write of this machine, whose own Python stands where the base image has one. The result is run as an engine would
run it with `--read-only --tmpfs /tmp --network none --cap-drop ALL --security-opt no-new-privileges`.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ops.dockerfile import Instruction, context, stages
from tests.processes import eventually

# What every process of a container finds; the rest of /dev is left out, and so is /dev/shm, a place to write to.
DEVICES = "null zero full random urandom"

ASSEMBLE = f"""
mount -t overlay overlay -o "lowerdir=/,upperdir=$STAGE/upper,workdir=$STAGE/work" "$STAGE/root"
cd "$STAGE/root"
mount --bind "$PYTHON" usr/local
mount -t tmpfs -o mode=755 tmpfs dev
ln -s /proc/self/fd dev/fd
for device in {DEVICES}; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mount -t proc proc proc
"""
RUN = ASSEMBLE + 'mount -t tmpfs tmpfs tmp; exec chroot . /bin/sh -ec "cd $WORKDIR; $COMMAND"'
START = """
mount -o remount,ro dev
mount -o remount,ro .
mount --bind "$VOLUME" ".$MOUNTED_AT"
mount -t tmpfs -o nosuid,nodev tmpfs tmp
ip link set lo up
exec chroot . "$@"
"""
WITHOUT_PRIVILEGES = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")

# What docs/operating.md and k8s/ tell an engine to wait between SIGTERM and SIGKILL.
GRACE_SECONDS = 60

NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--uts")


@dataclass(slots=True)
class Stage:
    """A stage of the build: what its instructions said, and the directory where its files are."""

    directory: Path
    workdir: str = "/"
    user: str = "0:0"
    volume: str = ""
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    labels: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    healthcheck: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    @property
    def files(self) -> Path:
        """What this stage has put over its base image."""
        return self.directory / "upper"


def build(source: Path, scratch: Path, **arguments: str) -> Stage:
    """Builds the directory's Dockerfile with these build arguments; returns its last stage."""
    built: dict[str, Stage] = {}
    for number, steps in enumerate(stages((source / "Dockerfile").read_text(encoding="utf-8"))):
        stage = Stage(scratch / str(number))
        for name in ("upper", "work", "root"):
            (stage.directory / name).mkdir(parents=True)
        _run(stage, "ldconfig")  # so that this machine's Python finds its library in its new place
        for step in steps[1:]:
            _perform(step, stage, built, source, arguments)
        built[steps[0].words()[-1]] = stage
    return stage


def _perform(
    step: Instruction, stage: Stage, built: Mapping[str, Stage], source: Path, given: Mapping[str, str]
) -> None:
    """What an instruction does to the stage's files; `_note` has those that only say something."""
    match step.keyword:
        case "COPY":
            _copy(step.words(), stage, built, source)
        case "RUN":
            _run(stage, step.text)
        case "WORKDIR":
            stage.workdir = step.text
            (stage.files / step.text.lstrip("/")).mkdir(parents=True)
        case _:
            _note(step, stage, given)


def _note(step: Instruction, stage: Stage, given: Mapping[str, str]) -> None:
    match step.keyword:
        case "ARG":
            stage.arguments |= {name: given.get(name, value) for name, value in step.assigned().items()}
        case "ENV":
            stage.environment |= _expanded(step.assigned(), stage.environment)
        case "LABEL":
            stage.labels |= _expanded(step.assigned(), stage.arguments)
        case "HEALTHCHECK":
            stage.healthcheck = Instruction("CMD", step.text.partition("CMD ")[2]).words()
        case "ENTRYPOINT":
            stage.entrypoint = step.words()
        case "CMD":
            stage.command = step.words()
        case "USER" | "VOLUME":
            setattr(stage, step.keyword.lower(), step.text)
        case unknown if unknown != "EXPOSE":
            raise NotImplementedError(f"{unknown} is not performed here: a container engine would be needed")


def _expanded(assigned: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    return {name: re.sub(r"\$(\w+)", lambda found: known[found[1]], value) for name, value in assigned.items()}


def _copy(words: list[str], stage: Stage, built: Mapping[str, Stage], source: Path) -> None:
    *origins, target = [word for word in words if not word.startswith("--")]
    (from_stage,) = [word.removeprefix("--from=") for word in words if word.startswith("--from=")] or [""]
    place = stage.files / os.path.join(stage.workdir, target).lstrip("/")  # noqa: PTH118 - an absolute target wins
    for origin in origins:
        if from_stage:
            shutil.copytree(built[from_stage].files / origin.lstrip("/"), place, symlinks=True, copy_function=os.link)
            continue
        seen = [path for path in context(source) if path == Path(origin) or Path(origin) in path.parents]
        assert seen, f"the build does not see {origin}"
        for path in seen:
            inside = Path(path.name) if path == Path(origin) else path.relative_to(origin)
            (place / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / path, place / inside)


def _run(stage: Stage, command: str) -> None:
    """One RUN line, with this machine's own environment where the stage says nothing: how packages are reached."""
    subprocess.run(
        ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", RUN],
        env=os.environ | stage.environment | _mounted(stage) | {"COMMAND": command, "WORKDIR": stage.workdir},
        stdin=subprocess.DEVNULL,
        check=True,
    )


def _mounted(stage: Stage) -> dict[str, str]:
    return {"STAGE": str(stage.directory), "PYTHON": sys.base_prefix}


@dataclass(frozen=True, slots=True)
class Container:
    """A container that runs: process 1 as this machine numbers it, and the image's say."""

    image: Stage
    pid: int
    process: "subprocess.Popen[bytes]"

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Runs a command within the container, as an engine's `exec` does."""
        inside = ["/usr/bin/nsenter", f"--target={self.pid}", *NAMESPACES, "--root", "--wd=/"]
        return subprocess.run(
            [*inside, *_as_user(self.image), *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    def stop(self) -> int:
        """SIGTERM to process 1; returns the exit code. Raises subprocess.TimeoutExpired after the grace period."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(GRACE_SECONDS)


@contextmanager
def running(image: Stage, volume: Path) -> Iterator[Container]:
    """A container of the image, with its default command, over a volume; stopped if it still runs at the end."""
    user, _, group = image.user.partition(":")
    volume.mkdir(mode=0o700, exist_ok=True)
    os.chown(volume, int(user), int(group))
    main = [*_as_user(image), *image.entrypoint, *image.command]
    process = subprocess.Popen(
        ["/usr/bin/unshare", *NAMESPACES, "--fork", "sh", "-ec", ASSEMBLE + START, "sh", *main],
        env=os.environ | _mounted(image) | {"VOLUME": str(volume), "MOUNTED_AT": image.volume},
        stdin=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: process.poll() is not None or _first_child(process.pid) != 0)
        container = Container(image, _first_child(process.pid), process)
        yield container
        if process.poll() is None:
            container.stop()
    finally:
        if process.poll() is None:
            os.kill(_first_child(process.pid) or process.pid, signal.SIGKILL)
            process.wait()


def _first_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(children[0]) if children else 0


def _as_user(image: Stage) -> list[str]:
    user, _, group = image.user.partition(":")
    known = [f"{name}={value}" for name, value in image.environment.items()]
    privileges = [f"--reuid={user}", f"--regid={group}", *WITHOUT_PRIVILEGES]
    return ["/usr/bin/setpriv", *privileges, "/usr/bin/env", "-i", *known]
