"""The command `python -m docs_site` (`make site`): build the site in build/site and check all its links."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from docs_site import navigation, protos, site_check
from docs_site.api_pages import ApiPages
from docs_site.staging import BrokenLinks, Staging, page_of

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
FAILED = 1


def main() -> int:
    """Build and check the site. Return 0 if all is well."""
    began = time.monotonic()
    build = ROOT / "build"
    pages, site = build / "pages", build / "site"
    api = ApiPages(protos.load(ROOT / "protos"), page_of)
    try:
        entries = Staging(ROOT, pages, api).write()
    except BrokenLinks as broken:
        print(broken, file=sys.stderr)
        return FAILED
    shutil.copytree(HERE / "assets", pages / "assets")
    settings = (HERE / "zensical.toml").read_text()
    listed = "\n".join(navigation.toml(entries))
    config = build / "zensical.toml"
    config.write_text(settings.replace("[project]\n", f"[project]\nnav = {listed}\n", 1))
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=build, env=environment, check=False, text=True, capture_output=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        return FAILED
    report = site_check.check(site)
    for fault in report.faults:
        print(fault, file=sys.stderr)
    counts = f"{report.pages} pages, {report.links:,} links, {report.anchors:,} of them to anchors"
    seconds = time.monotonic() - began
    print(f"{site.relative_to(ROOT)}: {counts}, {len(report.faults)} faults, {seconds:.0f} s")
    return FAILED if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
