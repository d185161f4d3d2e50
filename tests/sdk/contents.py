"""Asks a server that speaks generateContent with Google's own client for Python.

Usage: contents.py BASE_URL API_KEY MODEL   (BASE_URL without a version)

Prints one JSON object: step -> what the client understood, or {"failed": "..."}.
It is how the simulated provider is kept honest: what this client cannot read is
not what Google sends.
"""

import json
import sys

from google import genai
from google.genai import errors, types

PARAMETERS = {"type": "object", "properties": {"word": {"type": "string"}}}
TIMEOUT = 30_000  # milliseconds


def understood(answers):
    """What matters of a whole answer, or of a stream's answers put together."""
    kinds, seen = [], {"text": "", "calls": []}
    for answer in answers:
        for candidate in answer.candidates or []:
            for part in (candidate.content.parts if candidate.content else None) or []:
                if part.function_call:
                    kind = "call"
                    seen["calls"].append({"name": part.function_call.name, "args": part.function_call.args})
                    if part.thought_signature:
                        seen["signed"] = True
                elif part.thought:
                    kind = "thought"
                elif part.text:
                    kind = "text"
                    seen["text"] += part.text
                else:
                    continue
                if kinds[-1:] != [kind]:
                    kinds.append(kind)
            if candidate.finish_reason:
                seen["finish"] = candidate.finish_reason.name
        usage = answer.usage_metadata
        if usage:
            said = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
            seen["tokens"] = [usage.prompt_token_count, said]
    return {**seen, "kinds": kinds}


def main():
    base_url, key, model = sys.argv[1:]
    options = types.HttpOptions(base_url=base_url, timeout=TIMEOUT)
    client = genai.Client(api_key=key, http_options=options)
    function = types.FunctionDeclaration(name="look_up", parameters_json_schema=PARAMETERS)
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        max_output_tokens=200,
        temperature=0.5,
        tools=[types.Tool(function_declarations=[function])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    request = {"model": model, "contents": "Say hello.", "config": config}

    stranger = types.Content(role="system", parts=[types.Part(text="x")])

    def refused():
        try:
            client.models.generate_content(model=model, contents=[stranger])
        except errors.ClientError as error:
            return {"status": error.code}
        raise AssertionError("a role that there is not was accepted")

    steps = {
        "whole": lambda: understood([client.models.generate_content(**request)]),
        "stream": lambda: understood(client.models.generate_content_stream(**request)),
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
