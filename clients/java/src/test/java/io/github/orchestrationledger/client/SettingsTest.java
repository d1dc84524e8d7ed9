package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SettingsTest {
  private static LedgerClientBuilder builder(String... environment) {
    LedgerClientBuilder builder = LedgerClient.builder();
    builder.environment = new java.util.HashMap<>();
    for (int i = 0; i < environment.length; i += 2) {
      builder.environment.put(environment[i], environment[i + 1]);
    }
    return builder;
  }

  private static String header(Settings settings, String name) {
    return settings.metadata().get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
  }

  @Test
  void argumentsTakePrecedenceOverTheEnvironment() {
    LedgerClientBuilder builder =
        builder(
            "ORCHESTRATION_ADDRESS",
            "127.0.0.1:1",
            "ORCHESTRATION_PROJECT",
            "p",
            "ORCHESTRATION_TOKEN",
            "t");
    Settings settings = Settings.of(builder.address(" 127.0.0.1:2\n").project("q"));
    assertEquals("127.0.0.1:2", settings.address());
    assertEquals("q", header(settings, "orchestration-project"));
    assertEquals("Bearer t", header(settings, "authorization"));
  }

  @Test
  void theEnvironmentIsUsedWithoutWhiteSpace() {
    Settings settings =
        Settings.of(
            builder("ORCHESTRATION_ADDRESS", " 127.0.0.1:1 ", "ORCHESTRATION_TOKEN", " key\n"));
    assertEquals("127.0.0.1:1", settings.address());
    assertEquals("Bearer key", header(settings, "authorization"));
  }

  @Test
  void nothingIsSentThatIsNotSet() {
    Settings settings = Settings.of(builder());
    assertEquals(Addresses.DEFAULT, settings.address());
    assertNull(header(settings, "authorization"));
    assertNull(header(settings, "orchestration-project"));
  }

  @Test
  void anEmptyTokenMeansNone() {
    Settings settings = Settings.of(builder("ORCHESTRATION_TOKEN", "t").token(""));
    assertNull(header(settings, "authorization"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "http://ledger:20051", "https://u:p@ledger", "ledger:99999", "ledger:0", "ledger:port",
            "led ger:1",
        "ledger:", "-ledger:1", "ledger..example:1", ":20051", "a:1,b:2",
            "ipv4:127.0.0.1:1,127.0.0.1:x",
        "[::1:5", "1.2.3.4:65536"
      })
  void anImpossibleAddressIsRefused(String address) {
    IllegalArgumentException error =
        assertThrows(IllegalArgumentException.class, () -> builder().address(address).build());
    assertFalse(error.getMessage().contains("u:p"), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "127.0.0.1:20051", "ledger", "ledger:20051", "ledger.example.:1", "dns:///ledger:20051",
        "dns:ledger:20051", "dns://8.8.8.8/ledger:20051", "[::1]:20051", "::1", "ipv6:[::1]:20051",
        "ipv4:10.0.0.1:1,10.0.0.2:2", "unix:/run/ledger.sock", "unix:///run/ledger.sock",
            "my_ledger:1"
      })
  void aPossibleAddressIsTaken(String address) {
    assertEquals(address, Addresses.check(address));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "ledger:20051",
        "10.0.0.1:1",
        "dns:///ledger:1",
        "[fe80::1]:1",
        "localhost.example:1",
        "ipv4:127.0.0.1:1,10.0.0.1:1",
        "127.0.0.1.example:1"
      })
  void aTokenIsNotSentInTheClearToAnotherMachine(String address) {
    IllegalArgumentException error =
        assertThrows(
            IllegalArgumentException.class,
            () -> builder().address(address).token("secret").build());
    assertTrue(error.getMessage().contains("in the clear"), error.getMessage());
    assertFalse(error.getMessage().contains("secret"), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "localhost:1",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]:1",
        "::1",
        "dns:///localhost:1",
        "unix:/run/x",
        "ipv4:127.0.0.1:1,127.0.0.1:2"
      })
  void aTokenMayGoToThisMachine(String address) {
    assertDoesNotThrow(() -> Settings.of(builder().address(address).token("secret")));
  }

  @Test
  void aTokenMayGoAnywhereWithTls() {
    Settings settings =
        Settings.of(builder("ORCHESTRATION_CA_FILE", "system").address("ledger:1").token("secret"));
    assertTrue(settings.encrypted());
    assertTrue(
        Settings.of(
                builder()
                    .address("ledger:1")
                    .token("secret")
                    .credentials(TlsChannelCredentials.create()))
            .encrypted());
  }

  @Test
  void aFileThatCannotBeReadIsNamed(@TempDir Path directory) throws IOException {
    Path file = directory.resolve("none.pem");
    IllegalArgumentException error =
        assertThrows(
            IllegalArgumentException.class, () -> builder().caFile(file.toString()).build());
    assertTrue(error.getMessage().contains("none.pem"), error.getMessage());
    Files.writeString(file, "this is no certificate");
    assertThrows(IllegalArgumentException.class, () -> builder().caFile(file.toString()).build());
  }

  @Test
  void aCertificateNeedsItsKey() {
    LedgerClientBuilder builder =
        builder("ORCHESTRATION_CA_FILE", "system", "ORCHESTRATION_CLIENT_CERT", "client.pem");
    assertThrows(IllegalArgumentException.class, builder::build);
  }

  @ParameterizedTest
  @ValueSource(strings = {"agent\u00e9", "a\nb", "a\u0000"})
  void metadataIsPrintable(String agent) {
    assertThrows(IllegalArgumentException.class, () -> builder().agent(agent).build());
    assertThrows(IllegalArgumentException.class, () -> builder().token(agent).build());
  }

  @Test
  void theServiceConfigIsTheOneThatIsPublished() throws IOException {
    String published = Files.readString(Path.of("../service_config.json"));
    Map<?, ?> expected = new com.google.gson.Gson().fromJson(published, Map.class);
    assertEquals(expected, ServiceConfig.map());
  }
}
