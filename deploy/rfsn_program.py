"""The program in the folder that one_folder.py builds: `rfsn`, and without arguments a server with its page opened."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path


def open_page(data: Path) -> None:
    """Open the page in a browser as soon as the server says where it listens."""
    from rfsn_core.server.address import read

    for _ in range(600):
        time.sleep(0.1)
        address, _secret = read(data)
        try:
            if address:
                urllib.request.urlopen(f"{address}/health", timeout=1).close()
                webbrowser.open(address)
                return
        except OSError:
            continue


def main() -> None:
    """Run `rfsn`; a double click serves the world `world` next to the program, or the example world."""
    from rfsn_core.cli import main as rfsn

    if len(sys.argv) == 1:
        from rfsn_core.cli.options import load_runtimes

        own = Path(sys.executable).parent / "world"
        if (own / "npcs").is_dir():
            os.environ.setdefault("RFSN_WORLD", str(own))
        data = load_runtimes(None, None).data_dir
        threading.Thread(target=open_page, args=(data,), daemon=True).start()
        sys.argv.append("serve")
    rfsn()


if __name__ == "__main__":
    multiprocessing.freeze_support()  # `serve --workers` starts this program again
    main()
