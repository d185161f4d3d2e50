"""Asks a server that speaks Bedrock with AWS's own client for Python.

Usage: bedrock.py BASE_URL SECRET_KEY MODEL

Prints one JSON object: step -> what the client understood, or {"failed": "..."}.
It is how the simulated provider is kept honest: this client checks every
checksum of an event stream and every member of a request.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

TOOL = {"toolSpec": {"name": "look_up", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
TIMEOUT = 30  # seconds


def main():
    base_url, key, model = sys.argv[1:]
    config = Config(retries={"max_attempts": 0}, read_timeout=TIMEOUT, connect_timeout=TIMEOUT)
    # It sends API keys over TLS only, so it signs.
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=base_url,
        config=config,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=key,
    )
    request = {
        "modelId": model,
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "Say hello."}]}],
        "inferenceConfig": {"maxTokens": 200, "temperature": 0.5},
        "toolConfig": {"tools": [TOOL]},
    }

    def whole():
        answer = client.converse(**request)
        kinds = [kind for block in answer["output"]["message"]["content"] for kind in block]
        usage = answer["usage"]
        return {"kinds": kinds, "stop": answer["stopReason"], "tokens": [usage["inputTokens"], usage["outputTokens"]]}

    def stream():
        kinds, seen = {}, {"text": ""}
        for event in client.converse_stream(**request)["stream"]:
            (name, payload), = event.items()
            if name == "contentBlockStart":
                kinds[payload["contentBlockIndex"]] = next(iter(payload["start"]))
            elif name == "contentBlockDelta":
                kinds.setdefault(payload["contentBlockIndex"], next(iter(payload["delta"])))
                seen["text"] += payload["delta"].get("text", "")
            elif name == "messageStop":
                seen["stop"] = payload["stopReason"]
            elif name == "metadata":
                seen["tokens"] = [payload["usage"]["inputTokens"], payload["usage"]["outputTokens"]]
        return {**seen, "kinds": [kinds[index] for index in sorted(kinds)]}

    def claude():
        body = {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 200,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}],
        }
        answer = client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
        return {"events": [json.loads(event["chunk"]["bytes"])["type"] for event in answer["body"]]}

    def refused():
        try:
            client.converse(**{**request, "messages": [{"role": "assistant", "content": [{"text": "x"}]}]})
        except ClientError as error:
            return {"status": error.response["ResponseMetadata"]["HTTPStatusCode"]}
        raise AssertionError("a conversation that the assistant begins was accepted")

    steps = {"whole": whole, "stream": stream, "claude": claude, "refused": refused}
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
