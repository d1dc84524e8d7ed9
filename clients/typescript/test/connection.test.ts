import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import * as http2 from "node:http2";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { TaskService } from "@orchestration-ledger/client/v1";
import { answerEmpty, openClient, startRawServer, startServer } from "./fake-server.js";

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants;

test("a write whose connection is cut after it took effect is sent again with its request_id", async (t) => {
  const ids: string[] = [];
  const server = await startServer(t, (router) => {
    router.service(TaskService, {
      async createTask(request, context) {
        ids.push(request.requestId);
        if (ids.length === 1) {
          server.cut();
          await new Promise((resolve) => {
            context.signal.addEventListener("abort", resolve);
          });
        }
        return { task: request.task };
      },
    });
  });
  const client = openClient(t, { address: server.address });
  const { task } = await client.tasks.createTask({ task: { code: "t1" } });
  assert.equal(task?.code, "t1");
  assert.equal(ids.length, 2);
  assert.equal(ids[0], ids[1]);
});

const FAULTS: Record<string, (stream: http2.ServerHttp2Stream) => void> = {
  "a socket that is closed": (stream) => stream.session?.destroy(),
  "a socket that is reset": (stream) => {
    stream.session?.socket.resetAndDestroy();
  },
  "a socket that is closed in the middle of a response": (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" });
    stream.write(Buffer.from([0, 0, 0, 0, 9, 1]), () => stream.session?.destroy());
  },
  "a stream that the server refuses": (stream) => {
    stream.close(NGHTTP2_REFUSED_STREAM);
  },
  "a GOAWAY that excludes the call": (stream) => {
    stream.session?.goaway(0, 0);
    stream.session?.destroy();
  },
  "a GOAWAY with an error": (stream) => stream.session?.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, 0),
};

// At once, since most of their time is backoff.
describe("a fault of the connection", { concurrency: true }, () => {
  for (const [name, fail] of Object.entries(FAULTS)) {
    test(`${name} makes the call UNAVAILABLE`, async (t) => {
      let attempts = 0;
      const server = await startRawServer(t, (stream) => {
        attempts += 1;
        fail(stream);
      });
      const client = openClient(t, { address: server.address });
      await assert.rejects(client.tasks.getTask({}), { code: Code.Unavailable });
      assert.equal(attempts, 5);
    });

    test(`after ${name} the next attempt succeeds`, async (t) => {
      const server = await startRawServer(t, (stream, attempt) => {
        if (attempt <= 2) {
          fail(stream);
        } else {
          answerEmpty(stream);
        }
      });
      const client = openClient(t, { address: server.address });
      assert.equal((await client.tasks.getTask({})).task, undefined);
    });
  }
});

test("a stream that the server cancels is CANCELLED, and sent again", async (t) => {
  let attempts = 0;
  const server = await startRawServer(t, (stream) => {
    attempts += 1;
    stream.close(NGHTTP2_CANCEL);
  });
  const client = openClient(t, { address: server.address });
  await assert.rejects(client.tasks.getTask({}), { code: Code.Canceled });
  assert.equal(attempts, 5);
});

test("a stream that the server ends with a fault of its own is INTERNAL, and not sent again", async (t) => {
  let attempts = 0;
  const server = await startRawServer(t, (stream) => {
    attempts += 1;
    stream.close(NGHTTP2_INTERNAL_ERROR);
  });
  const client = openClient(t, { address: server.address });
  await assert.rejects(client.tasks.getTask({}), { code: Code.Internal });
  assert.equal(attempts, 1);
});

test("a server that is not there is UNAVAILABLE", async (t) => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const client = openClient(t, { address: `127.0.0.1:${port}` });
  await assert.rejects(client.tasks.getTask({}), { code: Code.Unavailable });
});

test("a name that does not resolve is UNAVAILABLE", async (t) => {
  const client = openClient(t, { address: "ledger.invalid:1" });
  await assert.rejects(client.tasks.getTask({}, { timeoutMs: 0 }), { code: Code.Unavailable });
});

test("a server that does not speak TLS is UNAVAILABLE", async (t) => {
  const server = await startRawServer(t, answerEmpty);
  const client = openClient(t, { address: server.address, ca: "system" });
  await assert.rejects(client.tasks.getTask({}), { code: Code.Unavailable });
});

test("a server may listen on a socket file", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "ledger-"));
  t.after(() => {
    rmSync(directory, { recursive: true });
  });
  const server = await startRawServer(t, answerEmpty, join(directory, "socket"));
  const client = openClient(t, { address: server.address, token: "secret" });
  await client.tasks.getTask({});
});

test("a GOAWAY lets calls in flight end, and new calls go to a new connection", async (t) => {
  const sessions: unknown[] = [];
  let release: (() => void) | undefined;
  const server = await startRawServer(t, (stream, attempt) => {
    sessions.push(stream.session);
    if (attempt === 1) {
      stream.session?.close();
      release = () => {
        answerEmpty(stream);
      };
      goneAway();
    } else {
      answerEmpty(stream);
    }
  });
  let goneAway: () => void = () => undefined;
  const gone = new Promise<void>((resolve) => (goneAway = resolve));
  const client = openClient(t, { address: server.address });
  const first = client.tasks.getTask({});
  await gone;
  await client.tasks.getTask({});
  release?.();
  await first;
  assert.equal(sessions.length, 2);
  assert.notEqual(sessions[0], sessions[1]);
});
