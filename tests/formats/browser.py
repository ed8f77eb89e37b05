"""A web page opened in a real browser, the Chromium that PySide6-WebEngine brings, and driven as a person would.

``browse`` runs this file in a process of its own: Qt wants the main thread, and what a page could do to it stays there.
The steps are JSON: ``{"run": JAVASCRIPT}`` answers with what it evaluates to, ``{"click": SELECTOR}`` is a click of the
mouse into the middle of the first such element, ``{"key": "Right"}`` a key. Needs what Chromium needs of the system:
on Debian libnss3, libasound2, libdbus-1-3, libegl1, libgl1, libgbm1, libfontconfig1, libglib2.0-0, libx11-6,
libxcb-dri3-0, libxcomposite1, libxdamage1, libxkbcommon0, libxkbfile1, libxrandr2 and libxtst6; what is
missing stands in the error of the test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {
    "QT_QPA_PLATFORM": "offscreen",
    "QTWEBENGINE_DISABLE_SANDBOX": "1",  # the pages are our own, and the sandbox refuses to run as root
    "QTWEBENGINE_CHROMIUM_FLAGS": "--disable-gpu --force-prefers-reduced-motion",
}


SETTLING_MILLISECONDS = 80
"""For what a click or a key did to be drawn."""

LOOKS_MAX = 300

ARRIVING = """(
  window.arrived = 0,
  ["click", "keyup"].forEach(kind =>
    addEventListener(kind, () => { window.arrived += 1; }, { capture: true, once: true })
  ),
  1
)"""


def browse(page: Path, *steps: dict, width: int = 800, timeout_seconds: float = 90) -> dict:
    """What came of the steps: ``answers`` of those that run, ``asked`` for addresses, ``said`` in the console."""
    wish = {"page": str(page), "steps": steps, "width": width}
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(wish),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_seconds,
        env={**os.environ, **ENVIRONMENT},
    )

    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    from PySide6.QtCore import QEventLoop, QTimer, QUrl
    from PySide6.QtTest import QTest
    from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineUrlRequestInterceptor
    from PySide6.QtWebEngineWidgets import QWebEngineView
    from PySide6.QtWidgets import QApplication

    wish = json.load(sys.stdin)
    seen: dict[str, list] = {"answers": [], "asked": [], "said": []}

    class Watch(QWebEngineUrlRequestInterceptor):
        def interceptRequest(self, info) -> None:  # noqa: N802 - Qt's name
            seen["asked"].append(info.requestUrl().toString()[:200])

    class Page(QWebEnginePage):
        def javaScriptConsoleMessage(self, level, message, line, source) -> None:  # noqa: N802 - Qt's name
            seen["said"].append(message)

    _application = QApplication([])
    view, watch = QWebEngineView(), Watch()
    page = Page(view)
    page.setUrlRequestInterceptor(watch)
    view.setPage(page)
    view.resize(wish["width"], 600)
    view.show()

    def waited(begin):
        """What is handed to the function that ``begin`` is given."""
        loop, found = QEventLoop(), []
        QTimer.singleShot(60_000, loop.quit)

        def done(value=None):
            found.append(value)
            loop.quit()

        begin(done)
        if not found:
            loop.exec()
        return found[0]

    def run(script):
        return json.loads(waited(lambda done: page.runJavaScript(f"JSON.stringify(({script}) ?? null)", 0, done)))

    def load(done):
        page.loadFinished.connect(done)
        view.load(QUrl.fromLocalFile(wish["page"]))

    assert waited(load)
    QTest.qWait(SETTLING_MILLISECONDS)
    for step in wish["steps"]:
        if "run" in step:
            seen["answers"].append(run(step["run"]))
        else:
            act(step, view.focusProxy(), run)
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()
    os._exit(0)  # Qt would take its time to take the browser down


def act(step, screen, run) -> None:
    """A click or a key, which the page has had when this ends: what it did is done before it answers again."""
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtTest import QTest

    run(ARRIVING)
    if "click" in step:
        found = f"document.querySelector({json.dumps(step['click'])})"
        run(f"({found}.scrollIntoView({{block: 'center'}}), 1)")
        QTest.qWait(SETTLING_MILLISECONDS)
        box = run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({found}.getBoundingClientRect())")
        QTest.mouseClick(screen, Qt.MouseButton.LeftButton, pos=QPoint(*map(round, box)))
    else:
        QTest.keyClick(screen, getattr(Qt.Key, f"Key_{step['key']}"))
    for _ in range(LOOKS_MAX):
        QTest.qWait(SETTLING_MILLISECONDS)
        if run("window.arrived"):
            return
    raise AssertionError(f"the page has not had {step}")


if __name__ == "__main__":
    main()
