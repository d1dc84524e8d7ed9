import { type JsonObject, toJson } from "@bufbuild/protobuf";
import type { Timeline } from "@orchestration-ledger/client";
import { type Event, EventSchema } from "@orchestration-ledger/client/v1";

/** A timeline of which the runner reads some events at a time. */
export class Follower {
  readonly #timeline: Timeline;
  #waiting: Promise<IteratorResult<Event, void>> | undefined;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** Return up to `count` events that come within a time. An event that comes later is the first of the next answer. */
  async next(count: number, timeoutMs: number): Promise<JsonObject> {
    const events: Event[] = [];
    let ended = false;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => {
        resolve("late");
      }, timeoutMs);
    });
    let cursor = this.#timeline.cursor;
    try {
      while (events.length < count && !ended) {
        this.#waiting ??= this.#timeline.next();
        const result = await Promise.race([this.#waiting, late]);
        if (result === "late") {
          break;
        }
        this.#waiting = undefined;
        cursor = this.#timeline.cursor;
        if (result.done) {
          ended = true;
        } else {
          events.push(result.value);
        }
      }
    } catch (error) {
      this.#waiting = undefined;
      throw error;
    } finally {
      clearTimeout(timer);
    }
    return {
      events: events.map((event) => toJson(EventSchema, event)),
      cursor: this.#waiting ? this.#timeline.cursor : cursor,
      ended,
      timedOut: !ended && events.length < count,
    };
  }

  /** End the timeline. */
  close(): void {
    this.#timeline.close();
  }
}
