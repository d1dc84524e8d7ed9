import { create, fromJson, type JsonObject, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { Client, type EventInput, LocalError, type Work } from "@orchestration-ledger/client";
import {
  ClaimTaskRequestSchema,
  DirectiveSchema,
  NewEventSchema,
  StreamTimelineRequestSchema,
  TaskSchema,
} from "@orchestration-ledger/client/v1";
import { faults } from "./faults.js";
import { Follower } from "./followers.js";
import { soak } from "./soak.js";
import { type Command, methodOf, milliseconds, number, requestOf, text } from "./wire.js";

/** The clients, works and followers of the runner, and the commands that use them. */
export class Commands {
  readonly #clients = new Map<string, Client>();
  readonly #followers = new Map<string, Follower>();
  readonly #works = new Map<string, Work>();
  readonly #calls = new Map<string, AbortController>();
  readonly #fault = process.env.CONFORMANCE_FAULT;

  /** Carry out a command and return its answer. */
  async run(command: Command): Promise<JsonObject> {
    switch (command.op) {
      case "open":
        return this.#open(command);
      case "call":
        return this.#call(command);
      case "cancel":
        this.#calls.get(text(command, "call"))?.abort();
        return {};
      case "list":
        return this.#list(command);
      case "follow":
        return this.#follow(command);
      case "next":
        return this.#follower(command).next(
          number(command, "count") ?? 1,
          milliseconds(command, "timeout") ?? 10_000,
        );
      case "unfollow":
        this.#follower(command).close();
        return {};
      case "emitAll":
        return this.#emitAll(command);
      case "claim":
        return this.#claim(command);
      case "claims":
        return this.#claims(command);
      case "soak":
        return this.#soak(command);
      case "close":
        this.#client(command).close();
        return {};
      default:
        return this.#work(command);
    }
  }

  /** Close all clients. */
  close(): void {
    for (const client of this.#clients.values()) {
      client.close();
    }
  }

  #open(command: Command): JsonObject {
    const given = (field: string): string | undefined => text(command, field) || undefined;
    const client = new Client({
      address: given("address"),
      token: given("token"),
      project: given("project"),
      agent: given("agent"),
      session: given("session"),
      correlationId: given("correlation"),
      ca: given("ca"),
      cert: given("cert"),
      key: given("key"),
      timeoutMs: milliseconds(command, "timeout"),
      interceptors: faults(this.#fault),
    });
    this.#clients.set(text(command, "client"), client);
    return {};
  }

  async #call(command: Command): Promise<JsonObject> {
    const client = this.#client(command);
    const method = methodOf(text(command, "method"));
    const end = new AbortController();
    const name = text(command, "call");
    if (name) {
      this.#calls.set(name, end);
    }
    const request = requestOf(method, command.request);
    const timeout = milliseconds(command, "timeout");
    const answer = await client.transport.unary(method, end.signal, timeout, undefined, request);
    return { response: toJson(method.output, answer.message) };
  }

  async #list(command: Command): Promise<JsonObject> {
    const method = methodOf(text(command, "method"));
    const schema = method.output.fields.find((field) => field.fieldKind === "list" && field.message)?.message;
    const limit = number(command, "limit") ?? Infinity;
    const items: JsonValue[] = [];
    for await (const item of this.#client(command).list(method, requestOf(method, command.request))) {
      if (schema) {
        items.push(toJson(schema, item as unknown as Message));
      }
      if (items.length >= limit) {
        break;
      }
    }
    return { items };
  }

  #follow(command: Command): JsonObject {
    const request = fromJson(StreamTimelineRequestSchema, command.request ?? {});
    const follower = new Follower(this.#client(command).follow(request));
    this.#followers.set(text(command, "follower"), follower);
    return {};
  }

  async #emitAll(command: Command): Promise<JsonObject> {
    const given = Array.isArray(command.events) ? command.events : undefined;
    const events = given
      ? given.map((event) => fromJson(NewEventSchema, event))
      : numbered(number(command, "count") ?? 0, text(command, "type"));
    return { ...(await this.#client(command).emitAll(events, { batch: number(command, "batch") })) };
  }

  async #claim(command: Command): Promise<JsonObject> {
    const request = fromJson(ClaimTaskRequestSchema, command.request ?? {});
    const [work] = await this.#client(command).claim(request);
    if (!work) {
      return {};
    }
    this.#works.set(text(command, "work"), work);
    return { taskCode: work.task.code, fence: String(work.fence), attempt: work.lease.attempt };
  }

  async #claims(command: Command): Promise<JsonObject> {
    const request = fromJson(ClaimTaskRequestSchema, command.request ?? {});
    const limit = number(command, "limit") ?? Infinity;
    const taskCodes: string[] = [];
    for await (const work of this.#client(command).claims(request)) {
      await work.run(async () => {
        await work.log("started");
        await work.finish("done");
      });
      taskCodes.push(work.task.code);
      if (taskCodes.length >= limit) {
        break;
      }
    }
    return { taskCodes };
  }

  async #soak(command: Command): Promise<JsonObject> {
    const name = text(command, "name");
    const label = text(command, "label") || name;
    return soak(this.#client(command), name, label, milliseconds(command, "seconds") ?? 0);
  }

  async #work(command: Command): Promise<JsonObject> {
    const work = this.#works.get(text(command, "work"));
    if (!work) {
      throw new LocalError("INVALID", `the command ${command.op} names no work`);
    }
    switch (command.op) {
      case "log":
        await work.log(text(command, "message"));
        return {};
      case "update":
        await work.update(taskFields(command));
        return {};
      case "finish":
        await work.finish(text(command, "reason"));
        return {};
      case "return":
        await work.giveBack(text(command, "reason"));
        return {};
      case "fail":
        await work.fail(text(command, "reason"));
        return {};
      case "block":
        await work.block(text(command, "reason"));
        return {};
      case "state":
        return stateOf(work);
      case "awaitLost":
        await lossOf(work, milliseconds(command, "timeout") ?? 0);
        return stateOf(work);
      case "abandon":
        work.abandon();
        return {};
      default:
        throw new LocalError("INVALID", `there is no command ${command.op}`);
    }
  }

  #client(command: Command): Client {
    const client = this.#clients.get(text(command, "client"));
    if (!client) {
      throw new LocalError("INVALID", `no client "${text(command, "client")}" is open`);
    }
    return client;
  }

  #follower(command: Command): Follower {
    const follower = this.#followers.get(text(command, "follower"));
    if (!follower) {
      throw new LocalError("INVALID", `there is no follower "${text(command, "follower")}"`);
    }
    return follower;
  }
}

/** Yield events with the payloads {"n": 0}, {"n": 1} and so on. */
export function* numbered(count: number, type: string): Generator<EventInput> {
  for (let n = 0; n < count; n += 1) {
    yield create(NewEventSchema, { type, payload: { n } });
  }
}

function taskFields(command: Command): Parameters<Work["update"]>[0] {
  const json = command.task as JsonObject;
  const message = fromJson(TaskSchema, json) as unknown as Record<string, unknown>;
  return Object.fromEntries(Object.keys(json).map((name) => [name, message[name]]));
}

function stateOf(work: Work): JsonObject {
  const { lost } = work;
  return {
    lost,
    reason: lost ? work.lostReason : work.directiveReason,
    directive: DirectiveSchema.value[work.directive].name,
  };
}

async function lossOf(work: Work, timeoutMs: number): Promise<void> {
  if (work.lost) {
    return;
  }
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    work.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
