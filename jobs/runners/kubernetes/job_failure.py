"""Why a Job has failed, in the words of the pod that made it fail."""

from jobs.runners.kubernetes import Object
from jobs.runners.kubernetes.diagnosis import last_words, on_node
from jobs.runners.kubernetes.manifests import completions, failure_reason
from jobs.runtime.interrupt import EXIT_INTERRUPTED

INDEX = "batch.kubernetes.io/job-completion-index"  # annotation of an Indexed Job's pods


def why_failed(job: Object, pods: list[Object]) -> str:
    """In one line; `pods` are the Job's own, the oldest first."""
    name, (reason, message) = job["metadata"]["name"], failure_reason(job)
    if reason == "DeadlineExceeded":
        return f"job {name} ran longer than it may (activeDeadlineSeconds)"
    given_up = job["status"].get("failedIndexes", "")
    ends = [(pod, words) for pod in pods if (words := last_words(pod)) is not None]
    ends = [(pod, words) for pod, words in ends if words[0] not in (0, EXIT_INTERRUPTED)]
    # Other pods may have failed in passing, or because this one's failure has ended them.
    decisive = [end for end in ends if _index(end[0]) in _numbers(given_up) or end[0]["metadata"]["name"] in message]
    if not ends:
        where = f" at index {given_up}" if given_up else ""
        return f"job {name} failed{where}: {message or reason}"
    pod, (code, said) = (decisive or ends)[-1]
    where = f" at index {_index(pod)}" if completions(job) > 1 else ""
    if len(_numbers(given_up)) > 1:
        where = f" at indexes {given_up}, the last{where}"
    return f"job {name} failed{where}{on_node(pod)} with exit code {code}: {said or message}"


def _index(pod: Object) -> int | None:
    index = pod["metadata"].get("annotations", {}).get(INDEX)
    return None if index is None else int(index)


def _numbers(indexes: str) -> set[int]:
    """Of what a Job's status writes as 0,3-5."""
    numbers: set[int] = set()
    for part in filter(None, indexes.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers
