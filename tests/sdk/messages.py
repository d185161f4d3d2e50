"""Asks a server that speaks Messages with Anthropic's own client for Python.

Usage: messages.py BASE_URL API_KEY MODEL   (BASE_URL without /v1)

Prints one JSON object: step -> what the client understood, or {"failed": "..."}.
It is how the simulated provider is kept honest: what this client cannot read is
not what Anthropic sends.
"""

import json
import sys

import anthropic

TOOL = {"name": "look_up", "input_schema": {"type": "object", "properties": {}}}
TIMEOUT = 30.0  # seconds


def blocks(message):
    """A message's blocks, as far as a test compares them."""
    seen = []
    for block in message.content:
        kept = {"type": block.type}
        for name in ("text", "thinking", "signature", "name", "input"):
            if getattr(block, name, None) is not None:
                kept[name] = getattr(block, name)
        seen.append(kept)
    return seen


def understood(message):
    """What matters of a whole message."""
    usage = message.usage
    return {
        "blocks": blocks(message),
        "stop_reason": message.stop_reason,
        "tokens": [usage.input_tokens, usage.output_tokens],
    }


def main():
    base_url, key, model = sys.argv[1:]
    client = anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=TIMEOUT)
    request = {"model": model, "max_tokens": 200, "messages": [{"role": "user", "content": "Say hello."}]}

    def stream():
        with client.messages.stream(**request, tools=[TOOL]) as events:
            kinds = [event.type for event in events]
            return {**understood(events.get_final_message()), "events": sorted(set(kinds))}

    def refused():
        try:
            client.messages.create(**{**request, "messages": []})
        except anthropic.BadRequestError as error:
            return {"type": error.body["error"]["type"]}
        raise AssertionError("an empty conversation was accepted")

    steps = {
        "whole": lambda: understood(client.messages.create(**request, tools=[TOOL])),
        "stream": stream,
        "models": lambda: {"ids": [one.id for one in client.models.list()]},
        "refused": refused,
    }
    seen = {}
    for name, step in steps.items():
        try:
            seen[name] = step()
        except Exception as error:  # noqa: BLE001  a step's failure is its result
            seen[name] = {"failed": f"{type(error).__name__}: {error}"}
    json.dump({"steps": seen}, sys.stdout)
    return any("failed" in step for step in seen.values())


if __name__ == "__main__":
    sys.exit(main())
