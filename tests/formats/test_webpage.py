import base64
import re
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from formats.browser import browse
from formats.told import NASTY, PIXEL, chat_of, deep, nasty, walk
from hypothesis import given

from branchlog.exchange import export
from branchlog.formats import webpage
from branchlog.testing.strategies import conversations

VOID = {"meta", "img"}

BODY = """\
<body>
<header>
<h1 dir="auto" lang="">A walk</h1>
<p class="facts"><bdi>walk</bdi> · version 4 · 3 nodes · 2 branches</p>
<p class="help" id="keys" hidden>The arrow keys to the left and to the right lead from one alternative to the other.</p>
</header>
<main>
<div id="shown">
<article id="n1" data-parent="" tabindex="-1" class="" aria-labelledby="h1">
<h2 id="h1"><bdi>system</bdi></h2>
<p class="facts">root · <time datetime="2026-11-20T12:00:00+00:00">2026-11-20 12:00 UTC</time></p>
<div class="text" dir="auto" lang="">You plan walks.</div>
</article>
<article id="n2" data-parent="1" tabindex="-1" class="user" aria-labelledby="h2">
<h2 id="h2"><bdi>user</bdi></h2>
<p class="facts">0 · <time datetime="2026-11-20T12:01:00+00:00">2026-11-20 12:01 UTC</time> · <bdi>cursor main</bdi></p>
<div class="text" dir="auto" lang="">Where?</div>
<nav aria-label="Alternatives"><span class="end" aria-hidden="true">←</span>\
<span aria-label="alternative 1 of 2" role="img">1/2</span>\
<a href="#n4" aria-label="next alternative">→</a></nav>
</article>
</div>
<div id="branches">
<details class="branch">
<summary>Branch 1: alternative 2 of 2, after <bdi>You plan walks.</bdi></summary>
<article id="n4" data-parent="1" tabindex="-1" class="user" aria-labelledby="h4">
<h2 id="h4"><bdi>user</bdi></h2>
<p class="facts">1 · <time datetime="2026-11-20T12:02:00+00:00">2026-11-20 12:02 UTC</time></p>
<div class="text" dir="auto" lang="">When?</div>
<nav aria-label="Alternatives"><a href="#n2" aria-label="previous alternative">←</a>\
<span aria-label="alternative 2 of 2" role="img">2/2</span>\
<span class="end" aria-hidden="true">→</span></nav>
</article>
</details>
</div>
</main>
"""


