"""Drives a running Merit with the official OpenAI client for Python.

Usage: story.py BASE_URL API_KEY MODEL   (BASE_URL ends in /v1)

Prints one JSON object: step -> what the client saw. A step that raised what it
should not has {"failed": "..."}, and the exit status is then 1. What the values
must be is for the test that runs this to say; it is the same for every client,
so `story.mjs` prints the same shape.
"""

import json
import sys

import openai

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_time",
            "description": "The time in a city.",
            "parameters": {
                "type": "object",
                "properties": {"ok": {"type": "boolean"}, "c": {"type": "string"}},
            },
        },
    }
]
MESSAGES = [{"role": "user", "content": "Say hello."}]
# A hung gateway must fail the story, not the patience of whoever runs it.
TIMEOUT = 30.0  # seconds


def numbers(usage):
    """Usage as plain numbers; None when the answer had none."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def said(error):
    """An API error as the client understood it."""
    return {
        "class": type(error).__name__,
        "status": error.status_code,
        "type": error.type,
        "code": error.code,
        "param": error.param,
        "message": error.message,
        "request_id": error.request_id,
    }


def calls(message):
    return [
        {"id": call.id, "name": call.function.name, "arguments": json.loads(call.function.arguments)}
        for call in message.tool_calls or []
    ]


class Story:
    def __init__(self, base_url, key, model):
        self.base_url, self.model = base_url, model
        self.client = self.client_with(key)

    def client_with(self, key):
        return openai.OpenAI(base_url=self.base_url, api_key=key, max_retries=0, timeout=TIMEOUT)

    def models(self):
        return {"ids": [model.id for model in self.client.models.list()]}

    def complete(self):
        answer = self.client.chat.completions.create(model=self.model, messages=MESSAGES)
        choice = answer.choices[0]
        return {
            "content": choice.message.content,
            "finish_reason": choice.finish_reason,
            "usage": numbers(answer.usage),
        }

    def headers(self):
        raw = self.client.chat.completions.with_raw_response.create(model=self.model, messages=MESSAGES)
        seen = {name.lower(): value for name, value in raw.headers.items()}
        return {"status": raw.status_code, "headers": seen, "content": raw.parse().choices[0].message.content}

    def stream(self):
        return self.iterate(self.client.chat.completions.create(model=self.model, messages=MESSAGES, stream=True))

    def stream_with_usage(self):
        return self.iterate(
            self.client.chat.completions.create(
                model=self.model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
        )

    @staticmethod
    def iterate(stream):
        parts, roles, reasons, usages, ids = [], [], [], [], set()
        for chunk in stream:
            ids.add(chunk.id)
            if chunk.usage is not None:
                usages.append(numbers(chunk.usage))
            for choice in chunk.choices:
                if choice.delta.role:
                    roles.append(choice.delta.role)
                if choice.delta.content:
                    parts.append(choice.delta.content)
                if choice.finish_reason:
                    reasons.append(choice.finish_reason)
        return {
            "content": "".join(parts),
            "parts": len(parts),
            "roles": roles,
            "finish_reasons": reasons,
            "usages": usages,
            "ids": len(ids),
        }

    def stream_helper(self):
        """The helper puts chunks together itself and is stricter than iteration."""
        with self.client.chat.completions.stream(model=self.model, messages=MESSAGES) as stream:
            kinds = sorted({event.type for event in stream})
            answer = stream.get_final_completion()
        choice = answer.choices[0]
        return {"content": choice.message.content, "finish_reason": choice.finish_reason, "events": kinds}

    def tools(self):
        answer = self.client.chat.completions.create(model=self.model, messages=MESSAGES, tools=TOOLS)
        choice = answer.choices[0]
        return {"calls": calls(choice.message), "finish_reason": choice.finish_reason}

    def tools_streamed(self):
        with self.client.chat.completions.stream(model=self.model, messages=MESSAGES, tools=TOOLS) as stream:
            answer = stream.get_final_completion()
        choice = answer.choices[0]
        return {"calls": calls(choice.message), "finish_reason": choice.finish_reason}

    def wrong_model(self):
        try:
            self.client.chat.completions.create(model=self.model + "x", messages=MESSAGES)
        except openai.NotFoundError as error:
            return said(error)
        raise AssertionError("no error for an unknown model")

    def wrong_key(self):
        try:
            self.client_with("sk-wrong").chat.completions.create(model=self.model, messages=MESSAGES)
        except openai.AuthenticationError as error:
            return said(error)
        raise AssertionError("no error for a wrong key")

    def bad_request(self):
        try:
            self.client.chat.completions.create(model=self.model, messages="not a list")
        except openai.BadRequestError as error:
            return said(error)
        raise AssertionError("no error for messages that are not a list")


STEPS = (
    "models",
    "complete",
    "headers",
    "stream",
    "stream_with_usage",
    "stream_helper",
    "tools",
    "tools_streamed",
    "wrong_model",
    "wrong_key",
    "bad_request",
)


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 64
    story = Story(*sys.argv[1:])
    seen = {}
    for step in STEPS:
        try:
            seen[step] = getattr(story, step)()
        except Exception as error:  # each step is told apart, whatever went wrong in it
            seen[step] = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps({"client": "python", "version": openai.__version__, "steps": seen}))
    return 1 if any("failed" in result for result in seen.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
