import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { LedgerError, LocalError } from "@orchestration-ledger/client";
import {
  type CreateTaskRequest,
  CreateTaskRequestSchema,
  TaskService,
} from "@orchestration-ledger/client/v1";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../src/gen/google/rpc/error_details_pb.js";
import { openClient, startServer } from "./fake-server.js";

type Call = { request: CreateTaskRequest; context: HandlerContext };

/** Start a server that keeps the calls of CreateTask, and throws what it is given for each attempt. */
async function serverOf(t: TestContext, ...thrown: (Error | undefined)[]) {
  const calls: Call[] = [];
  const server = await startServer(t, (router) => {
    router.service(TaskService, {
      createTask(request, context) {
        calls.push({ request, context });
        const error = thrown[calls.length - 1];
        if (error !== undefined) {
          throw error;
        }
        return { task: request.task };
      },
    });
  });
  return { ...server, calls };
}

const failing = (code: Code): ConnectError => new ConnectError("not now", code);

test("a call carries the metadata, a deadline and a request_id", async (t) => {
  const { address, calls } = await serverOf(t);
  const client = openClient(t, {
    address,
    agent: "builder-1",
    project: "p",
    session: "s",
    correlationId: "c",
    token: "secret",
  });
  await client.tasks.createTask({ task: { code: "t1" } });
  await client.tasks.createTask(
    { task: { code: "t2" }, requestId: "mine" },
    { timeoutMs: 60_000, headers: { "orchestration-agent": "another" } },
  );
  const [first, second] = calls.map(({ request, context }) => ({
    id: request.requestId,
    headers: context.requestHeader,
    left: context.timeoutMs() ?? 0,
  }));
  assert.equal(first?.headers.get("orchestration-agent"), "builder-1");
  assert.equal(first.headers.get("orchestration-project"), "p");
  assert.equal(first.headers.get("orchestration-session"), "s");
  assert.equal(first.headers.get("orchestration-correlation-id"), "c");
  assert.equal(first.headers.get("authorization"), "Bearer secret");
  assert.match(first.id, /^[0-9a-f]{32}$/);
  assert.ok(first.left > 0 && first.left <= 10_000);
  assert.equal(second?.id, "mine");
  assert.equal(second.headers.get("orchestration-agent"), "another");
  assert.ok(second.left > 10_000);
});

test("a call that ends with UNAVAILABLE or CANCELLED is sent again with its request_id and body", async (t) => {
  const { address, calls } = await serverOf(t, failing(Code.Unavailable), failing(Code.Canceled));
  const client = openClient(t, { address });
  const task = { code: "t1", metadata: { z: 1, a: { b: [true, null] } } };
  const answer = await client.tasks.createTask({ task });
  assert.equal(answer.task?.code, "t1");
  assert.equal(calls.length, 3);
  assert.equal(new Set(calls.map(({ request }) => request.requestId)).size, 1);
  assert.notEqual(calls[0]?.request.requestId, "");
  assert.deepEqual(calls[2]?.request, calls[0]?.request);
});

test("two calls of one message have different request_ids, and the message stays as it is", async (t) => {
  const { address, calls } = await serverOf(t);
  const client = openClient(t, { address });
  const message = create(CreateTaskRequestSchema, { task: { code: "t1" } });
  await client.tasks.createTask(message);
  await client.tasks.createTask(message);
  assert.equal(new Set(calls.map(({ request }) => request.requestId)).size, 2);
  assert.equal(message.requestId, "");
});

test("five attempts, and no more", async (t) => {
  const { address, calls } = await serverOf(t, ...Array<Error>(9).fill(failing(Code.Unavailable)));
  const client = openClient(t, { address });
  await assert.rejects(client.tasks.createTask({}), { code: Code.Unavailable });
  assert.equal(calls.length, 5);
});

for (const code of [
  Code.Aborted,
  Code.ResourceExhausted,
  Code.DeadlineExceeded,
  Code.Internal,
  Code.Unknown,
]) {
  test(`${Code[code]} is not retried`, async (t) => {
    const { address, calls } = await serverOf(t, failing(code));
    const client = openClient(t, { address });
    await assert.rejects(client.tasks.createTask({}), { code });
    assert.equal(calls.length, 1);
  });
}

test("the delay that the server asks for is waited for, unless it is beyond the deadline", async (t) => {
  const delayed = (ms: number): ConnectError =>
    new ConnectError("wait", Code.Unavailable, undefined, [
      { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(ms) } },
    ]);
  const { address, calls } = await serverOf(t, delayed(300), delayed(60_000));
  const client = openClient(t, { address });
  const start = performance.now();
  await assert.rejects(client.tasks.createTask({}), { code: Code.Unavailable, retryDelayMs: 60_000 });
  assert.equal(calls.length, 2);
  assert.ok(performance.now() - start >= 290);
});

