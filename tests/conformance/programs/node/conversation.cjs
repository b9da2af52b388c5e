/* Polling, streaming and functions with the newest npm client.
 * Argument: a model that calls get_weather and answers, twice: first polled, then streamed. */

const OpenAI = require("openai");

const [model] = process.argv.slice(2);
const client = new OpenAI();
const { assistants, threads } = client.beta;

const outputs = (run) =>
  run.required_action.submit_tool_outputs.tool_calls.map((call) => ({ tool_call_id: call.id, output: "rain" }));

async function polled(assistant_id) {
  const thread = await threads.create({ messages: [{ role: "user", content: "How is the weather in Oslo?" }] });
  const waiting = await threads.runs.createAndPoll(thread.id, { assistant_id }, { pollIntervalMs: 20 });
  const done = await threads.runs.submitToolOutputsAndPoll(
    waiting.id,
    { thread_id: thread.id, tool_outputs: outputs(waiting) },
    { pollIntervalMs: 20 },
  );
  const messages = [];
  for await (const message of threads.messages.list(thread.id, { limit: 1 })) messages.push(message.content[0].text.value);
  const steps = await threads.runs.steps.list(done.id, { thread_id: thread.id });
  return { waiting: waiting.status, done: done.status, messages, steps: steps.data.map((step) => step.type) };
}

async function streamed(assistant_id) {
  const thread = await threads.create({ messages: [{ role: "user", content: "And in Bonn?" }] });
  const events = [];
  const first = threads.runs.stream(thread.id, { assistant_id }).on("event", ({ event }) => events.push(event));
  const waiting = await first.finalRun();
  let text = "";
  const second = threads.runs
    .submitToolOutputsStream(waiting.id, { thread_id: thread.id, tool_outputs: outputs(waiting) })
    .on("event", ({ event }) => events.push(event))
    .on("textDelta", (delta) => (text += delta.value));
  const done = await second.finalRun();
  const [message] = await second.finalMessages();
  return { events, waiting: waiting.status, done: done.status, text, final: message.content[0].text.value };
}

async function refused(call) {
  try {
    return await call();
  } catch (error) {
    return [error.constructor.name, error.status, error.param, error.message];
  }
}

async function main() {
  const assistant = await assistants.create({
    model,
    tools: [{ type: "function", function: { name: "get_weather", parameters: { type: "object" } } }],
  });
  console.log(
    JSON.stringify({
      polled: await polled(assistant.id),
      streamed: await streamed(assistant.id),
      missing: await refused(() => threads.retrieve("thread_none")),
      undefined: await refused(() => threads.runs.retrieve("run_x", { thread_id: "undefined" })),
      hot: await refused(() => assistants.create({ model, temperature: 9 })),
    }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
