import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type Client, LedgerError, LocalError } from "@orchestration-ledger/client";
import {
  type EmitError,
  EmitErrorSchema,
  type EmitEventsRequest,
  EmitEventsResponseSchema,
  EventService,
} from "@orchestration-ledger/client/v1";
import { type FakeServer, openClient, startServer } from "./fake-server.js";

type Answer = { error: EmitError } | "cut";

/** Start a server that stores each message once, and asks a script what to answer to the n-th message. */
async function serverOf(t: TestContext, answerTo: (n: number) => Answer | undefined = () => undefined) {
  const stored = new Map<string, EmitEventsRequest>();
  const received: EmitEventsRequest[] = [];
  const streams: number[] = [];
  const server: FakeServer = await startServer(t, (router) => {
    router.service(EventService, {
      async *emitEvents(requests, context) {
        streams.push(received.length);
        for await (const request of requests) {
          received.push(request);
          const answer = answerTo(received.length);
          if (typeof answer !== "object") {
            stored.set(request.requestId, request);
          }
          if (answer === "cut") {
            server.cut();
            await new Promise((resolve) => {
              context.signal.addEventListener("abort", resolve);
            });
            return;
          }
          const { requestId } = request;
          yield create(EmitEventsResponseSchema, {
            requestId,
            stored: typeof answer === "object" ? 0 : request.events.length,
            ...(typeof answer === "object" && answer),
          });
        }
      },
    });
  });
  return { address: server.address, stored, received, streams };
}

const numbers = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ type: "test.step", payload: { n } }));
const storedNumbers = (stored: Map<string, EmitEventsRequest>) =>
  [...stored.values()].flatMap(({ events }) => events.map((event) => event.payload?.n));
const expected = (count: number) => Array.from({ length: count }, (_, n) => n);

test("all events in messages of the batch, in order", async (t) => {
  const { address, stored, received } = await serverOf(t);
  const totals = await openClient(t, { address }).emitAll(numbers(25), { batch: 10 });
  assert.deepEqual(totals, { stored: 25, duplicates: 0, sampledOut: 0 });
  assert.deepEqual(
    received.map(({ events }) => events.length),
    [10, 10, 5],
  );
  assert.deepEqual(storedNumbers(stored), expected(25));
});

test("after a cut, unanswered messages are sent again under their request_ids", async (t) => {
  const { address, stored, received, streams } = await serverOf(t, (n) =>
    n === 3 || n === 9 ? "cut" : undefined,
  );
  const client = openClient(t, { address });
  const totals = await client.emitAll(numbers(100), { batch: 10 });
  assert.equal(totals.stored, 100);
  assert.deepEqual(storedNumbers(stored), expected(100));
  assert.ok(received.length > 10);
  assert.equal(streams.length, 3);
  assert.equal(client.warnings.length, 2);
});

test("a message that the server refuses for good ends the call with the index of its event", async (t) => {
  const error = create(EmitErrorSchema, {
    code: Code.InvalidArgument,
    reason: "INVALID_ARGUMENT",
    message: "bad",
    violations: { type: "empty" },
  });
  const { address } = await serverOf(t, (n) => (n === 3 ? { error } : undefined));
  await assert.rejects(openClient(t, { address }).emitAll(numbers(50), { batch: 10 }), (raised) => {
    assert.ok(raised instanceof LedgerError);
    assert.equal(raised.reason, "INVALID_ARGUMENT");
    assert.equal(raised.metadata.first_event, "20");
    assert.deepEqual(raised.violations, { type: "empty" });
    return true;
  });
});

test("a message that may succeed later is sent again", async (t) => {
  const error = create(EmitErrorSchema, {
    code: Code.ResourceExhausted,
    reason: "EMIT_QUEUE_FULL",
    retryable: true,
  });
  const { address, stored } = await serverOf(t, (n) => (n === 1 ? { error } : undefined));
  const totals = await openClient(t, { address }).emitAll(numbers(20), { batch: 10 });
  assert.equal(totals.stored, 20);
  assert.deepEqual(new Set(storedNumbers(stored)), new Set(expected(20)));
});

test("a source is read no further than four unanswered messages", async (t) => {
  let taken = 0;
  const takenAt: number[] = [];
  const { address } = await serverOf(t, (n) => {
    takenAt[n - 1] = taken;
    return undefined;
  });
  async function* source() {
    for (const event of numbers(60)) {
      taken += 1;
      yield await Promise.resolve(event);
    }
  }
  const totals = await openClient(t, { address }).emitAll(source(), { batch: 1 });
  assert.equal(totals.stored, 60);
  // Message n is sent when all but the three before it are answered, and one more event is packed.
  assert.ok(takenAt.every((count, index) => count <= index + 1 + 5));
});

test("no events need no call", async (t) => {
  const { address, streams } = await serverOf(t);
  const totals = await openClient(t, { address }).emitAll([]);
  assert.deepEqual(totals, { stored: 0, duplicates: 0, sampledOut: 0 });
  assert.equal(streams.length, 0);
});

test("a source that fails ends the call with its error", async (t) => {
  const { address } = await serverOf(t);
  function* source() {
    yield* numbers(10);
    throw new Error("the file ended early");
  }
  await assert.rejects(openClient(t, { address }).emitAll(source(), { batch: 5 }), /ended early/);
});

test("the batch has a limit", async (t) => {
  const client = openClient(t, { address: "127.0.0.1:1" });
  for (const batch of [0, 501, 1.5]) {
    await assert.rejects(client.emitAll(numbers(1), { batch }), LocalError);
  }
});

test("big events are split by size", async (t) => {
  const { address, received } = await serverOf(t);
  const text = "x".repeat(60_000);
  const events = Array.from({ length: 80 }, () => ({ type: "test.big", payload: { text } }));
  assert.equal((await openClient(t, { address }).emitAll(events)).stored, 80);
  assert.equal(received.length, 3);
});

for (const [name, leave] of [
  [
    "that its caller cancels",
    (_: Client, end: AbortController) => {
      end.abort();
    },
  ],
  [
    "whose client is closed",
    (client: Client) => {
      client.close();
    },
  ],
] as const) {
  test(`a call ${name} does not wait for a source that blocks`, async (t) => {
    const { address } = await serverOf(t);
    const client = openClient(t, { address });
    const end = new AbortController();
    async function* source() {
      yield* numbers(1);
      leave(client, end);
      await new Promise(() => undefined);
    }
    const call = client.emitAll(source(), { signal: end.signal });
    await assert.rejects(call, (raised) => raised instanceof LedgerError && raised.code === Code.Canceled);
  });
}

test("half of a surrogate pair is refused", async (t) => {
  const { address, received } = await serverOf(t);
  const call = openClient(t, { address }).emitAll([{ type: "test.text", payload: { deep: ["a\ud800b"] } }]);
  await assert.rejects(call, (raised) => raised instanceof LocalError && raised.reason === "INVALID");
  assert.deepEqual(received, []);
});
