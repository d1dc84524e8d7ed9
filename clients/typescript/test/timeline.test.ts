import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Timeline } from "@orchestration-ledger/client";
import {
  EventService,
  type StreamTimelineRequest,
  StreamTimelineRequestSchema,
  type StreamTimelineResponse,
  StreamTimelineResponseSchema,
} from "@orchestration-ledger/client/v1";
import { RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { type FakeServer, openClient, startServer } from "./fake-server.js";

type Step = StreamTimelineResponse | ConnectError | "cut" | "wait";

const events = (...cursors: string[]): StreamTimelineResponse =>
  create(StreamTimelineResponseSchema, {
    message: { case: "events", value: { events: cursors.map((cursor) => ({ id: cursor, cursor })) } },
  });
const mark = (name: "checkpoint" | "caughtUp" | "fellBehind", cursor: string): StreamTimelineResponse =>
  create(StreamTimelineResponseSchema, { message: { case: name, value: { cursor } } });

/** Start a server whose streams follow scripts, one after the other. */
async function serverOf(t: TestContext, ...scripts: Step[][]) {
  const requests: StreamTimelineRequest[] = [];
  const server: FakeServer = await startServer(t, (router) => {
    router.service(EventService, {
      async *streamTimeline(request, context) {
        requests.push(request);
        for (const step of scripts[requests.length - 1] ?? []) {
          if (step === "cut") {
            server.cut();
          } else if (step instanceof ConnectError) {
            throw step;
          } else if (step !== "wait") {
            yield step;
            continue;
          }
          await new Promise((resolve) => {
            context.signal.addEventListener("abort", resolve);
          });
        }
      },
    });
  });
  return { address: server.address, requests };
}

async function read(timeline: Timeline, count: number): Promise<string[]> {
  const found: string[] = [];
  for await (const event of timeline) {
    found.push(event.id);
    if (found.length === count) {
      break;
    }
  }
  return found;
}

test("each event once and no gap, across a cut, an end and a server that stops", async (t) => {
  const { address, requests } = await serverOf(
    t,
    [events("1", "2"), "cut"],
    [events("3")],
    [new ConnectError("stopping", Code.Unavailable)],
    [events("4", "5"), "wait"],
  );
  const client = openClient(t, { address });
  assert.deepEqual(await read(client.follow({ filter: { sprintCode: "S1" } }), 5), ["1", "2", "3", "4", "5"]);
  assert.deepEqual(
    requests.map(({ start, follow, filter }) => [start.value, follow, filter?.sprintCode]),
    [
      [undefined, true, "S1"],
      ["2", true, "S1"],
      ["3", true, "S1"],
      ["3", true, "S1"],
    ],
  );
  assert.equal(client.warnings.length, 3);
});

test("checkpoint, caught_up and fell_behind move the cursor", async (t) => {
  const { address, requests } = await serverOf(
    t,
    [mark("checkpoint", "a")],
    [mark("caughtUp", "b")],
    [mark("fellBehind", "c")],
    [events("d"), "wait"],
  );
  const client = openClient(t, { address });
  const timeline = client.follow({ start: { case: "last", value: 5 } });
  assert.equal(timeline.cursor, "");
  assert.deepEqual(await read(timeline, 1), ["d"]);
  assert.equal(timeline.cursor, "d");
  assert.deepEqual(
    requests.map(({ start }) => start.value),
    [5, "a", "b", "c"],
  );
});

test("caughtUp tells history from live events", async (t) => {
  const { address } = await serverOf(t, [events("1"), mark("caughtUp", "1"), events("2"), "wait"]);
  const timeline = openClient(t, { address }).follow();
  await timeline.next();
  assert.equal(timeline.caughtUp, false);
  await timeline.next();
  assert.equal(timeline.caughtUp, true);
  timeline.close();
});

test("a timeline of the history ends with it, also after a cut", async (t) => {
  const { address, requests } = await serverOf(t, [events("1"), "cut"], [events("2")]);
  const timeline = openClient(t, { address }).follow({ follow: false });
  assert.deepEqual(await read(timeline, 9), ["1", "2"]);
  assert.equal(timeline.closed, true);
  assert.equal(requests.length, 2);
});

test("an error that waiting does not resolve ends it", async (t) => {
  const { address, requests } = await serverOf(t, [
    events("1"),
    new ConnectError("archived", Code.FailedPrecondition),
  ]);
  const timeline = openClient(t, { address }).follow();
  await timeline.next();
  await assert.rejects(timeline.next(), { code: Code.FailedPrecondition });
  assert.deepEqual(await timeline.next(), { done: true, value: undefined });
  assert.equal(timeline.cursor, "1");
  assert.equal(requests.length, 1);
});

test("an overloaded server is asked again after its delay", async (t) => {
  const full = new ConnectError("full", Code.ResourceExhausted, undefined, [
    { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(200) } },
  ]);
  const { address, requests } = await serverOf(t, [full], [events("1"), "wait"]);
  const start = performance.now();
  assert.deepEqual(await read(openClient(t, { address }).follow(), 1), ["1"]);
  assert.ok(performance.now() - start >= 190);
  assert.equal(requests.length, 2);
});

test("the time without progress is limited if the caller asks", async (t) => {
  const { address } = await serverOf(t, [new ConnectError("no", Code.Unavailable)]);
  const timeline = openClient(t, { address }).follow({}, { retryTimeoutMs: 0 });
  await assert.rejects(timeline.next(), { code: Code.Unavailable });
});

test("close ends a wait", async (t) => {
  const { address } = await serverOf(t, [events("1"), "wait"]);
  const timeline = openClient(t, { address }).follow();
  await timeline.next();
  const waiting = timeline.next();
  timeline.close();
  assert.deepEqual(await waiting, { done: true, value: undefined });
});

test("a signal ends a wait with CANCELLED", async (t) => {
  const end = new AbortController();
  const { address } = await serverOf(t, [events("1"), "wait"]);
  const timeline = openClient(t, { address }).follow({}, { signal: end.signal });
  await timeline.next();
  const waiting = timeline.next();
  end.abort();
  await assert.rejects(waiting, { code: Code.Canceled });
});

test("the caller may change its request meanwhile", async (t) => {
  const { address, requests } = await serverOf(t, [events("1")], [events("2"), "wait"]);
  const request = create(StreamTimelineRequestSchema, { filter: { types: ["a.b"] }, follow: true });
  const timeline = openClient(t, { address }).follow(request);
  request.filter?.types.push("c.d");
  assert.deepEqual(await read(timeline, 2), ["1", "2"]);
  assert.deepEqual(
    requests.map(({ filter }) => filter?.types),
    [["a.b"], ["a.b"]],
  );
});
