"""langgraph-checkpoint-sqlite under a LangGraph graph of messages, told of each message by ``update_state``.

That is the leanest public way to add a message: a run of the graph writes a checkpoint for each of its steps. A message
under another is an update of that one's checkpoint. Where a conversation stands is told by the checkpoint that the
caller names, so switching is keeping its configuration.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from driving import Subject, drive, role_of, text_of
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph


class LangGraph(Subject):
    version = version("langgraph-checkpoint-sqlite")
    together = "threads"

    def open(self) -> None:
        self.entered = SqliteSaver.from_conn_string(str(self.folder / "chats.db"))
        self.saver = self.entered.__enter__()
        graph = StateGraph(MessagesState)
        graph.add_node("say", lambda _: {})
        graph.add_edge(START, "say")
        graph.add_edge("say", END)
        self.app = graph.compile(checkpointer=self.saver)
        self.at: dict[str, Any] = {}
        self.places: dict[str, list[Any]] = {}

    def close(self) -> None:
        self.entered.__exit__(None, None, None)

    def create(self, chat: str, team: str | None = None) -> None:
        self.at[chat] = self._latest(chat, team)
        self.places[chat] = []

    def _latest(self, chat: str, team: str | None = None) -> dict[str, Any]:
        config: dict[str, Any] = {"configurable": {"thread_id": chat}}
        return config if team is None else {**config, "metadata": {"team": team}}

    def load(self, chat: str) -> None:
        self.at[chat] = self._latest(chat)

    def _update(self, config: Any, role: str, text: str) -> Any:
        return self.app.update_state(config, {"messages": [{"role": role, "content": text}]}, as_node="say")

    def say(self, chat: str, role: str, text: str) -> None:
        made = self._update(self.at[chat], role, text)
        self.places[chat].append(made)
        if "checkpoint_id" in self.at[chat]["configurable"]:
            self.at[chat] = made

    def build(self, chat: str, parents: list[int]) -> int | None:
        """A line is one update with all its messages; its places are not known then."""
        if parents != list(range(-1, len(parents) - 1)):
            return None
        messages = [{"role": role_of(place), "content": text_of(place)} for place in range(len(parents))]
        self.app.update_state(self.at[chat], {"messages": messages}, as_node="say")
        return len(parents)

    def _texts(self, config: Any) -> list[str]:
        return [message.content for message in self.app.get_state(config).values["messages"]]

    def path(self, chat: str) -> list[str]:
        return self._texts(self.at[chat])

    def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        made = self._update(self.places[chat][place], role, text)
        self.places[chat].append(made)
        self.at[chat] = made

    def switch(self, chat: str, place: int) -> None:
        self.at[chat] = self.places[chat][place]

    def past(self, chat: str, moment: int) -> list[str]:
        return self._texts(self.places[chat][moment - 1])

    def filtered(self, team: str, limit: int) -> list[str]:
        """Checkpoints are listed, not conversations, so those of one conversation are counted once here."""
        found: dict[str, None] = {}
        for each in self.saver.list(None, filter={"team": team}):
            found[each.config["configurable"]["thread_id"]] = None
            if len(found) == limit:
                break
        return list(found)

    def race(self, chat: str) -> tuple[list[str], str]:
        one, other = [self.app.get_state(self._latest(chat)).config for _ in range(2)]
        self._update(one, "user", "first")
        self._update(other, "user", "second")
        states = self.app.get_state_history(self._latest(chat))
        return [message.content for state in states for message in state.values["messages"]], ""


drive(LangGraph)
