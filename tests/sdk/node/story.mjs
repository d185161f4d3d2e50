// Drives a running Merit with the official OpenAI client for Node.
//
// Usage: node story.mjs BASE_URL API_KEY MODEL   (BASE_URL ends in /v1)
//
// Prints one JSON object of the same shape as ../story.py does: step -> what the
// client saw. A step that threw what it should not has {"failed": "..."}, and
// the exit status is then 1.

import OpenAI from "openai";
import { VERSION } from "openai/version";

const TOOLS = [
  {
    type: "function",
    function: {
      name: "get_time",
      description: "The time in a city.",
      parameters: { type: "object", properties: { ok: { type: "boolean" }, c: { type: "string" } } },
    },
  },
];
const MESSAGES = [{ role: "user", content: "Say hello." }];
// A hung gateway must fail the story, not the patience of whoever runs it.
const TIMEOUT = 30_000; // milliseconds

const [baseURL, apiKey, model, ...rest] = process.argv.slice(2);
if (!baseURL || apiKey === undefined || !model || rest.length > 0) {
  console.error("usage: node story.mjs BASE_URL API_KEY MODEL");
  process.exit(64);
}

const clientWith = (key) => new OpenAI({ baseURL, apiKey: key, maxRetries: 0, timeout: TIMEOUT });
const completions = clientWith(apiKey).chat.completions;

/** Usage as plain numbers; null when the answer had none. */
const numbers = (usage) =>
  usage
    ? {
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        total_tokens: usage.total_tokens,
      }
    : null;

const calls = (message) =>
  (message.tool_calls ?? []).map((call) => ({
    id: call.id,
    name: call.function.name,
    arguments: JSON.parse(call.function.arguments),
  }));

/** The API error of class `expected` that `attempt` must end with. */
async function refused(expected, attempt) {
  try {
    await attempt();
  } catch (error) {
    if (!(error instanceof expected)) throw error;
    return {
      class: error.constructor.name,
      status: error.status,
      type: error.type,
      code: error.code,
      param: error.param,
      message: error.message,
      request_id: error.requestID,
    };
  }
  throw new Error(`no ${expected.name}`);
}

async function iterate(stream) {
  const seen = { parts: [], roles: [], finish_reasons: [], usages: [], ids: new Set() };
  for await (const chunk of stream) {
    seen.ids.add(chunk.id);
    if (chunk.usage) seen.usages.push(numbers(chunk.usage));
    for (const choice of chunk.choices) {
      if (choice.delta.role) seen.roles.push(choice.delta.role);
      if (choice.delta.content) seen.parts.push(choice.delta.content);
      if (choice.finish_reason) seen.finish_reasons.push(choice.finish_reason);
    }
  }
  return { ...seen, content: seen.parts.join(""), parts: seen.parts.length, ids: seen.ids.size };
}

const steps = {
  async models() {
    const ids = [];
    for await (const listed of clientWith(apiKey).models.list()) ids.push(listed.id);
    return { ids };
  },

  async complete() {
    const answer = await completions.create({ model, messages: MESSAGES });
    const { message, finish_reason } = answer.choices[0];
    return { content: message.content, finish_reason, usage: numbers(answer.usage) };
  },

  async headers() {
    const { data, response } = await completions.create({ model, messages: MESSAGES }).withResponse();
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      content: data.choices[0].message.content,
    };
  },

  async stream() {
    return iterate(await completions.create({ model, messages: MESSAGES, stream: true }));
  },

  async stream_with_usage() {
    const options = { stream: true, stream_options: { include_usage: true } };
    return iterate(await completions.create({ model, messages: MESSAGES, ...options }));
  },

  /** The helper puts chunks together itself and is stricter than iteration. */
  async stream_helper() {
    const events = new Set();
    const stream = completions.stream({ model, messages: MESSAGES });
    for (const kind of ["content.delta", "content.done"]) stream.on(kind, () => events.add(kind));
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
    return { content: message.content, finish_reason, events: [...events].sort() };
  },

  async tools() {
    const answer = await completions.create({ model, messages: MESSAGES, tools: TOOLS });
    const { message, finish_reason } = answer.choices[0];
    return { calls: calls(message), finish_reason };
  },

  async tools_streamed() {
    const stream = completions.stream({ model, messages: MESSAGES, tools: TOOLS });
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
    return { calls: calls(message), finish_reason };
  },

  wrong_model: () =>
    refused(OpenAI.NotFoundError, () => completions.create({ model: `${model}x`, messages: MESSAGES })),

  wrong_key: () =>
    refused(OpenAI.AuthenticationError, () =>
      clientWith("sk-wrong").chat.completions.create({ model, messages: MESSAGES }),
    ),

  bad_request: () =>
    refused(OpenAI.BadRequestError, () => completions.create({ model, messages: "not a list" })),
};

const seen = {};
for (const [name, step] of Object.entries(steps)) {
  try {
    seen[name] = await step();
  } catch (error) {
    seen[name] = { failed: `${error?.constructor?.name}: ${error?.message}` };
  }
}
console.log(JSON.stringify({ client: "node", version: VERSION, steps: seen }));
process.exitCode = Object.values(seen).some((result) => "failed" in result) ? 1 : 0;