test("a call that its caller ends is CANCELLED and not sent again", async (t) => {
  const end = new AbortController();
  let calls = 0;
  const server = await startServer(t, (router) => {
    router.service(TaskService, {
      async getTask(_request, context) {
        calls += 1;
        end.abort();
        await new Promise((resolve) => {
          context.signal.addEventListener("abort", resolve);
        });
        throw context.signal.reason;
      },
    });
  });
  const client = openClient(t, { address: server.address });
  await assert.rejects(client.tasks.getTask({}, { signal: end.signal }), { code: Code.Canceled });
  assert.equal(calls, 1);
});

test("a caller that ends the call between two attempts waits no longer", async (t) => {
  const end = new AbortController();
  const { address, calls } = await serverOf(t, failing(Code.Unavailable));
  const client = openClient(t, {
    address,
    interceptors: [
      (next) => async (request) => {
        try {
          return await next(request);
        } finally {
          setImmediate(() => {
            end.abort();
          });
        }
      },
    ],
  });
  await assert.rejects(client.tasks.createTask({}, { signal: end.signal }), { code: Code.Canceled });
  assert.equal(calls.length, 1);
});

test("the deadline holds over all attempts", async (t) => {
  let calls = 0;
  const server = await startServer(t, (router) => {
    router.service(TaskService, {
      async getTask(_request, context) {
        calls += 1;
        await new Promise((resolve) => {
          context.signal.addEventListener("abort", resolve);
        });
        return {};
      },
    });
  });
  const client = openClient(t, { address: server.address, timeoutMs: 100 });
  await assert.rejects(client.tasks.getTask({}), { code: Code.DeadlineExceeded });
  assert.equal(calls, 1);
});

test("an error has the details of the server", async (t) => {
  const refusal = new ConnectError("schlecht: ä", Code.InvalidArgument, undefined, [
    { desc: ErrorInfoSchema, value: { reason: "INVALID_ARGUMENT", metadata: { limit: "3" } } },
    {
      desc: BadRequestSchema,
      value: { fieldViolations: [{ field: "task.title", description: "is empty" }] },
    },
    { desc: ResourceInfoSchema, value: { resourceType: "task", resourceName: "t1" } },
    { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(1_500) } },
  ]);
  const { address } = await serverOf(t, refusal);
  const client = openClient(t, { address });
  await assert.rejects(client.tasks.createTask({}), (error) => {
    assert.ok(error instanceof LedgerError);
    assert.equal(error.message, "INVALID_ARGUMENT [INVALID_ARGUMENT]: schlecht: ä");
    assert.equal(error.rawMessage, "schlecht: ä");
    assert.deepEqual(error.metadata, { limit: "3" });
    assert.deepEqual(error.violations, { "task.title": "is empty" });
    assert.deepEqual(error.resource, { type: "task", name: "t1" });
    assert.equal(error.retryDelayMs, 1_500);
    return true;
  });
});

test("64-bit numbers and Unicode stay whole", async (t) => {
  const { address } = await serverOf(t);
  const client = openClient(t, { address });
  const revision = 2n ** 63n - 1n;
  const { task } = await client.tasks.createTask({ task: { title: "🚀 ä \u0000", revision } });
  assert.equal(task?.revision, revision);
  assert.equal(task.title, "🚀 ä \u0000");
});

test("a closed client refuses calls", async (t) => {
  const { address, calls } = await serverOf(t);
  const client = openClient(t, { address });
  await client.tasks.createTask({});
  client.close();
  const closed = (error: unknown) => error instanceof LocalError && error.reason === "CLOSED";
  await assert.rejects(client.tasks.createTask({}), closed);
  assert.throws(() => client.follow(), closed);
  await assert.rejects(client.emitAll([{ type: "a.b" }]), closed);
  assert.equal(calls.length, 1);
});

test("closing a client ends its pending calls with CANCELLED", async (t) => {
  const server = await startServer(t, (router) => {
    router.service(TaskService, {
      async getTask(_request, context) {
        client.close();
        await new Promise((resolve) => {
          context.signal.addEventListener("abort", resolve);
        });
        return {};
      },
    });
  });
  const client = openClient(t, { address: server.address });
  await assert.rejects(client.tasks.getTask({}), { code: Code.Canceled });
});

test("half of a surrogate pair is refused, and a whole one is not", async (t) => {
  const { address, calls } = await serverOf(t);
  const client = openClient(t, { address });
  await assert.rejects(
    client.tasks.createTask({ task: { code: "t", title: "a\udc00" } }),
    (raised) => raised instanceof LocalError && raised.message.startsWith("task.title"),
  );
  await client.tasks.createTask({ task: { code: "t", title: "\u{1f600}" } });
  assert.deepEqual(
    calls.map(({ request }) => request.task?.title),
    ["\u{1f600}"],
  );
});

test("a deadline beyond the longest timer of node is no deadline of 1 ms", async (t) => {
  const { address, calls } = await serverOf(t);
  const request = { task: { code: "t", title: "One" } };
  await openClient(t, { address }).tasks.createTask(request, { timeoutMs: 1e15 });
  await openClient(t, { address, timeoutMs: 2 ** 31 }).tasks.createTask(request);
  for (const { context } of calls) {
    assert.ok((context.timeoutMs() ?? 0) > 86_400_000);
  }
});
