import re

from formats.told import chat_of, deep, nasty, walk, wide
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from branchlog import Message
from branchlog.exchange import export
from branchlog.formats import markdown
from branchlog.testing.strategies import conversations

WALK = """\
# A walk

## On show

### <a id="n1"></a>system

*root · 2026-11-20 12:00 UTC*

> You plan walks.

### <a id="n2"></a>user

*0 · 2026-11-20 12:01 UTC*

> Where shall we walk?

### <a id="n9"></a>assistant

*0.2 · 2026-11-20 12:05 UTC · bookmark*

> To the castle.

Alternative 3 of 3; the others: [1: 0.0](#n4), [2: 0.1](#n8)

### <a id="n11"></a>user

*0.2.0 · 2026-11-20 12:06 UTC · cursor main*

> This one?

Image of 118 characters, beginning with ` data:image/png;base64 `

## Branch 0.0: alternative 1 of 3

After [0](#n2), user: Where shall we walk?

### <a id="n4"></a>assistant

*0.0 · 2026-11-20 12:02 UTC · model walker-2 · rated 4 of 5 · label river*

> Along the river.

Alternative 1 of 3; the others: [2: 0.1](#n8), [3: 0.2](#n9)

### <a id="n6"></a>user

*0.0.0 · 2026-11-20 12:03 UTC*

> And if it rains?

## Branch 0.1: alternative 2 of 3

After [0](#n2), user: Where shall we walk?

### <a id="n8"></a>assistant

*0.1 · 2026-11-20 12:04 UTC*

Calls weather:

```json
{
  "day": "today"
}
```

Alternative 2 of 3; the others: [1: 0.0](#n4), [3: 0.2](#n9)
"""

PATH = """\
# A walk

## system

*root · 2026-11-20 12:00 UTC*

> You plan walks.

## user

*0 · 2026-11-20 12:01 UTC*

> Where shall we walk?

## assistant

*0.0 · 2026-11-20 12:02 UTC · model walker-2 · rated 4 of 5 · label river*

> Along the river.
"""

FRAGMENTS = st.sampled_from(
    [
        *(
            "# head",
            "## ",
            "===",
            "---",
            "- ",
            "1. ",
            "> ",
            "    ",
            "   ",
            "\t",
            " ",
            "\n",
            "\n\n",
            "word",
            "| a | b |",
        ),
        *("```", "````", "~~~", "```html", "`", "``", "\\", "\\`", "*", "[a]: /x", "[a]", "![i](x)", "[x](<y`z>)"),
        *(
            "<b>",
            "</div>",
            "<!--",
            "-->",
            "<script>",
            "<pre>",
            "<https://a.example/`>",
            "<?",
            "<![CDATA[",
            "</blockquote>",
        ),
        *("&lt;", "&#60;b>", "\0", "\r", "\x0b", "\u2028", "<a href='`'>", "<x\n", "]:", "[f]\n: /x"),
    ]
)


