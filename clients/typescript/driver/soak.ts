import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@orchestration-ledger/client";

const MOST_ERRORS = 5;
const BATCH = 20;
/** The pause between calls: the processors are shared by all. */
const PAUSE_MS = 5;
/** How long the follower waits for events that were emitted before it says that they are missing. */
const LAST_EVENTS_MS = 30_000;

/** The counts of a soak. */
class Tally {
  calls = 0;
  failed = 0;
  emitted = 0;
  readonly errors: string[] = [];
  readonly seen = new Map<number, number>();
  readonly claimed: [string, string, number, number][] = [];

  /** Count a call, and its failure. */
  async call<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
    this.calls += 1;
    try {
      return await run();
    } catch (error) {
      this.failed += 1;
      if (this.errors.length < MOST_ERRORS) {
        this.errors.push(`${what}: ${String(error)}`);
      }
      return undefined;
    }
  }
}

/** Work for a time as an agent would, and return what was counted. Tasks are created and claimed with the label. */
export async function soak(
  client: Client,
  name: string,
  label: string,
  milliseconds: number,
): Promise<JsonObject> {
  const tally = new Tally();
  const end = performance.now() + milliseconds;
  const running = async (): Promise<boolean> => {
    await sleep(PAUSE_MS);
    return performance.now() < end;
  };
  const follower = client.follow({ filter: { types: [`${name}.step`] } });
  const following = follow(follower, tally);
  await Promise.all([
    write(client, name, label, tally, running),
    emit(client, name, tally, running),
    claim(client, label, tally, running),
  ]);
  const late = performance.now() + LAST_EVENTS_MS;
  while (tally.seen.size < tally.emitted && performance.now() < late) {
    await sleep(50);
  }
  follower.close();
  await following;
  const times = [...tally.seen.values()];
  return {
    calls: tally.calls,
    failed: tally.failed,
    errors: tally.errors,
    emitted: tally.emitted,
    seen: times.reduce((sum, each) => sum + each, 0),
    repeated: times.reduce((sum, each) => sum + each - 1, 0),
    missed: tally.emitted - times.length,
    claimed: tally.claimed.length,
    held: tally.claimed as JsonValue[],
  };
}

type Running = () => Promise<boolean>;

async function follow(follower: ReturnType<Client["follow"]>, tally: Tally): Promise<void> {
  await tally.call("follow", async () => {
    for await (const event of follower) {
      const n = Number(event.payload?.n);
      tally.seen.set(n, (tally.seen.get(n) ?? 0) + 1);
    }
  });
}

async function write(
  client: Client,
  name: string,
  label: string,
  tally: Tally,
  running: Running,
): Promise<void> {
  for (let n = 0; await running(); n += 1) {
    const code = `${name}-${n}`;
    await tally.call("create", () =>
      client.tasks.createTask({ task: { code, title: code, labels: [label] } }),
    );
    const task = { code, title: `soak ${n}` };
    await tally.call("update", () => client.tasks.updateTask({ task, updateMask: { paths: ["title"] } }));
    await tally.call("get", async () => {
      const found = await client.tasks.getTask({ taskCode: code });
      if (found.task?.title !== task.title) {
        throw new Error(`the title is "${found.task?.title ?? ""}", not "${task.title}"`);
      }
    });
  }
}

async function emit(client: Client, name: string, tally: Tally, running: Running): Promise<void> {
  async function* events() {
    for (let n = 0; await running(); n += 1) {
      yield { type: `${name}.step`, payload: { n } };
      tally.calls += n % BATCH === 0 ? 1 : 0;
    }
  }
  const totals = await tally.call("emitAll", () => client.emitAll(events(), { batch: BATCH }));
  tally.emitted = totals?.stored ?? 0;
}

async function claim(client: Client, label: string, tally: Tally, running: Running): Promise<void> {
  while (await running()) {
    const request = { labels: [label], wait: durationFromMs(2_000) };
    const works = await tally.call("claim", () => client.claim(request));
    for (const work of works ?? []) {
      const start = Date.now() / 1_000;
      await tally.call("log", () => work.log("working"));
      await sleep(PAUSE_MS);
      tally.claimed.push([work.task.code, String(work.fence), start, Date.now() / 1_000]);
      const back = tally.claimed.length % 4 === 0;
      await tally.call("release", () => (back ? work.giveBack("for another") : work.finish("done")));
    }
  }
}

async function sleep(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
