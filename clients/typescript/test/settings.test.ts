import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { onLoopback, parseAddress } from "../src/address.js";
import { LocalError } from "../src/errors.js";
import { type ClientOptions, resolveSettings } from "../src/settings.js";

const refused = (fault: RegExp) => (error: unknown) =>
  error instanceof LocalError && error.reason === "INVALID" && fault.test(error.message);

test("an address is a host and a port, with gRPC's prefixes", () => {
  for (const [text, host, port, path] of [
    ["ledger.example:20051", "ledger.example", 20051, ""],
    ["dns:///ledger:1", "ledger", 1, ""],
    ["ipv4:10.0.0.1:2", "10.0.0.1", 2, ""],
    ["[::1]:3", "::1", 3, ""],
    ["::1", "::1", 443, ""],
    ["localhost", "localhost", 443, ""],
    ["unix:/run/ledger", "", 0, "/run/ledger"],
  ] as const) {
    assert.deepEqual(parseAddress(text), { text, host, port, path });
  }
});

test("an address at which no server can be is refused", () => {
  for (const [text, fault] of [
    ["http://ledger:1", /leave out http:\/\//],
    ["ledger:70000", /"70000" is no port/],
    ["ledger:0", /is no port/],
    ["ledger:", /is no port/],
    ["led ger:1", /a space/],
    ["-x:1", /no name of a host/],
    ["[::x]:1", /no IPv6 address/],
    ["a:1,b:2", /one address/],
    ["https://user:secret@ledger", /^(?!.*secret)/],
  ] as const) {
    assert.throws(() => parseAddress(text), refused(fault), text);
  }
});

test("loopback is known without a resolver", () => {
  for (const here of ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/x"]) {
    assert.equal(onLoopback(parseAddress(here)), true, here);
  }
  for (const elsewhere of ["10.0.0.1:1", "localhost.example:1", "[::2]:1"]) {
    assert.equal(onLoopback(parseAddress(elsewhere)), false, elsewhere);
  }
});

test("options come before variables, and white space is removed", () => {
  const environment = {
    ORCHESTRATION_ADDRESS: " ledger:1\n",
    ORCHESTRATION_PROJECT: "theirs",
    ORCHESTRATION_CA_FILE: "system",
    ORCHESTRATION_TOKEN: " secret\n",
  };
  const read = resolveSettings({}, environment);
  assert.equal(read.address.text, "ledger:1");
  assert.deepEqual(Object.fromEntries(read.metadata), {
    "orchestration-project": "theirs",
    authorization: "Bearer secret",
  });
  const given = resolveSettings(
    { address: "localhost:2", project: "mine", token: "", agent: "a" },
    environment,
  );
  assert.equal(given.address.text, "localhost:2");
  assert.deepEqual(Object.fromEntries(given.metadata), {
    "orchestration-project": "mine",
    "orchestration-agent": "a",
  });
  assert.equal(resolveSettings({}, {}).address.text, "127.0.0.1:20051");
  assert.equal(resolveSettings({}, {}).timeoutMs, 10_000);
});

test("a token does not leave the machine in the clear", () => {
  const options = { address: "ledger:1", token: "secret" };
  assert.throws(() => resolveSettings(options, {}), refused(/in the clear/));
  assert.ok(resolveSettings({ ...options, ca: "system" }, {}).secure);
  assert.equal(resolveSettings({ ...options, address: "localhost:1" }, {}).secure, undefined);
});

test("certificates that cannot be used are refused at once", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "ledger-"));
  t.after(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, "ca.pem");
  writeFileSync(file, "nothing");
  const cases: [ClientOptions, RegExp][] = [
    [{ ca: join(directory, "absent.pem") }, /cannot read/],
    [{ ca: file }, /no PEM block/],
    [{ ca: "system", cert: file }, /belong together/],
    [{ cert: file, key: file }, /needs TLS/],
  ];
  for (const [options, fault] of cases) {
    assert.throws(() => resolveSettings(options, {}), refused(fault));
  }
});

test("metadata that a header cannot carry is refused", () => {
  assert.throws(() => resolveSettings({ agent: "ägent" }, {}), refused(/orchestration-agent/));
  assert.throws(() => resolveSettings({ session: "a\nb" }, {}), refused(/orchestration-session/));
});