def top_level(text):
    """The blocks of a document that are in no other, by kind and with their text."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [
        (token.type, tokens[at + 1].content)
        for at, token in enumerate(tokens)
        if token.level == 0 and token.nesting >= 0
    ]


def markup(text):
    """The HTML that a reader of Markdown finds in a text."""
    found = []
    for token in MarkdownIt("commonmark").parse(text):
        found += [each.content for each in (token, *(token.children or ())) if each.type.startswith("html_")]
    return found


def test_a_tree_is_told_line_by_line():
    assert export(walk(), "markdown") == WALK


def test_a_path_is_told_by_itself():
    assert export(walk(), "markdown", node="river") == PATH
    assert "## Branch" not in export(deep(3), "markdown")


@example(text="1. a\n   ```\n   x\n```\n<b>\n```")
@example(text="a `\n`<b>`")
@example(text="    `\nx `<b>`")
@example(text="```\n<b>\n~~~\n```\n<i>")
@example(text="[x](<y`z>)<script>[x](<y`z>)")
@example(text="- ~~~\n<b>\n~~~\n<i>")
@given(text=st.lists(FRAGMENTS, max_size=25).map("".join))
def test_what_a_message_says_does_not_act_beyond_its_end(text):
    """Whatever stands in a message: the document has the same headings, and no HTML or links that are not its own."""
    chat = chat_of()
    chat.say("user", text or "x")
    chat.say("assistant", "[a] [f] end")
    written = export(chat, "markdown", node="@")
    kinds = [kind for kind, _ in top_level(written)]
    message = ["heading_open", "paragraph_open", "blockquote_open"]

    assert kinds == ["heading_open", *message * 3]
    assert markup(written) == []
    assert "](" not in written.rpartition("## assistant")[2]
    assert MarkdownIt("commonmark").render("> [a] [f] end") in MarkdownIt("commonmark").render(written)


@given(text=st.text())
def test_a_heading_says_a_text_as_it_is(text):
    heading = "# " + markdown.escaped("x" + text)
    (kind, _), *more = top_level(heading)
    shown = "".join(
        token.content for token in MarkdownIt("commonmark").parse(heading)[1].children if token.type.startswith("text")
    )

    assert (kind, more) == ("heading_open", [])
    assert shown == re.sub(r"\s+", " ", "x" + text).strip().translate(SIGNS)


SIGNS = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def test_code_in_a_message_stays_as_it_is():
    said = "Use `<b>` so:\n\n```html\n<b>[a]: x</b>\n```\n\nand not <b>."
    quoted = markdown.quoted(said)

    assert quoted == "> Use `<b>` so:\n>\n> ```html\n> <b>[a]: x</b>\n> ```\n>\n> and not &lt;b>."


@given(text=st.text(alphabet="`~a \n"))
def test_fences_are_longer_than_what_they_hold(text):
    token, *rest = MarkdownIt("commonmark").parse(markdown.fenced(text, "json"))

    assert rest == []
    assert (token.type, token.info, token.content) == ("fence", "json", text + "\n")


def test_awkward_text_stays_text():
    written = export(nasty(), "markdown")

    assert set(markup(written)) <= {*re.findall(r'<a id="n\d+">', written), "</a>"}
    assert not re.search("[\0\x1b\r]", written)
    assert "](javascript" not in written


def test_images_are_links_where_they_are_of_the_web():
    chat = chat_of()
    for address in ("https://a.example/x_(1).png", "javascript:alert(1)", "https://a.example/>)[x](y", "/x" * 2_000):
        chat.say("user", [{"type": "image_url", "image_url": {"url": address}}])
    written = export(chat, "markdown", node="@")

    assert "\n[Image](<https://a.example/x_(1).png>)\n" in written
    assert "\nImage ` javascript:alert(1) `\n" in written
    assert "\nImage ` https://a.example/>)[x](y `\n" in written
    assert f"\nImage of 4,000 characters, beginning with ` {'/x' * 30} `\n" in written


def test_what_was_erased_is_not_told():
    chat = chat_of()
    chat.say(Message("user", "secret", name="Ann", metadata={"model": "m"}))
    chat.redact("0")

    assert "## user\n\n*0 · 2026-11-20 12:01 UTC · cursor main*\n\n> (erased)\n" in export(chat, "markdown")


def test_hidden_messages_names_answers_and_other_parts_are_told():
    chat = chat_of()
    said = Message("tool", [{"type": "file", "id": 1}], name="weather", tool_call_id="c1")
    chat.annotate(chat.say(said), hidden=True)
    written = export(chat, "markdown")

    assert "## tool (weather)\n\n*0 · 2026-11-20 12:01 UTC · answers c1 · hidden · cursor main*\n" in written
    assert 'Holds file:\n\n```json\n{\n  "type": "file",\n  "id": 1\n}\n```\n' in written


@given(chat=conversations())
def test_every_message_of_every_conversation_is_told_once(chat):
    written = export(chat, "markdown")
    headings = [text for kind, text in top_level(written) if kind == "heading_open"]
    branches = len(chat.tree.leaves) if chat.tree.forks else 0

    assert len(headings) == 1 + branches + sum(node.message is not None for node in chat.tree)


def test_depth_and_width_are_no_matter():
    written = export(deep(10_000, every=10), "markdown")

    assert written.count("\n## ") == 1_000
    assert written.count("\n> ") == 10_999


def test_of_many_alternatives_each_leads_to_those_beside_it():
    written = export(wide(10_000), "markdown")

    assert "\nAlternative 500 of 10000; beside it: [499: 498](#n" in written
    assert "\nAlternative 1 of 10000; beside it: [2: 1](#n" in written
    assert written.count("](#n") == 2 * 10_000 - 2 + 9_999
    assert len(written) < 5_000_000
