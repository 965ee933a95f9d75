"""Several processes that serve one address (docs/adr/0004-workers.md).

`supervisor` accepts connections and passes them on, `worker` is a process that serves them; `balance` says
who gets which, `channel` is what the two say to each other, and `tally` what all of them see.
"""

from .post import Post
from .supervisor import Supervisor
from .worker import Character, serve_worker

__all__ = ["Character", "Post", "Supervisor", "serve_worker"]
