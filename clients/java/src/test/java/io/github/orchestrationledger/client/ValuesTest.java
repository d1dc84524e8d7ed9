package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Struct;
import com.google.protobuf.util.JsonFormat;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ValuesTest {
  @Test
  void aStructHasTheValues() throws IOException {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("text", "\u00e9\ud83d\ude00");
    values.put("whole", (1L << 53) - 1);
    values.put("real", 0.5);
    values.put("flag", true);
    values.put("none", null);
    values.put("list", List.of(1, "two", Map.of("three", 3)));
    Struct.Builder expected = Struct.newBuilder();
    JsonFormat.parser()
        .merge(
            "{\"text\":\"\u00e9\ud83d\ude00\",\"whole\":9007199254740991,\"real\":0.5,\"flag\":true,"
                + "\"none\":null,\"list\":[1,\"two\",{\"three\":3}]}",
            expected);
    assertEquals(expected.build(), Structs.of(values));
  }

  @Test
  void whatADoubleDoesNotHoldIsRefusedWithItsPath() {
    for (Object value : List.of(1L << 53, BigInteger.TEN.pow(30), Double.NaN, new Object())) {
      IllegalArgumentException error =
          assertThrows(
              IllegalArgumentException.class,
              () -> Structs.of(Map.of("a", Map.of("b", List.of(0, value)))));
      assertTrue(error.getMessage().startsWith("a.b[1] is "), error.getMessage());
    }
  }

  @Test
  void anOlderKeyOfRsaIsWrapped(@TempDir Path directory) throws Exception {
    byte[] expected =
        KeyPairGenerator.getInstance("RSA").generateKeyPair().getPrivate().getEncoded();
    // SEQUENCE (4), version (3), algorithm (15), OCTET STRING (4): then comes PKCS#1.
    byte[] inner = Arrays.copyOfRange(expected, 26, expected.length);
    assertArrayEquals(expected, opened(directory, "RSA PRIVATE KEY", inner));
    assertArrayEquals(expected, opened(directory, "PRIVATE KEY", expected));
  }

  @Test
  void anOlderKeyOfACurveIsWrapped(@TempDir Path directory) throws Exception {
    // A key of P-256 as `openssl ecparam -genkey` writes it: version, secret, [0] curve.
    byte[] curve = {0x06, 0x08, 0x2a, (byte) 0x86, 0x48, (byte) 0xce, 0x3d, 0x03, 0x01, 0x07};
    byte[] sec1 = new byte[2 + 3 + 34 + 2 + curve.length];
    sec1[0] = 0x30;
    sec1[1] = (byte) (sec1.length - 2);
    sec1[2] = 0x02;
    sec1[3] = 0x01;
    sec1[4] = 0x01;
    sec1[5] = 0x04;
    sec1[6] = 0x20;
    sec1[38] = 0x05;
    sec1[39] = (byte) 0xa0;
    sec1[40] = (byte) curve.length;
    System.arraycopy(curve, 0, sec1, 41, curve.length);
    byte[] der = opened(directory, "EC PRIVATE KEY", sec1);
    java.security.spec.PKCS8EncodedKeySpec spec = new java.security.spec.PKCS8EncodedKeySpec(der);
    java.security.PrivateKey key = java.security.KeyFactory.getInstance("EC").generatePrivate(spec);
    assertEquals(BigInteger.valueOf(5), ((java.security.interfaces.ECPrivateKey) key).getS());
    byte[] cut = Arrays.copyOf(sec1, 20);
    assertThrows(IOException.class, () -> opened(directory, "EC PRIVATE KEY", cut));
  }

  private static byte[] opened(Path directory, String kind, byte[] der) throws IOException {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    Path file = directory.resolve("key.pem");
    Files.writeString(
        file, "-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind + "-----\n");
    String text = new String(PrivateKeys.open(file).readAllBytes(), StandardCharsets.ISO_8859_1);
    assertTrue(text.startsWith("-----BEGIN PRIVATE KEY-----\n"), text);
    return Base64.getMimeDecoder().decode(text.replaceAll("-----[A-Z ]+-----", ""));
  }
}
