/* A conversation with a function call, as the first npm client had it: v1, poll by hand.
 * Arguments: the server's address, and a model that calls get_weather, then answers. */

const OpenAI = require("openai");

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL });
const { assistants, threads } = client.beta;

async function ended(thread, run) {
  while (run.status === "queued" || run.status === "in_progress") {
    await new Promise((resolve) => setTimeout(resolve, 20));
    run = await threads.runs.retrieve(thread, run.id);
  }
  return run;
}

async function main() {
  const assistant = await assistants.create({
    model,
    instructions: "Be brief.",
    tools: [{ type: "retrieval" }, { type: "function", function: { name: "get_weather", parameters: { type: "object" } } }],
  });
  const thread = await threads.create();
  await threads.messages.create(thread.id, { role: "user", content: "How is the weather in Oslo?" });
  const waiting = await ended(thread.id, await threads.runs.create(thread.id, { assistant_id: assistant.id }));
  const calls = waiting.required_action.submit_tool_outputs.tool_calls;
  const tool_outputs = calls.map((call) => ({ tool_call_id: call.id, output: "rain" }));
  const done = await ended(thread.id, await threads.runs.submitToolOutputs(thread.id, waiting.id, { tool_outputs }));
  const messages = await threads.messages.list(thread.id);
  const names = [];
  for await (const one of assistants.list({ limit: 1 })) names.push(one.id);
  let missing;
  try {
    await threads.retrieve("thread_none");
  } catch (error) {
    missing = [error.constructor.name, error.status, error.message];
  }
  console.log(
    JSON.stringify({
      assistant,
      listed: names,
      calls: calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
      status: done.status,
      said: messages.data.map((message) => message.content[0].text.value),
      missing,
    }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
