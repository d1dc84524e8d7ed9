import { isMessage } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { newRequestId } from "@orchestration-ledger/client";
import { type StreamTimelineRequest, StreamTimelineRequestSchema } from "@orchestration-ledger/client/v1";

/** Return the interceptors that break the client on purpose, so that the table of the suite can be seen to turn red. */
export function faults(name: string | undefined): Interceptor[] {
  switch (name) {
    case undefined:
    case "":
      return [];
    case "fresh-request-id":
      return [freshRequestId()];
    case "forget-cursor":
      return [forgetCursor()];
    default:
      throw new Error(`there is no fault "${name}"`);
  }
}

/** Give each attempt of a call but the first a request_id of its own. */
function freshRequestId(): Interceptor {
  const seen = new WeakSet();
  return (next) => (request) => {
    if (request.stream || !("requestId" in request.message)) {
      return next(request);
    }
    if (!seen.has(request.message)) {
      seen.add(request.message);
      return next(request);
    }
    const message = { ...request.message, requestId: newRequestId() };
    return next({ ...request, message });
  };
}

/** Open the timeline of a filter always as it was opened first. */
function forgetCursor(): Interceptor {
  const starts = new Map<string, StreamTimelineRequest["start"]>();
  async function* forgetful(messages: AsyncIterable<object>) {
    for await (const message of messages) {
      if (isMessage(message, StreamTimelineRequestSchema)) {
        const key = JSON.stringify(message.filter ?? {});
        const start = starts.get(key) ?? message.start;
        starts.set(key, start);
        yield { ...message, start };
      } else {
        yield message;
      }
    }
  }
  return (next) => (request) =>
    request.stream && request.method.name === "StreamTimeline"
      ? next({ ...request, message: forgetful(request.message) as typeof request.message })
      : next(request);
}
