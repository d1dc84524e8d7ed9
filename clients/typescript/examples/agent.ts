#!/usr/bin/env node
/** An agent that takes ready work until there is none: `node agent.js SPRINT`. */
import { Client, LedgerError, type Work } from "@orchestration-ledger/client";
import { ContextFormat } from "@orchestration-ledger/client/v1";

/** Stand for a call of a model. */
function askModel(prompt: string): string {
  return `read ${prompt.split(/\s+/).length} words`;
}

/** Do the work of one task. The lease is kept meanwhile. */
async function workOn(client: Client, work: Work): Promise<void> {
  await work.log("started", { attempt: work.lease.attempt });
  const { context } = await client.contexts.assembleContext({
    target: { case: "taskCode", value: work.task.code },
    options: { format: ContextFormat.MARKDOWN, tokenBudget: 2_000 },
  });
  const answer = askModel(context?.markdown ?? "");
  if (answer.includes("enough for today")) {
    await work.giveBack(answer);
  } else {
    await work.finish(answer, { usage: { toolCalls: 1n } });
  }
}

const sprintCode = process.argv[2];
if (!sprintCode) {
  throw new Error("usage: agent.js SPRINT");
}
const client = new Client({ agent: "builder-1" });
try {
  for await (const work of client.claims({ sprintCode })) {
    try {
      await work.run(() => workOn(client, work));
    } catch (error) {
      if (!(error instanceof LedgerError)) {
        throw error;
      }
      console.log(work.task.code, error.message);
    }
  }
  const report = await client.reports.getSprintStatusReport({ sprintCode, includeMarkdown: true });
  console.log(report.markdown);
} finally {
  client.close();
}
