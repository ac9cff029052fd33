"""The objects of one kind as the API server has them: listed once, and kept up to date by a watch in a thread."""

import threading
from collections.abc import Callable

from jobs.runners.kubernetes import Object
from jobs.runners.kubernetes.api import ApiRefused, ApiUnreachable, Namespace

FIRST_SECONDS = 60  # that the first list may take
AGAIN_SECONDS = 1  # between two tries while the API server does not answer


class Reflection:
    """Follows the objects from its making to `close`."""

    def __init__(self, namespace: Namespace, path: str, selector: str, keep: Callable[[Object], Object]) -> None:
        """Of each object what `keep` returns of it is kept, its metadata's uid among it."""
        self._namespace, self._path, self._selector, self._keep = namespace, path, selector, keep
        self._objects: dict[str, Object] = {}
        self._failure: ApiUnreachable | ApiRefused | None = None
        self._lock, self._listed, self._closed = threading.Lock(), threading.Event(), threading.Event()
        threading.Thread(target=self._follow, name=f"watch {path}", daemon=True).start()

    def objects(self) -> list[Object]:
        """As they were a moment ago.

        Raises:
            ApiUnreachable: the API server does not answer; what was seen last is not told, since it may be old.
            ApiRefused: it will not have us.

        """
        if not self._listed.wait(FIRST_SECONDS):
            raise ApiUnreachable(f"no answer within {FIRST_SECONDS} s")
        with self._lock:
            if self._failure is not None:
                raise self._failure
            return list(self._objects.values())

    def close(self) -> None:
        """Follows no more; a watch that waits notices it when something changes, or with the process's end."""
        self._closed.set()

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._list_and_watch()
            except (ApiUnreachable, ApiRefused) as failure:
                with self._lock:
                    self._failure = failure
                self._listed.set()
            self._closed.wait(AGAIN_SECONDS)

    def _list_and_watch(self) -> None:
        """Until changes have been missed, or the API server does not answer."""
        objects, version = self._namespace.listing(self._path, self._selector)
        with self._lock:
            self._objects = {item["metadata"]["uid"]: self._keep(item) for item in objects}
            self._failure = None
        del objects
        self._listed.set()
        try:
            while not self._closed.is_set():  # the server ends every watch after some minutes
                for change in self._namespace.changes(self._path, self._selector, version):
                    if change["type"] == "ERROR" or self._closed.is_set():
                        return
                    item = change["object"]
                    version = item["metadata"]["resourceVersion"]
                    self._apply(change["type"], item)
        except ApiUnreachable:
            return  # a connection that was cut is no outage: the list tells whether it is one

    def _apply(self, kind: str, item: Object) -> None:
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(item["metadata"]["uid"], None)
            elif kind != "BOOKMARK":  # which only has a version
                self._objects[item["metadata"]["uid"]] = self._keep(item)
