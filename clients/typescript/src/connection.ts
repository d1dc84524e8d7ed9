import type * as http2 from "node:http2";
import * as net from "node:net";
import * as tls from "node:tls";
import { Code, ConnectError } from "@connectrpc/connect";
import { type GrpcTransportOptions, Http2SessionManager } from "@connectrpc/connect-node";
import type { Settings } from "./settings.js";
import { GRPC_STATUS, keepReadable } from "./trailers.js";
import { connectionLost } from "./transport-errors.js";

type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;

const PING_INTERVAL_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;
/** The longest time to open a connection. gRPC has the same. */
const CONNECT_TIMEOUT_MS = 20_000;
const WINDOW_BYTES = 1024 * 1024;
/** Megabytes of one connection. node refuses new streams beyond it, and its default of 10 is below one message. */
const SESSION_MEGABYTES = 128;

/**
 * The connection of a client: connect-node's, which pings and reconnects, with the errors of gRPC.
 *
 * node ends the streams of a lost connection with CANCEL, as if the server had cancelled each call, so this class ends
 * them first, with UNAVAILABLE.
 */
export class Connection implements SessionManager {
  /** The origin of the URLs of all calls. */
  readonly authority: string;
  readonly #manager: Http2SessionManager;
  readonly #unanswered = new WeakMap<http2.Http2Session, Set<http2.ClientHttp2Stream>>();
  #closed = false;

  /** Create a connection, which opens with the first call. */
  constructor({ address, secure }: Settings) {
    const host = net.isIPv6(address.host) ? `[${address.host}]` : address.host;
    const origin = address.path ? "localhost" : `${host}:${address.port}`;
    this.#manager = new Http2SessionManager(
      `${secure ? "https" : "http"}://${origin}`,
      { pingIntervalMs: PING_INTERVAL_MS, pingIdleConnection: true, pingTimeoutMs: PING_TIMEOUT_MS },
      {
        createConnection: () => openSocket(address.path || address, secure),
        maxSessionMemory: SESSION_MEGABYTES,
        settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
      },
    );
    this.authority = this.#manager.authority;
  }

  /** Start a call. If no server can be reached it throws UNAVAILABLE: the server surely did not see the call. */
  async request(
    method: string,
    path: string,
    headers: http2.OutgoingHttpHeaders,
    options: Omit<http2.ClientSessionRequestOptions, "signal">,
  ): Promise<http2.ClientHttp2Stream> {
    try {
      const stream = await this.#manager.request(method, path, headers, options);
      this.#watch(stream);
      return stream;
    } catch (error) {
      if (this.#closed || (error instanceof ConnectError && error.code === Code.Unavailable)) {
        throw error;
      }
      throw connectionLost(error instanceof Error ? error.message : String(error), error);
    }
  }

  /** Note that bytes of a response arrived, so no ping is needed yet. */
  notifyResponseByteRead(stream: http2.ClientHttp2Stream): void {
    this.#manager.notifyResponseByteRead(stream);
  }

  /** Close the connection. Pending calls fail with CANCELLED. */
  close(): void {
    this.#closed = true;
    this.#manager.abort();
  }

  #watch(stream: http2.ClientHttp2Stream): void {
    // Before connect's own listeners, which read them.
    stream.once("trailers", keepReadable);
    stream.once("response", (headers) => {
      if (GRPC_STATUS in headers) {
        keepReadable(headers);
      }
    });
    const { session } = stream;
    if (!session || session.destroyed) {
      return;
    }
    const streams = this.#unanswered.get(session) ?? this.#watchSession(session);
    const answered = (): void => void streams.delete(stream);
    streams.add(stream);
    stream.once("close", answered);
    stream.once("trailers", answered);
    stream.once("response", (headers) => {
      if (GRPC_STATUS in headers) {
        answered();
      }
    });
  }

  #watchSession(session: http2.Http2Session): Set<http2.ClientHttp2Stream> {
    const streams = new Set<http2.ClientHttp2Stream>();
    this.#unanswered.set(session, streams);
    const lose = (cause?: unknown): void => {
      for (const stream of this.#closed ? [] : streams) {
        stream.destroy(connectionLost("the connection was lost", cause));
      }
      streams.clear();
    };
    (session as http2.ClientHttp2Session).setLocalWindowSize(WINDOW_BYTES);
    // Before node's own listeners, which end the streams.
    session.socket.prependListener("error", lose);
    session.socket.prependListener("close", () => {
      lose();
    });
    return streams;
  }
}

function openSocket(
  target: string | net.TcpNetConnectOpts,
  secure: tls.SecureContextOptions | undefined,
): net.Socket {
  const socket = secure ? openTls(target, secure) : openPlain(target);
  const timer = setTimeout(() => {
    socket.destroy(connectionLost(`no connection within ${CONNECT_TIMEOUT_MS} ms`));
  }, CONNECT_TIMEOUT_MS);
  timer.unref();
  const stop = (): void => {
    clearTimeout(timer);
  };
  socket.once(secure ? "secureConnect" : "connect", stop);
  socket.once("close", stop);
  return socket;
}

function openPlain(target: string | net.TcpNetConnectOpts): net.Socket {
  return typeof target === "string"
    ? net.connect({ path: target })
    : net.connect({ host: target.host, port: target.port, noDelay: true });
}

function openTls(target: string | net.TcpNetConnectOpts, secure: tls.SecureContextOptions): tls.TLSSocket {
  const options: tls.ConnectionOptions = { ...secure, ALPNProtocols: ["h2"] };
  if (typeof target === "string") {
    return tls.connect({ ...options, path: target, servername: "localhost" });
  }
  const host = target.host ?? "localhost";
  const socket = tls.connect({ ...options, host, port: target.port, servername: net.isIP(host) ? "" : host });
  socket.setNoDelay(true);
  return socket;
}
