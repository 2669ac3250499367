"""The first stage: the marks of models, their templates and our own prompt, and what stands between them.

Thoughts, calls of tools and pieces of the prompt are left out. After a mark that ends the reply, or that begins
somebody else's message, only a report is looked for.
"""

from __future__ import annotations

import re
from enum import IntEnum, auto
from typing import ClassVar

from rfsn_core.turn.reply.directions import is_direction
from rfsn_core.turn.reply.stage import JsonEnd, Stage, Step

LEAK = "\x00"
"""Stands for a mark that ended thoughts which no mark began: all before it was no speech. No reply has it otherwise."""
LONGEST_MARK = 90
LONGEST_ROLE = 40
MOST_AFTER_END = 500
"""Characters after the end in which a report is looked for."""

_THOUGHTS = frozenset(
    "think thinking thought thoughts reason reasoning reflection reflect scratchpad analysis monologue inner_monologue"
    " internal_monologue inner_thoughts internal_thoughts internal plan planning cot chain_of_thought seed:think"
    " ant:thinking antthinking antml:thinking rationale begin_of_thought begin_of_reasoning start_thinking"
    " thinking_process thought_process deliberation".split()
)
_TOOLS = frozenset(
    "tool_call tool_calls function_call function_calls function tool tools invoke tool_response tool_result tool_use"
    " tool_code tool_output tool_outputs minimax:tool_call antml:invoke antml:function_calls parameter call"
    " tool_calls_begin tool_call_begin tool_calls_section_begin python_tag available_tools tool_results"
    " start_action observation".split()
)
_DONE = frozenset("action actions narration gesture emote stage_direction expression".split())
_PROMPT = frozenset("player memory state conversation".split())
_ENDS = frozenset(
    "/s im_end eot_id eom_id end_of_text endoftext end eos end_of_sentence return end_of_turn end_of_turn_token eot"
    " eod eos_token endofprompt /inst end_of_message end_of_utterance end_of_assistant im_sep_end".split()
)
_OTHERS = frozenset("user human player system inst sys sys_prompt system_prompt observation environment".split())
_OWN = frozenset("assistant model bot ai npc character gpt chatbot".split())
_HEADERS = frozenset("im_start start_header_id start start_of_turn start_of_role turn header_start".split())
_TRIGGER = re.compile(r"[<\[◁]")
_MARK = re.compile(r"<([|｜]?)(?![\s\d])([^<>|｜\n]{1,80})([|｜]?)>")
_TAG = re.compile(r"(/?)\s*([A-Za-z][\w:.\-]*)((?:[=\s][^<>]*)?)\s*/?$")
_ATTRIBUTES = re.compile(r"(?:=\S*)?(?:\s+[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"']+))*\s*$")
_AFTER_MARK = re.compile(r"[<>\n]")
_UNFINISHED = re.compile(r"<[|｜/]?[^<>\n]{0,90}$")
_UNFINISHED_NAME = re.compile(r"<[|｜/]?[\w|｜▁:]+$")
_SQUARE = re.compile(r"\[(/?)([A-Z][A-Z_▁ ]{1,24})\]")
_SQUARE_BEGINS = re.compile(r"\[/?[A-Z_▁ ]{0,25}$")
_OWN_MESSAGE = (
    r"<\|?(?:im_start|start_header_id|start_of_turn)\|?>|<[|｜](?:assistant|model|bot)[|｜]>|\[/INST\]|<</SYS>>"
)
LONGEST_CHANNEL = 20
_BARE_CHANNEL = re.compile(r"(?:assistant)?(analysis|commentary|final)(?=[A-Z\"“*\n]|[^\x00-\x7f])")
_BARE_CHANNELS = tuple(
    prefix + channel for prefix in ("", "assistant") for channel in ("analysis", "commentary", "final")
)
_MOON = re.compile(r"◁(/?)(\w{1,20})▷")
_REPORT = re.compile(r"FINAL[ _-]?JSON|\{\s*\"", re.IGNORECASE)
_REPORT_TAGS = frozenset("final_json final-json finaljson json final_report".split())
_HTML = frozenset("br p hr li".split())


class State(IntEnum):
    """What the next character belongs to."""

    START = auto()
    WORDS = auto()
    SKIPPED = auto()
    """What is not said, up to the mark that closes it."""
    JSON = auto()
    """Inside a call of a tool, before or in its JSON."""
    ROLE = auto()
    """After a header mark: who speaks."""
    CHANNEL = auto()
    """After a channel mark: what kind of text follows."""
    SOMEBODY_ELSE = auto()
    """A message of somebody else, before the NPC has said anything."""
    OVER = auto()
    """After the end: only a report is looked for."""


class Marks(Stage[State]):
    """Takes the marks out of a reply."""

    def __init__(self) -> None:
        super().__init__(State.START)
        self.thinking = False
        """Whether the text that is skipped is a thought."""
        self._began = self._bare = False
        self._closing = re.compile("")
        self._longest = 0  # of the marks that `_closing` finds
        self._json_end = JsonEnd()
        self._in_json = False
        self._after_end = 0

    @property
    def ended(self) -> bool:
        """Whether nothing can follow that is of any use."""
        return self.state is State.OVER and self._after_end > MOST_AFTER_END

    def _start(self, text: str, final: bool) -> Step | None:
        """Deal with channels whose marks the server took away: "analysisHm.assistantfinalWell met." """
        if text[0].isspace():
            return Step(1, text[0])
        channel = _BARE_CHANNEL.match(text)
        if channel is None and not final and any(name.startswith(text) for name in _BARE_CHANNELS):
            return None
        self.state = State.WORDS
        if channel is None:
            return Step(0)
        if channel[1] == "final":
            return Step(channel.end())
        self._bare = True
        return self._skip_to("assistantfinal(?:json)?", channel.end(), LONGEST_CHANNEL, thinking=True)

    def _say(self, text: str) -> str:
        self._began = self._began or not text.isspace()
        return text

    def _words(self, text: str, final: bool) -> Step | None:
        if text[0] == "<":
            return self._angle(text, final)
        return self._square(text, final) if text[0] == "[" else self._moon(text, final)

    # ── the marks ────────────────────────────────────────────────────────────────────────────────

    def _angle(self, text: str, final: bool) -> Step | None:
        match = _MARK.match(text)
        if match is None:
            unfinished = _UNFINISHED.match(text)
            if unfinished and not (len(text) > 1 and (text[1].isspace() or text[1].isdigit())):
                if not final:
                    if len(text) >= LONGEST_MARK:
                        return Step(1, "<")
                    return self._wait(_AFTER_MARK, LONGEST_MARK) if len(text) > 1 else None
                if _UNFINISHED_NAME.match(text):
                    return Step(len(text))  # a mark that the model did not finish
            return Step(1, "<")
        size, (opening, inside, closing) = match.end(), match.groups()
        if opening or closing:
            return self._special(inside.strip().strip("/"), size, closes=inside.startswith("/") or not opening)
        tag = _TAG.match(inside)
        if tag is None:
            return Step(size) if inside.strip("/ ") == "" else self._in_angles(inside, size)
        slash, name, rest = tag.groups()
        known = self._known(f"{slash}{name}".lower(), size)
        if known is not None:
            return known
        return Step(size) if _ATTRIBUTES.match(rest) else self._in_angles(inside, size)

    def _in_angles(self, inside: str, size: int) -> Step:
        return Step(size) if is_direction(inside, "<", "") and inside[:1].islower() else Step(1, "<")

    def _special(self, name: str, size: int, *, closes: bool) -> Step:
        """Deal with `<|name|>`."""
        name = name.lower().replace("▁", "_")
        if closes and name in _THOUGHTS | {"channel"}:
            return self._thoughts_end(size)
        if name == "channel":
            return self._go(State.CHANNEL, size)
        if name in ("end_of_thought", "end_thinking", "end_of_reasoning"):
            return self._thoughts_end(size)
        known = None if closes and name not in _ENDS else self._known(name, size)
        return known or Step(size)

    def _known(self, name: str, size: int) -> Step | None:
        """Deal with a mark by its name; None for one that is not known."""
        bare = name.lstrip("/")
        if name in _REPORT_TAGS:
            return Step(size, "\nFINAL_JSON ")
        if bare in _THOUGHTS:
            return self._thoughts_end(size) if name != bare else self._skip(bare, size, thinking=True)
        if name in _TOOLS:
            return self._tool(name, size)
        if name in _DONE:
            return self._skip(name, size)
        if name in _PROMPT:
            if name == "player" and self._began:
                return self._go(State.OVER, size)
            return self._skip(name, size)
        if name in _ENDS:
            return self._go(State.OVER, size) if self._began else Step(size)
        if name in _HEADERS:
            return self._go(State.ROLE, size)
        if name in _OTHERS:
            return self._go(State.OVER if self._began else State.SOMEBODY_ELSE, size)
        return Step(size, "\n" if self._began and bare in _HTML else "") if bare in _HTML | _OWN else None

    def _square(self, text: str, final: bool) -> Step | None:
        match = _SQUARE.match(text)
        if match is None:
            return None if _SQUARE_BEGINS.match(text) and not final else Step(1, "[")
        name = match[2].strip().lower().replace(" ", "_").replace("▁", "_")
        if (
            name in ("inst", "system_prompt", "sys")
            or name in _THOUGHTS | _TOOLS | _ENDS
            or name in ("bos", "unk", "pad")
        ):
            return self._known(match[1] + name, match.end()) or Step(match.end())
        return Step(1, "[")

    def _moon(self, text: str, final: bool) -> Step | None:
        match = _MOON.match(text)
        if match is None:
            return None if not final and len(text) < 24 and "▷" not in text else Step(1, text[0])
        return self._known(match[1] + match[2].lower(), match.end()) or Step(match.end())

    def _go(self, state: State, size: int) -> Step:
        self.state = state
        return Step(size, "\n" if state is State.OVER else "")

    # ── what is left out ─────────────────────────────────────────────────────────────────────────

    def _skip(self, name: str, size: int, *, thinking: bool = False) -> Step:
        marks = [rf"<\s*/\s*{name}\s*>", rf"\[/{name}\]", rf"<\|/?{name}\|>", rf"◁/{name}▷", rf"<\|?/?{name}\|>"]
        if thinking:
            marks += [
                r"<\|end_of_\w{1,12}\|>",
                r"<\|end_thinking\|>",
                r"</(?:think|thinking|thought)>",
                r"<\|/?think\|>",
            ]
        return self._skip_to("|".join(marks), size, len(name) + 24, thinking=thinking)

    def _skip_to(self, closing: str, size: int, longest: int, *, thinking: bool = False) -> Step:
        self._closing, self._longest, self.thinking = re.compile(closing, re.IGNORECASE), longest, thinking
        return self._go(State.SKIPPED, size)

    def _skipped(self, text: str, final: bool) -> Step | None:
        match = self._closing.search(text)
        if match is None:
            begins = _TRIGGER.search(text, max(0, len(text) - self._longest))
            keep = self._longest if self._bare else len(text) - begins.start() if begins else 0
            keep = 0 if final else keep
            return Step(len(text) - keep) if len(text) > keep else None
        self.state, self.thinking, self._bare = State.WORDS, False, False
        return Step(match.end())

    def _thoughts_end(self, size: int) -> Step:
        """Deal with the end of thoughts that no mark began: all that came before was one."""
        leaked, self._began = self._began, False
        return Step(size, f"\n{LEAK}\n" if leaked else "\n")

    def _tool(self, name: str, size: int) -> Step:
        self._json_end, self._in_json = JsonEnd(), False
        self._skip(name, size)
        return self._go(State.JSON, size)

    def _json(self, text: str, final: bool) -> Step | None:
        """Skip the JSON of a call; without JSON, all up to the closing mark."""
        size = 0
        if not self._in_json:
            head = re.match(r"[\s\w.]*", text)
            size = head.end() if head else 0
            if size == len(text):
                return Step(size) if final or size > LONGEST_MARK else None
            if text[size:] == "[" and not final:
                return None
            if text[size] not in "{[" or text[size : size + 2] == "[/":
                self.state = State.SKIPPED
                return Step(0)
            self._in_json = True
        end = self._json_end.feed(text[size:])
        if end is None:
            return Step(len(text))
        self.state = State.WORDS
        return Step(size + end)

    def _role(self, text: str, final: bool) -> Step | None:
        """Read who speaks after a header mark."""
        match = re.search(r"[\n<]", text[:LONGEST_ROLE])
        if match is None:
            if not final and len(text) < LONGEST_ROLE:
                return None
            self.state = State.WORDS  # no header after all
            return Step(0)
        role = text[: match.start()].strip().casefold()
        if role in _THOUGHTS:
            ends = r"<\|(?:im_end|end|eot_id)\|>|<end_of_turn>"
            return self._skip_to(ends, match.end() if text[match.start()] == "\n" else match.start(), 16, thinking=True)
        size = match.end() if text[match.start()] == "\n" else match.start()
        if role in _OTHERS:
            return self._go(State.OVER if self._began else State.SOMEBODY_ELSE, size)
        self.state = State.WORDS
        return Step(size)

    def _channel(self, text: str, final: bool) -> Step | None:
        """Read what kind of text follows a channel mark."""
        match = re.search(r"<\|message\|>|\n", text[: LONGEST_ROLE + 60])
        if match is None:
            if not final and len(text) < LONGEST_ROLE + 60:
                return None
            self.state = State.WORDS
            return Step(0)
        words = text[: match.start()].split()
        if not words or words[0].casefold() in ("final", "response", "answer"):
            self.state = State.WORDS
            return Step(match.end())
        return self._skip_to(
            r"<\|(?:end|return|call)\|>|<channel\|>|(?=<\|(?:start|channel)\|?>)", match.end(), 12, thinking=True
        )

    def _somebody_else(self, text: str, final: bool) -> Step | None:
        """Skip a message that the model wrote for somebody else before its own."""
        return self._after(text, final, _OWN_MESSAGE, 24)

    def _after(self, text: str, final: bool, mark: str, longest: int) -> Step | None:
        match = re.search(mark, text, re.IGNORECASE)
        if match is None:
            keep = 0 if final else longest
            return Step(len(text) - keep) if len(text) > keep else None
        self.state = State.WORDS
        ends = match[0].upper().startswith(("[/INST", "<</SYS"))
        return Step(match.end() if ends else match.start())

    def _over(self, text: str, final: bool) -> Step | None:
        match = _REPORT.search(text)
        if match is not None:
            self.state = State.WORDS
            return Step(match.start(), "")
        keep = 0 if final else 16
        size = len(text) - keep
        if size <= 0:
            return None
        self._after_end += size
        return Step(size)

    triggers: ClassVar = {State.WORDS: _TRIGGER}
    handlers: ClassVar = {
        State.START: _start,
        State.WORDS: _words,
        State.SKIPPED: _skipped,
        State.JSON: _json,
        State.ROLE: _role,
        State.CHANNEL: _channel,
        State.SOMEBODY_ELSE: _somebody_else,
        State.OVER: _over,
    }
