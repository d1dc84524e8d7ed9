import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Client, type ClientOptions } from "@orchestration-ledger/client";

/** A gRPC server in this process, whose connections can be cut. */
export interface FakeServer {
  readonly address: string;
  readonly sessions: Set<http2.ServerHttp2Session>;
  /** Destroy all connections, as a server that is killed. */
  cut(): void;
}

/** Start a server that ends with the test. */
export async function startServer(
  t: TestContext,
  routes: (router: ConnectRouter) => void,
): Promise<FakeServer> {
  return serve(t, http2.createServer(connectNodeAdapter({ routes, connect: false, grpcWeb: false })));
}

/** Start a server of raw HTTP/2 streams that ends with the test. */
export async function startRawServer(
  t: TestContext,
  onStream: (stream: http2.ServerHttp2Stream, attempt: number) => void,
  path?: string,
): Promise<FakeServer> {
  const server = http2.createServer();
  let attempts = 0;
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    attempts += 1;
    onStream(stream, attempts);
  });
  return serve(t, server, path);
}

async function serve(t: TestContext, server: http2.Http2Server, path?: string): Promise<FakeServer> {
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => undefined);
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) =>
    server.listen(path ? { path } : { port: 0, host: "127.0.0.1" }, resolve),
  );
  const cut = (): void => {
    for (const session of sessions) {
      session.destroy();
    }
  };
  t.after(() => {
    cut();
    server.close();
  });
  const address = path ? `unix:${path}` : `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { address, sessions, cut };
}

/** Open a client that is closed with the test, and collect its warnings. */
export function openClient(t: TestContext, options: ClientOptions): Client & { warnings: string[] } {
  const warnings: string[] = [];
  const client = new Client({ warn: (message) => warnings.push(message), ...options });
  t.after(() => {
    client.close();
  });
  return Object.assign(client, { warnings });
}

/** Answer a unary call of gRPC with an empty message. */
export function answerEmpty(stream: http2.ServerHttp2Stream): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => {
    stream.sendTrailers({ "grpc-status": "0" });
  });
  stream.end(Buffer.from([0, 0, 0, 0, 0]));
}
