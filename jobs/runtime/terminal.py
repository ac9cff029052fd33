"""What a person sees on the terminal, apart from the log."""

import sys
from typing import TYPE_CHECKING

from jobs.runtime.errors import ConfigurationError
from resnet_core.shown_text import visible, visible_lines

if TYPE_CHECKING:
    from rich.console import Console  # a worker that begins has no use for it


def use_any_encoding() -> None:
    """Has escape sequences printed for what the terminal's encoding lacks, as on the error stream anyway."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def say(line: object) -> None:
    """Prints a line of a command's answer."""
    print(visible(str(line)))


def complain(error: Exception) -> None:
    """Prints why a command has failed: one line, or of a ConfigurationError one for each fault."""
    shown = visible_lines if isinstance(error, ConfigurationError) else visible
    print(shown(f"resnet-sweep: {error}"), file=sys.stderr)


def can_redraw(console: "Console") -> bool:
    """Whether bars can be drawn. A dumb terminal has no cursor that moves; FORCE_COLOR makes no terminal of a pipe."""
    return console.file.isatty() and console.is_interactive
