"""The files of a folder or bucket, by name, size and time or tag; hidden ones are not looked at."""

from pathlib import Path
from typing import Any

from convoy import digests
from convoy.errors import ConvoyError

STAMPS = ("ETag", "mtime", "LastModified", "last_modified", "updated")
"""What file systems call the sign of a file's content, the surest first."""


def look(root: Path, address: str) -> str:
    """Return the fingerprint of all files below an address (fsspec's) or a path from `root`.

    Raises `ConvoyError` where it cannot be listed: that is no change.
    """
    import fsspec  # type: ignore[import-untyped]

    place = address if "://" in address else str(root / Path(address).expanduser())
    try:
        files, path = fsspec.core.url_to_fs(place, use_listings_cache=False)
        files.invalidate_cache()
        if "://" not in place and not Path(place).is_dir():
            raise FileNotFoundError(place)
        found: dict[str, dict[str, Any]] = files.find(path, detail=True)
    except (OSError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConvoyError(f"{address} cannot be listed ({reason}): mend the address.") from None
    except Exception as error:  # each service's library has errors of its own
        raise ConvoyError(f"{address} cannot be listed ({error}): mend it, or wait.") from None
    rows = []
    for name, info in sorted(found.items()):
        inside = name.removeprefix(path).lstrip("/")
        if any(part.startswith(".") for part in inside.split("/")):
            continue
        stamp = next((str(info[key]) for key in STAMPS if info.get(key)), "")
        rows.append([inside, info.get("size"), stamp])
    return digests.values(rows)
