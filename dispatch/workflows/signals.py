"""How a run's body is made to let go: a BaseException that says what happened to whoever catches it by mistake."""

from __future__ import annotations

from dispatch.ids import RunID


class RunUnwound(BaseException):
    """Raised by every verb of a WorkflowContext once its run has parked, failed, blocked or was cancelled.

    It passes through the body so that `finally:` and `with` can let go of what they hold; nothing is recorded from then
    on. It is no Exception, so `except Exception:` does not meet it. A bare `except:` or `except BaseException:` that
    swallows it changes nothing: the next verb raises it again, and what the body returns after it is thrown away.
    """

    def __init__(self, run_id: RunID, why: str) -> None:
        super().__init__(
            f"{run_id} {why}; its body is being left and runs again from the start, past its checkpoints, when there "
            "is more to do. Let this pass: an `except:` or `except BaseException:` that swallows it only delays the run"
        )
        self.why = why


class Mismatch(Exception):
    """What is recorded under a name does not fit the verb that visits it; the run is blocked, and this never reaches
    the body."""
