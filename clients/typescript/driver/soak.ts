import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@orchestration-ledger/client";

const MOST_ERRORS = 5;
const EVENTS_PER_ROUND = 200;
const BATCH = 50;
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
    await tally.call("get", () => client.tasks.getTask({ taskCode: code }));
    const task = { code, title: `written by ${name}` };
    await tally.call("update", () => client.tasks.updateTask({ task, updateMask: { paths: ["title"] } }));
  }
}

async function emit(client: Client, name: string, tally: Tally, running: Running): Promise<void> {
  for (let first = 0; await running(); first += EVENTS_PER_ROUND) {
    const events = Array.from({ length: EVENTS_PER_ROUND }, (_, index) => ({
      type: `${name}.step`,
      payload: { n: first + index },
    }));
    const totals = await tally.call("emitAll", () => client.emitAll(events, { batch: BATCH }));
    tally.emitted += totals?.stored ?? 0;
  }
}

async function claim(client: Client, label: string, tally: Tally, running: Running): Promise<void> {
  while (await running()) {
    const request = { labels: [label], lease: durationFromMs(10_000), wait: durationFromMs(1_000) };
    await tally.call("claim", async () => {
      const [work] = await client.claim(request);
      if (!work) {
        return;
      }
      const start = Date.now() / 1_000;
      await sleep(PAUSE_MS);
      tally.claimed.push([work.task.code, String(work.fence), start, Date.now() / 1_000]);
      await (tally.claimed.length % 4 === 0 ? work.giveBack("for another") : work.finish("done"));
    });
  }
}

async function sleep(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
