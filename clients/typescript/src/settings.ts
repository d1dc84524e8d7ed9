import { readFileSync } from "node:fs";
import * as tls from "node:tls";
import type { Interceptor } from "@connectrpc/connect";
import { type Address, DEFAULT_ADDRESS, onLoopback, parseAddress } from "./address.js";
import { LocalError } from "./errors.js";

const CA_VARIABLE = "ORCHESTRATION_CA_FILE";
const CERT_VARIABLE = "ORCHESTRATION_CLIENT_CERT";
const KEY_VARIABLE = "ORCHESTRATION_CLIENT_KEY";
/** The value that means the authorities that node comes with, in place of a file. */
const KNOWN_AUTHORITIES = "system";

/** The options of a client. An option takes precedence over its environment variable. */
export interface ClientOptions {
  /** HOST:PORT of the server. The default is that of ORCHESTRATION_ADDRESS, else {@link DEFAULT_ADDRESS}. */
  address?: string | undefined;
  /** A key or a JWT. The default is that of ORCHESTRATION_TOKEN. White space around it is removed. */
  token?: string | undefined;
  /** The project. The default is that of ORCHESTRATION_PROJECT, else that of the key. */
  project?: string | undefined;
  /** The name of the calling agent. */
  agent?: string | undefined;
  /** The session_key of the session to which the calls belong. */
  session?: string | undefined;
  /** An id that the events of all calls carry. */
  correlationId?: string | undefined;
  /**
   * The authority that signed the server's certificate: a PEM file, or "system" for the authorities of node. The default
   * is that of ORCHESTRATION_CA_FILE. Without it nothing is encrypted.
   */
  ca?: string | undefined;
  /** The PEM file of the client's own certificate. The default is that of ORCHESTRATION_CLIENT_CERT. */
  cert?: string | undefined;
  /** The PEM file of the key of that certificate. The default is that of ORCHESTRATION_CLIENT_KEY. */
  key?: string | undefined;
  /** The deadline of unary calls without their own, in milliseconds; 0 for no deadline. The default is 10,000. */
  timeoutMs?: number | undefined;
  /** Interceptors of connect, such as those for tracing. They see each attempt of a call. */
  interceptors?: Interceptor[] | undefined;
  /** Called with warnings, such as a broken stream that is opened again. The default writes to console.warn. */
  warn?: ((message: string) => void) | undefined;
}

/** The resolved options of a client. */
export interface Settings {
  readonly address: Address;
  readonly metadata: ReadonlyMap<string, string>;
  /** The options of TLS; undefined if nothing is encrypted. */
  readonly secure: tls.SecureContextOptions | undefined;
  readonly timeoutMs: number;
}

/** Return the settings of options and environment. Throws a LocalError if they cannot be right. */
export function resolveSettings(options: ClientOptions, environment: NodeJS.ProcessEnv): Settings {
  const read = (option: string | undefined, variable: string): string =>
    (option ?? environment[variable] ?? "").trim();
  const address = parseAddress(
    options.address?.trim() || read(undefined, "ORCHESTRATION_ADDRESS") || DEFAULT_ADDRESS,
  );
  const token = read(options.token, "ORCHESTRATION_TOKEN");
  const secure = resolveTls(
    read(options.ca, CA_VARIABLE),
    read(options.cert, CERT_VARIABLE),
    read(options.key, KEY_VARIABLE),
  );
  if (token && !secure && !onLoopback(address)) {
    throw new LocalError(
      "INVALID",
      `a token would go to ${address.text} in the clear: set ${CA_VARIABLE} to the certificate of the server or of its` +
        ` authority ("${KNOWN_AUTHORITIES}" for the known authorities)`,
    );
  }
  const timeoutMs = options.timeoutMs ?? 10_000;
  if (!(timeoutMs >= 0)) {
    throw new LocalError("INVALID", `timeoutMs is 0 or more, not ${timeoutMs}`);
  }
  const metadata = callMetadata({
    "orchestration-project": options.project?.trim() || read(undefined, "ORCHESTRATION_PROJECT"),
    "orchestration-agent": options.agent ?? "",
    "orchestration-session": options.session ?? "",
    "orchestration-correlation-id": options.correlationId ?? "",
    authorization: token && `Bearer ${token}`,
  });
  return { address, metadata, secure, timeoutMs };
}

function callMetadata(values: Record<string, string>): Map<string, string> {
  for (const [key, value] of Object.entries(values)) {
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw new LocalError("INVALID", `${key} may have only printable ASCII characters`);
    }
  }
  return new Map(Object.entries(values).filter(([, value]) => value));
}

function resolveTls(ca: string, cert: string, key: string): tls.SecureContextOptions | undefined {
  if (!cert !== !key) {
    throw new LocalError("INVALID", `${CERT_VARIABLE} and ${KEY_VARIABLE} belong together: set both`);
  }
  if (!ca) {
    if (cert) {
      throw new LocalError("INVALID", `a certificate of the client needs TLS: set ${CA_VARIABLE}`);
    }
    return undefined;
  }
  const options: tls.SecureContextOptions = {};
  if (ca !== KNOWN_AUTHORITIES) {
    options.ca = readPem(ca, CA_VARIABLE);
  }
  if (cert) {
    options.cert = readPem(cert, CERT_VARIABLE);
    options.key = readPem(key, KEY_VARIABLE);
  }
  try {
    tls.createSecureContext(options);
  } catch (error) {
    throw new LocalError("INVALID", `the certificates cannot be used: ${(error as Error).message}`);
  }
  return options;
}

function readPem(file: string, variable: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new LocalError(
      "INVALID",
      `cannot read ${file}, the file in ${variable}: ${(error as Error).message}`,
    );
  }
  // node takes a file without certificates for an empty list of authorities.
  if (!text.includes("-----BEGIN ")) {
    throw new LocalError("INVALID", `${file}, the file in ${variable}, has no PEM block`);
  }
  return text;
}
