"""A single web page to read a conversation in, with its alternatives to click through. It can be written only.

The page is whole in itself and may come from anyone: its policy lets it load nothing and run nothing but its own
script and style, which it names by their hashes. What a message says is text.

Without the script the line on show is there to read, the other lines stand folded beneath it, and links lead to the
alternatives. The script takes all messages and shows the path that is chosen. No element is nested deeper for a
message that is deeper in the tree: parsers of HTML give up after 512.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from hashlib import sha256

import attrs

from branchlog._core.tree import Node
from branchlog.conversation import Conversation, NodeLike
from branchlog.formats.outline import Join
from branchlog.formats.transcript import (
    Part,
    cursors_by_node,
    facts_of,
    gist,
    lines,
    moment,
    name_of,
    parts_of,
    role_of,
    title_of,
)

FORMAT = "html"
JOIN: Join = "alone"
SUFFIX = ".html"
PATHS = True

GIST_CHARACTERS = 60
"""Characters of a message by which a branch is told."""

STYLE = """
:root { color-scheme: light dark; --edge: #8886; --quiet: #666; --mine: #2563eb14; --focus: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --quiet: #aaa; --mine: #60a5fa1f; --focus: #60a5fa; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 50rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
.facts, .help { color: var(--quiet); font-size: .85rem; overflow-wrap: anywhere; }
article { border: 1px solid var(--edge); border-radius: .5rem; margin: .75rem 0; padding: .5rem .75rem;
  content-visibility: auto; contain-intrinsic-size: auto 8rem; }
article.user { background: var(--mine); }
article.hidden { border-style: dashed; }
article:focus { outline: 2px solid var(--focus); }
article h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
article p { margin: 0; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0; unicode-bidi: plaintext; }
pre { overflow-x: auto; border: 1px solid var(--edge); border-radius: .25rem; padding: .5rem; margin: .5rem 0; }
img { max-width: 100%; height: auto; }
nav { display: flex; gap: .5rem; align-items: center; font-size: .9rem; }
nav a { padding: .25rem .5rem; border: 1px solid var(--edge); border-radius: .25rem; color: inherit;
  text-decoration: none; }
nav a:focus-visible, summary:focus-visible { outline: 2px solid var(--focus); }
nav .end { padding: .25rem .5rem; opacity: .3; }
details.branch { margin: 1rem 0; border-inline-start: 3px solid var(--edge); padding-inline-start: .75rem; }
summary { cursor: pointer; overflow-wrap: anywhere; }
@media (max-width: 30rem) { body { padding: .5rem; } article { padding: .5rem; } }
@media print { nav, .help { display: none; } article { content-visibility: visible; break-inside: avoid-page; } }
"""

SCRIPT = """
"use strict";
(() => {
  const shown = document.getElementById("shown");
  const branches = document.getElementById("branches");
  const children = new Map(), articles = new Map(), chosen = new Map();
  for (const article of document.querySelectorAll("article")) {
    const parent = article.dataset.parent;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(article);
    articles.set(article.id, article);
    if (shown.contains(article)) chosen.set(parent, article);
  }
  const number = article => Number(article.id.slice(1));
  for (const [parent, siblings] of children) {
    siblings.sort((one, other) => number(one) - number(other));
    if (!chosen.has(parent)) chosen.set(parent, siblings[siblings.length - 1]);
  }
  branches.remove();
  document.getElementById("keys").hidden = children.size === articles.size;

  const showFrom = first => {
    while (shown.lastChild) {
      const last = shown.lastChild;
      shown.removeChild(last);
      if (last.dataset && last.dataset.parent === first.dataset.parent) break;
    }
    const tail = document.createDocumentFragment();
    for (let each = first; each; each = chosen.get(each.id.slice(1))) tail.append(each);
    shown.append(tail);
  };

  const choose = article => {
    const before = chosen.get(article.dataset.parent);
    const top = before.getBoundingClientRect().top;
    chosen.set(article.dataset.parent, article);
    showFrom(article);
    window.scrollBy(0, article.getBoundingClientRect().top - top);
    article.focus({ preventScroll: true });
  };

  const showPathTo = article => {
    const way = [];
    for (let each = article; each; each = articles.get("n" + each.dataset.parent)) way.push(each);
    let turn = null;
    for (const each of way.reverse()) {
      if (turn === null && chosen.get(each.dataset.parent) !== each) turn = each;
      chosen.set(each.dataset.parent, each);
    }
    if (turn !== null) showFrom(turn);
    article.scrollIntoView();
    article.focus({ preventScroll: true });
  };

  const byAddress = () => {
    const article = articles.get(location.hash.slice(1));
    if (article) showPathTo(article);
  };

  const step = (article, by) => {
    const siblings = children.get(article.dataset.parent);
    const other = siblings[siblings.indexOf(article) + by];
    if (other) choose(other);
  };

  const inSight = () => {
    const forks = [...shown.children].filter(each => children.get(each.dataset.parent).length > 1);
    const below = forks.find(each => each.getBoundingClientRect().bottom > 0);
    return below || forks[forks.length - 1];
  };

  document.addEventListener("click", event => {
    const link = event.target.closest("nav a");
    const article = link && articles.get(link.hash.slice(1));
    if (!article) return;
    event.preventDefault();
    choose(article);
  });

  document.addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.target.closest("pre")) return;
    const focused = event.target.closest("article");
    const article = focused && children.get(focused.dataset.parent).length > 1 ? focused : inSight();
    if (!article) return;
    event.preventDefault();
    step(article, by);
  });

  window.addEventListener("hashchange", byAddress);
  byAddress();
})();
"""

_IMAGE = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/=]+", re.IGNORECASE)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""Nothing from elsewhere, nothing but what stands here; images only within the page."""


