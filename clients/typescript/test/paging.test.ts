import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { LocalError } from "@orchestration-ledger/client";
import { type ListTasksRequest, ListTasksRequestSchema, TaskService } from "@orchestration-ledger/client/v1";
import { openClient, startServer } from "./fake-server.js";

test("a list goes over all pages, with the filters of the first", async (t) => {
  const requests: ListTasksRequest[] = [];
  const server = await startServer(t, (router) => {
    router.service(TaskService, {
      listTasks(request) {
        requests.push(request);
        const page = Number(request.pageToken || 0);
        const tasks = page === 1 ? [] : [{ code: `t${page}`, revision: 2n ** 62n }];
        return { tasks, nextPageToken: page < 3 ? String(page + 1) : "" };
      },
    });
  });
  const client = openClient(t, { address: server.address });
  const request = create(ListTasksRequestSchema, { sprintCode: "S1", pageSize: 1, labels: ["x"] });
  const codes: string[] = [];
  for await (const task of client.list(TaskService.method.listTasks, request)) {
    codes.push(task.code);
    assert.equal(task.revision, 2n ** 62n);
    request.sprintCode = "S2";
    request.labels.push("y");
  }
  assert.deepEqual(codes, ["t0", "t2", "t3"]);
  assert.deepEqual(
    requests.map((each) => [each.sprintCode, each.labels, each.pageToken]),
    [
      ["S1", ["x"], ""],
      ["S1", ["x"], "1"],
      ["S1", ["x"], "2"],
      ["S1", ["x"], "3"],
    ],
  );
  assert.equal(request.pageToken, "");
});

test("a method without pages is refused", async (t) => {
  const client = openClient(t, { address: "127.0.0.1:1" });
  await assert.rejects(client.list(TaskService.method.getTask, {}).next(), LocalError);
});

test("every generated file is exported", () => {
  const root = new URL("../../src/gen/", import.meta.url);
  const files = readdirSync(new URL("orchestration/v1/", root));
  const index = readFileSync(new URL("index.ts", root), "utf8");
  for (const file of files) {
    assert.ok(index.includes(`"./orchestration/v1/${file.replace(/\.ts$/, ".js")}"`), file);
  }
});