class Elements(HTMLParser):
    """The elements of a page, closed in the order in which they were opened, with their attributes and texts."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found, self.deepest = [], [], 0
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append((tag, len(self.found) - 1))
            self.deepest = max(self.deepest, len(self.open))

    def handle_endtag(self, tag):
        opened, _ = self.open.pop()
        assert opened == tag

    def handle_data(self, data):
        if self.open:
            self.found[self.open[-1][1]][2] += data

    def of(self, tag, kind=None):
        return [each for each in self.found if each[0] == tag and (kind is None or each[1].get("class") == kind)]


def small():
    chat = chat_of()
    chat.say("user", "Where?")
    chat.add("user", "When?", under="root")
    return chat


def texts(elements):
    return [text for _, _, text in elements.of("div", "text")]


def test_a_small_page():
    written = export(small(), "html")
    begin, end = written.index("<body>"), written.index("<script>")

    assert written[begin:end] == BODY


def test_the_policy_names_all_that_runs_and_lets_nothing_in():
    written = export(small(), "html")
    script, style = (re.search(f"<{tag}>(.*?)</{tag}>", written, re.DOTALL)[1] for tag in ("script", "style"))
    hashes = [f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'" for text in (script, style)]
    elements = Elements(written)
    (policy,) = [attributes["content"] for _, attributes, _ in elements.of("meta") if "http-equiv" in attributes]

    assert policy == (
        f"default-src 'none'; script-src {hashes[0]}; style-src {hashes[1]}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert written.index("Content-Security-Policy") < written.index("<style>") < written.index("<script>")
    assert not re.search(r"\b(https?:)?//[a-z]", written)
    assert not [each for each in elements.found if each[0] in ("link", "iframe", "object", "form", "base")]
    assert not [name for _, attributes, _ in elements.found for name in attributes if name.startswith("on")]
    assert not [1 for _, attributes, _ in elements.found if "style" in attributes]


def test_a_path_is_a_page_without_script():
    elements = Elements(export(walk(), "html", node="river"))

    assert texts(elements) == ["You plan walks.", "Where shall we walk?", "Along the river."]
    assert [elements.of(tag) for tag in ("script", "nav", "details")] == [[], [], []]
    assert [text for _, _, text in elements.of("bdi")][-3:] == ["model walker-2", "rated 4 of 5", "label river"]


def test_images_are_shown_where_the_page_has_them():
    chat = walk()
    others = [f"data:image/png;base64,{sign}" for sign in '"<'] + ["data:text/html;base64,AA==", "https://a.example/x"]
    for address in others:
        chat.say("user", [{"type": "image_url", "image_url": {"url": address}}])
    elements = Elements(export(chat, "html"))

    assert [attributes["src"] for _, attributes, _ in elements.of("img")] == [PIXEL]
    assert texts(elements)[4:8] == [f"Image: {address}" for address in others]


def test_awkward_text_stays_text():
    elements = Elements(export(nasty(), "html"))
    shown = texts(elements)
    kinds = {tag for tag, _, _ in elements.found}

    for text in NASTY:
        assert shown.count(text.replace("\0", "␀").replace("\x1b", "␛")) == 2
    assert kinds <= {tag for tag, _, _ in Elements(export(walk(), "html")).found}
    assert len(elements.of("script")) == 1


@given(chat=conversations())
def test_every_message_of_every_conversation_is_there_once_and_can_be_reached(chat):
    elements = Elements(export(chat, "html"))
    articles = [attributes for _, attributes, _ in elements.of("article")]
    links = [attributes["href"] for _, attributes, _ in elements.of("a")]
    expected = {f"n{node.version}" for node in chat.tree if node.message is not None}

    assert sorted(each["id"] for each in articles) == sorted(expected)
    assert {link.removeprefix("#") for link in links} <= expected
    assert elements.deepest < 12


def test_depth_is_no_matter_to_a_parser():
    elements = Elements(export(deep(10_000, every=10), "html"))

    assert elements.deepest < 12
    assert len(elements.of("article")) == 10_999
    assert len(elements.of("details", "branch")) == 999


# In a browser.

SHOWN = {"run": "[...document.querySelectorAll('#shown article > .text')].map(each => each.textContent)"}
FOCUS = {"run": "document.activeElement.id"}


@pytest.fixture
def page(tmp_path):
    def put(chat, **options):
        path = tmp_path / "page.html"
        path.write_text(export(chat, "html", **options), "utf-8")
        return path

    return put


def test_alternatives_are_clicked_through(page):
    previous = {"click": "#shown a[aria-label='previous alternative']"}
    following = {"click": "#shown a[aria-label='next alternative']"}
    place = {"run": "document.querySelector('#shown nav span[role=img]').textContent"}
    steps = [SHOWN, place, previous, SHOWN, place, FOCUS, previous, SHOWN, FOCUS, following, following, SHOWN]
    came = browse(page(walk()), *steps)
    ways = [answer for answer in came["answers"] if isinstance(answer, list)]
    asked = ["You plan walks.", "Where shall we walk?"]

    assert ways == [
        [*asked, "To the castle.", "This one?"],
        asked,  # the second alternative is a call, which is no text
        [*asked, "Along the river.", "And if it rains?"],
        [*asked, "To the castle.", "This one?"],
    ]
    assert [answer for answer in came["answers"] if isinstance(answer, str)] == ["3/3", "2/3", "n8", "n4"]
    assert came["said"] == []
    assert len(came["asked"]) == 1


def test_an_image_of_the_page_is_drawn(page):
    came = browse(page(walk()), {"run": "document.querySelector('img').naturalWidth"})

    assert came["answers"] == [1]


def test_the_arrow_keys_lead_from_one_alternative_to_the_other(page):
    left, right = {"key": "Left"}, {"key": "Right"}
    came = browse(page(walk()), right, FOCUS, left, FOCUS, left, FOCUS, left, FOCUS, right, FOCUS, right, FOCUS, SHOWN)

    assert came["answers"][:-1] == ["", "n8", "n4", "n4", "n8", "n9"]
    assert came["answers"][-1][-1] == "This one?"


def test_what_was_chosen_beneath_an_alternative_stays_chosen(page):
    chat = chat_of()
    first = chat.say("user", "one")
    chat.say("assistant", "a")
    chat.say("assistant", "b", under=first)
    chat.say("user", "two", under="root")
    left, right = {"key": "Left"}, {"key": "Right"}
    choose_a = {"run": "document.querySelectorAll('#shown nav')[1].querySelector('a').click()"}
    focus_top = {"run": "document.querySelector('#shown nav').closest('article').focus()"}
    came = browse(page(chat), SHOWN, left, SHOWN, choose_a, SHOWN, focus_top, right, SHOWN, left, SHOWN)
    ways = [answer[1:] for answer in came["answers"] if answer]

    assert ways == [["two"], ["one", "b"], ["one", "a"], ["two"], ["one", "a"]]


def test_an_address_leads_to_a_message_that_is_not_on_show(page):
    go = {"run": "void (location.hash = '#n6')"}
    wait = {"run": "1"}
    came = browse(page(walk()), go, {"key": "Shift"}, wait, SHOWN, FOCUS)

    assert came["answers"][-2][-1] == "And if it rains?"
    assert came["answers"][-1] == "n6"


def test_awkward_text_does_nothing(page):
    """Each message and each tool call on show is clicked, each alternative gone to: nothing runs, nothing is loaded."""
    go_through = """
      (() => {
        const next = () => document.querySelector("#shown a[aria-label='previous alternative']");
        let seen = 0;
        for (let link = next(); link; link = next()) {
          for (const each of document.querySelectorAll("#shown *")) if (each.tagName !== "A") each.click();
          link.click();
          seen += 1;
        }
        return seen;
      })()
    """
    hacked = {"run": "window.hacked === undefined && document.hacked === undefined"}
    address = {"run": "location.pathname.endsWith('page.html') && document.querySelectorAll('script').length === 1"}
    title = {"run": "document.title"}
    came = browse(page(nasty()), hacked, {"run": go_through}, {"key": "Right"}, hacked, address, title)

    assert came["answers"][:4] == [True, len(NASTY) - 1, True, True]
    assert came["answers"][4].startswith("<script>window.hacked = 1</script><img")
    assert len(came["asked"]) == 1
    assert came["said"] == []


def test_what_is_no_part_of_the_page_does_not_run(page):
    """The policy holds even where something came into the page: the second wall behind the first."""
    path = page(small())
    added = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'><style>body{color:red}</style>"
    path.write_text(path.read_text().replace("</main>", added + "</main>"))
    came = browse(path, {"run": "window.hacked === undefined"}, {"run": "getComputedStyle(document.body).color"})

    assert came["answers"][0] is True
    assert came["answers"][1] != "rgb(255, 0, 0)"
    assert len([said for said in came["said"] if "Content Security Policy" in said]) >= 3


def test_a_page_without_its_script_shows_the_path_and_the_rest_folded(page):
    path = page(walk())
    path.write_text(re.sub("<script>.*</script>", "", path.read_text(), flags=re.DOTALL))
    seen = "[...document.querySelectorAll('article')].filter(each => each.checkVisibility()).map(each => each.id)"
    going = {"click": "#shown a[aria-label='previous alternative']"}
    came = browse(path, {"run": seen}, {"click": "#branches summary"}, {"run": seen}, going, {"run": "location.hash"})

    assert came["answers"][0] == ["n1", "n2", "n9", "n11"]
    assert came["answers"][1] == ["n1", "n2", "n9", "n11", "n4", "n6"]
    assert came["answers"][2] == "#n8"


def test_nothing_is_wider_than_a_narrow_screen_and_each_text_has_its_direction(page):
    chat = chat_of(title="long" * 100)
    chat.say("user", "word" * 500)
    chat.say("assistant", "שלום עולם")
    chat.say("assistant", [{"type": "x", "value": "word" * 500}])
    wide = {"run": "document.documentElement.scrollWidth <= window.innerWidth"}
    direction = {
        "run": "[...document.querySelectorAll('.text')].map(each => getComputedStyle(each).direction)",
    }
    came = browse(page(chat), wide, direction, width=320)

    assert came["answers"] == [True, ["ltr", "ltr", "rtl"]]


def test_ten_thousand_messages_open(page):
    count = {"run": "document.querySelectorAll('#shown article').length"}
    seconds = {"run": "performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart"}
    came = browse(page(deep(10_000, every=10)), count, {"key": "Right"}, count, FOCUS, seconds)

    assert came["answers"][0] == 10_000
    assert came["answers"][1] < 10_000
    assert came["answers"][2]
    assert came["answers"][3] < 30_000


def test_headings_go_down_step_by_step():
    """A heading for the page and one for each message, as a screen reader lists them."""
    elements = Elements(export(walk(), "html"))
    levels = [int(tag[1]) for tag, _, _ in elements.found if re.fullmatch("h[1-6]", tag)]
    labels = [attributes["aria-labelledby"] for _, attributes, _ in elements.of("article")]
    ids = [attributes["id"] for _, attributes, _ in elements.found if "id" in attributes]

    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert labels == [attributes["id"] for _, attributes, _ in elements.of("h2")]
    assert len(ids) == len(set(ids))


def test_the_page_has_the_style_and_the_script_once():
    written = export(small(), "html")

    assert written.count(webpage.STYLE) == written.count(webpage.SCRIPT) == 1
