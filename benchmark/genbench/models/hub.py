"""Where the files of a checkpoint lie: its directory, or the local snapshot of a hub id."""

from __future__ import annotations

from pathlib import Path

from genbench.errors import ModelError
from genbench.models import files


def _hub_folder(name: str, revision: str | None, allow_pickle: bool) -> tuple[Path, str]:
    """The local snapshot of a hub id, and its commit. Raises ModelError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.py"]
    if allow_pickle:
        patterns.append("*.bin")
    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]
            )
        )
    except HFValidationError:
        raise ModelError(
            f"there is no model '{name}': no such directory, and no valid hub id"
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"there is no model '{name}': no such directory, and the hub has not given it "
            f"({files.brief(error)}). A local checkpoint is given by its directory"
        ) from None
    return folder, folder.name


def local_folder(
    name: str, revision: str | None, *, allow_pickle: bool = False
) -> tuple[Path, str | None]:
    """The checkpoint's folder and, for a hub id, its commit. Raises ModelError."""
    if not name.strip():
        raise ModelError("the model's name is empty: give a directory or a hub id")
    path = Path(name).expanduser()
    if path.is_dir():
        return path, None
    if path.exists():
        raise ModelError(f"{name} is a file; a checkpoint is given by its directory")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"there is no directory {name}")
    return _hub_folder(name, revision, allow_pickle)
