"""What clicks are judged by, beside what the stream says of them: who recounts by something else gets other classes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """How long clicks are held in ms, the version of the rules, and the digest of the list of gateways."""

    hold_ms: int
    rules: int
    gateways: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which a recount differs from the worker that counts, and what to do about it."""

    what: str
    worker: str
    recount: str
    remedy: str


def differences(worker: JudgedBy, recount: JudgedBy) -> list[Difference]:
    """In what they differ; none if both come to the same classes."""
    found = []
    if worker.hold_ms != recount.hold_ms:
        remedy = f"set REDIRECTOR_COUNT_HOLD_MS={worker.hold_ms}, or name the worker's settings with --config"
        found.append(Difference("count_hold_ms", str(worker.hold_ms), str(recount.hold_ms), remedy))
    if worker.rules != recount.rules:
        remedy = "recount with the release of the program that the worker runs, or name its version with --rules"
        found.append(Difference("rules", str(worker.rules), str(recount.rules), remedy))
    if worker.gateways != recount.gateways:
        remedy = "name the worker's list in REDIRECTOR_GATEWAYS_FILE; the built-in one differs between releases too"
        found.append(Difference("gateways", worker.gateways, recount.gateways, remedy))
    return found