@attrs.frozen
class _Page:
    """What the pieces of a page need to know."""

    chat: Conversation
    cursors: dict[int, list[str]]
    alternatives: bool


def write(chat: Conversation, *, node: NodeLike | None = None) -> str:
    """The whole tree as a page, or with a node the path to it."""
    page = _Page(chat, cursors_by_node(chat.tree), node is None)
    told = iter([chat.path(chat.node(node))]) if node is not None else lines(chat.tree)
    title = html.escape(title_of(chat))
    pieces = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f'<meta name="generator" content="branchlog">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n',
        f'<body>\n<header>\n<h1 dir="auto" lang="">{title}</h1>\n{_summary(page)}</header>\n',
        f'<main>\n<div id="shown">\n{_articles(page, next(told))}</div>\n',
        f'<div id="branches">\n{"".join(_branch(page, line) for line in told)}</div>\n</main>\n',
        f"<script>{SCRIPT}</script>\n" if page.alternatives else "",
        "</body>\n</html>\n",
    ]
    return "".join(pieces)


def _summary(page: _Page) -> str:
    """What is said of the conversation beneath its title."""
    chat, tree = page.chat, page.chat.tree
    counts = [f"{len(tree):,} node{'' if len(tree) == 1 else 's'}"]
    if page.alternatives:
        branches = len(tree.leaves)
        counts.append(f"{branches:,} branch{'' if branches == 1 else 'es'}")
    said = f'<p class="facts">{_text(chat.id)} · version {tree.version:,} · {" · ".join(counts)}</p>\n'
    if not page.alternatives:
        return said
    keys = "The arrow keys to the left and to the right lead from one alternative to the other."
    return said + f'<p class="help" id="keys" hidden>{keys}</p>\n'


def _text(text: str) -> str:
    """A text of others within a line: it keeps its direction to itself."""
    return f"<bdi>{html.escape(text)}</bdi>"


def _branch(page: _Page, line: tuple[Node, ...]) -> str:
    """A line that is not on show, folded."""
    first = line[0]
    parent = first.parent
    after = "" if parent is None or parent.message is None else f", after {_text(gist(parent, GIST_CHARACTERS))}"
    head = f"Branch {name_of(first)}: alternative {first.position}{after}"
    return f'<details class="branch">\n<summary>{head}</summary>\n{_articles(page, line)}</details>\n'


def _articles(page: _Page, line: Iterable[Node]) -> str:
    return "".join(_article(page, node) for node in line if node.message is not None)


def _article(page: _Page, node: Node) -> str:
    """A message, whole."""
    parent = "" if node.parent is None else node.parent.version
    role = role_of(node)
    look = " ".join(name for name, has in (("user", role == "user"), ("hidden", node.hidden)) if has)
    facts = [_text(fact) for fact in facts_of(node, page.cursors)]
    time = f'<time datetime="{node.added.isoformat()}">{moment(node.added)}</time>'
    return "".join(
        (
            f'<article id="n{node.version}" data-parent="{parent}" tabindex="-1" class="{look}" ',
            f'aria-labelledby="h{node.version}">\n<h2 id="h{node.version}">{_text(role)}</h2>\n',
            f'<p class="facts">{" · ".join([name_of(node), time, *facts])}</p>\n',
            *map(_part, parts_of(node)),
            _alternatives(node) if page.alternatives and node.position.of > 1 else "",
            "</article>\n",
        )
    )


def _alternatives(node: Node) -> str:
    """The links to the alternative before and the one after."""
    number, of = node.position
    previous = _link(node, -1, "previous", "←") if number > 1 else '<span class="end" aria-hidden="true">←</span>'
    following = _link(node, 1, "next", "→") if number < of else '<span class="end" aria-hidden="true">→</span>'
    place = f'<span aria-label="alternative {number} of {of}" role="img">{number}/{of}</span>'
    return f'<nav aria-label="Alternatives">{previous}{place}{following}</nav>\n'


def _link(node: Node, steps: int, what: str, sign: str) -> str:
    return f'<a href="#n{node.next_door(steps).version}" aria-label="{what} alternative">{sign}</a>'


def _part(part: Part) -> str:
    text = html.escape(part.text)
    if part.kind == "text":
        return f'<div class="text" dir="auto" lang="">{text}</div>\n'
    if part.kind != "image":
        what = "calls" if part.kind == "call" else "holds"
        head = f"<summary>{what} {_text(part.name)}</summary>"
        return f'<details class="part" open>{head}<pre dir="ltr" tabindex="0">\n{text}</pre></details>\n'
    if _IMAGE.fullmatch(part.text):
        return f'<p><img src="{text}" alt="An image of this message"></p>\n'
    return f'<div class="text" dir="ltr">Image: {text}</div>\n'
