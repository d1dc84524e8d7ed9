import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { LedgerError } from "@orchestration-ledger/client";
import { ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../src/gen/google/rpc/status_pb.js";
import { openClient, startRawServer } from "./fake-server.js";

const info = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "NOT_FOUND" }));
const status = Buffer.from(
  toBinary(StatusSchema, create(StatusSchema, { code: Code.NotFound, message: "gone", details: [info] })),
).toString("base64");

function endWith(trailers: Record<string, string>, alone: boolean) {
  return (stream: ServerHttp2Stream): void => {
    const headers = { ":status": 200, "content-type": "application/grpc+proto" };
    if (alone) {
      stream.respond({ ...headers, ...trailers }, { endStream: true });
      return;
    }
    stream.respond(headers, { waitForTrailers: true });
    stream.on("wantTrailers", () => {
      stream.sendTrailers(trailers);
    });
    stream.end();
  };
}

for (const alone of [false, true]) {
  for (const [name, trailers, expected] of [
    [
      "details are read",
      { "grpc-status": "5", "grpc-status-details-bin": status },
      [Code.NotFound, "NOT_FOUND", "gone"],
    ],
    [
      "bad details leave the code",
      { "grpc-status": "5", "grpc-message": "a%20b", "grpc-status-details-bin": "AAAA" },
      [Code.NotFound, "", "a b"],
    ],
    [
      "details of another code are passed over",
      { "grpc-status": "7", "grpc-status-details-bin": status },
      [Code.PermissionDenied, "", ""],
    ],
    [
      "a message that is not encoded is kept",
      { "grpc-status": "5", "grpc-message": "100%" },
      [Code.NotFound, "", "100%"],
    ],
  ] as const) {
    test(`${name}${alone ? ", in a response of trailers alone" : ""}`, async (t) => {
      const server = await startRawServer(t, endWith(trailers, alone));
      const client = openClient(t, { address: server.address });
      await assert.rejects(client.tasks.getTask({}), (error) => {
        assert.ok(error instanceof LedgerError);
        assert.deepEqual([error.code, error.reason, error.rawMessage], expected);
        return true;
      });
    });
  }
}
