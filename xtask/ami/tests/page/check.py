"""Looks at pages of builds in a headless Chromium: as people with a mouse, a keyboard, a phone and a printer do.

    check.py AXE PAGE... [--pictures FOLDER]

AXE is axe.min.js, or a folder with one. Each page must send no request, log no error, have no fault that axe-core knows,
and not be wider than its window; and the keyboard alone must reach each of its controls.
"""

import argparse
import base64
import pathlib
import sys
import tempfile

from browser import Browser

WIDTHS = [360, 900, 1600]
SCHEMES = ["light", "dark"]

CONTROLS = """[...document.querySelectorAll('a[href], button, summary, [tabindex="0"]')]
    .filter((control) => control.checkVisibility()).length"""
ACTIVE = """(() => {
    const active = document.activeElement;
    window.reached ??= new Set();
    const known = window.reached.has(active);
    if (active !== document.body) window.reached.add(active);
    return known ? -1 : window.reached.size;
})()"""


def axe_faults(browser, axe):
    """What axe-core finds."""
    browser.run(axe)
    found = browser.run("axe.run().then((result) => result.violations.map((fault) => "
                        "`${fault.id}: ${fault.help}: ${fault.nodes.slice(0, 3).map((node) => node.html)}`))")
    return [f"axe: {fault}" for fault in found]


def is_reached(browser):
    """Whether the tab key comes to every control."""
    wanted = browser.run(CONTROLS)
    reached = 0
    for _ in range(wanted + 5):
        browser.press("Tab")
        reached = max(reached, browser.run(ACTIVE))
    return [] if reached >= wanted else [f"the tab key reaches {reached} of {wanted} controls"]


def are_bars_reached(browser):
    """Whether arrows go through all bars, with a hint at each, and whether keys zoom."""
    if not browser.run("Boolean(document.getElementById('chart'))"):
        return []
    faults = []
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    browser.run("document.getElementById('chart').focus()")
    bars = browser.run("document.querySelectorAll('.bar').length")
    seen = set()
    for _ in range(bars):
        browser.press("ArrowDown")
        browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seen.add(browser.run("[...document.querySelectorAll('.bar')].indexOf(document.activeElement)"))
        if browser.run("document.getElementById('tip').hidden"):
            faults.append("a bar that has the focus shows no hint")
            break
    if -1 in seen or len(seen) != bars:
        faults.append(f"the arrows reach {len(seen)} of {bars} bars")
    width = "document.querySelector('.wide').offsetWidth"
    before = browser.run(width)
    browser.press("+", "+")
    browser.press("+", "+")
    if browser.run(width) <= before * 2:
        faults.append("the key + does not zoom")
    browser.run("document.getElementById('chart').focus()")
    left = browser.run("document.getElementById('chart').scrollLeft")
    browser.press("ArrowRight")
    if browser.run("document.getElementById('chart').scrollLeft") == left:
        browser.press("ArrowLeft")
        if browser.run("document.getElementById('chart').scrollLeft") == left:
            faults.append("the arrows do not move the view")
    browser.press("0", "0")
    if browser.run(width) != before:
        faults.append("the key 0 does not show all")
    return faults


def picture(browser, path, whole=True):
    """Takes a picture of the page."""
    image = browser.call("Page.captureScreenshot", captureBeyondViewport=whole)
    path.write_bytes(base64.b64decode(image["data"]))


def check(browser, axe, page, pictures):
    """The faults of a page."""
    faults = []
    for width in WIDTHS:
        for scheme in SCHEMES:
            browser.faults.clear()
            browser.open(page, width, scheme)
            found = axe_faults(browser, axe)
            wide = browser.run("document.documentElement.scrollWidth")
            if wide > width:
                found.append(f"the page is {wide} pixels wide")
            if pictures:
                picture(browser, pictures / f"{page.parent.name}-{width}-{scheme}.png")
            if scheme == "light" and width != 900:
                browser.open(page, width, scheme)
                found += is_reached(browser) + are_bars_reached(browser)
            found += browser.faults
            faults += [f"{page.name} at {width}, {scheme}: {fault}" for fault in found]
    if pictures:
        browser.open(page, 900, "light")
        printed = browser.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        (pictures / f"{page.parent.name}.pdf").write_bytes(base64.b64decode(printed["data"]))
    return faults


def main():
    words = argparse.ArgumentParser()
    words.add_argument("axe", type=pathlib.Path)
    words.add_argument("pages", type=pathlib.Path, nargs="+")
    words.add_argument("--pictures", type=pathlib.Path)
    flags = words.parse_args()
    axe = flags.axe if flags.axe.is_file() else next(flags.axe.rglob("axe.min.js"))
    faults = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            for page in flags.pages:
                faults += check(browser, axe.read_text(), page.resolve(), flags.pictures)
        finally:
            browser.close()
    for fault in faults:
        print(fault)
    print(f"pages: {len(flags.pages)}, faults: {len(faults)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
