import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { LocalError } from "@orchestration-ledger/client";
import { AttemptOutcome, Directive, LeaseStatus } from "@orchestration-ledger/client/v1";
import { ErrorInfoSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { FENCE, type Options, startLedger } from "./fake-ledger.js";
import { openClient } from "./fake-server.js";

async function claimOne(t: TestContext, options: Options = {}) {
  const server = await startLedger(t, ["t1"], options);
  const client = openClient(t, { address: server.address });
  const [work] = await client.claim();
  assert.ok(work);
  return { ...server, client, work };
}

test("writes carry the fence, whole", async (t) => {
  const { work, updated, released, messages } = await claimOne(t);
  await work.log("half done");
  await work.update({ description: "longer", labels: [], dueTime: undefined });
  await work.finish("passes", { usage: { toolCalls: 3n }, artifacts: [{ name: "log" }] });
  assert.deepEqual(updated[0]?.updateMask?.paths, ["description", "labels", "due_time"]);
  assert.equal(updated[0].fence, FENCE);
  assert.equal(updated[0].task?.code, "t1");
  assert.equal(released[0]?.fence, FENCE);
  assert.equal(released[0].outcome, AttemptOutcome.COMPLETED);
  assert.equal(released[0].usage?.toolCalls, 3n);
  assert.deepEqual(messages, ["half done"]);
  assert.equal(work.ended, true);
});

test("a log is an activity of the session if the client has one", async (t) => {
  const { address, messages } = await startLedger(t, ["t1"]);
  const [work] = await openClient(t, { address, session: "s1" }).claim();
  await work?.log("half done");
  assert.deepEqual(messages, ["s1: half done"]);
});

for (const [name, block, outcome, reason] of [
  ["ends without an outcome", () => undefined, AttemptOutcome.RETURNED, /without finish/],
  [
    "throws",
    () => {
      throw new TypeError("no");
    },
    AttemptOutcome.FAILED,
    /TypeError: no/,
  ],
  [
    "is cancelled",
    () => {
      throw new DOMException("stop", "AbortError");
    },
    AttemptOutcome.RETURNED,
    /AbortError/,
  ],
] as const) {
  test(`a block that ${name} ends the attempt`, async (t) => {
    const { work, released } = await claimOne(t);
    const ran = work.run(block);
    await (outcome === AttemptOutcome.RETURNED && name === "ends without an outcome"
      ? ran
      : assert.rejects(ran));
    assert.equal(released.length, 1);
    assert.equal(released[0]?.outcome, outcome);
    assert.match(released[0].reason, reason);
    assert.equal(work.ended, true);
  });
}

test("a block that finishes returns its value, and ends nothing twice", async (t) => {
  const { work, released } = await claimOne(t);
  const value = await work.run(async () => {
    await work.finish();
    return 7;
  });
  assert.equal(value, 7);
  assert.equal(released.length, 1);
});

test("a lease that the server ends is lost, and writes are refused without a call", async (t) => {
  const { work, updated, released, beats } = await claimOne(t, {
    leaseMs: 900,
    status: () => LeaseStatus.LOST,
  });
  const lost = new Promise((resolve) => {
    work.signal.addEventListener("abort", resolve);
  });
  await lost;
  assert.equal(work.lost, true);
  assert.equal(beats.length, 1);
  assert.equal(beats[0]?.leases[0]?.fence, FENCE);
  const refused = (error: unknown) => error instanceof LocalError && error.reason === "LEASE_LOST";
  await assert.rejects(work.update({ title: "x" }), refused);
  await assert.rejects(work.finish(), refused);
  assert.throws(() => {
    work.check();
  }, refused);
  assert.equal(work.signal.reason instanceof LocalError, true);
  await work.run(() => undefined);
  assert.deepEqual([updated.length, released.length], [0, 0]);
});

test("a loop that blocks the event loop finds its lease lost before it writes", async (t) => {
  const { work } = await claimOne(t, { leaseMs: 100 });
  const end = performance.now() + 150;
  while (performance.now() < end);
  assert.throws(() => {
    work.check();
  }, LocalError);
});

test("heartbeats keep the lease and bring directives", async (t) => {
  let beats = 0;
  let enough: () => void = () => undefined;
  const several = new Promise<void>((resolve) => (enough = resolve));
  const { work } = await claimOne(t, {
    leaseMs: 1_500,
    status: () => {
      beats += 1;
      if (beats === 3) {
        enough();
      }
      return LeaseStatus.HELD;
    },
  });
  work.report({ toolCalls: 5n });
  await several;
  assert.equal(work.lost, false);
  assert.equal(work.directive, Directive.DRAIN);
  assert.equal(work.directiveReason, "nightly");
});

test("the loop takes each task once, also those that it gives back", async (t) => {
  const { address, released } = await startLedger(t, ["t1", "t2", "t3"]);
  const client = openClient(t, { address });
  const taken: string[] = [];
  for await (const work of client.claims()) {
    taken.push(work.task.code);
    await work.run(async () => {
      if (work.task.code !== "t1") {
        await work.finish();
      }
    });
  }
  assert.deepEqual(taken, ["t1", "t2", "t3"]);
  assert.equal(released.length, 3);
});

test("work that has not ended when the loop goes on or is left is given back", async (t) => {
  const { address, released } = await startLedger(t, ["t1", "t2"]);
  const client = openClient(t, { address });
  let count = 0;
  for await (const work of client.claims()) {
    count += 1;
    if (work.task.code === "t2") {
      break;
    }
  }
  assert.equal(count, 2);
  assert.deepEqual(
    released.map(({ taskCode, outcome }) => [taskCode, outcome]),
    [
      ["t1", AttemptOutcome.RETURNED],
      ["t2", AttemptOutcome.RETURNED],
    ],
  );
  assert.equal(client.warnings.length, 2);
});

test("the loop waits for an overloaded server, and keeps its request_id", async (t) => {
  const full = new ConnectError("full", Code.ResourceExhausted, undefined, [
    { desc: ErrorInfoSchema, value: { reason: "TOO_MANY_WAITING_CLAIMS" } },
    { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(50) } },
  ]);
  const { address, claims } = await startLedger(t, ["t1"], { claimErrors: [full] });
  for await (const work of openClient(t, { address }).claims()) {
    await work.finish();
  }
  assert.equal(claims.length, 3);
  assert.equal(claims[0], claims[1]);
  assert.notEqual(claims[1], claims[2]);
});

test("a field that a task does not have is refused", async (t) => {
  const { work } = await claimOne(t);
  await assert.rejects(work.update({ nothing: 1 } as object), LocalError);
});

test("the leases of a closed client are lost", async (t) => {
  const { client, work } = await claimOne(t);
  client.close();
  assert.equal(work.lost, true);
  assert.equal(work.signal.aborted, true);
  assert.equal(work.lostReason, "the client is closed");
});
