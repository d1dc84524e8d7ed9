import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { AttemptOutcome } from "@orchestration-ledger/client/v1";
import { startLedger } from "./fake-ledger.js";

test("the example agent takes ready work, logs, finishes and reports", async (t) => {
  const { address, released, messages } = await startLedger(t, ["t1", "t2"]);
  const agent = fileURLToPath(new URL("../examples/agent.js", import.meta.url));
  const run = promisify(execFile)(process.execPath, [agent, "S1"], {
    env: { ...process.env, ORCHESTRATION_ADDRESS: address },
  });
  const { stdout } = await run;
  assert.equal(stdout, "report of S1\n");
  assert.deepEqual(messages, ["started", "started"]);
  assert.deepEqual(
    released.map(({ taskCode, outcome, reason, usage }) => [taskCode, outcome, reason, usage?.toolCalls]),
    [
      ["t1", AttemptOutcome.COMPLETED, "read 2 words", 1n],
      ["t2", AttemptOutcome.COMPLETED, "read 2 words", 1n],
    ],
  );
});
