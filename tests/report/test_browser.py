"""The report in a real browser: it loads nothing, runs its script, and fits screens and paper."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nversion.report import write_report
from nversion.study.sections import Results

BROWSER = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
AXE = Path(os.environ.get("NVERSION_AXE") or Path(sys.prefix) / "package" / "axe.min.js")
"""Where the Makefile unpacks it, unless said otherwise."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here"),
]

_SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *(
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ),
    *("--hide-scrollbars", "--virtual-time-budget=2000", "--host-resolver-rules=MAP * ~NOTFOUND"),
)


@pytest.fixture(scope="module")
def page(example: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    blank = folder / "report" / "blank.html"
    blank.parent.mkdir()
    blank.write_text("<p>blank page</p>")
    try:  # what has its name may be no more than a hint how to install it
        opened = "blank page" in browse(blank, "--dump-dom")
    except (OSError, subprocess.SubprocessError):
        opened = False
    if not opened:
        pytest.skip(f"{BROWSER} does not open a page here")
    return write_report(Results.of(example(20, failed=1)), folder / "report")


def browse(page: Path, *switches: str) -> str:
    """Open a page, and return what the browser prints."""
    home = page.parent.parent / "browser"
    command = [str(BROWSER), *_SWITCHES, f"--user-data-dir={home}", *switches, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout


def asked(page: Path, expression: str, *switches: str) -> Any:
    """Return what an expression is in a page, by a copy that lets it run beside the page's own."""
    source = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8")
    )
    asking = (
        "<script>addEventListener('load', async () => {"
        f"const found = await ({expression});"
        "const out = document.createElement('pre'); out.id = 'found';"
        "out.textContent = JSON.stringify(found); document.body.append(out);});</script></body>"
    )
    copy = page.with_name("asked.html")
    copy.write_text(source.replace("</body>", asking), encoding="utf-8")
    shown = browse(copy, "--dump-dom", *switches)
    return json.loads(html.unescape(shown.split('<pre id="found">')[1].split("</pre>")[0]))


def test_no_request_leaves_the_page(page: Path) -> None:
    tried = "performance.getEntriesByType('resource').map((entry) => entry.name)"
    assert [one for one in asked(page, tried) if not one.startswith("data:")] == []
    # The question is the right one: it names what cannot be loaded, too.
    leaking = page.with_name("leaking.html")
    source = page.read_text("utf-8")
    leaking.write_text(source.replace("</h1>", '</h1><img alt="" src="http://a.invalid/b.png">'))
    assert "http://a.invalid/b.png" in asked(leaking, tried)


def test_its_own_script_is_allowed_to_run_and_no_other(page: Path) -> None:
    assert "<th scope" in browse(page, "--dump-dom")
    assert '<button type="button">' in browse(page, "--dump-dom")
    foreign = page.with_name("foreign.html")
    source = page.read_text("utf-8")
    more = "<script>document.body.append('foreign script ' + 'ran')</script></body>"
    foreign.write_text(source.replace("</body>", more), encoding="utf-8")
    assert "foreign script ran" not in browse(foreign, "--dump-dom")


def test_tables_sort_and_filter_and_marks_say_their_names(page: Path) -> None:
    found = asked(
        page,
        """(() => {
          const table = document.querySelector("#table-versions table");
          const rows = () => [...table.tBodies[0].rows];
          const heads = [...table.querySelectorAll("thead button")];
          const head = heads.find((button) => button.textContent.trim() === "Parameters");
          const place = head.closest("th").cellIndex;
          const column = () => rows().map((row) => row.cells[place].textContent.trim());
          head.click(); const down = column(); head.click(); const up = column();
          const filter = document.querySelector("#table-versions .filter input");
          filter.value = "-dense"; filter.dispatchEvent(new Event("input"));
          const left = rows().filter((row) => !row.hidden).length;
          const picture = document.querySelector("#figure-5-program svg.wide");
          picture.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
          const tip = document.querySelector(".tip");
          const named = [tip.hidden, tip.textContent, picture.tabIndex];
          const mark = document.querySelector("#figure-2-test-accuracy svg.wide title").parentNode;
          mark.dispatchEvent(new MouseEvent("click", {bubbles: true}));
          const touched = [tip.textContent, mark.querySelector("title").textContent];
          document.body.click();
          return {down, up, left, named, touched, gone: tip.hidden};
        })()""",
        "--window-size=1280,900",
    )
    numbers = [int(text.replace(",", "")) for text in found["down"]]
    assert numbers == sorted(numbers, reverse=True)
    assert found["up"] == found["down"][::-1]
    assert found["left"] == 10
    hidden, named, tab = found["named"]
    assert (hidden, tab) == (False, 0)
    assert re.search(r"\d", named)
    assert found["touched"][0] == found["touched"][1] != named
    assert found["gone"]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_the_screen(page: Path, tmp_path: Path, width: int) -> None:
    # A browser's window is never narrower than 500 pixels: a frame of the width stands for it.
    source = html.escape(page.read_text("utf-8"))
    frame = page.with_name("frame.html")
    frame.write_text(
        f'<html><body style="margin:0"><iframe srcdoc="{source}" width="{width}" height="800" '
        'style="border:0"></iframe></body></html>',
        encoding="utf-8",
    )
    window = f"--window-size={max(width, 500)},800"
    picture = tmp_path / "page.png"
    browse(frame, window, f"--screenshot={picture}")
    with Image.open(picture) as shot:
        assert len(shot.convert("L").getcolors() or []) > 20
    inside = "document.querySelector('iframe').contentDocument.documentElement"
    assert asked(frame, f"{inside}.clientWidth", window) == width
    assert asked(frame, f"{inside}.scrollWidth", window) <= width


def test_the_versions_table_fits_a_desktop(page: Path) -> None:
    wide, room = asked(
        page,
        "(() => { const s = document.querySelector('#table-versions .scroll');"
        " s.closest('details').open = true; return [s.scrollWidth, s.clientWidth]; })()",
        "--window-size=1280,900",
    )
    assert wide <= room


def test_dark_is_dark_and_paper_has_pages(page: Path, tmp_path: Path) -> None:
    picture, paper = tmp_path / "dark.png", tmp_path / "page.pdf"
    dark = "--blink-settings=preferredColorScheme=0"
    browse(page, dark, "--window-size=800,600", f"--screenshot={picture}")
    with Image.open(picture) as shot:
        assert shot.convert("L").getpixel((3, 3)) < 60
    browse(page, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    content = paper.read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) >= 4


@pytest.mark.skipif(not AXE.is_file(), reason=f"there is no {AXE.name} (see `make axe`)")
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(page: Path, dark: bool) -> None:
    script = AXE.read_text("utf-8").replace("</script", "<\\/script")
    with_axe = page.with_name("axe.html")
    source = page.read_text("utf-8").replace("</head>", f"<script>{script}</script></head>")
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
    with_axe.write_text(source, encoding="utf-8")
    switches = ["--blink-settings=preferredColorScheme=0"] if dark else []
    found = asked(
        with_axe,
        "axe.run().then((r) => r.violations.map((v) => [v.id, v.help, v.nodes.length,"
        " v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary]))",
        "--window-size=1280,900",
        "--virtual-time-budget=60000",
        *switches,
    )
    assert found == []
