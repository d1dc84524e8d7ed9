package io.github.orchestrationledger.client;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Private keys in PEM files. Java reads only PKCS#8; this class wraps the older forms that OpenSSL
 * writes, PKCS#1 for RSA and SEC 1 for elliptic curves.
 */
final class PrivateKeys {
  private static final Pattern PEM =
      Pattern.compile("-----BEGIN (RSA|EC) PRIVATE KEY-----([A-Za-z0-9+/=\\s]+)-----END");

  /** The DER of the object identifier rsaEncryption, with its NULL parameter. */
  private static final byte[] RSA = {
    0x06,
    0x09,
    0x2a,
    (byte) 0x86,
    0x48,
    (byte) 0x86,
    (byte) 0xf7,
    0x0d,
    0x01,
    0x01,
    0x01,
    0x05,
    0x00
  };

  /** The DER of the object identifier ecPublicKey. */
  private static final byte[] EC = {
    0x06, 0x07, 0x2a, (byte) 0x86, 0x48, (byte) 0xce, 0x3d, 0x02, 0x01
  };

  private PrivateKeys() {}

  /** Open a file with a private key as PEM of PKCS#8. */
  static InputStream open(Path file) throws IOException {
    String text = Files.readString(file, StandardCharsets.ISO_8859_1);
    Matcher found = PEM.matcher(text);
    if (found.find()) {
      byte[] key = Base64.getMimeDecoder().decode(found.group(2));
      byte[] algorithm = found.group(1).equals("RSA") ? RSA : join(EC, curveOf(key));
      text =
          pem(sequence(new byte[] {0x02, 0x01, 0x00}, tagged(0x30, algorithm), tagged(0x04, key)));
    }
    return new ByteArrayInputStream(text.getBytes(StandardCharsets.ISO_8859_1));
  }

  private static String pem(byte[] der) {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    return "-----BEGIN PRIVATE KEY-----\n" + body + "\n-----END PRIVATE KEY-----\n";
  }

  /** Return the object identifier of the curve, which SEC 1 has in its optional field 0. */
  private static byte[] curveOf(byte[] key) throws IOException {
    int[] outer = valueAt(key, 0);
    int at = outer[0];
    while (at < outer[1]) {
      int[] value = valueAt(key, at);
      if ((key[at] & 0xff) == 0xa0) {
        return Arrays.copyOfRange(key, value[0], value[1]);
      }
      at = value[1];
    }
    throw new IOException(
        "the private key does not name its curve: convert it with `openssl pkcs8 -topk8 -nocrypt`");
  }

  /** Return the start and the end of the value whose tag is at a position. */
  private static int[] valueAt(byte[] der, int at) throws IOException {
    try {
      int length = der[at + 1] & 0xff;
      int start = at + 2;
      if (length > 0x7f) {
        int bytes = length & 0x7f;
        length = 0;
        for (int i = 0; i < bytes; i++) {
          length = length << 8 | der[start++] & 0xff;
        }
      }
      if (length < 0 || length > der.length - start) {
        throw new IOException("the private key is cut off");
      }
      return new int[] {start, start + length};
    } catch (ArrayIndexOutOfBoundsException error) {
      throw new IOException("the private key is cut off", error);
    }
  }

  private static byte[] sequence(byte[]... parts) {
    return tagged(0x30, join(parts));
  }

  private static byte[] tagged(int tag, byte[] value) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(tag);
    if (value.length < 0x80) {
      out.write(value.length);
    } else {
      out.write(0x82);
      out.write(value.length >> 8);
      out.write(value.length & 0xff);
    }
    out.writeBytes(value);
    return out.toByteArray();
  }

  private static byte[] join(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }
}
