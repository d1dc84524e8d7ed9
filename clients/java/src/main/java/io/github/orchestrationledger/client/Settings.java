package io.github.orchestrationledger.client;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

/**
 * The settings of a client, as they apply: arguments first, then the variables of the environment.
 *
 * @param address the address of the server
 * @param metadata the metadata of every call
 * @param credentials TLS, or none
 * @param encrypted true if the credentials are TLS
 * @param session the key of the session of the calls; empty if there is none
 * @param timeout the deadline of unary calls without one
 */
record Settings(
    String address,
    Metadata metadata,
    ChannelCredentials credentials,
    boolean encrypted,
    String session,
    Duration timeout) {
  static final String ADDRESS = "ORCHESTRATION_ADDRESS";
  static final String TOKEN = "ORCHESTRATION_TOKEN";
  static final String PROJECT = "ORCHESTRATION_PROJECT";
  static final String CA = "ORCHESTRATION_CA_FILE";
  static final String CERT = "ORCHESTRATION_CLIENT_CERT";
  static final String KEY = "ORCHESTRATION_CLIENT_KEY";

  /** The value that means the authorities of the Java runtime, in place of a file. */
  static final String SYSTEM = "system";

  /**
   * Return the settings of a builder. Raises IllegalArgumentException for one that cannot be right.
   */
  static Settings of(LedgerClientBuilder given) {
    Source source = new Source(given.environment);
    String address = source.find(given.address, ADDRESS);
    address = Addresses.check(address.isEmpty() ? Addresses.DEFAULT : address);
    String token = source.find(given.token, TOKEN);
    String session = given.session.strip();
    Metadata metadata = new Metadata();
    put(metadata, "orchestration-project", source.find(given.project, PROJECT));
    put(metadata, "orchestration-agent", given.agent);
    put(metadata, "orchestration-session", session);
    put(metadata, "orchestration-correlation-id", given.correlationId);
    put(metadata, "authorization", token.isEmpty() ? "" : "Bearer " + token);
    String authorities = source.find(given.authorities, CA);
    ChannelCredentials credentials = given.credentials;
    if (credentials == null && !authorities.isEmpty()) {
      credentials =
          tls(authorities, source.find(given.certificate, CERT), source.find(given.key, KEY));
    }
    boolean encrypted = credentials != null && !(credentials instanceof InsecureChannelCredentials);
    if (!token.isEmpty() && !encrypted && !Addresses.onLoopback(address)) {
      throw new IllegalArgumentException(
          "a token would go to "
              + address
              + " in the clear: set "
              + CA
              + " to the certificate of the"
              + " server or of its authority ('"
              + SYSTEM
              + "' for the authorities of the Java runtime)");
    }
    if (credentials == null) {
      credentials = InsecureChannelCredentials.create();
    }
    return new Settings(address, metadata, credentials, encrypted, session, given.timeout);
  }

  private static void put(Metadata metadata, String name, String value) {
    if (!value.chars().allMatch(each -> each >= 0x20 && each < 0x7f)) {
      throw new IllegalArgumentException(name + " may have only printable ASCII characters");
    }
    if (!value.isEmpty()) {
      metadata.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
    }
  }

  private static ChannelCredentials tls(String authorities, String certificate, String key) {
    if (certificate.isEmpty() != key.isEmpty()) {
      throw new IllegalArgumentException(CERT + " and " + KEY + " belong together: set both");
    }
    TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder();
    try {
      if (!authorities.equals(SYSTEM)) {
        tls.trustManager(readable(authorities, CA));
      }
      if (!key.isEmpty()) {
        readable(certificate, CERT);
        try (InputStream chain = Files.newInputStream(Path.of(certificate));
            InputStream secret = PrivateKeys.open(readable(key, KEY).toPath())) {
          tls.keyManager(chain, secret);
        }
      }
      return tls.build();
    } catch (IOException error) {
      throw new IllegalArgumentException("cannot read a file of TLS: " + error.getMessage(), error);
    }
  }

  private static File readable(String file, String variable) {
    Path path = Path.of(file);
    if (!Files.isRegularFile(path) || !Files.isReadable(path)) {
      throw new IllegalArgumentException("cannot read " + file + ", the file in " + variable);
    }
    return path.toFile();
  }

  /** The variables of the environment, behind the arguments. */
  private record Source(Map<String, String> environment) {
    /**
     * Return the argument without white space around it, else the variable. A null means no
     * argument.
     */
    String find(String argument, String variable) {
      String found = argument != null ? argument : environment.getOrDefault(variable, "");
      return found.strip();
    }
  }
}
