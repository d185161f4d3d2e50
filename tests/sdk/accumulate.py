"""Lets the official OpenAI client for Python put streams together.

Usage: accumulate.py BASE_URL API_KEY MODEL   (BASE_URL ends in /v1)

Prints one JSON object: step -> the message that the client's own `.stream()`
helper accumulated, or {"failed": "..."}. Each step is one request, in order, so
that the upstream can be told what to answer to each.
"""

import json
import sys

import openai

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
}
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": PARAMETERS}}]
MESSAGES = [{"role": "user", "content": "Say hello."}]
STEPS = {"text": {}, "tools": {"tools": TOOLS}, "reasoning": {"reasoning_effort": "low"}, "length": {"max_completion_tokens": 3}}
TIMEOUT = 30.0  # seconds


def accumulated(client, model, more):
    options = {"include_usage": True}
    with client.chat.completions.stream(
        model=model, messages=MESSAGES, stream_options=options, **more
    ) as stream:
        for _ in stream:
            pass
        # What the helper raises about an answer that was cut short is not meant here.
        answer = stream.current_completion_snapshot
    (choice,) = answer.choices
    message = choice.message
    return {
        "role": message.role,
        "content": message.content or "",
        "refusal": message.refusal,
        "reasoning": getattr(message, "reasoning_content", None),
        "calls": [
            {"id": call.id, "type": call.type, "name": call.function.name, "arguments": json.loads(call.function.arguments)}
            for call in message.tool_calls or []
        ],
        "finish": choice.finish_reason,
        "said": answer.usage.completion_tokens,
    }


def main():
    base_url, key, model = sys.argv[1:]
    client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=TIMEOUT)
    seen = {}
    for name, more in STEPS.items():
        try:
            seen[name] = accumulated(client, model, more)
        except openai.LengthFinishReasonError as error:
            seen[name] = {"failed": f"the helper refuses it: {error}"}
        except Exception as error:  # noqa: BLE001  a step's failure is its result
            seen[name] = {"failed": f"{type(error).__name__}: {error}"}
    json.dump({"steps": seen}, sys.stdout)
    return any("failed" in step for step in seen.values())


if __name__ == "__main__":
    sys.exit(main())
